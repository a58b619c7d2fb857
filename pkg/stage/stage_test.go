package stage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/background"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/pgtest"
	"lockstep.internal/pkg/stage"
)

const (
	ttl   = 900 * time.Millisecond
	every = 150 * time.Millisecond
)

// world is a bus and a database with what the stages of a test have stored.
type world struct {
	*bustest.Env
	t   testing.TB
	url string
	db  *postgres.DB

	mu         sync.Mutex
	commits    []commit
	unanswered map[place]commit // by lease: the last one that was begun and whose end is not known
}

// place is a lease: its name and its partition.
type place struct {
	lease     string
	partition int
}

// commit is one committed batch.
type commit struct {
	owner       string
	partition   int
	stream      bus.Stream
	epoch       int64
	first, last uint64 // sequences of its messages
	events      []string
}

func (c commit) lease() place {
	return place{stage.LeaseName("mapper", c.stream), c.partition}
}

// begins notes a commit that is under way. Where an owner loses its lease before the
// database answers, its successor tells how that ended: it goes on from the watermark.
func (w *world) begins(c commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, ok := w.unanswered[c.lease()]
	if ok && u.epoch > c.epoch {
		return // what comes late from an owner that was replaced is refused
	}
	if ok && u.epoch < c.epoch && u.last < c.first {
		w.commits = append(w.commits, u)
	}
	w.unanswered[c.lease()] = c
}

// ends notes that the database has answered.
func (w *world) ends(c commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.unanswered, c.lease())
	w.commits = append(w.commits, c)
}

// settle looks up how those ended that have a successor with nothing to do.
func (w *world) settle() {
	progress, err := w.db.Stages(context.Background())
	if err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range progress {
		at := place{p.Stage, p.Partition}
		if u, ok := w.unanswered[at]; ok && u.epoch < p.Epoch && u.last <= p.Seq {
			w.commits = append(w.commits, u)
			delete(w.unanswered, at)
		}
	}
}

