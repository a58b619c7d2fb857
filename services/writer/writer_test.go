package writer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/background"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/writer"
)

func key(i int) contact.Key { return contact.NewKey(contact.HubSpot, fmt.Sprint(i)) }

// shortLease lets another owner take over soon.
func shortLease(c *writer.Config) { c.LeaseTTL = 3 * time.Second }

// TestAHundredPatchesOfAContactAreOneWrite while the contact is under way.
func TestAHundredPatchesOfAContactAreOneWrite(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	first, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	e.system.script = func(context.Context, contact.Tenant, []contact.Patch) []*contact.Delivery {
		if calls.Add(1) == 1 {
			close(first)
			<-release
		}
		return nil
	}
	e.start("one")
	e.send(bus.Patches, "acme", write(key(1), 1, "city", "v1"))
	<-first
	for v := 2; v <= 100; v++ {
		e.send(bus.Patches, "acme", write(key(1), contact.Version(v), "city", fmt.Sprintf("v%d", v)))
	}
	e.await("the last patch is in the row", func() bool {
		rows, err := e.db.DueRows(t.Context(), "acme", contact.HubSpot, 0, nil, false, 1)
		return err == nil && len(rows) == 1 && rows[0].Version == 100
	})
	close(release)
	e.awaitEmpty()
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls, want the first and one for the other 99", n)
	}
	if got := e.system.value("acme/hubspot:1/city"); got != "v100" {
		t.Errorf("city is %q", got)
	}
	last := e.outcomes(bus.Changes, 2)[1]
	if last.Version != 100 || len(last.Properties) != 1 || last.Properties[0].Version != 100 {
		t.Errorf("outcome %+v", last)
	}
}

// TestThrottledPausesTheLaneAlone until the time that the system named.
func TestThrottledPausesTheLaneAlone(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme", "other")
	const wait = 1500 * time.Millisecond
	var refused atomic.Int64
	e.system.script = func(_ context.Context, name contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		if name == "acme" && refused.CompareAndSwap(0, time.Now().UnixNano()) {
			return refuse(patches, faultOf(fault.Throttled, wait))
		}
		return nil
	}
	e.start("one")
	e.send(bus.Patches, "acme", write(key(1), 1, "city", "a"))
	e.await("a call is refused", func() bool { return refused.Load() != 0 })
	e.send(bus.Patches, "acme", write(key(2), 1, "city", "b"))
	e.send(bus.Patches, "other", write(key(1), 1, "city", "c"))
	e.awaitEmpty()
	since := time.Unix(0, refused.Load())
	for _, c := range e.system.seen() {
		after := c.at.Sub(since)
		if c.tenant == "acme" && after > 20*time.Millisecond && after < wait-20*time.Millisecond {
			t.Errorf("a call went out %v after the refusal", after)
		}
		if c.tenant == "other" && after > wait {
			t.Errorf("another tenant waited %v", after)
		}
	}
}

// TestOneRefusedContactDoesNotHoldUpTheOthers of its call.
func TestOneRefusedContactDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		answers := make([]*contact.Delivery, len(patches))
		for i, p := range patches {
			if p.Contact == key(42) {
				answers[i] = &contact.Delivery{Err: faultOf(fault.Permanent, 0)}
			}
		}
		return answers
	}
	var patches []contact.Patch
	for i := range 100 {
		patches = append(patches, write(key(i), 1, "city", "a"))
	}
	e.send(bus.Patches, "acme", patches...)
	e.start("one")
	e.awaitEmpty()
	results := map[contact.Result]int{}
	for _, o := range e.outcomes(bus.Changes, 100) {
		results[o.Result]++
		if o.Result == contact.Rejected && (o.Contact != key(42) || o.Refusal == nil || o.Refusal.Reason != "SCRIPTED" || o.Properties[0].Refusal == nil) {
			t.Errorf("outcome %+v", o)
		}
	}
	if diff := cmp.Diff(map[contact.Result]int{contact.Written: 99, contact.Rejected: 1}, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestATransientFaultIsRepeatedAndANewPatchWakesTheRow.
func TestATransientFaultIsRepeatedAndANewPatchWakesTheRow(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	var fails atomic.Int32
	fails.Store(3)
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		if fails.Add(-1) >= 0 {
			return refuse(patches, faultOf(fault.Transient, time.Hour)) // asks for an hour
		}
		return nil
	}
	e.start("one")
	for v := range 4 {
		e.send(bus.Patches, "acme", write(key(1), contact.Version(v+1), "city", fmt.Sprint(v)))
		e.await("the call is made", func() bool { return len(e.system.seen()) == v+1 })
		e.await("the row is put off", func() bool {
			rows, err := e.db.DueRows(t.Context(), "acme", contact.HubSpot, 0, nil, false, 1)
			return err == nil && len(rows) == 0
		})
	}
	e.awaitEmpty()
	if got := e.outcomes(bus.Changes, 1)[0]; got.Attempts != 3 || got.Version != 4 {
		t.Errorf("outcome %+v, want the attempts counted", got)
	}
}

