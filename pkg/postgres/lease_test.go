package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	ttl   = 10 * time.Second
	short = 400 * time.Millisecond
)

var twoStreams = []string{"mapper", "mapper-bulk"}

// renew renews and checks that what is held is whole.
func renew(t *testing.T, db *DB, owner string, partitions int, ttl time.Duration) (held []Lease, share int) {
	t.Helper()
	held, share, err := db.Renew(t.Context(), twoStreams, owner, partitions, ttl)
	if err != nil {
		t.Fatal(err)
	}
	if len(held)%2 != 0 {
		t.Fatalf("%s holds %d leases: the streams of a partition must go together", owner, len(held))
	}
	for i := 0; i < len(held); i += 2 {
		if a, b := held[i], held[i+1]; a.Partition != b.Partition || a.Stage != "mapper" || b.Stage != "mapper-bulk" {
			t.Fatalf("%s holds %s-%d beside %s-%d", owner, a.Stage, a.Partition, b.Stage, b.Partition)
		}
	}
	return held, share
}

func partitionsOf(held []Lease) (numbers []int) {
	for _, l := range held {
		numbers = append(numbers, l.Partition)
	}
	return slices.Compact(numbers)
}

// TestPartitionsAreSharedEvenly as owners come and go.
func TestPartitionsAreSharedEvenly(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	const partitions = 16
	owners := []string{"a", "b", "c"}
	dbs := make(map[string]*DB)
	for _, owner := range owners {
		dbs[owner] = open(t, url)
	}
	// round lets owners renew and give back their surplus, as often as needed.
	round := func(owners ...string) map[string]int {
		count := make(map[string]int)
		for range 3 {
			taken := make(map[int]string)
			for _, owner := range owners {
				held, share := renew(t, dbs[owner], owner, partitions, ttl)
				mine := partitionsOf(held)
				if len(mine) > share {
					if err := dbs[owner].Release(t.Context(), twoStreams, owner, mine[share:]...); err != nil {
						t.Fatal(err)
					}
					mine = mine[:share]
				}
				for _, p := range mine {
					if other := taken[p]; other != "" {
						t.Errorf("partition %d is held by %s and %s", p, other, owner)
					}
					taken[p] = owner
				}
				count[owner] = len(mine)
			}
		}
		return count
	}
	for _, step := range []struct {
		name  string
		alive []string
		want  map[string]int
	}{
		{"one takes all", owners[:1], map[string]int{"a": 16}},
		{"two have half each", owners[:2], map[string]int{"a": 8, "b": 8}},
		{"three", owners, map[string]int{"a": 6, "b": 6, "c": 4}},
	} {
		if got := round(step.alive...); fmt.Sprint(got) != fmt.Sprint(step.want) {
			t.Errorf("%s: got %v, want %v", step.name, got, step.want)
		}
	}
	if err := dbs["b"].Leave(t.Context(), twoStreams, "b"); err != nil {
		t.Fatal(err)
	}
	if got, want := round("a", "c"), map[string]int{"a": 8, "c": 8}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after one left: got %v, want %v", got, want)
	}
}

// TestEpochRisesAtEveryTakeOver, also when a program that ended takes its own
// partitions again under the same name, or was away for too long.
func TestEpochRisesAtEveryTakeOver(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	first, second := open(t, url), open(t, url)
	held, _ := renew(t, first, "pod-0", 1, short)
	if held[0].Epoch != 1 {
		t.Fatalf("got epoch %d, want 1", held[0].Epoch)
	}
	if again, _ := renew(t, first, "pod-0", 1, short); again[0].Epoch != 1 {
		t.Errorf("a renewal gave epoch %d, want 1", again[0].Epoch)
	}
	if early, _ := renew(t, second, "pod-0", 1, short); len(early) != 0 {
		t.Errorf("the next run of pod-0 holds %v while the lease of the last one runs", early)
	}
	// It asks again and again, as a process does; that must not keep the lease
	// of the last run alive.
	var next []Lease
	for deadline := time.Now().Add(4 * short); len(next) == 0 && time.Now().Before(deadline); time.Sleep(short / 8) {
		next, _ = renew(t, second, "pod-0", 1, short)
	}
	if len(next) != 2 || next[0].Epoch != 2 || next[1].Epoch != 2 {
		t.Fatalf("after the last run's lease: got %v, want epoch 2 of both streams", next)
	}
	if err := first.Advance(t.Context(), &held[0], Position{Seq: 1}, nil); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the last run advanced: %v", err)
	}
	if err := first.Release(t.Context(), twoStreams, "pod-0", 0); err != nil {
		t.Fatal(err)
	}
	if still, _ := renew(t, second, "pod-0", 1, short); len(still) != 2 || still[0].Epoch != 2 {
		t.Errorf("the last run released what is not its own: %v", still)
	}
	time.Sleep(short + 50*time.Millisecond)
	if late, _ := renew(t, second, "pod-0", 1, short); late[0].Epoch != 3 {
		t.Errorf("after being away: got epoch %d, want 3", late[0].Epoch)
	}
	if err := second.Leave(t.Context(), twoStreams, "pod-0"); err != nil {
		t.Fatal(err)
	}
	if freed, _ := renew(t, first, "pod-0", 1, short); len(freed) != 2 || freed[0].Epoch != 4 {
		t.Errorf("after a release: got %v, want epoch 4 at once", freed)
	}
}

