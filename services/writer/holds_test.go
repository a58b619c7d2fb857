package writer_test

import (
	"fmt"
	"testing"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// ofJob is a write that a job led to.
func ofJob(job string, key contact.Key, version contact.Version) contact.Patch {
	patch := write(key, version, "city", "Oslo")
	patch.CauseEventID = contact.JobEvent(job, string(key))
	return patch
}

// job adds a running job of a tenant, and gives what utters a wish of it.
func (e *env) job(tenant contact.Tenant, id string) (wish func(postgres.SyncWish)) {
	e.t.Helper()
	ctx := e.t.Context()
	if err := e.db.RequestSync(ctx, postgres.Sync{ID: id, Tenant: tenant, Kind: postgres.FirstSync, AskedBy: "ada"}); err != nil {
		e.t.Fatal(err)
	}
	if err := e.db.AdoptSyncs(ctx); err != nil {
		e.t.Fatal(err)
	}
	return func(wish postgres.SyncWish) {
		e.t.Helper()
		if err := e.db.WishSync(ctx, tenant, id, wish); err != nil {
			e.t.Fatal(err)
		}
		if err := e.db.AdoptSyncs(ctx); err != nil {
			e.t.Fatal(err)
		}
	}
}

// TestAPausedJobIsNotWritten, while what people edit and what nobody's job led
// to is, also of the same contact; and all of it when the job goes on.
func TestAPausedJobIsNotWritten(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme", "beta")
	wish := e.job("acme", "j1")
	wish(postgres.WishPause)
	e.start("one")
	for i := range 5 {
		e.send(bus.PatchesBulk, "acme", ofJob("j1", contact.Key(fmt.Sprintf("hubspot:%d", i)), 1))
	}
	e.send(bus.PatchesBulk, "beta", ofJob("j2", "hubspot:1", 1))
	e.await("the rows of both jobs", func() bool {
		waiting, err := e.db.SyncRows(t.Context(), "acme", "j1")
		return err == nil && waiting == 5
	})
	e.send(bus.Patches, "acme", write("hubspot:100", 1, "city", "Rome"), write("hubspot:0", 2, "zip", "1"))
	e.send(bus.PatchesBulk, "acme", write("hubspot:101", 1, "city", "Bonn"))
	e.await("all but what is held", func() bool { return e.rows() == 4 })
	for key, want := range map[string]string{
		"acme/hubspot:100/city": "Rome", "acme/hubspot:101/city": "Bonn", "acme/hubspot:0/zip": "1", "acme/hubspot:0/city": "Oslo",
		"beta/hubspot:1/city": "Oslo", "acme/hubspot:1/city": "",
	} {
		if got := e.system.value(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	wish(postgres.WishRun)
	e.awaitEmpty()
	if got := e.system.value("acme/hubspot:4/city"); got != "Oslo" {
		t.Errorf("when it goes on, the city is %q", got)
	}
}

// TestACancelledJobIsWithdrawn: nothing of it is sent, and the mapper hears that
// it was not; what people edit goes on.
func TestACancelledJobIsWithdrawn(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	wish := e.job("acme", "j1")
	wish(postgres.WishPause)
	e.start("one")
	for i := range 3 {
		e.send(bus.PatchesBulk, "acme", ofJob("j1", contact.Key(fmt.Sprintf("hubspot:%d", i)), 1))
	}
	read := ofJob("j1", "hubspot:9", 1)
	read.Properties, read.TargetID, read.Fetch = nil, "9", &contact.Fetch{Properties: []string{"city"}}
	e.send(bus.PatchesBulk, "acme", read)
	e.await("the rows of the job", func() bool { return e.rows() == 4 })
	e.send(bus.Patches, "acme", write("hubspot:0", 2, "zip", "1"))
	e.await("the edit", func() bool { return e.system.value("acme/hubspot:0/zip") == "1" })
	wish(postgres.WishCancel)
	e.awaitEmpty()
	dropped, fetched := 0, 0
	for _, o := range append(append(e.outcomes(bus.ChangesBulk, 2), e.outcomes(bus.Changes, 1)...), e.outcomes(bus.ChangesEcho, 1)...) {
		switch {
		case o.Result == contact.Dropped && o.Version == 1 && len(o.Properties) == 1 && contact.JobBehind(o.EventID) == "j1":
			dropped++
		case o.Result == contact.Fetched:
			fetched++
		case o.Contact == "hubspot:0" && o.Result == contact.Written: // the edit
		default:
			t.Errorf("an outcome is %+v", o)
		}
	}
	if dropped != 2 || fetched != 1 {
		t.Errorf("%d were withdrawn and %d read, want 2 and 1", dropped, fetched)
	}
	if got := e.system.value("acme/hubspot:1/city"); got != "" {
		t.Errorf("a withdrawn value was written: %q", got)
	}
	// What comes of it later, out of the log, is withdrawn too.
	e.send(bus.PatchesBulk, "acme", ofJob("j1", "hubspot:5", 1))
	if late := e.outcomes(bus.ChangesBulk, 3)[2]; late.Result != contact.Dropped || late.Contact != "hubspot:5" {
		t.Errorf("what came late was not withdrawn: %+v", late)
	}
}