// TestACrashBetweenAnswerAndReportRepeatsSafely: what was answered is sent
// again by the next owner, and nothing is lost.
func TestACrashBetweenAnswerAndReportRepeatsSafely(t *testing.T) {
	t.Parallel()
	for _, cut := range []string{"database", "bus and database"} {
		t.Run(cut, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, "acme")
			var one *process
			started, crashed := make(chan struct{}), make(chan struct{})
			var once atomic.Bool
			e.system.after = func(contact.Tenant, []contact.Patch) {
				if !once.CompareAndSwap(false, true) {
					return
				}
				<-started
				if cut != "database" {
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
					defer cancel()
					_ = one.bus.Close(ctx)
				}
				go one.db.Close()
				close(crashed)
			}
			one = e.start("one", shortLease)
			close(started)
			e.send(bus.Patches, "acme", write(key(1), 1, "city", "a"), write(key(2), 1, "city", "b"))
			<-crashed
			e.start("two", shortLease)
			e.awaitEmpty()
			e.system.mu.Lock()
			defer e.system.mu.Unlock()
			for _, k := range []string{"acme/hubspot:1", "acme/hubspot:2"} {
				if n := e.system.writes[k]; n < 1 || n > 2 {
					t.Errorf("%s was written %d times", k, n)
				}
			}
			if n := len(e.outcomes(bus.Changes, 2)); n < 2 {
				t.Errorf("%d outcomes", n)
			}
		})
	}
}

// TestAnOlderValueNeverFollowsANewer, whatever fails, and on whichever of the
// two streams the patches come.
func TestAnOlderValueNeverFollowsANewer(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme", "other")
	e.system.batch = 7
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		time.Sleep(rand.N(3 * time.Millisecond))
		answers := make([]*contact.Delivery, len(patches))
		for i := range patches {
			switch rand.IntN(12) {
			case 0:
				answers[i] = &contact.Delivery{Err: faultOf(fault.Transient, 0)}
			case 1:
				answers[i] = &contact.Delivery{Err: faultOf(fault.Unknown, 0)}
			}
		}
		if rand.IntN(30) == 0 {
			return refuse(patches, faultOf(fault.Throttled, 10*time.Millisecond))
		}
		return answers
	}
	e.start("one")
	want := map[string]string{}
	for v := 1; v <= 400; v++ {
		name := []contact.Tenant{"acme", "other"}[rand.IntN(2)]
		stream := bus.Patches
		if rand.IntN(3) == 0 {
			stream = bus.PatchesBulk
		}
		k, property, value := key(rand.IntN(20)), fmt.Sprint("p", rand.IntN(3)), fmt.Sprint("v", v)
		want[fmt.Sprintf("%s/%s/%s", name, k, property)] = value
		e.send(stream, name, write(k, contact.Version(v), property, value))
	}
	e.await("all is written", func() bool {
		for k, v := range want {
			if e.system.value(k) != v {
				return false
			}
		}
		return e.rows() == 0
	})
}

// TestALatePatchOfTheBulkStreamBringsNoOlderValue: the later one is written and
// its row gone by then.
func TestALatePatchOfTheBulkStreamBringsNoOlderValue(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.start("one")
	e.send(bus.Patches, "acme", write(key(1), 5, "city", "new"))
	e.outcomes(bus.Changes, 1)
	e.awaitEmpty()
	e.send(bus.PatchesBulk, "acme", write(key(1), 3, "city", "old", "zip", "1"))
	e.outcomes(bus.ChangesEcho, 1) // it is of the zip
	if got := e.system.value("acme/hubspot:1/city"); got != "new" {
		t.Errorf("city is %q", got)
	}
	e.send(bus.PatchesBulk, "acme", write(key(1), 4, "city", "older"))
	e.awaitEmpty()
}