func newWorld(t testing.TB, options ...bustest.Option) *world {
	url := pgtest.NewFrom(t, "stage", func(url string) error {
		db, err := postgres.Open(context.Background(), url, postgres.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Migrate(context.Background())
	})
	w := &world{Env: bustest.Start(t, options...), t: t, url: url, unanswered: make(map[place]commit)}
	w.db = w.open()
	return w
}

// open opens the database as one more process.
func (w *world) open() *postgres.DB {
	w.t.Helper()
	db, err := postgres.Open(context.Background(), w.url, postgres.Options{MaxConns: 6})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(db.Close)
	return db
}

// tenants gives one tenant for each partition.
func (w *world) tenants() []contact.Tenant {
	tenants := make([]contact.Tenant, w.Bus.Partitions())
	for i, missing := 0, len(tenants); missing > 0; i++ {
		t := contact.Tenant(fmt.Sprintf("t%d", i))
		if p := w.Bus.PartitionOf(t); tenants[p] == "" {
			tenants[p] = t
			missing--
		}
	}
	return tenants
}

// send publishes one message with the given events.
func (w *world) send(stream bus.Stream, tenant contact.Tenant, events ...string) {
	w.t.Helper()
	if err := w.Bus.Publisher(stream, w.Bus.PartitionOf(tenant)).Publish(context.Background(), message(tenant, events...)); err != nil {
		w.t.Fatal(err)
	}
}

func message(tenant contact.Tenant, events ...string) bus.Message {
	m := bus.Message{Tenant: tenant, ID: string(tenant) + "/" + fmt.Sprint(events)}
	for _, e := range events {
		m.Incoming = append(m.Incoming, contact.Incoming{Change: &contact.Change{
			System: contact.HubSpot, ID: "1", EventID: e, Event: contact.Changed, OccurredAt: 1, ReceivedAt: 1, Channel: contact.Webhook,
		}})
	}
	return m
}

func events(ds []bus.Delivery) (names []string) {
	for _, d := range ds {
		for _, in := range d.Incoming {
			names = append(names, in.Change.EventID)
		}
	}
	return names
}

// worker is a handler that keeps what it committed.
type worker struct {
	*world
	owner   string
	before  func(ctx context.Context, b stage.Batch) error // in Handle
	within  func(ctx context.Context, b stage.Batch) error // in the transaction
	output  func(b stage.Batch) []stage.Output
	routine bool                              // nobody waits for what comes of its batches
	idle    func(b stage.Batch) bool          // nothing is stored of it
	about   func(b stage.Batch) []contact.Ref // nil is all of the tenant

	granted, revoked atomic.Int64
}

func (h *worker) Handle(ctx context.Context, b stage.Batch) (stage.Result, error) {
	about := []contact.Ref{{Tenant: b.Deliveries[0].Tenant}}
	if h.about != nil {
		about = h.about(b)
	}
	if _, err := b.Claim.Take(ctx, about...); err != nil {
		return stage.Result{}, err
	}
	if h.before != nil {
		if err := h.before(ctx, b); err != nil {
			return stage.Result{}, err
		}
	}
	c := commit{h.owner, b.Partition, b.Stream, b.Epoch, b.Deliveries[0].Seq, b.Deliveries[len(b.Deliveries)-1].Seq, events(b.Deliveries)}
	result := stage.Result{
		Routine: h.routine,
		Commit: func(ctx context.Context, tx *postgres.Tx) error {
			h.begins(c)
			if h.within != nil {
				return h.within(ctx, b)
			}
			return nil
		},
		After: func() { h.ends(c) },
	}
	if h.idle != nil && h.idle(b) {
		result.Commit = nil
	}
	if h.output != nil {
		result.Publish = h.output(b)
	}
	return result, nil
}

func (h *worker) Granted(context.Context, bus.Stream, int, int64) { h.granted.Add(1) }
func (h *worker) Revoked(bus.Stream, int)                         { h.revoked.Add(1) }

// process is a running stage.
type process struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func (p *process) stop() time.Duration {
	start := time.Now()
	p.cancel()
	<-p.ended
	return time.Since(start)
}

// start runs a stage as a process of its own: with its own connections.
func (w *world) start(h *worker, change ...func(*stage.Config)) *process {
	w.t.Helper()
	h.world = w
	config := stage.Config{
		Name: "mapper", Owner: h.owner, Streams: []bus.Stream{bus.Changes, bus.ChangesBulk}, DB: w.open(),
		Logger: slog.New(slog.DiscardHandler), LeaseTTL: ttl, Renew: every,
	}
	for _, f := range change {
		f(&config)
	}
	if config.Bus == nil {
		config.Bus = w.Connect()
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		if err := stage.Run(ctx, config, h); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() { p.stop() })
	return p
}

// committed are the events committed so far, in order.
func (w *world) committed() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.commits {
		names = append(names, c.events...)
	}
	return names
}

// wait waits until something holds.
func (w *world) wait(what string, holds func() bool) {
	w.t.Helper()
	deadline, look := time.Now().Add(20*time.Second), time.Now().Add(ttl)
	for ; !holds(); time.Sleep(5 * time.Millisecond) {
		if now := time.Now(); now.After(look) {
			w.settle()
			look = now.Add(ttl)
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: did not happen; committed: %v", what, w.committed())
		}
	}
}

func (w *world) waitFor(n int) {
	w.t.Helper()
	w.wait(fmt.Sprintf("%d events committed", n), func() bool { return len(w.committed()) >= n })
}

// owners counts the partitions of each owner by the leading lease.
func (w *world) owners() map[string]int {
	progress, err := w.db.Stages(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	count := make(map[string]int)
	for _, p := range progress {
		if p.Stage == "mapper" {
			count[p.Owner]++
		}
	}
	return count
}

func names(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s%03d", prefix, i))
	}
	return all
}

