package mapper

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
)

var tracer = otel.Tracer("lockstep.internal/services/mapper")

// Handle judges one batch of one partition. It changes nothing outside until
// the caller has published the patches and runs Commit. While it had to wait for
// somebody whom it had not claimed yet, it begins again.
func (m *Mapper) Handle(ctx context.Context, b stage.Batch) (result stage.Result, err error) {
	const mostBegun = 20 // each time with more that is claimed from the start
	for range mostBegun {
		if result, err = m.judge(ctx, b); !errors.Is(err, errStale) {
			return result, err
		}
	}
	return stage.Result{}, fault.Wrap(fault.Transient, err)
}

func (m *Mapper) judge(ctx context.Context, b stage.Batch) (stage.Result, error) {
	h := &handling{
		Mapper: m, batch: people.NewBatch(store{m.config.DB, b.Claim}), claim: b.Claim,
		rulesOf: make(map[contact.Tenant]*resolve.Rules), live: b.Stream != bus.ChangesBulk, echo: b.Stream == bus.ChangesEcho, fields: make(map[postgres.WrittenField]int64),
	}
	if err := h.claimNamed(ctx, b.Deliveries); err != nil {
		return stage.Result{}, err
	}
	h.version, h.now = m.version(b), contact.Millis(m.config.Now().UnixMilli())
	if err := h.prepare(ctx, b.Deliveries); err != nil {
		return stage.Result{}, err
	}
	for i := range inOrder(b) {
		if err := h.delivery(ctx, &b.Deliveries[i]); err != nil {
			return stage.Result{}, err
		}
	}
	if err := h.claimCounts(ctx); err != nil {
		return stage.Result{}, err
	}
	m.config.Observer.Judged(ctx, h.events, h.echoes, h.stale, h.patches)
	outputs := append(h.outputs(b), h.forgetOutputs(b)...)
	urgent := slices.ContainsFunc(outputs, func(o stage.Output) bool { return o.Stream == bus.Patches })
	result := stage.Result{Publish: outputs, After: h.after, Routine: !urgent}
	if effects := h.stored(); len(effects) > 0 {
		result.Commit = func(ctx context.Context, tx *postgres.Tx) error {
			for _, store := range effects {
				if err := store(ctx, tx); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return result, nil
}

// inOrder are the messages of a batch in the order in which they are judged. Of echoes
// the writers' answers come first: they tell whose record it is that HubSpot tells of,
// which may come a moment before.
func inOrder(b stage.Batch) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, answers := range []bool{true, false} {
			for i := range b.Deliveries {
				incoming := b.Deliveries[i].Incoming
				first := b.Stream == bus.ChangesEcho && len(incoming) > 0 && incoming[0].Outcome != nil
				if first == answers && !yield(i) {
					return
				}
			}
		}
	}
}

// Granted starts a partition with nothing remembered of an earlier ownership.
func (m *Mapper) Granted(context.Context, bus.Stream, int, int64) {
	m.lists.dropAll()
	m.flows.dropAll()
}

// Revoked ends a partition; nothing of it is kept in memory.
func (m *Mapper) Revoked(bus.Stream, int) {}

// handling is one call of Handle.
type handling struct {
	*Mapper
	batch   *people.Batch
	claim   *stage.Claim
	version contact.Version
	now     contact.Millis
	rulesOf map[contact.Tenant]*resolve.Rules
	live    bool
	echo    bool                               // of our own writes
	holds   map[contact.Tenant][]postgres.Hold // that are not over
	watched watched
	counts  bool // the tenants' counts of changes are claimed

	runs    []run // patches by tenant and system, in order
	history []postgres.HistoryRow
	lists   []listing
	written []written
	effects map[postgres.SyncEffect]int64 // of jobs
	fields  map[postgres.WrittenField]int64

	erasures []run // of erased people, to both streams

	events, echoes, stale, patches int
	lost                           int64
	stopped                        [2]int64 // fields that are left alone from now on, by side
}

// run is what goes out to one system of one tenant.
type run struct {
	tenant  contact.Tenant
	system  contact.System
	bulk    bool // though the message was not
	patches []contact.Patch
	context context.Context
}

// written is an outcome, with the context of the message that told of it.
type written struct {
	*contact.Outcome
	context context.Context
}

type listing struct {
	tenant contact.Tenant
	list   contact.Directory
}

// prepare loads the rules of the batch's tenants, with what is held of them, and all
// contacts that the batch can be about, side by side.
func (h *handling) prepare(ctx context.Context, deliveries []bus.Delivery) error {
	list := make([]people.Delivery, len(deliveries))
	for i := range deliveries {
		d := &deliveries[i]
		if h.rulesOf[d.Tenant] == nil {
			rules, err := h.rules(ctx, d.Tenant)
			if err != nil {
				return err
			}
			h.rulesOf[d.Tenant] = rules
		}
		list[i] = people.Delivery{Tenant: d.Tenant, Rules: h.rulesOf[d.Tenant], Incoming: d.Incoming}
	}
	loading, asking := errgroup.WithContext(ctx)
	loading.Go(func() error { return h.loadHolds(asking) })
	// Not in a goroutine of its own: what panics of a stored contact must be met by
	// who handles the batch.
	err := h.batch.Prepare(ctx, list)
	if err = errors.Join(err, loading.Wait()); err != nil {
		return err
	}
	for id, rules := range h.rulesOf {
		if err := h.watch(ctx, id, rules); err != nil {
			return err
		}
	}
	return nil
}

// delivery judges one message: all its events, then what follows for each
// contact that it touched.
func (h *handling) delivery(ctx context.Context, d *bus.Delivery) error {
	rules := h.rulesOf[d.Tenant]
	judged := &judged{handling: h, tenant: d.Tenant, rules: rules}
	remote := d.Context(ctx)
	spanning, span := tracer.Start(remote, "process "+d.Stream.Template(),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(d.Links()...),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.name", "process"), attribute.String("messaging.operation.type", "process"),
			attribute.String("lockstep.tenant", string(d.Tenant)), attribute.Int("lockstep.events", len(d.Incoming)),
		))
	defer span.End()
	judged.context, judged.traceparent = spanning, bus.Traceparent(spanning)
	judged.message = h.batch.Message(d.Tenant, rules, resolve.Decision{Version: h.version, Now: h.now, Traceparent: judged.traceparent})
	for k := range d.Incoming {
		h.events++
		if list := d.Incoming[k].Directory; list != nil {
			if err := judged.directory(ctx, list); err != nil {
				return err
			}
			continue
		}
		judged.message.Take(&d.Incoming[k])
	}
	return judged.conclude(ctx)
}