// TestAnotherOwnerGoesOn when one ends, by SIGTERM or without a word, and no
// contact is ever under way at both.
func TestAnotherOwnerGoesOn(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.system.batch = 3
	e.system.script = func(ctx context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		select {
		case <-time.After(10 * time.Millisecond):
			return nil
		case <-ctx.Done(): // the call is cut
			return refuse(patches, ctx.Err())
		}
	}
	one := e.start("one", shortLease)
	version := contact.Version(0)
	send := func(n int) {
		for range n {
			version++
			e.send(bus.Patches, "acme", write(key(int(version)%30), version, "city", fmt.Sprint(version)))
		}
	}
	send(100)
	e.await("the first owner writes", func() bool { return len(e.system.seen()) > 3 })
	two := e.start("two", shortLease)
	send(100)
	one.stop()
	send(100)
	e.awaitEmpty()
	e.start("three", shortLease)
	send(50)
	go two.db.Close() // it can neither renew nor read any more
	send(50)
	e.await("all is written", func() bool {
		for v := version - 29; v <= version; v++ {
			if e.system.value(fmt.Sprintf("acme/%s/city", key(int(v)%30))) != fmt.Sprint(v) {
				return false
			}
		}
		return e.rows() == 0
	})
}

// TestRefusedCredentialsStopTheLaneUntilThereAreNewOnes.
func TestRefusedCredentialsStopTheLaneUntilThereAreNewOnes(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	var valid atomic.Pointer[string]
	good := "new"
	valid.Store(&good)
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		calls := e.system.seen()
		if calls[len(calls)-1].token != *valid.Load() {
			return refuse(patches, faultOf(fault.Unauthorized, 0))
		}
		return nil
	}
	one := e.start("one")
	e.send(bus.Patches, "acme", write(key(1), 1, "city", "a"), write(key(2), 1, "city", "b"))
	e.await("the pause is shown", func() bool {
		pauses, err := e.db.Pauses(t.Context(), contact.HubSpot)
		return err == nil && len(pauses) == 1 && pauses[0].Class == "unauthorized" && time.Until(pauses[0].Until) > 5*time.Second && pauses[0].Refusals == 1
	})
	if told := strings.Join(one.Troubles(), "\n"); !strings.Contains(told, "hubspot: 1 lanes rest (unauthorized), the last of them until 2") {
		t.Errorf("the writer's health tells %q", told)
	}
	time.Sleep(300 * time.Millisecond) // a call that was on its way beside the refused one
	calls := len(e.system.seen())
	e.send(bus.Patches, "acme", write(key(3), 1, "city", "c"))
	e.await("the patch is in a row", func() bool { return e.rows() == 3 })
	time.Sleep(1500 * time.Millisecond) // longer than a sweep
	if now := len(e.system.seen()); now != calls {
		t.Errorf("%d calls with refused credentials", now-calls)
	}
	e.change("acme", func(t *tenant.Tenant) { t.HubSpot.AccessToken = "new" })
	changed := time.Now()
	e.awaitEmpty()
	if took := time.Since(changed); took > 4*time.Second {
		t.Errorf("it took %v to go on", took)
	}
	e.await("the pause is over", func() bool {
		pauses, err := e.db.Pauses(t.Context(), contact.HubSpot)
		return err == nil && len(pauses) == 0
	})
	if told := one.Troubles(); len(told) != 0 {
		t.Errorf("when it is over the writer's health tells %q", told)
	}
}

// TestRefusalsInARowAreCountedOverAChangeOfOwner, of the same credentials alone: from the
// second on somebody is asked for new ones.
func TestRefusalsInARowAreCountedOverAChangeOfOwner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		token tenant.Secret // of the second owner; "" as before
		want  int
	}{{"", 2}, {"another", 1}} {
		e := newEnv(t, "acme")
		e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
			return refuse(patches, faultOf(fault.Unauthorized, 0))
		}
		refused := func(calls, times int) {
			t.Helper()
			e.await(fmt.Sprintf("%d refusals are told", times), func() bool {
				pauses, err := e.db.Pauses(t.Context(), contact.HubSpot)
				return err == nil && len(e.system.seen()) == calls && len(pauses) == 1 && pauses[0].Refusals == times
			})
		}
		one := e.start("one")
		e.send(bus.Patches, "acme", write(key(1), 1, "city", "a"))
		refused(1, 1)
		one.stop()
		if c.token != "" {
			e.change("acme", func(t *tenant.Tenant) { t.HubSpot.AccessToken = c.token })
		}
		e.start("two")
		refused(2, c.want)
	}
}

