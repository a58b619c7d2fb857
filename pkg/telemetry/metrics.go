package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
)

// Metrics hears what the services observe and turns it into metrics. It is the
// observer of ingest, mapper, writer and stage at once.
type Metrics struct {
	meter metric.Meter

	refused, received            metric.Int64Counter
	judged, echoes, stale        metric.Int64Counter
	decided, delivered, repeated metric.Int64Counter
	paused, repaired, rewritten  metric.Int64Counter
	calls, throttled             metric.Int64Counter
	missing                      metric.Int64UpDownCounter
	sinceEdit, sinceReceipt      metric.Float64Histogram

	mu     sync.Mutex
	lag    map[partition]uint64
	age    map[partition]float64
	oldest map[contact.System]float64
	quotas map[contact.System]quota.Total
	known  map[string]bool // what appears has seen
}

type partition struct {
	stage  string
	number int
}

// latencies are bounds in seconds, fine where the product's promises lie.
var latencies = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800}

func newMetrics(m metric.Meter) (*Metrics, error) {
	out := &Metrics{
		meter: m, lag: make(map[partition]uint64), age: make(map[partition]float64), oldest: make(map[contact.System]float64),
		quotas: make(map[contact.System]quota.Total), known: make(map[string]bool),
	}
	var failed error
	counter := func(name, unit, what string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
		if err != nil {
			failed = err
		}
		return c
	}
	histogram := func(name, what string) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(latencies...))
		if err != nil {
			failed = err
		}
		return h
	}
	out.refused = counter("lockstep.ingest.refused", "{event}", "Requests and events that ingest did not take, by reason.")
	out.received = counter("lockstep.ingest.received", "{event}", "Events that ingest made durable, by channel.")
	out.judged = counter("lockstep.mapper.judged", "{event}", "Events that the mapper judged.")
	out.echoes = counter("lockstep.mapper.echoes", "{value}", "Our own writes that came back and were recognised.")
	out.stale = counter("lockstep.mapper.stale", "{event}", "Events that were known before.")
	out.decided = counter("lockstep.mapper.patches", "{patch}", "Patches that the mapper sent out.")
	out.delivered = counter("lockstep.writer.delivered", "{patch}", "What came of patches, by outcome.")
	out.repeated = counter("lockstep.stage.repeated", "{batch}", "Batches that had to be repeated.")
	out.paused = counter("lockstep.lane.paused", "{pause}", "Pauses of lanes, by class.")
	out.repaired = counter("lockstep.sync.repaired", "{value}", "Values that jobs over all contacts put right and that no event had told of, by system and cause.")
	out.rewritten = counter("lockstep.mapper.rewritten", "{field}", "Fields of contacts that are left alone, as somebody else kept rewriting them, by system.")
	out.calls = counter("lockstep.quota.used", "{call}", "Calls that the tenants' quotas gave out.")
	out.throttled = counter("lockstep.quota.refused", "{call}", "Calls that a system refused for its limit.")
	missing, err := m.Int64UpDownCounter("lockstep.activity.missing", metric.WithUnit("{communication}"), metric.WithDescription("Communications that Aloware counted and never told of."))
	if err != nil {
		return nil, err
	}
	out.missing = missing
	out.sinceEdit = histogram("lockstep.sync.latency", "Time from an edit, by its own system's clock, to its write.")
	out.sinceReceipt = histogram("lockstep.sync.processing", "Time from the receipt of an edit to its write.")
	if failed != nil {
		return nil, failed
	}
	if err := out.observe(); err != nil {
		return nil, err
	}
	return out, nil
}

// Lost counts communications that Aloware counted and never told of.
func (m *Metrics) Lost(ctx context.Context, communications int64) {
	m.missing.Add(ctx, communications)
}

func systemOf(s contact.System) attribute.KeyValue { return attribute.String("system", s.String()) }

// Refused counts what ingest did not take.
func (m *Metrics) Refused(ctx context.Context, system contact.System, reason string) {
	m.refused.Add(ctx, 1, metric.WithAttributes(systemOf(system), attribute.String("reason", reason)))
}

