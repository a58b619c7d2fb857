package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// TestTheUnseenAreThoseWithNoIdThatWasSeen, and nobody is where what was seen is
// not whole.
func TestTheUnseenAreThoseWithNoIdThatWasSeen(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	ctx := t.Context()
	ref := func(kind contact.RefKind, value string, key contact.Key) postgres.RefChange {
		return postgres.RefChange{Ref: postgres.Ref{Tenant: "acme", Kind: kind, Value: value}, Contact: key}
	}
	var contacts []postgres.StoredContact
	for _, key := range []contact.Key{"k1", "k2", "k3", "k4"} {
		contacts = append(contacts, postgres.StoredContact{Tenant: "acme", Key: key, State: []byte{}})
	}
	if err := db.InTx(ctx, func(tx *postgres.Tx) error {
		if err := tx.SaveContacts(ctx, contacts); err != nil {
			return err
		}
		return tx.ChangeRefs(ctx, []postgres.RefChange{
			ref(contact.RefHubSpot, "1", "k1"), ref(contact.RefHubSpot, "2", "k2"), ref(contact.RefHubSpot, "20", "k2"), // 20 was merged into 2
			ref(contact.RefHubSpot, "3", "k3"), ref(contact.RefAloware, "9", "k3"), ref(contact.RefAloware, "8", "k4"),
		})
	}); err != nil {
		t.Fatal(err)
	}
	unseen := func(system contact.System, after string) (ids []string) {
		t.Helper()
		found, err := db.UnseenContacts(ctx, "acme", "job", system, after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range found {
			ids = append(ids, u.ID+" "+string(u.Contact))
		}
		return ids
	}
	see := func(first bool, ids ...string) {
		t.Helper()
		if err := db.SaveSeen(ctx, "acme", "job", contact.HubSpot, ids, first); err != nil {
			t.Fatal(err)
		}
	}
	see(false, "2") // what came before is lost
	if got := unseen(contact.HubSpot, ""); got != nil {
		t.Errorf("of half a walk: %v", got)
	}
	see(true, "2", "77")
	if diff := cmp.Diff([]string{"1 k1", "3 k3"}, unseen(contact.HubSpot, "")); diff != "" {
		t.Errorf("unseen (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"3 k3"}, unseen(contact.HubSpot, "1")); diff != "" {
		t.Errorf("behind 1 (-want +got):\n%s", diff)
	}
	if got := unseen(contact.Aloware, ""); got != nil {
		t.Errorf("of a side that was not walked: %v", got)
	}
	if err := db.ForgetSeen(ctx, "acme", "job"); err != nil {
		t.Fatal(err)
	}
	if got := unseen(contact.HubSpot, ""); got != nil {
		t.Errorf("when it is forgotten: %v", got)
	}
}

// TestWhatWalksKeepIsForgotten: lists of portals that never came to an end, those
// of jobs that were ended, and persons who ask for it.
func TestWhatWalksKeepIsForgotten(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	ctx := t.Context()
	keys := func() (ids []string) {
		t.Helper()
		ids, _, err := db.PortalIDs(ctx, "acme", 7, []string{"ada@example.com", "bob@example.com"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	list := func(job string) {
		t.Helper()
		if err := db.SavePortalKeys(ctx, "acme", 7, job, []postgres.PortalKey{{Key: "ada@example.com", ID: "1"}, {Key: "bob@example.com", ID: "2"}}, true, false); err != nil {
			t.Fatal(err)
		}
	}
	forget := func(after time.Duration) {
		t.Helper()
		if err := db.ForgetWalks(ctx, after); err != nil {
			t.Fatal(err)
		}
	}
	list("gone")
	if err := db.ForgetWalked(ctx, "acme", []string{"2"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1"}, keys()); diff != "" {
		t.Errorf("after a person is forgotten (-want +got):\n%s", diff)
	}
	if forget(time.Hour); len(keys()) != 1 {
		t.Error("a list that is being made was forgotten")
	}
	if forget(0); len(keys()) != 0 {
		t.Error("a list that never came to its end is still there")
	}
	if err := db.RequestSync(ctx, postgres.Sync{ID: "ended", Tenant: "acme", Kind: postgres.FirstSync}); err != nil {
		t.Fatal(err)
	}
	if err := db.AdoptSyncs(ctx); err != nil {
		t.Fatal(err)
	}
	list("ended")
	if forget(time.Hour); len(keys()) != 2 {
		t.Error("the list of a job that goes on was forgotten")
	}
	if err := db.WishSync(ctx, "acme", "ended", postgres.WishCancel); err != nil {
		t.Fatal(err)
	}
	if err := db.AdoptSyncs(ctx); err != nil {
		t.Fatal(err)
	}
	if forget(time.Hour); len(keys()) != 0 {
		t.Error("the list of a job that was cancelled is still there")
	}
}