// TestAnInactiveTenantsRowsWait.
func TestAnInactiveTenantsRowsWait(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.change("acme", func(t *tenant.Tenant) { t.Active = false })
	e.start("one")
	e.send(bus.Patches, "acme", write(key(1), 1, "city", "a"))
	e.await("the patch is in a row", func() bool { return e.rows() == 1 })
	time.Sleep(1200 * time.Millisecond)
	if n := len(e.system.seen()); n != 0 {
		t.Errorf("%d calls for an inactive tenant", n)
	}
	e.change("acme", func(t *tenant.Tenant) { t.Active = true })
	e.awaitEmpty()
}

// TestTheBreakerTriesWithOneContact after several failures in a row.
func TestTheBreakerTriesWithOneContact(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	var down atomic.Bool
	down.Store(true)
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		if down.Load() {
			return refuse(patches, faultOf(fault.Transient, 0))
		}
		return nil
	}
	e.system.batch = 5
	e.start("one")
	var patches []contact.Patch
	for i := range 40 {
		patches = append(patches, write(key(i), 1, "city", "a"))
	}
	e.send(bus.Patches, "acme", patches...)
	e.await("a probe goes out", func() bool {
		calls := e.system.seen()
		return len(calls) > 5 && len(calls[len(calls)-1].patches) == 1
	})
	down.Store(false)
	e.awaitEmpty()
}

// TestAReadWaitsForItsTime, and values of the same contact do not.
func TestAReadWaitsForItsTime(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.start("one")
	e.send(bus.Patches, "acme", write(key(9), 1, "city", "warm"))
	e.awaitEmpty() // the quota of a new owner is open now
	when := time.Now().Add(1500 * time.Millisecond)
	p := write(key(1), 1, "city", "a")
	p.Fetch = &contact.Fetch{Properties: []string{"city"}, NotBefore: contact.Millis(when.UnixMilli())}
	e.send(bus.Patches, "acme", p)
	e.awaitEmpty()
	var wrote, read time.Time
	for _, c := range e.system.seen() {
		for _, p := range c.patches {
			if p.Contact != key(1) {
				continue
			}
			if p.Fetch != nil {
				read = c.at
			}
			if len(p.Properties) > 0 {
				wrote = c.at
			}
		}
	}
	if wrote.IsZero() || !wrote.Before(when.Add(-500*time.Millisecond)) {
		t.Errorf("the value was written %v before the read's time, want at once", when.Sub(wrote))
	}
	if read.Before(when.Add(-2*time.Millisecond)) || read.After(when.Add(700*time.Millisecond)) {
		t.Errorf("the read was made %v after its time", read.Sub(when))
	}
}

// TestALaneThatHangsHoldsUpNoOther.
func TestALaneThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "hangs", "fine")
	e.system.batch = 1
	release := make(chan struct{})
	e.system.script = func(ctx context.Context, name contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		if name == "hangs" {
			<-release
		}
		return nil
	}
	e.start("one")
	for i := range 10 {
		e.send(bus.Patches, "hangs", write(key(i), 1, "city", "a"))
		e.send(bus.Patches, "fine", write(key(i), 1, "city", "a"))
	}
	e.outcomes(bus.Changes, 10)
	hanging := func() int {
		n := 0
		for _, c := range e.system.seen() {
			if c.tenant == "hangs" {
				n++
			}
		}
		return n
	}
	e.await("all deliveries that the lane may have are under way", func() bool { return hanging() >= 4 })
	if n := hanging(); n != 4 {
		t.Errorf("%d deliveries of one lane are under way, want 4", n)
	}
	close(release)
	e.awaitEmpty()
}