// TestZombieStoresNothing: of an owner that is paused beyond its lease and the
// one that took over, only the latter advances; what the former wrote in its
// transaction is not there.
func TestZombieStoresNothing(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	old, young := open(t, url), open(t, url)
	held, _ := renew(t, old, "old", 1, short)
	paused := held[0]
	if err := old.Advance(t.Context(), &paused, Position{Seq: 10, StoredAt: time.UnixMicro(1_000_000), StreamCreated: time.UnixMicro(1)}, nil); err != nil {
		t.Fatal(err)
	}
	insert := func(tx *Tx, name string) error {
		_, err := tx.tx.Exec(context.Background(), `INSERT INTO tenant (tenant, name) VALUES ($1, 'x')`, name)
		return err
	}
	// The transaction of the old one begins while it owns the partition.
	err := old.Advance(t.Context(), &paused, Position{Seq: 20}, func(tx *Tx) error {
		time.Sleep(short + 50*time.Millisecond)
		taken, _ := renew(t, young, "young", 1, ttl)
		if len(taken) != 2 {
			t.Fatalf("the lease that expired was not taken: %v", taken)
		}
		if got := taken[0].Position; got.Seq != 10 || !got.StoredAt.Equal(time.UnixMicro(1_000_000)) || !got.StreamCreated.Equal(time.UnixMicro(1)) {
			t.Errorf("the new owner goes on from %+v, want where the old one stood", got)
		}
		if err := young.Advance(t.Context(), &taken[0], Position{Seq: 15}, func(tx *Tx) error { return insert(tx, "young") }); err != nil {
			t.Error(err)
		}
		return insert(tx, "old")
	})
	if !errors.Is(err, ErrLeaseLost) {
		t.Errorf("got %v, want ErrLeaseLost", err)
	}
	if paused.Position.Seq != 10 {
		t.Errorf("the lost lease stands at %d, want 10", paused.Position.Seq)
	}
	var names []string
	if err := young.pool.QueryRow(t.Context(), `SELECT array_agg(tenant) FROM tenant`).Scan(&names); err != nil || !slices.Equal(names, []string{"young"}) {
		t.Errorf("stored: %v, %v; want what the new owner wrote alone", names, err)
	}
}

// TestAdvanceHoldsUnderRacingOwners: owners with tiny leases fight for one
// partition; each step of the watermark is made once, by one of them.
func TestAdvanceHoldsUnderRacingOwners(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	admin := open(t, url)
	if _, err := admin.pool.Exec(t.Context(), `CREATE TABLE step (seq bigint, epoch bigint)`); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var lost atomic.Int64
	deadline := time.Now().Add(3 * time.Second)
	for i := range 4 {
		db, owner := open(t, url), fmt.Sprintf("owner-%d", i%3) // two of them share a name
		group.Go(func() {
			for time.Now().Before(deadline) {
				held, _, err := db.Renew(context.Background(), twoStreams, owner, 1, 15*time.Millisecond)
				if err != nil {
					t.Error(err)
					return
				}
				if len(held) == 0 {
					time.Sleep(time.Millisecond)
					continue
				}
				l := held[0]
				for range 10 {
					to := Position{Seq: l.Position.Seq + 1}
					err := db.Advance(context.Background(), &l, to, func(tx *Tx) error {
						time.Sleep(time.Duration(to.Seq%5) * time.Millisecond)
						_, err := tx.tx.Exec(context.Background(), `INSERT INTO step VALUES ($1, $2)`, int64(to.Seq), l.Epoch)
						return err
					})
					if err != nil {
						if !errors.Is(err, ErrLeaseLost) {
							t.Error(err)
						}
						lost.Add(1)
						break
					}
				}
			}
		})
	}
	group.Wait()
	var steps, distinct, highest, backward int64
	if err := admin.pool.QueryRow(t.Context(), `
		SELECT count(*), count(DISTINCT seq), max(seq), count(*) FILTER (WHERE epoch < before)
		FROM (SELECT seq, epoch, lag(epoch) OVER (ORDER BY seq) before FROM step) s`).Scan(&steps, &distinct, &highest, &backward); err != nil {
		t.Fatal(err)
	}
	if steps != distinct || steps != highest || backward != 0 {
		t.Errorf("%d steps, %d distinct, up to %d, %d with an older epoch: want each step once, by rising epochs", steps, distinct, highest, backward)
	}
	if steps == 0 || lost.Load() == 0 {
		t.Errorf("%d steps and %d lost leases: the race did not happen", steps, lost.Load())
	}
	t.Logf("%d steps, %d leases lost on the way", steps, lost.Load())
}

