package ingest_test

import (
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/ingest"
)

// stage is a stage of the mapper or a writer as ingest sees it: how far it has
// applied a stream.
type stage struct {
	w      *world
	name   string
	stream bus.Stream
	lease  postgres.Lease
}

func (w *world) stage(name string, stream bus.Stream) *stage {
	w.t.Helper()
	held, _, err := w.db.Renew(w.t.Context(), []string{name}, name, 2, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, lease := range held {
		if lease.Partition == w.bus.PartitionOf(acme) {
			return &stage{w, name, stream, lease}
		}
	}
	w.t.Fatalf("no lease of %s: %+v", name, held)
	return nil
}

// catchUp applies all that the stream holds, and what the stage makes of it.
func (s *stage) catchUp(effects func(*postgres.Tx) error) {
	s.w.t.Helper()
	last, at, err := s.w.bus.Last(s.w.t.Context(), s.stream, s.lease.Partition)
	if err != nil {
		s.w.t.Fatal(err)
	}
	to := postgres.Position{Seq: last, StoredAt: at}
	if err := s.w.db.Advance(s.w.t.Context(), &s.lease, to, effects); err != nil {
		s.w.t.Fatal(err)
	}
}

// TestAJobIsDoneWhenAllIsWritten, not when all is read: it waits for the mapper,
// for the writers, and for its rows, and for those that an outcome led to.
func TestAJobIsDoneWhenAllIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 250, "full")
	mapper, live, echo := w.stage("mapper-bulk", bus.ChangesBulk), w.stage("mapper", bus.Changes), w.stage("mapper-echo", bus.ChangesEcho)
	hubspot, aloware := w.stage("writer-hubspot-bulk", bus.PatchesBulk), w.stage("writer-aloware-bulk", bus.PatchesBulk)
	w.request("job1", postgres.FirstSync, walkHubSpot)
	w.ingest("first", nil)
	awaits := func(what postgres.SyncAwaits) postgres.Sync {
		t.Helper()
		s := w.until("job1", func(s postgres.Sync) bool { return s.Cursor.Walked && s.Cursor.Awaits == what || s.State.Final() })
		if s.State.Final() {
			t.Fatalf("it must await %q: %+v", what, s)
		}
		return s
	}
	awaits(postgres.AwaitsMapper)
	publisher := w.bus.Publisher(bus.PatchesBulk, w.bus.PartitionOf(acme))
	patch := contact.Patch{Contact: "hubspot:1", System: contact.Aloware, Version: 1, CauseEventID: contact.JobEvent("job1", "x"), Properties: []contact.Property{{Name: "first_name", Type: contact.Text, Value: "Ann", Version: 1}}}
	decide := func(id string) {
		t.Helper()
		if err := publisher.Publish(t.Context(), bus.Message{Tenant: acme, System: contact.Aloware, Patches: []contact.Patch{patch}, ID: id, Context: t.Context()}); err != nil {
			t.Fatal(err)
		}
		mapper.catchUp(func(tx *postgres.Tx) error {
			return tx.CountSyncEffects(t.Context(), map[postgres.SyncEffect]int64{{Tenant: acme, Job: "job1", Cause: "judged"}: 250})
		})
		live.catchUp(nil) // the answers of Aloware
		echo.catchUp(nil) // those of HubSpot
	}
	take := func(rows ...postgres.LaneRow) {
		t.Helper()
		hubspot.catchUp(nil)
		aloware.catchUp(func(tx *postgres.Tx) error { return tx.AddLaneRows(t.Context(), contact.Aloware, rows) })
	}
	row := func(key contact.Key, job string) postgres.LaneRow {
		return postgres.LaneRow{Tenant: acme, Contact: key, Partition: w.bus.PartitionOf(acme), Bulk: true, Version: 1, Job: job, Patch: []byte("p")}
	}
	// As a writer does: an outcome is durable before its row is removed.
	outcomes := w.bus.Publisher(bus.Changes, w.bus.PartitionOf(acme))
	finish := func(id string) {
		t.Helper()
		outcome := contact.Outcome{System: contact.Aloware, Contact: "hubspot:1", Version: 1, TargetID: "9", Result: contact.Written, EventID: id}
		if err := outcomes.Publish(t.Context(), bus.Message{Tenant: acme, Incoming: []contact.Incoming{{Outcome: &outcome}}, ID: id, Context: t.Context()}); err != nil {
			t.Fatal(err)
		}
		rows, err := w.db.JobRows(t.Context(), acme, contact.Aloware, "job1", nil, 100)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.db.FinishLaneRows(t.Context(), acme, contact.Aloware, rows); err != nil {
			t.Fatal(err)
		}
	}

	decide("p1")
	awaits(postgres.AwaitsWriters)
	other := row("hubspot:3", "") // nobody's job: not waited for
	take(row("hubspot:1", "job1"), row("hubspot:2", "job1"), other)
	s := w.until("job1", func(s postgres.Sync) bool { return s.Counts.Waiting == 2 || s.State.Final() })
	if s.State.Final() || s.Counts.Published != 250 || s.Counts.Written() != 248 || s.Counts.HubSpotRead != 250 {
		t.Fatalf("want 250 read, 248 dealt with and 2 waiting: %+v", s)
	}
	finish("o1")

	// Written; and what came back led to another write.
	awaits(postgres.AwaitsMapper)
	decide("p2")
	awaits(postgres.AwaitsWriters)
	take(row("hubspot:4", "job1"))
	awaits(postgres.AwaitsRows)
	finish("o2")
	awaits(postgres.AwaitsMapper)
	decide("p3")
	awaits(postgres.AwaitsWriters)
	take()
	done := w.until("job1", func(s postgres.Sync) bool { return s.State.Final() })
	if done.State != postgres.SyncDone || done.Counts.Written() != 250 || done.Counts.Waiting != 0 {
		t.Errorf("want it done with all 250 written: %+v", done)
	}
}

