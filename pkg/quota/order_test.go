package quota

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestNobodyWaitsForEver: beside a flood of live calls the others get one call of
// eight, and who reads takes turns with a backlog of bulk writes.
func TestNobodyWaitsForEver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		waiting string // in the order of asking: l live, b bulk, r reading
		want    string
	}{
		"a flood":       {"brrr" + strings.Repeat("l", 20), "lllllll" + "r" + "lllllll" + "b" + "llllll" + "rr"},
		"a backlog":     {"bbbbbbrrr", "rbrbrbbbb"},
		"by one's self": {"bbb", "bbb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			g := NewGate(Limits{Rate: 200, Burst: 1})
			order := make(chan byte, len(c.waiting))
			for i := range len(c.waiting) {
				kind := c.waiting[i]
				calling := map[byte]context.Context{'l': ctx, 'b': Bulk(ctx), 'r': Reading(ctx)}[kind]
				go func() {
					ticket, err := g.Take(calling, General)
					if err != nil {
						order <- '!'
						return
					}
					order <- kind
					ticket.Done(Answer{})
				}()
				for g.Usage().Waiting <= i && ctx.Err() == nil {
					time.Sleep(100 * time.Microsecond)
				}
			}
			var got strings.Builder
			for range len(c.waiting) {
				got.WriteByte(<-order)
			}
			if got.String() != c.want {
				t.Errorf("calls went out in the order %s, want %s", got.String(), c.want)
			}
		})
	}
}
