package postgres

import (
	"fmt"
	"testing"
	"time"

	"lockstep.internal/pkg/mapping"
)

// TestAScheduleReadsEverythingOnceAWeek.
func TestAScheduleReadsEverythingOnceAWeek(t *testing.T) {
	t.Parallel()
	db, ctx, now := open(t, migrated(t)), t.Context(), time.Now()
	save(t, db, newSealer(t), filled("acme", 7))
	if _, err := db.SaveMapping(ctx, "acme", mapping.Default(nil), "test", "connected"); err != nil {
		t.Fatal(err)
	}
	run := func(at time.Time) Sync {
		t.Helper()
		id := fmt.Sprint("daily-", at.Unix())
		if err := db.ScheduleSync(ctx, Sync{ID: id, Tenant: "acme", Kind: Reconcile, Options: SyncOptions{HubSpot: true, Aloware: true}, AskedBy: "schedule", AskedAt: at}); err != nil {
			t.Fatal(err)
		}
		claimed, err := db.ClaimSyncs(ctx, "test", time.Minute, 1)
		if err != nil || len(claimed) != 1 {
			t.Fatalf("claimed %v, %v", claimed, err)
		}
		claimed[0].State = SyncDone
		if _, _, err := db.SaveSync(ctx, "test", &claimed[0], 0, 0); err != nil {
			t.Fatal(err)
		}
		return claimed[0]
	}
	if s := run(now.Add(time.Minute)); !s.Options.Full || !s.Options.HubSpot || !s.Options.Aloware {
		t.Errorf("the first is %+v, want it to read everything", s.Options)
	}
	if s := run(now.Add(24 * time.Hour)); s.Options.Full {
		t.Errorf("the one of the next day is %+v, want what changed", s.Options)
	}
	if s := run(now.Add(8 * 24 * time.Hour)); !s.Options.Full {
		t.Errorf("the one after a week is %+v, want it to read everything", s.Options)
	}
}