// TestBatchesAreAppliedInOrder, live and bulk, each once.
func TestBatchesAreAppliedInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenants := w.tenants()
	h := &worker{owner: "a"}
	w.start(h)
	for _, e := range names("live", 50) {
		w.send(bus.Changes, tenants[0], e)
		w.send(bus.ChangesBulk, tenants[1], "bulk"+e)
	}
	w.waitFor(100)
	var live, bulk []string
	for _, c := range w.commits {
		if c.stream == bus.Changes {
			live = append(live, c.events...)
		} else {
			bulk = append(bulk, c.events...)
		}
	}
	if !slices.Equal(live, names("live", 50)) || !slices.Equal(bulk, names("bulklive", 50)) {
		t.Errorf("live %v, bulk %v; want each in order, once", live, bulk)
	}
	if got := h.granted.Load(); got != 4 {
		t.Errorf("granted %d times, want 4 (two partitions, two streams)", got)
	}
}

// TestOnlyTheSamePeopleAreWaitedFor: a batch of the leading stream is stored while one of
// another stream is under way, unless both are about the same people.
func TestOnlyTheSamePeopleAreWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	tenant := w.tenants()[0]
	held, begun := make(chan struct{}), make(chan struct{})
	h := &worker{owner: "a", about: func(b stage.Batch) []contact.Ref { // whom the events are named after
		var refs []contact.Ref
		for _, e := range events(b.Deliveries) {
			who, _, _ := strings.Cut(e, " ")
			refs = append(refs, contact.Ref{Tenant: tenant, Kind: contact.RefKey, Value: who})
		}
		return refs
	}, before: func(_ context.Context, b stage.Batch) error {
		if b.Stream == bus.ChangesBulk {
			close(begun)
			<-held
		}
		return nil
	}}
	w.start(h)
	w.send(bus.ChangesBulk, tenant, "ann is read")
	<-begun
	w.send(bus.Changes, tenant, "bob is edited")
	w.waitFor(1)
	w.send(bus.Changes, tenant, "ann is edited")
	time.Sleep(100 * time.Millisecond) // for it to be stored, were it not held up
	if got := w.committed(); !slices.Equal(got, []string{"bob is edited"}) {
		t.Errorf("while ann is being worked on, committed were %v, want what is about bob", got)
	}
	close(held)
	w.waitFor(3)
	if got, want := w.committed(), []string{"bob is edited", "ann is read", "ann is edited"}; !slices.Equal(got, want) {
		t.Errorf("committed were %v, want %v", got, want)
	}
}