// outputs are the messages to publish, one run per tenant and system.
func (h *handling) outputs(b stage.Batch) []stage.Output {
	outputs := make([]stage.Output, len(h.runs))
	for i, r := range h.runs {
		stream := bus.Patches
		if r.bulk || b.Stream == bus.ChangesBulk {
			stream = bus.PatchesBulk
		}
		outputs[i] = stage.Output{Stream: stream, Message: bus.Message{
			Tenant: r.tenant, System: r.system, Patches: r.patches, Context: r.context,
			ID: fmt.Sprintf("%s-%02d/%d/%d", b.Stream, b.Partition, h.version, i),
		}}
	}
	return outputs
}

// stored are the effects that the batch has, in the order in which they are stored;
// none where it told nothing new, as most echoes do.
func (h *handling) stored() (effects []func(context.Context, *postgres.Tx) error) {
	add := func(has bool, store func(context.Context, *postgres.Tx) error) {
		if has {
			effects = append(effects, store)
		}
	}
	now := time.UnixMilli(int64(h.now))
	buried, met := h.batch.Tombstones()
	changed := slices.ContainsFunc(h.batch.Entries(), func(e *people.Entry) bool { return e.Changed || e.Deleted })
	add(changed || len(buried)+len(met) > 0, func(ctx context.Context, tx *postgres.Tx) error { return commit(ctx, tx, h.batch, now) })
	counted, heard := h.batch.Communications()
	add(len(counted) > 0, func(ctx context.Context, tx *postgres.Tx) error { return tx.CountCommunications(ctx, counted, heard) })
	for _, l := range h.lists {
		add(true, func(ctx context.Context, tx *postgres.Tx) error { return tx.SaveList(ctx, l.tenant, l.list) })
	}
	add(h.watched.any(), h.commitWatches)
	add(len(h.effects) > 0, func(ctx context.Context, tx *postgres.Tx) error { return tx.CountSyncEffects(ctx, h.effects) })
	add(len(h.history) > 0, func(ctx context.Context, tx *postgres.Tx) error { return tx.AppendHistory(ctx, h.history) })
	add(len(h.fields) > 0, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.CountFieldWrites(ctx, h.fields, !h.live, now)
	})
	return effects
}

// after runs when the batch is committed.
func (h *handling) after() {
	for _, l := range h.lists {
		h.Mapper.lists.drop(l.tenant)
	}
	if h.lost != 0 {
		h.config.Observer.Lost(context.Background(), h.lost)
	}
	h.repaired(context.Background())
	for i, system := range contact.Systems {
		if h.stopped[i] > 0 {
			h.config.Observer.Rewritten(context.Background(), system, h.stopped[i])
		}
	}
	h.watchedAfter()
	for _, o := range h.written {
		applied := time.UnixMilli(int64(o.AnsweredAt))
		var sinceEdit, sinceReceipt time.Duration
		if o.EditedAt != 0 {
			sinceEdit = applied.Sub(time.UnixMilli(int64(o.EditedAt)))
		}
		if o.ReceivedAt != 0 {
			sinceReceipt = applied.Sub(time.UnixMilli(int64(o.ReceivedAt)))
		}
		h.config.Observer.Written(o.context, o.System, sinceEdit, sinceReceipt)
	}
}
