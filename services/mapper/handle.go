package mapper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/services/mapper/resolve"
)

var tracer = otel.Tracer("lockstep.internal/services/mapper")

// Handle judges one batch of one partition. It changes nothing outside until
// the caller has published the patches and runs Commit.
func (m *Mapper) Handle(ctx context.Context, b stage.Batch) (stage.Result, error) {
	h := &handling{
		Mapper: m, batch: newBatch(m.config.DB), version: m.version(b), now: contact.Millis(m.config.Now().UnixMilli()),
		rulesOf: make(map[contact.Tenant]*resolve.Rules),
	}
	if err := h.prepare(ctx, b.Deliveries); err != nil {
		return stage.Result{}, err
	}
	for i := range b.Deliveries {
		if err := h.delivery(ctx, &b.Deliveries[i]); err != nil {
			return stage.Result{}, err
		}
	}
	m.config.Observer.Judged(ctx, h.events, h.echoes, h.stale, h.patches)
	return stage.Result{Publish: append(h.outputs(b), h.forgetOutputs(b)...), Commit: h.commitAll, After: h.after}, nil
}

// Granted starts a partition with nothing remembered of an earlier ownership.
func (m *Mapper) Granted(context.Context, bus.Stream, int, int64) { m.lists.dropAll() }

// Revoked ends a partition; nothing of it is kept in memory.
func (m *Mapper) Revoked(bus.Stream, int) {}

// handling is one call of Handle.
type handling struct {
	*Mapper
	batch   *batch
	version contact.Version
	now     contact.Millis
	rulesOf map[contact.Tenant]*resolve.Rules

	runs    []run // patches by tenant and system, in order
	history []postgres.HistoryRow
	counted []postgres.CommunicationID
	heard   []contact.Key
	lists   []listing
	written []*contact.Outcome
	effects map[postgres.SyncEffect]int64 // of jobs

	erasures []run // of erased people, to both streams

	events, echoes, stale, patches int
	lost                           int64
}

// run is what goes out to one system of one tenant.
type run struct {
	tenant  contact.Tenant
	system  contact.System
	patches []contact.Patch
	context context.Context
}

type listing struct {
	tenant contact.Tenant
	list   contact.Directory
}

// prepare loads all contacts that the batch's events name, and in a second
// step those that new contacts may turn out to be.
func (h *handling) prepare(ctx context.Context, deliveries []bus.Delivery) error {
	var refs []postgres.Ref
	var heard []postgres.CommunicationID
	for i := range deliveries {
		d := &deliveries[i]
		if _, err := h.tenantRules(ctx, d.Tenant); err != nil {
			return err
		}
		for k := range d.Incoming {
			in := &d.Incoming[k]
			refs = append(refs, named(d.Tenant, in)...)
			if in.Communication != nil {
				heard = append(heard, postgres.CommunicationID{Tenant: d.Tenant, ID: in.Communication.ID})
			}
		}
	}
	if err := h.batch.load(ctx, refs); err != nil {
		return err
	}
	var err error
	if h.batch.counted, err = h.config.DB.CountedCommunications(ctx, heard); err != nil {
		return err
	}
	refs = refs[:0]
	for i := range deliveries {
		d := &deliveries[i]
		for k := range d.Incoming {
			refs = append(refs, h.candidates(d.Tenant, &d.Incoming[k])...)
		}
	}
	return h.batch.load(ctx, refs)
}

func (h *handling) tenantRules(ctx context.Context, id contact.Tenant) (*resolve.Rules, error) {
	if rules := h.rulesOf[id]; rules != nil {
		return rules, nil
	}
	rules, err := h.rules(ctx, id)
	if err != nil {
		return nil, err
	}
	h.rulesOf[id] = rules
	return rules, nil
}

// named are the references that an event names its contact by.
func named(tenant contact.Tenant, in *contact.Incoming) []postgres.Ref {
	ref := func(kind postgres.RefKind, value string) postgres.Ref {
		return postgres.Ref{Tenant: tenant, Kind: kind, Value: value}
	}
	switch {
	case in.Change != nil:
		kind := systemRef(in.Change.System)
		refs := []postgres.Ref{ref(kind, in.Change.ID)}
		for _, id := range in.Change.MergedIDs {
			refs = append(refs, ref(kind, id))
		}
		return refs
	case in.Communication != nil:
		return []postgres.Ref{ref(postgres.RefAloware, in.Communication.ContactID)}
	case in.Outcome != nil:
		refs := []postgres.Ref{ref(postgres.RefKey, string(in.Outcome.Contact))}
		if in.Outcome.TargetID != "" {
			refs = append(refs, ref(systemRef(in.Outcome.System), in.Outcome.TargetID))
		}
		for _, id := range in.Outcome.MergedIDs {
			refs = append(refs, ref(systemRef(in.Outcome.System), id))
		}
		return refs
	case in.Command != nil:
		var refs []postgres.Ref
		if in.Command.Contact != "" {
			refs = append(refs, ref(postgres.RefKey, string(in.Command.Contact)))
		}
		if in.Command.System != 0 && in.Command.ID != "" {
			refs = append(refs, ref(systemRef(in.Command.System), in.Command.ID))
		}
		return refs
	}
	return nil
}

