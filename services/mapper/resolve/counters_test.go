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

// counting hears communications and counters of one contact, as they come.
type counting struct {
	t       *testing.T
	state   *State
	counted map[string]bool
	lost    int64
	number  int
}

func (c *counting) judge(do func(*Judge)) {
	c.number++
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	j := NewJudge(rules, "aloware:9", c.state, Decision{Version: c.state.Version + 1, EventID: fmt.Sprint(c.number)})
	do(j)
	c.lost += j.Conclude().Lost
}

// call tells of an inbound call that began at a second; counter -1 tells none.
func (c *counting) call(id string, began contact.Millis, finished bool, counter int64) {
	told := contact.UnknownCounters
	told.InboundCalls = counter
	c.judge(func(j *Judge) {
		j.Count(&contact.Communication{
			ID: id, ContactID: "9", EventID: fmt.Sprint("call ", c.number), Inbound: true, Finished: finished, StartedAt: began * 1000, UpdatedAt: began*1000 + 500, Counters: told,
		}, !c.counted[id])
	})
	c.counted[id] = true
}

// contact tells the contact's own counter of inbound calls at a second.
func (c *counting) contact(at contact.Millis, counter int64) {
	told := contact.UnknownCounters
	told.InboundCalls = counter
	c.judge(func(j *Judge) {
		j.Observe(&contact.Change{
			System: contact.Aloware, ID: "9", EventID: fmt.Sprint("contact ", c.number), Event: contact.Snapshot, OccurredAt: at * 1000, Precision: 999, Counters: &told,
		})
	})
}

func (c *counting) want(total string, lost int64) {
	c.t.Helper()
	got := ""
	if f := c.state.Fields["total_inbound_calls"]; f != nil {
		got = f.Sides[1].Value
	}
	if got != total || c.lost != lost {
		c.t.Fatalf("the total is %q and %d are lost, want %q and %d", got, c.lost, total, lost)
	}
}

// TestALossIsSeenByTheContactsOwnCounters, and nothing is taken for one that is
// none.
func TestALossIsSeenByTheContactsOwnCounters(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(c *counting){
		"the last call is lost, and the contact is read": func(c *counting) {
			c.call("1", 1, true, 4)
			c.contact(9, 5)
			c.want("5", 1)
			c.contact(10, 5)
			c.want("5", 1)
			c.call("2", 8, true, -1) // it comes late after all
			c.want("5", 0)
		},
		"the first call tells no counter": func(c *counting) {
			c.call("1", 1, true, -1)
			c.want("1", 0)
			c.call("2", 2, true, 7) // five before anything was heard
			c.want("7", 0)
			c.call("3", 3, true, 9)
			c.want("9", 1)
		},
		"the contact is read before any call is heard": func(c *counting) {
			c.contact(1, 0)
			c.want("", 0)
			c.contact(2, 3)
			c.want("3", 0)
			c.call("1", 1, true, -1) // from before: it is in the counter
			c.want("3", 0)
			c.call("2", 5, true, 4)
			c.want("4", 0)
		},
		"a call of the reading's second is in its counter": func(c *counting) {
			c.contact(2, 3)
			c.call("1", 2, true, 3)
			c.want("3", 0)
		},
		"a running call is in no counter": func(c *counting) {
			c.call("1", 1, false, -1)
			c.contact(2, 5)
			c.want("6", 0)
			c.call("1", 3, true, 6)
			c.want("6", 0)
			c.contact(9, 6)
			c.want("6", 0)
		},
		"a call that had ended by the reading is heard to end later": func(c *counting) {
			c.call("1", 1, false, -1)
			c.contact(5, 6)
			c.call("1", 1, true, 6)
			c.want("6", 0)
		},
		"nothing was ever said": func(c *counting) {
			c.contact(1, 0)
			c.want("", 0)
			if c.state.Activity != nil {
				c.t.Errorf("there is activity: %+v", c.state.Activity)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(&counting{t: t, state: &State{}, counted: map[string]bool{}})
		})
	}
}
