package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// known stores contacts that the mapper knows.
func (w *world) known(change func(i int, c *postgres.StoredContact) []postgres.RefChange, n int) {
	w.t.Helper()
	ctx := context.Background()
	var contacts []postgres.StoredContact
	var refs []postgres.RefChange
	for i := range n {
		c := postgres.StoredContact{Tenant: acme, Key: contact.Key(fmt.Sprintf("hubspot:%04d", i)), State: []byte{}}
		refs = append(refs, change(i, &c)...)
		contacts = append(contacts, c)
	}
	if err := w.db.InTx(ctx, func(tx *postgres.Tx) error {
		if err := tx.SaveContacts(ctx, contacts); err != nil {
			return err
		}
		return tx.ChangeRefs(ctx, refs)
	}); err != nil {
		w.t.Fatal(err)
	}
}

// TestThoseWhoWaitForAListAreAskedForPageByPage, once it is known, and nobody
// else is.
func TestThoseWhoWaitForAListAreAskedForPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "full")
	ctx := t.Context()
	w.known(func(i int, c *postgres.StoredContact) []postgres.RefChange {
		c.WaitsList = i%2 == 0
		return nil
	}, 1234)
	if err := w.db.QueueSync(ctx, postgres.Sync{ID: "job1", Tenant: acme, Kind: postgres.Apply, Options: postgres.SyncOptions{Waiting: true, ListsAt: 1000}}); err != nil {
		t.Fatal(err)
	}
	w.ingest("first", nil)
	w.until("job1", func(s postgres.Sync) bool { return s.Error != "" && s.State == postgres.SyncRunning })
	if n := len(w.published(0)); n != 0 {
		t.Fatalf("%d were asked for before the list is known", n)
	}
	list := contact.Directory{System: contact.HubSpot, List: "users", ReadAt: 1000, Entries: []contact.DirectoryEntry{{Value: "1", Label: "Ann", Active: true}}}
	if err := w.db.InTx(ctx, func(tx *postgres.Tx) error { return tx.SaveList(ctx, acme, list) }); err != nil {
		t.Fatal(err)
	}
	if got := w.until("job1", walked); got.Counts.Asked != 617 {
		t.Errorf("want 617 commands: %+v", got)
	}
	asked := w.published(0)
	if len(asked) != 617 || asked["hubspot:0000"] != 1 || asked["hubspot:0001"] != 0 {
		t.Errorf("%d contacts were asked for, want those that wait: 617", len(asked))
	}
}

// TestAListThatManyWaitForLeadsToAJob, and one that few wait for does not: the
// mapper takes those up by itself.
func TestAListThatManyWaitForLeadsToAJob(t *testing.T) {
	t.Parallel()
	for name, many := range map[string]bool{"many": true, "few": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, "full")
			w.known(func(i int, c *postgres.StoredContact) []postgres.RefChange {
				c.WaitsList = many || i < 3
				return nil
			}, contact.FewWaiting+1)
			w.ingest("first", nil)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for ctx.Err() == nil {
				lists := 0
				for _, e := range w.events(bus.Changes, acme) {
					if e.Directory != nil {
						lists++
					}
				}
				jobs, err := w.db.Syncs(ctx, acme, 10)
				switch {
				case err != nil:
					t.Fatal(err)
				case lists > 0 && !many:
					if len(jobs) > 0 {
						t.Errorf("jobs are %+v, want none", jobs)
					}
					return
				case len(jobs) > 0:
					if !jobs[0].Options.Waiting || jobs[0].Kind != postgres.Apply {
						t.Errorf("the job is %+v", jobs[0])
					}
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
			t.Error("no list was heard, or no job came of it")
		})
	}
}

// TestAFullReconciliationLooksForWhatItHasNotSeen: who is linked, and is in the
// system no more, is asked for, on that side alone.
func TestAFullReconciliationLooksForWhatItHasNotSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, "full")
	w.request("first", postgres.FirstSync, walkHubSpot)
	w.ingest("first", nil)
	w.until("first", walked)
	there := w.published(contact.HubSpot)
	if err := w.db.WishSync(t.Context(), acme, "first", postgres.WishCancel); err != nil {
		t.Fatal(err)
	}
	w.until("first", func(s postgres.Sync) bool { return s.State.Final() })
	ids := []string{"1", "2"}
	for id := range there {
		ids = append(ids, id)
	}
	w.known(func(i int, c *postgres.StoredContact) []postgres.RefChange {
		return []postgres.RefChange{{Ref: postgres.Ref{Tenant: acme, Kind: contact.RefHubSpot, Value: ids[i]}, Contact: c.Key}}
	}, len(ids))
	w.request("job1", postgres.Reconcile, postgres.SyncOptions{HubSpot: true, Aloware: true, Full: true})
	w.until("job1", walked)
	asked := w.published(0)
	if len(asked) != 2 || asked["hubspot:0000"] != 1 || asked["hubspot:0001"] != 1 {
		t.Errorf("asked for is %v, want the two that are not in HubSpot", asked)
	}
}