// candidates are the match keys of an event about a contact that is not linked
// yet, and the tombstones of one that is not known.
func (h *handling) candidates(tenant contact.Tenant, in *contact.Incoming) []postgres.Ref {
	var values []contact.Value
	var system contact.System
	var known *entry
	switch {
	case in.Change != nil:
		system, values = in.Change.System, in.Change.Values
		known = h.batch.byID(tenant, system, in.Change.ID)
	case in.Outcome != nil:
		system, values = in.Outcome.System, in.Outcome.Holds
		known = h.batch.byKey(tenant, in.Outcome.Contact)
	case in.Communication != nil:
		system = contact.Aloware
		known = h.batch.byID(tenant, system, in.Communication.ContactID)
	default:
		return nil
	}
	var refs []postgres.Ref
	if known == nil {
		for _, ref := range named(tenant, in) {
			if ref.Kind == postgres.RefHubSpot || ref.Kind == postgres.RefAloware {
				refs = append(refs, postgres.ErasedRef(tenant, system, ref.Value))
			}
		}
		if in.Outcome != nil {
			refs = append(refs, postgres.ErasedKey(tenant, in.Outcome.Contact))
		}
	} else if known.state.Side(contact.HubSpot).ID != "" && known.state.Side(contact.Aloware).ID != "" {
		return nil
	} else {
		refs = append(refs, matchRefs(known)...)
	}
	matches := matchValues(tenant, h.rulesOf[tenant], system, values)
	if known == nil && in.Change != nil && system == contact.Aloware {
		for _, ref := range matches {
			refs = append(refs, postgres.ErasedSearch(tenant, ref.Value))
		}
	}
	return append(refs, matches...)
}

func matchRefs(e *entry) []postgres.Ref {
	return slices.DeleteFunc(e.refs(), func(ref postgres.Ref) bool {
		return ref.Kind != postgres.RefPhone && ref.Kind != postgres.RefEmail
	})
}

// delivery judges one message: all its events, then what follows for each
// contact that it touched.
func (h *handling) delivery(ctx context.Context, d *bus.Delivery) error {
	rules, err := h.tenantRules(ctx, d.Tenant)
	if err != nil {
		return err
	}
	judged := &judged{handling: h, tenant: d.Tenant, rules: rules, judges: make(map[*entry]*resolve.Judge), events: make(map[*entry]string)}
	remote := d.Context(ctx)
	spanning, span := tracer.Start(remote, "process "+d.Stream.Template(),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(trace.LinkFromContext(remote)),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.name", "process"), attribute.String("messaging.operation.type", "process"),
			attribute.String("lockstep.tenant", string(d.Tenant)), attribute.Int("lockstep.events", len(d.Incoming)),
		))
	defer span.End()
	judged.context, judged.traceparent = spanning, bus.Traceparent(spanning)
	for k := range d.Incoming {
		h.events++
		if err := judged.incoming(ctx, &d.Incoming[k]); err != nil {
			return err
		}
	}
	return judged.conclude(ctx)
}

// outputs are the messages to publish, one run per tenant and system.
func (h *handling) outputs(b stage.Batch) []stage.Output {
	stream := bus.Patches
	if b.Stream == bus.ChangesBulk {
		stream = bus.PatchesBulk
	}
	outputs := make([]stage.Output, len(h.runs))
	for i, r := range h.runs {
		outputs[i] = stage.Output{Stream: stream, Message: bus.Message{
			Tenant: r.tenant, System: r.system, Patches: r.patches, Context: r.context,
			ID: fmt.Sprintf("%s-%02d/%d/%d", b.Stream, b.Partition, h.version, i),
		}}
	}
	return outputs
}

func (h *handling) commitAll(ctx context.Context, tx *postgres.Tx) error {
	if err := h.batch.commit(ctx, tx, time.UnixMilli(int64(h.now))); err != nil {
		return err
	}
	if err := tx.CountCommunications(ctx, h.counted, h.heard); err != nil {
		return err
	}
	for _, l := range h.lists {
		if err := tx.SaveList(ctx, l.tenant, l.list); err != nil {
			return err
		}
	}
	if err := tx.CountSyncEffects(ctx, h.effects); err != nil {
		return err
	}
	return tx.AppendHistory(ctx, h.history)
}

// after runs when the batch is committed.
func (h *handling) after() {
	for _, l := range h.lists {
		h.Mapper.lists.drop(l.tenant)
	}
	if h.lost != 0 {
		h.config.Observer.Lost(context.Background(), h.lost)
	}
	for _, o := range h.written {
		applied := time.UnixMilli(int64(o.AnsweredAt))
		var sinceEdit, sinceReceipt time.Duration
		if o.EditedAt != 0 {
			sinceEdit = applied.Sub(time.UnixMilli(int64(o.EditedAt)))
		}
		if o.ReceivedAt != 0 {
			sinceReceipt = applied.Sub(time.UnixMilli(int64(o.ReceivedAt)))
		}
		h.config.Observer.Written(context.Background(), o.System, sinceEdit, sinceReceipt)
	}
}
