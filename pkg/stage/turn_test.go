package stage

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// TestTheLeadingStreamHasTheNextTurn, whoever else waits for longer; and while it
// comes again and again, the others have one of eight.
func TestTheLeadingStreamHasTheNextTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn()
		var order []string
		var all sync.WaitGroup
		work := func(name string, leads bool, times int) {
			all.Go(func() {
				for range times {
					turn.take(leads)
					order = append(order, name) // who has the turn is alone
					turn.give()
				}
			})
		}
		turn.take(false)
		work("bulk", false, 1)
		work("echo", false, 1)
		synctest.Wait()
		work("live", true, 1)
		synctest.Wait()
		turn.give()
		all.Wait()
		if order[0] != "live" || len(order) != 3 {
			t.Errorf("the turns were %v, want live first", order)
		}

		order = nil
		turn.take(false)
		work("live", true, 40)
		work("bulk", false, 3)
		synctest.Wait()
		turn.give()
		all.Wait()
		if first := slices.Index(order, "bulk"); first < 0 || first > mostAhead {
			t.Errorf("beside a flood of live batches the first other one was the %d. of %v", first+1, order)
		}
		if last := slices.Index(order[30:], "bulk"); last >= 0 {
			t.Errorf("the others wait for more than one turn of eight: %v", order)
		}
	})
}