// TestOnlyBatchesDoNotWaitForTheDisk: what a watermark brings back need not, and
// nothing else of the connection is touched.
func TestOnlyBatchesDoNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	admin := open(t, url)
	if _, err := admin.pool.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = on', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
	db := open(t, url)
	waits := func(tx *Tx) (mode string) {
		if err := tx.tx.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&mode); err != nil {
			t.Error(err)
		}
		return mode
	}
	held, _, err := db.Renew(t.Context(), twoStreams, "owner", 1, time.Minute)
	if err != nil || len(held) == 0 {
		t.Fatal(held, err)
	}
	for range 3 {
		if err := db.InTx(t.Context(), func(tx *Tx) error {
			if got := waits(tx); got != "on" {
				t.Errorf("what no watermark brings back does not wait for the disk: %s", got)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		l := held[0]
		if err := db.Advance(t.Context(), &l, Position{Seq: l.Position.Seq + 1}, func(tx *Tx) error {
			if got := waits(tx); got != "off" {
				t.Errorf("a batch waits for the disk: %s", got)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		held[0] = l
	}
}

// TestStreamsThatAreAddedAreAdopted: a newer program reads one more stream of
// partitions that are held already.
func TestStreamsThatAreAddedAreAdopted(t *testing.T) {
	t.Parallel()
	db := open(t, migrated(t))
	if _, _, err := db.Renew(t.Context(), twoStreams[:1], "a", 2, ttl); err != nil {
		t.Fatal(err)
	}
	if held, _ := renew(t, db, "a", 2, ttl); len(held) != 4 {
		t.Errorf("got %d leases, want both streams of two partitions", len(held))
	}
	progress, err := db.Stages(t.Context())
	if err != nil || len(progress) != 4 || progress[0].Owner != "a" {
		t.Errorf("got %v, %v; want four rows of a", progress, err)
	}
}

// BenchmarkRenew is what each process does every three seconds.
func BenchmarkRenew(b *testing.B) {
	db := open(b, migrated(b))
	for b.Loop() {
		if _, _, err := db.Renew(b.Context(), twoStreams, "a", 16, ttl); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAdvance is the price of a batch without effects.
func BenchmarkAdvance(b *testing.B) {
	db := open(b, migrated(b))
	held, _, err := db.Renew(b.Context(), twoStreams, "a", 1, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	l := held[0]
	for b.Loop() {
		to := l.Position
		to.Seq++
		if err := db.Advance(b.Context(), &l, to, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// TestReclaimNeedNotWaitForTheDead: a process that is alone takes everything at
// once, with a higher epoch, and the dead owner stores nothing any more.
func TestReclaimNeedNotWaitForTheDead(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	dead, next := open(t, url), open(t, url)
	old, _ := renew(t, dead, "dead", 4, ttl)
	if held, _ := renew(t, next, "next", 4, ttl); len(held) != 0 {
		t.Fatalf("%d leases were taken from an owner that may be alive", len(held))
	}
	if err := next.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	held, _ := renew(t, next, "next", 4, ttl)
	if len(partitionsOf(held)) != 4 || held[0].Epoch <= old[0].Epoch {
		t.Errorf("after reclaiming %d partitions are held in epoch %d, want 4 in a later one", len(partitionsOf(held)), held[0].Epoch)
	}
	if err := dead.Advance(t.Context(), &old[0], Position{Seq: 1}, nil); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the dead owner's batch gave %v, want a lost lease", err)
	}
}
