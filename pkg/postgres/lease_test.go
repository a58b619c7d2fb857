package postgres_test

import (
	"errors"
	"testing"
	"time"

	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/pgtest"
)

// TestMigrateTwiceChangesNothing, and the schema is then ready.
func TestMigrateTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.SchemaReady(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPartitionsAreSharedOut evenly, and all are taken over when one leaves.
func TestPartitionsAreSharedOut(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t)
	const partitions, ttl = 8, time.Minute
	renew := func(owner string) ([]postgres.Lease, int) {
		held, share, err := db.Renew(t.Context(), "mapper", owner, partitions, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return held, share
	}
	if held, _ := renew("a"); len(held) != partitions {
		t.Fatalf("the only owner holds %d of %d", len(held), partitions)
	}
	if held, _ := renew("b"); len(held) != 0 {
		t.Fatalf("the second took %d that were held", len(held))
	}
	held, share := renew("a")
	if share != partitions/2 {
		t.Fatalf("a share is %d with two owners, want %d", share, partitions/2)
	}
	for _, l := range held[share:] {
		if err := db.Release(t.Context(), "mapper", "a", l.Partition); err != nil {
			t.Fatal(err)
		}
	}
	if held, _ := renew("b"); len(held) != partitions/2 {
		t.Errorf("the second holds %d after the release, want %d", len(held), partitions/2)
	}
	if err := db.Leave(t.Context(), "mapper", "a"); err != nil {
		t.Fatal(err)
	}
	held, _ = renew("b")
	if len(held) != partitions {
		t.Errorf("the last owner holds %d, want all %d", len(held), partitions)
	}
	for _, l := range held {
		if l.Epoch < 1 {
			t.Errorf("partition %d has epoch %d", l.Partition, l.Epoch)
		}
	}
}

// TestAZombieStoresNothing: an owner that slept beyond its lease can neither
// move the watermark nor store effects, and the new owner begins where the old
// one was.
func TestAZombieStoresNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t)
	held, _, err := db.Renew(t.Context(), "mapper", "old", 1, 300*time.Millisecond)
	if err != nil || len(held) != 1 {
		t.Fatalf("%v, %v", held, err)
	}
	old := held[0]
	created := time.Now().Truncate(time.Microsecond)
	if err := db.Advance(t.Context(), &old, postgres.Position{Seq: 5, StoredAt: created, StreamCreated: created}, nil); err != nil {
		t.Fatal(err)
	}
	var fresh postgres.Lease
	deadline := time.Now().Add(10 * time.Second)
	for fresh.Epoch == 0 && time.Now().Before(deadline) {
		if held, _, err = db.Renew(t.Context(), "mapper", "new", 1, time.Minute); err != nil {
			t.Fatal(err)
		}
		if len(held) == 1 {
			fresh = held[0]
		}
	}
	if fresh.Epoch <= old.Epoch || fresh.Position.Seq != 5 || !fresh.Position.StoredAt.Equal(created) {
		t.Fatalf("the new owner got %+v, want a later epoch and the old watermark", fresh)
	}
	err = db.Advance(t.Context(), &old, postgres.Position{Seq: 9}, func(tx *postgres.Tx) error {
		return tx.CountCommunications(t.Context(), []postgres.CommunicationID{{Tenant: "demo", ID: "1"}}, []contactKey{"k"})
	})
	if !errors.Is(err, postgres.ErrLeaseLost) {
		t.Fatalf("the zombie's batch gave %v, want a lost lease", err)
	}
	counted, err := db.CountedCommunications(t.Context(), []postgres.CommunicationID{{Tenant: "demo", ID: "1"}})
	if err != nil || len(counted) != 0 {
		t.Errorf("the zombie stored %v, %v", counted, err)
	}
	if err := db.Advance(t.Context(), &fresh, postgres.Position{Seq: 6}, nil); err != nil {
		t.Errorf("the new owner cannot go on: %v", err)
	}
}
