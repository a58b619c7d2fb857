package writer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// refusing makes a system that asks for an hour's pause of every row while
// down is set.
func refusing(e *env, down *atomic.Bool) {
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		if down.Load() {
			return refuse(patches, faultOf(fault.Transient, time.Hour))
		}
		return nil
	}
}

func (e *env) putOff(calls int) {
	e.t.Helper()
	e.await("the call is made", func() bool { return len(e.system.seen()) >= calls })
	e.await("the row is put off", func() bool {
		rows, err := e.db.DueRows(e.t.Context(), "acme", contact.HubSpot, 0, nil, false, 10)
		return err == nil && len(rows) == 0
	})
}

// TestSomebodyWakesARowThatIsPutOff, and nothing is made where nothing waits.
func TestSomebodyWakesARowThatIsPutOff(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	var down atomic.Bool
	down.Store(true)
	refusing(e, &down)
	e.start("one")
	e.send(bus.Patches, "acme", write(key(1), 1, "city", "a"))
	e.putOff(1)
	down.Store(false)
	wake := contact.Patch{Version: 2, Wake: true}
	other := wake
	wake.Contact, other.Contact = key(1), key(2)
	e.send(bus.Patches, "acme", wake, other, other)
	e.awaitEmpty()
	if outcomes := e.outcomes(bus.Changes, 1); outcomes[0].Contact != key(1) || outcomes[0].Version != 2 || len(outcomes) != 1 {
		t.Errorf("outcomes are %+v, want one of the woken row, for the waking's version", outcomes)
	}
	if calls := e.system.seen(); len(calls) != 2 {
		t.Errorf("%d calls were made, want the one refused and the one woken", len(calls))
	}
}

// TestAForgottenContactsRowGoes, with what comes for it in the same message,
// and nothing of it is written.
func TestAForgottenContactsRowGoes(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	var down atomic.Bool
	down.Store(true)
	refusing(e, &down)
	e.start("one")
	e.send(bus.Patches, "acme", write(key(1), 1, "city", "a"))
	e.putOff(1)
	down.Store(false)
	e.send(bus.Patches, "acme", contact.Patch{Contact: key(1), Version: 2, Forget: true}, write(key(1), 1, "city", "b"), write(key(2), 1, "city", "c"))
	e.awaitEmpty()
	for _, o := range e.outcomes(bus.Changes, 1) {
		if o.Contact == key(1) {
			t.Errorf("the forgotten contact has the outcome %+v", o)
		}
	}
	if e.system.value("acme/"+string(key(1))+"/city") != "" {
		t.Error("the forgotten contact was written")
	}
}

// TestAReadIsTakenBack where it waits alone, and what else waits is written.
func TestAReadIsTakenBack(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.start("one")
	later := contact.Millis(time.Now().Add(time.Hour).UnixMilli())
	for n := range 3 {
		read := contact.Patch{Contact: key(n), Version: 1, TargetID: "7", Fetch: &contact.Fetch{Properties: []string{"city"}, NotBefore: later}}
		e.send(bus.Patches, "acme", read)
	}
	back := func(n int) contact.Patch {
		return contact.Patch{Contact: key(n), Version: 2, Unfetch: true, Wake: true}
	}
	e.await("the reads wait", func() bool { return e.rows() == 3 })
	e.send(bus.Patches, "acme", back(0))
	e.send(bus.Patches, "acme", back(1), write(key(1), 3, "city", "b"), back(9))
	e.send(bus.Patches, "acme", write(key(2), 2, "city", "c"), back(2))
	e.awaitEmpty()
	for _, n := range []int{1, 2} {
		if e.system.value("acme/"+string(key(n))+"/city") == "" {
			t.Errorf("what waits of contact %d besides the read was not written", n)
		}
	}
	for _, call := range e.system.seen() {
		for _, p := range call.patches {
			if p.Fetch != nil || len(p.Properties) == 0 {
				t.Errorf("a call is %+v, want a value written", p)
			}
		}
	}
}
