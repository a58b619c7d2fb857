package resolve

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestTotalsFollowAlowaresCounters: whatever is lost, late, repeated or out of
// order, the total is never behind the highest counter that was told, what is
// missing is known, and it is no more when all has come.
func TestTotalsFollowAlowaresCounters(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		before, calls := int64(random.IntN(4)), 2+random.IntN(8)
		told := make([]contact.Communication, calls)
		for i := range told {
			counters := contact.UnknownCounters
			if random.IntN(3) > 0 {
				counters.InboundCalls = before + int64(i) + 1
			}
			told[i] = contact.Communication{
				ID: fmt.Sprint(i), ContactID: "9", EventID: fmt.Sprint("e", i), Inbound: true, Finished: true,
				StartedAt: contact.Millis(1000 * (i + 1)), UpdatedAt: contact.Millis(1000*(i+1) + 500), Counters: counters,
			}
		}
		// The first that comes gives the starting totals; the others come in
		// any order, some of them twice, and some only at the end.
		first := told[0]
		first.Counters.InboundCalls = before + 1
		rest := told[1:]
		random.Shuffle(len(rest), func(a, b int) { rest[a], rest[b] = rest[b], rest[a] })
		late := random.IntN(len(rest) + 1)
		rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
		state, counted := &State{}, map[string]bool{}
		var missing, highest int64
		hear := func(c contact.Communication) {
			j := NewJudge(rules, "aloware:9", state, Decision{Version: state.Version + 1, Now: c.UpdatedAt, EventID: c.EventID})
			j.Count(&c, !counted[c.ID])
			counted[c.ID] = true
			missing += j.Conclude().Lost
			highest = max(highest, c.Counters.InboundCalls)
			want := max(before+int64(len(counted)), highest)
			if got := state.Activity.InboundCalls.total(); got != fmt.Sprint(want) {
				t.Fatalf("seed %d: the total is %s, want %d after %d of %d calls, with %d before and %d told", seed, got, want, len(counted), calls, before, highest)
			}
			if want := max(0, highest-before-int64(len(counted))); missing != want {
				t.Fatalf("seed %d: %d are missing, want %d", seed, missing, want)
			}
		}
		hear(first)
		for _, c := range rest[late:] {
			hear(c)
			if random.IntN(2) == 0 {
				c.EventID += "again"
				hear(c)
			}
		}
		for _, c := range rest[:late] {
			hear(c)
		}
		if missing != 0 {
			t.Fatalf("seed %d: %d are missing though all have come", seed, missing)
		}
	}
}

// TestStartingTotalsAreExact though the first event that comes is not the
// first that happened: what the starting total has is not counted again.
func TestStartingTotalsAreExact(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 11))
		before, calls := int64(random.IntN(4)), int64(1+random.IntN(8))
		rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
		state := &State{}
		highest := int64(0)
		for _, i := range random.Perm(int(calls)) {
			counters := contact.UnknownCounters
			counters.InboundCalls = before + int64(i) + 1
			c := &contact.Communication{
				ID: fmt.Sprint(i), ContactID: "9", EventID: fmt.Sprint("e", i), Inbound: true, Finished: true,
				StartedAt: contact.Millis(1000 * (i + 1)), UpdatedAt: contact.Millis(1000*(i+1) + 500), Counters: counters,
			}
			j := NewJudge(rules, "aloware:9", state, Decision{Version: state.Version + 1, Now: c.UpdatedAt, EventID: c.EventID})
			j.Count(c, true)
			j.Conclude()
			highest = max(highest, counters.InboundCalls)
			if got := state.Activity.InboundCalls.total(); got != fmt.Sprint(highest) {
				t.Fatalf("seed %d: the total is %s, want Aloware's own %d", seed, got, highest)
			}
		}
		if missing := state.Activity.missing(); missing != 0 {
			t.Fatalf("seed %d: %d are missing though all have come", seed, missing)
		}
	}
}
