package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/pgtest"
)

// laneDB is a database with the schema.
func laneDB(t testing.TB) *postgres.DB {
	t.Helper()
	url := pgtest.NewFrom(t, "lane", func(url string) error {
		db, err := postgres.Open(context.Background(), url, postgres.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Migrate(context.Background())
	})
	db, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func addLaneRows(t testing.TB, db *postgres.DB, rows ...postgres.LaneRow) {
	t.Helper()
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.AddLaneRows(t.Context(), contact.HubSpot, rows) }); err != nil {
		t.Fatal(err)
	}
}

func dueRows(t testing.TB, db *postgres.DB, tenant contact.Tenant, underway []contact.Key, limit int) []postgres.LaneRow {
	t.Helper()
	rows, err := db.DueRows(t.Context(), tenant, contact.HubSpot, 3, underway, false, limit)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func laneKeys(rows []postgres.LaneRow) []contact.Key {
	var keys []contact.Key
	for _, r := range rows {
		keys = append(keys, r.Contact)
	}
	return keys
}

func laneRow(tenant contact.Tenant, key contact.Key, change func(*postgres.LaneRow)) postgres.LaneRow {
	r := postgres.LaneRow{Tenant: tenant, Contact: key, Partition: 3, Version: 1, Patch: []byte("p")}
	if change != nil {
		change(&r)
	}
	return r
}

// TestDueRowsComeLiveFirstAndWithoutThoseUnderWay.
func TestDueRowsComeLiveFirstAndWithoutThoseUnderWay(t *testing.T) {
	t.Parallel()
	db, now := laneDB(t), time.Now()
	addLaneRows(t, db,
		laneRow("a", "k1", func(r *postgres.LaneRow) { r.Bulk, r.NextAt = true, now.Add(-time.Hour) }),
		laneRow("a", "k2", func(r *postgres.LaneRow) { r.NextAt = now.Add(-time.Minute) }),
		laneRow("a", "k3", func(r *postgres.LaneRow) { r.NextAt = now.Add(-time.Second) }),
		laneRow("a", "k4", func(r *postgres.LaneRow) { r.NextAt = now.Add(time.Hour) }),
		laneRow("a", "k5", func(r *postgres.LaneRow) { r.Bulk, r.NextAt = true, now.Add(-2*time.Hour) }),
		laneRow("b", "k1", func(r *postgres.LaneRow) { r.NextAt = now.Add(time.Hour) }),
		laneRow("c", "k1", nil))
	for _, test := range []struct {
		underway []contact.Key
		limit    int
		want     []contact.Key
	}{
		{nil, 10, []contact.Key{"k2", "k3", "k5", "k1"}},
		{nil, 3, []contact.Key{"k2", "k3", "k5"}},
		{[]contact.Key{"k2", "k5"}, 10, []contact.Key{"k3", "k1"}},
	} {
		if diff := cmp.Diff(test.want, laneKeys(dueRows(t, db, "a", test.underway, test.limit))); diff != "" {
			t.Errorf("%d without %v (-want +got):\n%s", test.limit, test.underway, diff)
		}
	}
	lanes, clock, err := db.DueLanes(t.Context(), contact.HubSpot, []int{1, 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[contact.Tenant]bool{}
	for _, l := range lanes {
		got[l.Tenant] = !l.NextAt.After(clock)
	}
	if diff := cmp.Diff(map[contact.Tenant]bool{"a": true, "b": false, "c": true}, got); diff != "" {
		t.Errorf("lanes that are due (-want +got):\n%s", diff)
	}
	if lanes, _, err := db.DueLanes(t.Context(), contact.HubSpot, []int{1}, nil); err != nil || len(lanes) != 0 {
		t.Errorf("another partition has %v, %v", lanes, err)
	}
}

// TestARowThatFailedDoesNotStandBehindABacklog: it waited longer. But those that failed
// are a quarter at most while others wait, lest nothing else is tried; what is live goes
// first all the same.
func TestARowThatFailedDoesNotStandBehindABacklog(t *testing.T) {
	t.Parallel()
	db, now := laneDB(t), time.Now()
	failed := func(job string, at time.Time) func(*postgres.LaneRow) {
		return func(r *postgres.LaneRow) { r.Bulk, r.Attempts, r.Job, r.NextAt = true, 1, job, at }
	}
	backlog := func(r *postgres.LaneRow) { r.Bulk, r.NextAt = true, now.Add(-time.Hour) }
	addLaneRows(t, db,
		laneRow("a", "backlog 1", backlog), laneRow("a", "failed 3", failed("", now.Add(-time.Second))), laneRow("a", "failed 2", failed("", now.Add(-2*time.Second))),
		laneRow("a", "failed 1", failed("j", now.Add(-time.Minute))), laneRow("a", "not yet", failed("", now.Add(time.Hour))),
		laneRow("a", "live", func(r *postgres.LaneRow) { r.NextAt = now.Add(-time.Millisecond) }))
	for _, test := range []struct {
		held  bool
		limit int
		want  []contact.Key
	}{
		{false, 8, []contact.Key{"live", "failed 1", "failed 2", "backlog 1", "failed 3"}},
		{true, 8, []contact.Key{"live", "failed 2", "failed 3", "backlog 1"}},
		{false, 4, []contact.Key{"live", "failed 1", "backlog 1", "failed 2"}},
		{false, 3, []contact.Key{"live", "backlog 1", "failed 1"}},
	} {
		rows, err := db.DueRows(t.Context(), "a", contact.HubSpot, 3, nil, test.held, test.limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, laneKeys(rows)); diff != "" {
			t.Errorf("%d rows, jobs rest: %t (-want +got):\n%s", test.limit, test.held, diff)
		}
	}
}

// TestLiveRowsComeWithThoseThatRide, and with no others of the backlog.
func TestLiveRowsComeWithThoseThatRide(t *testing.T) {
	t.Parallel()
	db, now := laneDB(t), time.Now()
	bulk := func(job string, rides bool) func(*postgres.LaneRow) {
		return func(r *postgres.LaneRow) { r.Bulk, r.Job, r.Rides, r.NextAt = true, job, rides, now.Add(-time.Minute) }
	}
	addLaneRows(t, db,
		laneRow("a", "made", bulk("", false)), laneRow("a", "update", bulk("", true)), laneRow("a", "under way", bulk("", true)), laneRow("a", "job", bulk("j", true)),
		laneRow("a", "live", func(r *postgres.LaneRow) { r.Rides, r.NextAt = true, now.Add(-time.Millisecond) }))
	for held, want := range map[bool][]contact.Key{false: {"live", "job", "update"}, true: {"live", "update"}} {
		rows, err := db.LiveRows(t.Context(), "a", contact.HubSpot, 3, []contact.Key{"under way"}, held, 10)
		if err != nil {
			t.Fatal(err)
		}
		got := laneKeys(rows)
		slices.Sort(got[1:])
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows where jobs rest is %t (-want +got):\n%s", held, diff)
		}
		if !rows[0].Rides {
			t.Errorf("the live row does not tell that others may go with it")
		}
	}
}

// TestARowThatChangedMeanwhileIsNotFinished nor put off.
func TestARowThatChangedMeanwhileIsNotFinished(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	addLaneRows(t, db, laneRow("a", "k1", nil), laneRow("a", "k2", nil))
	read := dueRows(t, db, "a", nil, 10)
	err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		locked, err := tx.LockLaneRows(t.Context(), contact.HubSpot, []contact.Tenant{"a"}, []contact.Key{"k1"})
		if err != nil {
			return err
		}
		locked[0].Patch = []byte("newer") // an older version may have been merged: Version stays
		return tx.SaveLaneRows(t.Context(), contact.HubSpot, locked)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range read {
		read[i].Attempts, read[i].NextAt, read[i].Error = 7, time.Now().Add(time.Hour), "transient 500"
	}
	if err := db.PutOffLaneRows(t.Context(), "a", contact.HubSpot, read[:1]); err != nil {
		t.Fatal(err)
	}
	finished, err := db.FinishLaneRows(t.Context(), "a", contact.HubSpot, read)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[contact.Key]bool{"k2": true}, finished); diff != "" {
		t.Errorf("finished (-want +got):\n%s", diff)
	}
	left := dueRows(t, db, "a", nil, 10)
	if len(left) != 1 || string(left[0].Patch) != "newer" || left[0].Attempts != 0 {
		t.Fatalf("left %+v, want the changed row, due", left)
	}
	left[0].Attempts, left[0].NextAt = 1, time.Now().Add(time.Hour)
	if err := db.PutOffLaneRows(t.Context(), "a", contact.HubSpot, left); err != nil {
		t.Fatal(err)
	}
	if rows := dueRows(t, db, "a", nil, 10); len(rows) != 0 {
		t.Errorf("still due after it was put off: %+v", rows)
	}
	counts, err := db.LaneCounts(t.Context())
	if err != nil || len(counts) != 1 || counts[0].Rows != 1 || counts[0].Failed != 1 {
		t.Errorf("counts %+v, %v", counts, err)
	}
	for rows, want := range map[int]bool{1: true, 2: false} {
		if holds, err := db.LaneHolds(t.Context(), "a", contact.HubSpot, rows); err != nil || holds != want {
			t.Errorf("%d rows wait: %t, %v", rows, holds, err)
		}
	}
}

// TestARowFinishedTwiceIsNotTheNextOne: a late owner's answer must not remove
// the row of a later patch.
func TestARowFinishedTwiceIsNotTheNextOne(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	addLaneRows(t, db, laneRow("a", "k1", nil))
	read := dueRows(t, db, "a", nil, 10)
	if _, err := db.FinishLaneRows(t.Context(), "a", contact.HubSpot, read); err != nil {
		t.Fatal(err)
	}
	addLaneRows(t, db, laneRow("a", "k1", nil))
	if finished, err := db.FinishLaneRows(t.Context(), "a", contact.HubSpot, read); err != nil || len(finished) != 0 {
		t.Errorf("finished %v, %v: that row was another", finished, err)
	}
}

// TestTwoWhoAddTheSameRowLoseNothing: the second is told to look again.
func TestTwoWhoAddTheSameRowLoseNothing(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	const writers, contacts = 4, 40
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			keys := make([]contact.Key, contacts)
			tenants := make([]contact.Tenant, contacts)
			for i := range keys {
				keys[i], tenants[i] = contact.Key(fmt.Sprintf("k%02d", i)), "a"
			}
			if w%2 == 1 {
				slices.Reverse(keys)
			}
			err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
				for {
					locked, err := tx.LockLaneRows(t.Context(), contact.HubSpot, tenants, keys)
					if err != nil {
						return err
					}
					have := map[contact.Key]bool{}
					for i := range locked {
						have[locked[i].Contact] = true
						locked[i].Patch = append(locked[i].Patch, byte('0'+w))
					}
					var add []postgres.LaneRow
					for _, key := range keys {
						if !have[key] {
							add = append(add, laneRow("a", key, func(r *postgres.LaneRow) { r.Patch = []byte{byte('0' + w)} }))
						}
					}
					if err := tx.AddLaneRows(t.Context(), contact.HubSpot, add); !errors.Is(err, postgres.ErrLaneRow) {
						if err != nil {
							return err
						}
						return tx.SaveLaneRows(t.Context(), contact.HubSpot, locked)
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	rows := dueRows(t, db, "a", nil, 100)
	if len(rows) != contacts {
		t.Fatalf("%d rows, want %d", len(rows), contacts)
	}
	for _, r := range rows {
		for w := range writers {
			if !slices.Contains(r.Patch, byte('0'+w)) {
				t.Errorf("row %s lost the patch of writer %d: %s", r.Contact, w, r.Patch)
			}
		}
	}
}

// TestPausesAndDaysAreKept.
// TestRowsAreAddedWithTheirWatermarkOrNotAtAll: not where one of them is there
// already, and not by whoever has lost the lease.
func TestRowsAreAddedWithTheirWatermarkOrNotAtAll(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	held, _, err := db.Renew(t.Context(), []string{"writer"}, "owner", 1, time.Minute)
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	lease := held[0]
	add := func(l *postgres.Lease, seq uint64, keys ...contact.Key) (bool, error) {
		var rows []postgres.LaneRow
		for _, key := range keys {
			rows = append(rows, laneRow("demo", key, nil))
		}
		return db.AdvanceAdding(t.Context(), l, postgres.Position{Seq: seq}, contact.HubSpot, rows)
	}
	want := func(seq uint64, keys ...contact.Key) {
		t.Helper()
		stored := laneKeys(dueRows(t, db, "demo", nil, 10))
		slices.Sort(stored)
		held, _, err := db.Renew(t.Context(), []string{"writer"}, "owner", 1, time.Minute)
		if err != nil || len(held) != 1 || held[0].Position.Seq != seq || !slices.Equal(stored, keys) {
			t.Fatalf("rows %v at %+v: %v, want %v at %d", stored, held, err, keys, seq)
		}
	}
	if done, err := add(&lease, 5, "aloware:1", "aloware:2"); !done || err != nil || lease.Position.Seq != 5 {
		t.Fatalf("new rows: %v, %v at %d", done, err, lease.Position.Seq)
	}
	want(5, "aloware:1", "aloware:2")
	if done, err := add(&lease, 6, "aloware:3", "aloware:2"); done || err != nil || lease.Position.Seq != 5 {
		t.Fatalf("a row that was there: %v, %v at %d", done, err, lease.Position.Seq)
	}
	want(5, "aloware:1", "aloware:2")
	stale := lease
	stale.Position.Seq = 4
	if done, err := add(&stale, 6, "aloware:4"); done || !errors.Is(err, postgres.ErrLeaseLost) {
		t.Fatalf("a watermark that was moved by somebody else: %v, %v", done, err)
	}
	stale = lease
	stale.Epoch--
	if done, err := add(&stale, 6, "aloware:4"); done || !errors.Is(err, postgres.ErrLeaseLost) {
		t.Fatalf("a lease that was lost: %v, %v", done, err)
	}
	want(5, "aloware:1", "aloware:2")
	if done, err := add(&lease, 7, "aloware:3"); !done || err != nil {
		t.Fatalf("and on: %v, %v", done, err)
	}
	want(7, "aloware:1", "aloware:2", "aloware:3")
}

func TestPausesAndDaysAreKept(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	pause := postgres.Pause{Tenant: "a", System: contact.HubSpot, Until: until, Class: "unauthorized", Reason: "401", Refusals: 2, Credential: "ab"}
	if err := db.SavePause(t.Context(), pause); err != nil {
		t.Fatal(err)
	}
	pauses, err := db.Pauses(t.Context(), contact.HubSpot)
	if err != nil || len(pauses) != 1 || !pauses[0].Until.Equal(until) || pauses[0].Class != "unauthorized" || pauses[0].Refusals != 2 || pauses[0].Credential != "ab" {
		t.Fatalf("pauses %+v, %v", pauses, err)
	}
	pause.Until = time.Now().Add(-time.Second)
	if err := db.SavePause(t.Context(), pause); err != nil {
		t.Fatal(err)
	}
	if pauses, err := db.Pauses(t.Context(), contact.HubSpot); err != nil || len(pauses) != 0 {
		t.Errorf("pauses %+v, %v, want none after its end", pauses, err)
	}
	for _, used := range []int{40, 30} {
		if err := db.SaveLaneDay(t.Context(), "a", contact.HubSpot, "2026-03-01", used); err != nil {
			t.Fatal(err)
		}
	}
	if day, used, err := db.LaneDay(t.Context(), "a", contact.HubSpot); err != nil || day != "2026-03-01" || used != 40 {
		t.Errorf("day %s with %d calls, %v; want the higher number", day, used, err)
	}
	if err := db.SaveLaneDay(t.Context(), "a", contact.HubSpot, "2026-03-02", 1); err != nil {
		t.Fatal(err)
	}
	if day, used, err := db.LaneDay(t.Context(), "a", contact.HubSpot); err != nil || day != "2026-03-02" || used != 1 {
		t.Errorf("day %s with %d calls, %v; want the new day", day, used, err)
	}
	if day, _, err := db.LaneDay(t.Context(), "b", contact.HubSpot); err != nil || day != "" {
		t.Errorf("a lane without a day has %q, %v", day, err)
	}
}