// TestWhatStoresNothingKeepsNobodyWaiting: while the watermark behind a batch that
// stores nothing moves, the leading stream works on.
func TestWhatStoresNothingKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	tenant := w.tenants()[0]
	var met atomic.Int64
	h := &worker{owner: "a", idle: func(b stage.Batch) bool { return b.Stream == bus.ChangesBulk }, before: func(_ context.Context, b stage.Batch) error {
		if b.Stream == bus.ChangesBulk {
			met.Add(1)
		}
		return nil
	}}
	repeated := &observer{}
	w.start(h, func(c *stage.Config) { c.LeaseTTL, c.Renew, c.Observer = time.Minute, 20*time.Second, repeated })
	w.send(bus.Changes, tenant, "first")
	w.waitFor(1)
	owner, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(context.WithoutCancel(t.Context()))
	held, err := owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), `SELECT FROM partition_lease WHERE stage = 'mapper-bulk' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	w.send(bus.ChangesBulk, tenant, "echo")
	w.wait("the bulk batch is handled", func() bool { return met.Load() > 0 })
	w.send(bus.Changes, tenant, "second")
	w.waitFor(2)
	if got, n := w.committed(), repeated.failed.Load(); !slices.Equal(got, []string{"first", "second"}) || n > 0 {
		t.Errorf("committed were %v while the bulk stream's watermark could not move, after %d batches that were given up; want first, second and none", got, n)
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.waitFor(3)
}

// TestBatchesGrowUnderLoad: what arrives while a batch runs goes together.
func TestBatchesGrowUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	held := make(chan struct{})
	var batches atomic.Int64
	w.start(&worker{owner: "a", before: func(context.Context, stage.Batch) error {
		if batches.Add(1) == 1 {
			<-held
		}
		return nil
	}}, func(c *stage.Config) { c.MaxBatch = 60 })
	for _, e := range names("e", 101) {
		w.send(bus.Changes, w.tenants()[0], e)
	}
	time.Sleep(100 * time.Millisecond) // for the reader to have them
	close(held)
	w.waitFor(101)
	if got := batches.Load(); got > 4 {
		t.Errorf("%d batches for 101 messages of at most 60, want 3 or 4", got)
	}
}

// TestABacklogLeavesRoomForLiveEvents: the batches of a bulk stream are large while
// nothing else happens, and short while live events come, which wait for the one
// that is under way.
func TestABacklogLeavesRoomForLiveEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	var mu sync.Mutex
	var before, beside []int // messages of bulk batches, before and after the first live event
	live, over := false, false
	backlog, edits := names("b", 900), names("e", 20) // more than goes out beside the events
	for _, e := range backlog {
		w.send(bus.ChangesBulk, w.tenants()[0], e)
	}
	w.start(&worker{owner: "a", before: func(ctx context.Context, b stage.Batch) error {
		mu.Lock()
		after := over
		switch {
		case after:
		case b.Stream == bus.Changes:
			live = true
		case live:
			beside = append(beside, len(b.Deliveries))
		default:
			before = append(before, len(b.Deliveries))
		}
		mu.Unlock()
		if b.Stream == bus.ChangesBulk && !after { // each message is some work
			timer := time.NewTimer(time.Duration(len(b.Deliveries)) * 5 * time.Millisecond)
			defer timer.Stop()
			<-timer.C
		}
		return nil
	}})
	w.wait("a large bulk batch", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.ContainsFunc(before, func(n int) bool { return n > 15 })
	})
	for _, e := range edits {
		w.send(bus.Changes, w.tenants()[0], e)
		w.wait("the live event", func() bool { return slices.Contains(w.committed(), e) })
	}
	mu.Lock()
	over = true
	mu.Unlock()
	w.waitFor(len(backlog) + len(edits))
	mu.Lock()
	defer mu.Unlock()
	if len(beside) < 10 {
		t.Fatalf("%d bulk batches beside live events: the backlog was too small", len(beside))
	}
	for i, n := range beside {
		if i > 0 && n > 10 { // the first one's length was chosen before
			t.Errorf("batch %d beside live events has %d messages, want what fits into 20 ms", i, n)
		}
	}
}

// TestARoutineOfTheLeadingStreamLeavesBatchesLarge: what is no news to anybody does not
// make the bulk batches beside it short.
func TestARoutineOfTheLeadingStreamLeavesBatchesLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	backlog := names("b", 600)
	for _, e := range backlog {
		w.send(bus.ChangesBulk, w.tenants()[0], e)
	}
	var mu sync.Mutex
	var lengths []int
	w.start(&worker{owner: "a", routine: true, before: func(_ context.Context, b stage.Batch) error {
		if b.Stream == bus.ChangesBulk {
			mu.Lock()
			lengths = append(lengths, len(b.Deliveries))
			mu.Unlock()
			time.Sleep(time.Duration(len(b.Deliveries)) * 2 * time.Millisecond)
		}
		return nil
	}})
	answers := names("a", 30)
	for _, e := range answers {
		w.send(bus.Changes, w.tenants()[0], e)
		w.wait("the answer", func() bool { return slices.Contains(w.committed(), e) })
	}
	w.waitFor(len(backlog) + len(answers))
	mu.Lock()
	defer mu.Unlock()
	if len(lengths) > 40 { // 30 of 20 messages; 60 of what fits into 20 ms
		t.Errorf("%d batches for %d messages: %v", len(lengths), len(backlog), lengths)
	}
}

// TestARoutineOfTheLeadingStreamGathers while another stream's batches are under way.
func TestARoutineOfTheLeadingStreamGathers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	tenant := w.tenants()[0]
	for _, e := range names("b", 400) {
		w.send(bus.ChangesBulk, tenant, e)
	}
	var batches atomic.Int64
	begun := make(chan struct{})
	w.start(&worker{
		owner: "a", routine: true,
		about: func(b stage.Batch) []contact.Ref {
			return []contact.Ref{{Tenant: tenant, Kind: contact.RefKey, Value: string(b.Stream)}}
		},
		before: func(_ context.Context, b stage.Batch) error {
			if b.Stream == bus.Changes {
				batches.Add(1)
				return nil
			}
			select {
			case begun <- struct{}{}:
			default:
			}
			time.Sleep(40 * time.Millisecond)
			return nil
		},
	})
	<-begun
	const n = 60
	for _, e := range names("e", n) {
		w.send(bus.Changes, tenant, e)
		time.Sleep(4 * time.Millisecond)
	}
	w.wait("the live events", func() bool { return slices.Contains(w.committed(), fmt.Sprintf("e%03d", n-1)) })
	if got := batches.Load(); got > 3*n/4 { // some ten; one each where nothing gathers
		t.Errorf("%d batches for %d messages that came beside those of another stream", got, n)
	}
}

// TestWhatNobodyWaitsForGathers: messages that come one by one on a stream that does
// not lead go together.
func TestWhatNobodyWaitsForGathers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	var batches atomic.Int64
	w.start(&worker{owner: "a", before: func(_ context.Context, b stage.Batch) error {
		if b.Stream == bus.ChangesBulk {
			batches.Add(1)
		}
		return nil
	}})
	events := names("e", 120)
	for _, e := range events {
		w.send(bus.ChangesBulk, w.tenants()[0], e)
		time.Sleep(2 * time.Millisecond) // longer than a batch takes
	}
	w.waitFor(len(events))
	if n := int(batches.Load()); n > len(events)/3 {
		t.Errorf("%d batches for %d messages", n, len(events))
	}
}

// TestScaleUpAndDown: partitions are shared out evenly as processes come and
// go, nothing is applied twice or out of order, and a stop waits for no more than
// the batches that are under way.
func TestScaleUpAndDown(t *testing.T) {
	t.Parallel()
	const partitions = 8
	w := newWorld(t, bustest.Partitions(partitions))
	tenants := w.tenants()
	ctx, stopSending := context.WithCancel(t.Context())
	var sent [partitions]int
	var sending sync.WaitGroup
	for p, tenant := range tenants {
		sending.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(4 * time.Millisecond) {
				w.send(bus.Changes, tenant, fmt.Sprintf("%d/%05d", p, sent[p]))
				sent[p]++
			}
		})
	}
	even := func(want ...int) func() bool {
		return func() bool {
			var got []int
			for owner, n := range w.owners() {
				if owner == "" {
					return false
				}
				got = append(got, n)
			}
			slices.Sort(got)
			return slices.Equal(got, want)
		}
	}
	var stopping atomic.Bool
	var late atomic.Int64 // batches begun while stopping
	a := w.start(&worker{owner: "a", before: func(context.Context, stage.Batch) error {
		if stopping.Load() {
			late.Add(1)
		}
		return nil
	}})
	w.wait("one owner has all", even(8))
	start := time.Now()
	w.start(&worker{owner: "b"})
	w.wait("two have half each", even(4, 4))
	t.Logf("scale-up from 1 to 2 took %v with a renewal every %v", time.Since(start).Round(time.Millisecond), every)
	w.start(&worker{owner: "c"})
	w.wait("three share", even(2, 3, 3))
	stopping.Store(true)
	t.Logf("stop under load took %v", a.stop())
	if left := w.owners()["a"]; left != 0 {
		t.Errorf("%d partitions are still held after the stop", left)
	}
	if n := late.Load(); n > 3 { // one that was being begun in each of its partitions
		t.Errorf("%d batches were begun after the stop", n)
	}
	w.wait("the others take over", even(4, 4))
	stopSending()
	sending.Wait()
	total := 0
	for _, n := range sent {
		total += n
	}
	w.waitFor(total)
	next := make(map[int]int)
	epochs := make(map[int]int64)
	for _, c := range w.commits {
		if c.epoch < epochs[c.partition] {
			t.Errorf("partition %d: %s committed under epoch %d after %d", c.partition, c.owner, c.epoch, epochs[c.partition])
		}
		epochs[c.partition] = c.epoch
		for _, e := range c.events {
			if want := fmt.Sprintf("%d/%05d", c.partition, next[c.partition]); e != want {
				t.Fatalf("partition %d: got %s, want %s", c.partition, e, want)
			}
			next[c.partition]++
		}
	}
}

// TestCrashBetweenPublishAndCommit: the outputs are published again under the
// same ids by whoever goes on, and nothing is lost.
func TestCrashBetweenPublishAndCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	tenant := w.tenants()[0]
	output := func(b stage.Batch) (out []stage.Output) {
		for _, d := range b.Deliveries {
			out = append(out, stage.Output{Stream: bus.Patches, Message: bus.Message{
				Tenant: d.Tenant, System: contact.Aloware, ID: fmt.Sprintf("out/%d", d.Seq),
				Patches: []contact.Patch{{Contact: "hubspot:1", System: contact.Aloware, Version: contact.Version(d.Seq), Archive: true, TargetID: "1"}},
			}})
		}
		return out
	}
	var attempts atomic.Int64
	w.send(bus.Changes, tenant, "one")
	w.send(bus.Changes, tenant, "two")
	first := w.start(&worker{owner: "a", output: output, within: func(context.Context, stage.Batch) error {
		attempts.Add(1)
		return errors.New("the connection broke")
	}})
	w.wait("two attempts", func() bool { return attempts.Load() >= 2 })
	first.stop()
	if got := w.committed(); len(got) != 0 {
		t.Fatalf("committed %v without a commit", got)
	}
	w.start(&worker{owner: "b", output: output})
	w.waitFor(2)
	if got := w.committed(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("committed %v, want both once", got)
	}
	if last, _, err := w.Bus.Last(t.Context(), bus.Patches, 0); err != nil || last != 2 {
		t.Errorf("%d outputs stored, %v; want 2: copies have the same ids", last, err)
	}
}

// TestZombieHasNoEffect: an owner that is held up beyond its lease, in the
// middle of a batch, commits nothing after another took over.
func TestZombieHasNoEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	var wasCancelled atomic.Bool
	held, entered := make(chan struct{}), make(chan struct{}, 10)
	db := w.open()
	w.start(&worker{owner: "zombie", before: func(ctx context.Context, b stage.Batch) error {
		entered <- struct{}{}
		<-held
		wasCancelled.Store(ctx.Err() != nil)
		return nil
	}}, func(c *stage.Config) { c.DB = db })
	w.send(bus.Changes, w.tenants()[0], "one")
	<-entered
	db.Close() // it can renew no more
	w.start(&worker{owner: "young"})
	w.waitFor(1)
	close(held)
	time.Sleep(200 * time.Millisecond)
	if !wasCancelled.Load() {
		t.Error("the zombie's context must end before its lease can")
	}
	if len(w.commits) != 1 || w.commits[0].owner != "young" {
		t.Errorf("committed: %+v, want once by the new owner", w.commits)
	}
}

// TestPoisonIsPutAside: one event that can never be handled, in the middle of
// runs, goes to the dead letters, and everything else is applied in order.
func TestPoisonIsPutAside(t *testing.T) {
	t.Parallel()
	for name, poisoned := range map[string]func() error{
		"refused":  func() error { return fault.Wrap(fault.Permanent, errors.New("no")) },
		"panicked": func() error { var none *contact.Change; return errors.New(none.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bustest.Partitions(1))
			var want []string
			for m := range 20 {
				run := names(fmt.Sprintf("%02d/", m), 9)
				for _, e := range run {
					if e != "07/004" && e != "13/000" {
						want = append(want, e)
					}
				}
				w.send(bus.Changes, w.tenants()[0], run...)
			}
			poison := func(_ context.Context, b stage.Batch) error {
				for _, e := range events(b.Deliveries) {
					if e == "07/004" || e == "13/000" {
						return poisoned()
					}
				}
				return nil
			}
			db, b := w.open(), w.Connect()
			start := time.Now()
			p := w.start(&worker{owner: "a", before: poison}, func(c *stage.Config) { c.DB, c.Bus = db, b })
			w.waitFor(len(want))
			t.Logf("two poisoned events among 180 took %v", time.Since(start).Round(time.Millisecond))
			w.wait("the watermark passes", func() bool { s, _ := w.db.Stages(t.Context()); return s[0].Seq == 20 })
			p.stop()
			if got := w.committed(); !slices.Equal(got, want) {
				t.Errorf("committed\n%v, want\n%v", got, want)
			}
			if got := b.Stats().DeadLetters; got != 2 {
				t.Errorf("%d dead letters, want 2", got)
			}
		})
	}
}

// TestCrashBetweenHalves: a message whose first half is applied is not done;
// whoever goes on has all of it.
func TestCrashBetweenHalves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	var stuck atomic.Int64
	w.send(bus.Changes, w.tenants()[0], names("e", 8)...)
	p := w.start(&worker{owner: "a", before: func(_ context.Context, b stage.Batch) error {
		switch got := events(b.Deliveries); {
		case len(got) > 4:
			return fault.Wrap(fault.Permanent, errors.New("too much"))
		case got[0] == "e004":
			stuck.Add(1)
			return errors.New("not now")
		}
		return nil
	}})
	w.wait("the second half is stuck", func() bool { return stuck.Load() > 1 })
	p.stop()
	if got := w.committed(); !slices.Equal(got, names("e", 4)) {
		t.Fatalf("committed %v, want the first half", got)
	}
	w.start(&worker{owner: "b"})
	w.waitFor(12)
	if got := w.committed()[4:]; !slices.Equal(got, names("e", 8)) {
		t.Errorf("then %v, want the whole message", got)
	}
}

// TestRefusedByTheDatabaseIsPoison: data that PostgreSQL never takes do not
// block the partition either.
func TestRefusedByTheDatabaseIsPoison(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	w.send(bus.Changes, w.tenants()[0], "a", "zero", "b")
	w.start(&worker{owner: "a", before: func(ctx context.Context, b stage.Batch) error {
		if slices.Contains(events(b.Deliveries), "zero") {
			_, err := w.db.ContactKeys(ctx, []postgres.Ref{{Tenant: "t", Kind: postgres.RefEmail, Value: "\x00"}})
			return err
		}
		return nil
	}})
	w.waitFor(2)
	if got := w.committed(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("committed %v, want the others", got)
	}
}

// TestTransientFaultsDropNothing: an error without a class is tried again with
// everything, and told.
func TestTransientFaultsDropNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	var calls atomic.Int64
	h := &worker{owner: "a", before: func(context.Context, stage.Batch) error {
		if calls.Add(1) <= 5 {
			return errors.New("not now")
		}
		return nil
	}}
	b := w.Connect()
	o := &observer{}
	w.start(h, func(c *stage.Config) { c.Bus, c.Observer = b, o })
	for _, e := range names("e", 10) {
		w.send(bus.Changes, w.tenants()[0], e)
	}
	w.waitFor(10)
	if got := w.committed(); !slices.Equal(got, names("e", 10)) {
		t.Errorf("committed %v", got)
	}
	if got := b.Stats().DeadLetters; got != 0 {
		t.Errorf("%d dead letters, want none: an unclassified error means retry", got)
	}
	if got := o.failed.Load(); got < 5 {
		t.Errorf("the observer heard of %d failures, want 5", got)
	}
}

type observer struct {
	failed atomic.Int64
	mu     sync.Mutex
	lag    uint64
	age    time.Duration
}

func (o *observer) Failed(string, int) { o.failed.Add(1) }
func (o *observer) Progress(stage string, _ int, lag uint64, age time.Duration) {
	if stage == "mapper" {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.lag, o.age = lag, age
	}
}
func (o *observer) last() (uint64, time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lag, o.age
}

// TestLagIsToldWhileABatchHangs, and falls to nothing afterwards.
func TestLagIsToldWhileABatchHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	held := make(chan struct{})
	o := &observer{}
	w.start(&worker{owner: "a", before: func(context.Context, stage.Batch) error { <-held; return nil }},
		func(c *stage.Config) { c.Observer = o })
	for _, e := range names("e", 7) {
		w.send(bus.Changes, w.tenants()[0], e)
	}
	w.wait("the lag is told", func() bool { lag, age := o.last(); return lag == 7 && age > 200*time.Millisecond })
	close(held)
	w.waitFor(7)
	w.wait("no lag is left", func() bool { lag, age := o.last(); return lag == 0 && age == 0 })
}

// TestCutStreamIsReadAgain: when the stream was made anew under a watermark,
// the messages that reuse old numbers are not skipped.
func TestCutStreamIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	tenant := w.tenants()[0]
	first := w.start(&worker{owner: "a"})
	for _, e := range names("old", 5) {
		w.send(bus.Changes, tenant, e)
	}
	w.waitFor(5)
	first.stop()

	// The server is gone with its disk; another one begins at 1 again.
	anew := &world{Env: bustest.Start(t, bustest.Partitions(1)), t: t, url: w.url, db: w.db, unanswered: make(map[place]commit)}
	for _, e := range names("new", 3) {
		anew.send(bus.Changes, tenant, e)
	}
	anew.start(&worker{owner: "a"})
	anew.waitFor(3)
	if got := anew.committed(); !slices.Equal(got, names("new", 3)) {
		t.Errorf("committed %v, want the new stream's messages", got)
	}
	if s, err := w.db.Stages(t.Context()); err != nil || s[0].Seq != 3 {
		t.Errorf("the watermark is %+v, %v; want 3 of the new stream", s[0], err)
	}
}

// TestBusAwayIsWaitedOut: the stage goes on after an outage of the server, and
// it can be stopped at once in the middle of one.
func TestBusAwayIsWaitedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	p := w.start(&worker{owner: "a"})
	w.send(bus.Changes, w.tenants()[0], "one")
	w.waitFor(1)
	w.StopServer()
	time.Sleep(2 * ttl)
	w.StartServer()
	w.wait("another message is taken", func() bool {
		return w.Bus.Publisher(bus.Changes, 0).Publish(t.Context(), message(w.tenants()[0], "two")) == nil
	})
	w.waitFor(2)
	connected := w.Connect()
	w.StopServer()
	time.Sleep(100 * time.Millisecond)
	if took := p.stop(); took > 300*time.Millisecond {
		t.Errorf("a stop while the bus is away took %v", took)
	}
	// The next one takes the partition and cannot begin to read.
	h := &worker{owner: "b"}
	p = w.start(h, func(c *stage.Config) { c.Bus = connected })
	w.wait("it is taken", func() bool { return h.granted.Load() == 2 })
	if took := p.stop(); took > 300*time.Millisecond {
		t.Errorf("a stop before the first message took %v", took)
	}
	w.StartServer() // for the end of the test
}

// TestTheStreamsBehindWorkInTheBackground: a live edit has the processor before them.
func TestTheStreamsBehindWorkInTheBackground(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	usual, err := background.Niceness()
	if err != nil {
		t.Skip("threads have no niceness here: ", err)
	}
	var mu sync.Mutex
	nice := make(map[bus.Stream]int)
	h := &worker{owner: "a", before: func(_ context.Context, b stage.Batch) error {
		now, err := background.Niceness()
		mu.Lock()
		defer mu.Unlock()
		nice[b.Stream] = now
		return err
	}}
	w.start(h)
	w.send(bus.ChangesBulk, w.tenants()[0], "read")
	w.send(bus.Changes, w.tenants()[0], "edited")
	w.waitFor(2)
	if nice[bus.Changes] != usual || nice[bus.ChangesBulk] <= usual {
		t.Errorf("the niceness is %d of the live stream and %d of the bulk stream; want %d, and more", nice[bus.Changes], nice[bus.ChangesBulk], usual)
	}
}