// Received counts what ingest made durable.
func (m *Metrics) Received(ctx context.Context, system contact.System, channel string, events int) {
	m.received.Add(ctx, int64(events), metric.WithAttributes(systemOf(system), attribute.String("channel", channel)))
}

// Judged counts what a mapper's batch held and led to.
func (m *Metrics) Judged(ctx context.Context, events, echoes, stale, patches int) {
	if m.appears("judged") {
		m.missing.Add(ctx, 0)
		for _, system := range contact.Systems {
			m.Repaired(ctx, system, "missed_edit", 0)
			m.Repaired(ctx, system, "differing_value", 0)
			m.Rewritten(ctx, system, 0)
		}
	}
	m.judged.Add(ctx, int64(events))
	m.echoes.Add(ctx, int64(echoes))
	m.stale.Add(ctx, int64(stale))
	m.decided.Add(ctx, int64(patches))
}

// Written records how long an edit took; zero durations are not known.
func (m *Metrics) Written(ctx context.Context, system contact.System, sinceEdit, sinceReceipt time.Duration) {
	if sinceEdit > 0 {
		m.sinceEdit.Record(ctx, sinceEdit.Seconds(), metric.WithAttributes(systemOf(system)))
	}
	if sinceReceipt > 0 {
		m.sinceReceipt.Record(ctx, sinceReceipt.Seconds(), metric.WithAttributes(systemOf(system)))
	}
}

// Delivered counts what came of patches.
func (m *Metrics) Delivered(ctx context.Context, system contact.System, outcome string, patches int) {
	m.delivered.Add(ctx, int64(patches), metric.WithAttributes(systemOf(system), attribute.String("outcome", outcome)))
}

// Paused counts pauses of lanes.
func (m *Metrics) Paused(ctx context.Context, system contact.System, class fault.Class) {
	m.paused.Add(ctx, 1, metric.WithAttributes(systemOf(system), attribute.String("class", class.String())))
}

// Repaired counts what jobs put right on a side.
func (m *Metrics) Repaired(ctx context.Context, side contact.System, cause string, values int64) {
	m.repaired.Add(ctx, values, metric.WithAttributes(systemOf(side), attribute.String("cause", cause)))
}

// Rewritten counts fields that are left alone, as somebody kept rewriting them on
// a side.
func (m *Metrics) Rewritten(ctx context.Context, side contact.System, fields int64) {
	m.rewritten.Add(ctx, fields, metric.WithAttributes(systemOf(side)))
}

// Quota counts what the tenants' quotas at a system gave out since it was told
// last, and keeps how much of them is used.
func (m *Metrics) Quota(ctx context.Context, system contact.System, calls, refused int, now quota.Total) {
	m.calls.Add(ctx, int64(calls), metric.WithAttributes(systemOf(system)))
	m.throttled.Add(ctx, int64(refused), metric.WithAttributes(systemOf(system)))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quotas[system] = now
}

// Oldest keeps how long the oldest due row waits.
func (m *Metrics) Oldest(system contact.System, age time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.oldest[system] = age.Seconds()
}

// Progress keeps how far a partition is behind.
func (m *Metrics) Progress(stage string, number int, lag uint64, age time.Duration) {
	if m.appears(stage) {
		m.repeated.Add(context.Background(), 0, metric.WithAttributes(attribute.String("stage", stage)))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag[partition{stage, number}], m.age[partition{stage, number}] = lag, age.Seconds()
}

// Failed counts repeated batches.
func (m *Metrics) Failed(stage string, _ int) {
	m.repeated.Add(context.Background(), 1, metric.WithAttributes(attribute.String("stage", stage)))
}

// appears reports whether something is observed for the first time. Counters of
// what should never happen begin at 0 then: an alert needs what it rose from.
func (m *Metrics) appears(what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.known[what]
	m.known[what] = true
	return !before
}
