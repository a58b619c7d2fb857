package stage_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/pgtest"
	"lockstep.internal/pkg/stage"
)

// recorder is a handler that records what was stored, by whom.
type recorder struct {
	owner string
	log   *ledger
}

// ledger is what all owners stored, in order, by tenant.
type ledger struct {
	mu     sync.Mutex
	stored map[contact.Tenant][]string
	by     map[string]int
	poison string // event that is always refused for good
	faults int    // handlings that still fail for a passing reason
}

func newLedger() *ledger {
	return &ledger{stored: make(map[contact.Tenant][]string), by: make(map[string]int)}
}

func (r recorder) Handle(_ context.Context, b stage.Batch) (stage.Result, error) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if r.log.faults > 0 {
		r.log.faults--
		return stage.Result{}, fmt.Errorf("a passing fault")
	}
	for _, d := range b.Deliveries {
		for _, in := range d.Incoming {
			if in.Change.EventID == r.log.poison {
				return stage.Result{}, fault.New(fault.Refusal{Class: fault.Permanent, Reason: "POISON", Message: "never"})
			}
		}
	}
	return stage.Result{After: func() {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		for _, d := range b.Deliveries {
			for _, in := range d.Incoming {
				r.log.stored[d.Tenant] = append(r.log.stored[d.Tenant], in.Change.EventID)
				r.log.by[r.owner]++
			}
		}
	}}, nil
}

func (recorder) Granted(context.Context, bus.Stream, int, int64) {}
func (recorder) Revoked(bus.Stream, int)                         {}

// run starts an owner; the function that it gives stops it and waits.
func run(t *testing.T, b *bus.Bus, db *postgres.DB, owner string, log *ledger) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- stage.Run(ctx, stage.Config{
			Name: "mapper", Owner: owner, Streams: []bus.Stream{bus.Changes}, DB: db, Bus: b, LeaseTTL: 1200 * time.Millisecond,
		}, recorder{owner, log})
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func publish(t *testing.T, b *bus.Bus, tenant contact.Tenant, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		id := fmt.Sprintf("%s-%d", tenant, i)
		in := contact.Incoming{Change: &contact.Change{System: contact.HubSpot, ID: "1", EventID: id, Event: contact.Changed, OccurredAt: 1, ReceivedAt: 1, Channel: contact.Webhook}}
		message := bus.Message{Tenant: tenant, Incoming: []contact.Incoming{in}, ID: id, Context: t.Context()}
		if err := b.Publisher(bus.Changes, b.PartitionOf(tenant)).Publish(t.Context(), message); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits until a tenant's events have been stored, and checks their order.
func (l *ledger) await(t *testing.T, tenant contact.Tenant, want []string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		l.mu.Lock()
		got := slices.Clone(l.stored[tenant])
		l.mu.Unlock()
		if len(got) >= len(want) {
			if !slices.Equal(got, want) {
				t.Fatalf("%s: stored %v, want %v", tenant, got, want)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: stored %d of %d: %v", tenant, len(got), len(want), got)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ids(tenant contact.Tenant, from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("%s-%d", tenant, i))
	}
	return all
}

var tenants = []contact.Tenant{"a", "b", "c", "d"}

// TestOwnersHandOverWithoutLossOrRepetition: a second owner joins, the first
// leaves in the middle, and every event is stored once and in order.
func TestOwnersHandOverWithoutLossOrRepetition(t *testing.T) {
	t.Parallel()
	b, db, log := bustest.New(t, bustest.Partitions(4)), pgtest.Open(t), newLedger()
	stopFirst := run(t, b, db, "first", log)
	for _, tenant := range tenants {
		publish(t, b, tenant, 0, 20)
	}
	run(t, b, db, "second", log)
	for _, tenant := range tenants {
		publish(t, b, tenant, 20, 40)
	}
	stopFirst()
	for _, tenant := range tenants {
		publish(t, b, tenant, 40, 60)
		log.await(t, tenant, ids(tenant, 0, 60))
	}
	if log.by["second"] == 0 {
		t.Error("the second owner did nothing")
	}
}

// TestAPoisonMessageIsPutAside after some tries, and nothing else with it.
func TestAPoisonMessageIsPutAside(t *testing.T) {
	t.Parallel()
	b, db, log := bustest.New(t, bustest.Partitions(1)), pgtest.Open(t), newLedger()
	log.poison = "a-7"
	publish(t, b, "a", 0, 15)
	run(t, b, db, "only", log)
	want := slices.DeleteFunc(ids("a", 0, 15), func(id string) bool { return id == "a-7" })
	log.await(t, "a", want)
}

// TestAppliedMessagesMakeRoom: a stream far smaller than what goes through it
// takes everything, as long as it is applied.
func TestAppliedMessagesMakeRoom(t *testing.T) {
	t.Parallel()
	b, db, log := bustest.New(t, bustest.Partitions(1)), pgtest.Open(t), newLedger()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- stage.Run(ctx, stage.Config{
			Name: "mapper", Owner: "only", Streams: []bus.Stream{bus.Changes}, DB: db, Bus: b, LeaseTTL: 400 * time.Millisecond, Keep: 10,
		}, recorder{"only", log})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	publish(t, b, "a", 0, 100)
	log.await(t, "a", ids("a", 0, 100))
	reader := func() uint64 {
		r, err := b.Read(t.Context(), bus.Changes, 0, "look", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		d, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d.Seq
	}
	deadline := time.Now().Add(20 * time.Second)
	for reader() <= 50 {
		if time.Now().After(deadline) {
			t.Fatal("applied messages were not dropped")
		}
	}
	publish(t, b, "a", 100, 120)
	log.await(t, "a", ids("a", 0, 120))
}

// TestAPassingFaultIsWaitedOut, and nothing is lost for it.
func TestAPassingFaultIsWaitedOut(t *testing.T) {
	t.Parallel()
	b, db, log := bustest.New(t, bustest.Partitions(1)), pgtest.Open(t), newLedger()
	log.faults = 3
	publish(t, b, "a", 0, 10)
	run(t, b, db, "only", log)
	log.await(t, "a", ids("a", 0, 10))
}

// TestAWatermarkAheadOfTheStreamHidesNothing: the watermark of a stream that
// is gone must not hide the messages of its successor.
func TestAWatermarkAheadOfTheStreamHidesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t)
	held, _, err := db.Renew(t.Context(), "mapper", "earlier", 1, time.Minute)
	if err != nil || len(held) != 1 {
		t.Fatalf("%v, %v", held, err)
	}
	long := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	if err := db.Advance(t.Context(), &held[0], postgres.Position{Seq: 5000, StoredAt: long, StreamCreated: long}, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Leave(t.Context(), "mapper", "earlier"); err != nil {
		t.Fatal(err)
	}
	b, log := bustest.New(t, bustest.Partitions(1)), newLedger()
	publish(t, b, "a", 0, 10)
	run(t, b, db, "only", log)
	log.await(t, "a", ids("a", 0, 10))
}
