package ingest

import (
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// TestAReadingOfChangesMakesRoomForAJobThatReadsAll of the same system, for an
// hour at most, and goes on from when that began; no other job concerns it.
func TestAReadingOfChangesMakesRoomForAJobThatReadsAll(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(2_000_000_000_000)
	began := now.Add(-10 * time.Minute)
	const before = contact.Millis(1_900_000_000_000)
	after := contact.Millis(began.Add(-clocks).UnixMilli())
	walk := func(kind postgres.SyncKind, state postgres.SyncState, o postgres.SyncOptions, c postgres.SyncCursor) postgres.Sync {
		return postgres.Sync{Kind: kind, State: state, Options: o, Cursor: c, StartedAt: began}
	}
	aloware, hubspot := postgres.SyncOptions{Aloware: true}, postgres.SyncOptions{HubSpot: true}
	long := walk(postgres.FirstSync, postgres.SyncRunning, aloware, postgres.SyncCursor{})
	long.StartedAt = now.Add(-coveredFor - time.Second)
	for name, c := range map[string]struct {
		walk  postgres.Sync
		put   bool
		since contact.Millis
	}{
		"it reads the system":                  {walk(postgres.FirstSync, postgres.SyncRunning, aloware, postgres.SyncCursor{}), true, before},
		"it reads the system for an hour":      {long, false, before},
		"it has read the system":               {walk(postgres.FirstSync, postgres.SyncRunning, aloware, postgres.SyncCursor{AlowareDone: true}), false, after},
		"it is paused":                         {walk(postgres.FirstSync, postgres.SyncPaused, aloware, postgres.SyncCursor{}), false, before},
		"it was cancelled on the way":          {walk(postgres.FirstSync, postgres.SyncCancelled, aloware, postgres.SyncCursor{}), false, before},
		"it is done":                           {walk(postgres.FirstSync, postgres.SyncDone, aloware, postgres.SyncCursor{AlowareDone: true, Walked: true}), false, after},
		"it reads the other system":            {walk(postgres.FirstSync, postgres.SyncRunning, hubspot, postgres.SyncCursor{}), false, before},
		"it lists the other system's keys":     {walk(postgres.FirstSync, postgres.SyncDone, hubspot, postgres.SyncCursor{HubSpotDone: true}), false, before},
		"it reads what changed":                {walk(postgres.Reconcile, postgres.SyncRunning, aloware, postgres.SyncCursor{Since: before}), false, before},
		"it reconciles everything":             {walk(postgres.Reconcile, postgres.SyncRunning, postgres.SyncOptions{Aloware: true, Full: true}, postgres.SyncCursor{}), true, before},
		"it could not list, and looked others": {walk(postgres.Reconcile, postgres.SyncRunning, postgres.SyncOptions{Aloware: true, Full: true}, postgres.SyncCursor{Walked: true}), false, before},
	} {
		cursor := postgres.Cursor{System: contact.Aloware, Since: before, Mark: "page 3"}
		err := coveredBy([]postgres.Sync{c.walk}, &cursor, now)
		if (err != nil) != c.put || cursor.Since != c.since || (cursor.Mark == "") != (c.since != before) {
			t.Errorf("%s: put off %v, goes on from %+v; want %v and %d", name, err, cursor, c.put, c.since)
		}
	}
	later := postgres.Cursor{System: contact.Aloware, Since: after + 1, Mark: "page 3"}
	if err := coveredBy([]postgres.Sync{walk(postgres.FirstSync, postgres.SyncDone, aloware, postgres.SyncCursor{AlowareDone: true})}, &later, now); err != nil || later.Since != after+1 || later.Mark == "" {
		t.Errorf("a reading that is further already became %+v, %v", later, err)
	}
}