// TestALiveRowGoesBeforeBulkRows.
func TestALiveRowGoesBeforeBulkRows(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.system.batch = 1
	e.system.script = func(context.Context, contact.Tenant, []contact.Patch) []*contact.Delivery {
		time.Sleep(20 * time.Millisecond)
		return nil
	}
	var patches []contact.Patch
	for i := range 200 {
		patches = append(patches, write(key(i), 1, "city", "a"))
	}
	e.send(bus.PatchesBulk, "acme", patches...)
	e.start("one")
	e.await("bulk work is under way", func() bool { return len(e.system.seen()) > 4 })
	before := len(e.system.seen())
	e.send(bus.Patches, "acme", write(key(1000), 1, "city", "live"))
	e.await("the live row is written", func() bool { return e.system.value("acme/hubspot:1000/city") == "live" })
	if between := len(e.system.seen()) - before; between > 60 {
		t.Errorf("%d calls went out before the live one", between)
	}
	for _, o := range append(e.outcomes(bus.ChangesEcho, 200), e.outcomes(bus.Changes, 1)...) {
		if contact.Bulk(o.EventID) == (o.Contact == key(1000)) {
			t.Errorf("what follows from %+v must be as urgent as its row was", o)
		}
	}
}

// TestALiveRowFindsAPlaceBesideBulkRows that hang in all the places they may have,
// also after live rows came whose time has not come yet.
func TestALiveRowFindsAPlaceBesideBulkRows(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.system.batch = 1
	release := make(chan struct{})
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		if patches[0].Bulk {
			<-release
		}
		return nil
	}
	var patches []contact.Patch
	for i := range 20 {
		patches = append(patches, write(key(i), 1, "city", "a"))
	}
	e.send(bus.PatchesBulk, "acme", patches...)
	e.start("one")
	e.await("bulk deliveries hang", func() bool { return len(e.system.seen()) >= 3 })
	for i := range 5 {
		later := contact.Patch{Contact: key(500 + i), System: contact.HubSpot, Version: 1, TargetID: "7"}
		later.Fetch = &contact.Fetch{Properties: []string{"city"}, NotBefore: contact.Millis(time.Now().Add(time.Hour).UnixMilli())}
		e.send(bus.Patches, "acme", later)
	}
	e.send(bus.Patches, "acme", write(key(1000), 1, "city", "live"))
	e.await("the live row is written", func() bool { return e.system.value("acme/hubspot:1000/city") == "live" })
	bulk := 0
	for _, c := range e.system.seen() {
		if c.patches[0].Bulk {
			bulk++
		}
	}
	if bulk != 3 {
		t.Errorf("%d bulk deliveries of one lane hang, want 3", bulk)
	}
	close(release)
	e.await("the bulk rows are written", func() bool { return e.system.value("acme/hubspot:19/city") == "a" })
}

// TestALiveRowTakesOnlyBulkRowsAlongThatCostNoCall: those that are made would keep it,
// and the place of the next one, until the quota has a call for them.
func TestALiveRowTakesOnlyBulkRowsAlongThatCostNoCall(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.system.batch = 10
	release := make(chan struct{})
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		if patches[0].Bulk {
			<-release
		}
		return nil
	}
	made := func(from, to int) (patches []contact.Patch) {
		for i := from; i < to; i++ {
			p := write(key(i), 1, "city", "a")
			p.TargetID, p.Create = "", &contact.Create{}
			patches = append(patches, p)
		}
		return patches
	}
	e.send(bus.PatchesBulk, "acme", made(0, 30)...)
	e.start("one")
	e.await("bulk deliveries hang", func() bool { return len(e.system.seen()) >= 3 })
	e.send(bus.PatchesBulk, "acme", append(made(30, 33), write(key(40), 1, "city", "a"), write(key(41), 1, "city", "a"))...)
	e.await("more bulk rows are due", func() bool { return e.rows() == 35 })
	e.send(bus.Patches, "acme", write(key(1000), 1, "city", "live"))
	e.await("the live row is written", func() bool { return e.system.value("acme/hubspot:1000/city") == "live" })
	for _, c := range e.system.seen() {
		if c.patches[0].Bulk {
			continue
		}
		for _, p := range c.patches {
			if p.Create != nil {
				t.Errorf("%s was made with a live edit", p.Contact)
			}
		}
		if len(c.patches) != 3 {
			t.Errorf("%d contacts went with the live edit's call, want it and two updates", len(c.patches))
		}
	}
	close(release)
	e.awaitEmpty()
}