// TestAJobReadsNoFurtherThanTheWritersFollow: while what it led to waits in the side
// that it reads for, it reads nothing, and another tenant's job has its place.
func TestAJobReadsNoFurtherThanTheWritersFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 120, "full")
	w.second("zeta")
	aloware := w.stage("writer-aloware-bulk", bus.PatchesBulk)
	var rows []postgres.LaneRow
	for _, key := range []contact.Key{"hubspot:1", "hubspot:2", "hubspot:3"} {
		rows = append(rows, postgres.LaneRow{Tenant: acme, Contact: key, Partition: w.bus.PartitionOf(acme), Bulk: true, Version: 1, Job: "job1", Patch: []byte("p")})
	}
	aloware.catchUp(func(tx *postgres.Tx) error { return tx.AddLaneRows(t.Context(), contact.Aloware, rows) })
	w.request("job1", postgres.FirstSync, walkHubSpot)
	w.run(ingest.Config{Owner: "first", Jobs: 1, JobLead: 3})
	w.until("job1", func(s postgres.Sync) bool { return s.State == postgres.SyncRunning })
	w.requestOf("zeta", "small", postgres.Apply, postgres.SyncOptions{})
	w.untilOf("zeta", "small", func(s postgres.Sync) bool { return s.Cursor.Walked })
	if s := w.until("job1", func(postgres.Sync) bool { return true }); s.Counts.HubSpotRead != 0 || s.Error != "" {
		t.Errorf("it read on: %+v", s)
	}
	written, err := w.db.JobRows(t.Context(), acme, contact.Aloware, "job1", nil, 1)
	if err != nil || len(written) != 1 {
		t.Fatal(written, err)
	}
	if _, err := w.db.FinishLaneRows(t.Context(), acme, contact.Aloware, written); err != nil {
		t.Fatal(err)
	}
	if s := w.until("job1", walked); s.Counts.HubSpotRead != 120 {
		t.Errorf("want all 120 read: %+v", s)
	}
}

// TestAJobThatIsWritingLeavesItsPlace to others of its tenant and of others, and
// obeys a pause.
func TestAJobThatIsWritingLeavesItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 120, "full")
	w.request("job1", postgres.FirstSync, walkHubSpot)
	w.run(ingest.Config{Owner: "first", Jobs: 1})
	w.until("job1", walked)
	if err := w.db.QueueSync(t.Context(), postgres.Sync{ID: "job2", Tenant: acme, Kind: postgres.Apply, AskedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.until("job2", walked)
	if err := w.db.WishSync(t.Context(), acme, "job1", postgres.WishPause); err != nil {
		t.Fatal(err)
	}
	w.until("job1", func(s postgres.Sync) bool { return s.State == postgres.SyncPaused })
	if err := w.db.WishSync(t.Context(), acme, "job1", postgres.WishRun); err != nil {
		t.Fatal(err)
	}
	w.until("job1", func(s postgres.Sync) bool { return s.State == postgres.SyncRunning })
}
