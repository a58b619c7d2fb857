package mappings_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/mappings"
)

// TestAStateIsOfTheTenantsDay: what was written since midnight there, when the
// last one was, and which contacts stand in the way, without those that somebody
// dismissed.
func TestAStateIsOfTheTenantsDay(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.now = time.Date(2026, 3, 4, 6, 30, 0, 0, time.UTC) // half past one in New York
	city := postgres.WrittenField{Tenant: acme, Field: "city", System: contact.Aloware}
	for hours, n := range map[int]int64{-3: 40, -1: 5, 0: 2} { // before midnight there, and after it
		at := e.now.Add(time.Duration(hours)*time.Hour - 10*time.Minute)
		e.inTx(func(tx *postgres.Tx) error {
			return tx.CountFieldWrites(t.Context(), map[postgres.WrittenField]int64{city: n, {Tenant: "other", Field: "city", System: contact.Aloware}: 9}, false, at)
		})
	}
	var tenants []contact.Tenant
	var keys []contact.Key
	var problems []postgres.ProblemRow
	add := func(key contact.Key, field string, kind contact.ProblemKind) {
		tenants, keys = append(tenants, acme), append(keys, key)
		problems = append(problems, postgres.ProblemRow{Tenant: acme, Contact: key, Field: field, System: contact.HubSpot, Kind: kind, Reason: "X", Since: e.now})
	}
	add("hubspot:1", "city", contact.ProblemRefused)
	add("hubspot:2", "city", contact.ProblemRefused)
	add("hubspot:3", "city", contact.ProblemReview)
	add("hubspot:4", "state", contact.ProblemRewritten)
	add("hubspot:5", "", contact.ProblemConflict)
	e.inTx(func(tx *postgres.Tx) error { return tx.SaveProblems(t.Context(), tenants, keys, problems) })
	if _, err := e.db.Dismiss(t.Context(), postgres.ProblemFilter{Tenant: acme, Contact: "hubspot:2"}, "ada", e.now); err != nil {
		t.Fatal(err)
	}
	reconcile(e, "older", "city", 9)
	reconcile(e, "newer", "zip", 3)
	states, err := e.States(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]mappings.State{
		"city":  {Refused: 1, ToDecide: 1, Written: [2]mappings.Written{1: {ThisHour: 2, Today: 7, Last: e.now.Add(-10 * time.Minute)}}},
		"state": {Rewritten: 1},
		"zip":   {Drifted: 3, DriftJob: "newer"},
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
	if last := states["city"].Into(contact.Aloware).Last.Format("15:04 MST"); last != "01:20 EST" {
		t.Errorf("the last write was at %s, want the tenant's own time", last)
	}
}

// reconcile is a reconciliation that is done and found a field out of step.
func reconcile(e *env, id, field string, contacts int64) {
	e.t.Helper()
	ctx := e.t.Context()
	if err := e.db.QueueSync(ctx, postgres.Sync{ID: id, Tenant: acme, Kind: postgres.Reconcile, AskedAt: time.Now()}); err != nil {
		e.t.Fatal(err)
	}
	claimed, err := e.db.ClaimSyncs(ctx, "test", time.Minute, 1)
	if err != nil || len(claimed) != 1 {
		e.t.Fatalf("claimed %v: %v", claimed, err)
	}
	claimed[0].State = postgres.SyncDone
	if _, _, err := e.db.SaveSync(ctx, "test", &claimed[0], 0, 0); err != nil {
		e.t.Fatal(err)
	}
	e.inTx(func(tx *postgres.Tx) error {
		return tx.CountSyncEffects(ctx, map[postgres.SyncEffect]int64{
			{Tenant: acme, Job: id, Cause: postgres.DriftOf(field)}: contacts, {Tenant: acme, Job: id, Cause: "judged"}: 100,
		})
	})
}