// TestTheDaysShareHoldsOverAChangeOfOwner, and the rest waits for the next day.
func TestTheDaysShareHoldsOverAChangeOfOwner(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.change("acme", func(t *tenant.Tenant) { t.HubSpot.DailyLimit = 4 }) // three for the writer
	e.system.quota = true
	one := e.start("one")
	for i := range 2 {
		e.send(bus.Patches, "acme", write(key(i), 1, "city", "a"))
		e.awaitEmpty()
	}
	one.stop()
	e.start("two")
	e.send(bus.Patches, "acme", write(key(2), 1, "city", "a"))
	e.awaitEmpty()
	e.send(bus.Patches, "acme", write(key(3), 1, "city", "a"))
	e.await("the lane rests until midnight", func() bool {
		pauses, err := e.db.Pauses(t.Context(), contact.HubSpot)
		return err == nil && len(pauses) == 1 && pauses[0].Class == "throttled"
	})
	e.await("the patch is in a row", func() bool { return e.rows() == 1 })
	time.Sleep(200 * time.Millisecond)
	if n := len(e.system.seen()); n != 3 {
		t.Errorf("%d calls, the writer's share of the day is 3", n)
	}
}

// TestARefusedSearchHoldsUpOnlyWhatMustBeSought.
func TestARefusedSearchHoldsUpOnlyWhatMustBeSought(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	var refused atomic.Bool
	e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
		answers := make([]*contact.Delivery, len(patches))
		for i, p := range patches {
			if p.Contact == key(1) && refused.CompareAndSwap(false, true) {
				f := faultOf(fault.Throttled, time.Second)
				f.Scope = "search"
				answers[i] = &contact.Delivery{Err: f}
			}
		}
		return answers
	}
	e.start("one")
	e.send(bus.Patches, "acme", write(key(1), 1, "city", "a"), write(key(2), 1, "city", "a"))
	e.await("the search is refused", refused.Load)
	at := time.Now()
	e.send(bus.Patches, "acme", write(key(3), 1, "city", "a"))
	e.await("another contact is written", func() bool { return e.system.value("acme/hubspot:3/city") == "a" })
	if took := time.Since(at); took > 900*time.Millisecond {
		t.Errorf("it waited %v", took)
	}
	e.awaitEmpty()
	for _, o := range e.outcomes(bus.Changes, 3) {
		if o.Attempts != 0 {
			t.Errorf("%s: %d attempts; a refused search is none", o.Contact, o.Attempts)
		}
	}
}

// settlers notes the niceness of the threads that tell of answers and that settle them.
type settlers struct {
	told, settled chan int
}

func (s *settlers) Delivered(context.Context, contact.System, string, int)       { note(s.told) }
func (s *settlers) Paused(context.Context, contact.System, fault.Class)          { note(s.settled) }
func (s *settlers) Oldest(contact.System, time.Duration)                         {}
func (s *settlers) Quota(context.Context, contact.System, int, int, quota.Total) {}

// note keeps the calling thread's niceness unless an earlier one was not looked at yet.
func note(into chan int) {
	now, _ := background.Niceness()
	select {
	case into <- now:
	default:
	}
}

// TestBulkRowsAreSettledInTheBackground: a live row has the processor before them. Their calls
// are not made there, as the quota counts a call until it is answered, nor is it told there what
// was answered, or the system's own news of it would be judged before.
func TestBulkRowsAreSettledInTheBackground(t *testing.T) {
	usual, err := background.Niceness()
	if err != nil {
		t.Skip("threads have no niceness here: ", err)
	}
	for _, stream := range []bus.Stream{bus.PatchesBulk, bus.Patches} {
		t.Run(stream.Template(), func(t *testing.T) {
			e := newEnv(t, "acme")
			called := make(chan int, 1)
			e.system.script = func(_ context.Context, _ contact.Tenant, patches []contact.Patch) []*contact.Delivery {
				note(called)
				return refuse(patches, faultOf(fault.Throttled, time.Second))
			}
			seen := &settlers{told: make(chan int, 1), settled: make(chan int, 1)}
			e.start("w1", func(c *writer.Config) { c.Observer = seen })
			e.send(stream, "acme", write(key(1), 1, "city", "Bonn"))
			look := func(from chan int) int {
				select {
				case niceness := <-from:
					return niceness
				case <-time.After(10 * time.Second):
					t.Fatal("nothing was called, told and settled")
					return 0
				}
			}
			settled := look(seen.settled) // the lane rests
			if c, told := look(called), look(seen.told); c != usual || told != usual || (settled > usual) != (stream == bus.PatchesBulk) {
				t.Errorf("called with niceness %d, told with %d and settled with %d, want %d, and more only for the settling of bulk rows", c, told, settled, usual)
			}
		})
	}
}
