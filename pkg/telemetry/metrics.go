package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// Metrics hears what the services observe and turns it into metrics. It is the
// observer of ingest, mapper, writer and stage at once.
type Metrics struct {
	refused, received            metric.Int64Counter
	judged, echoes, stale        metric.Int64Counter
	decided, delivered, repeated metric.Int64Counter
	paused                       metric.Int64Counter
	missing                      metric.Int64UpDownCounter
	sinceEdit, sinceReceipt      metric.Float64Histogram

	mu     sync.Mutex
	lag    map[partition]uint64
	age    map[partition]float64
	oldest map[contact.System]float64
}

type partition struct {
	stage  string
	number int
}

// latencies are bounds in seconds, fine where the product's promises lie.
var latencies = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800}

func newMetrics(m metric.Meter) (*Metrics, error) {
	out := &Metrics{lag: make(map[partition]uint64), age: make(map[partition]float64), oldest: make(map[contact.System]float64)}
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
	lag, err := m.Int64ObservableGauge("lockstep.partition.lag", metric.WithUnit("{message}"), metric.WithDescription("Messages stored and not applied."))
	if err != nil {
		return nil, err
	}
	age, err := m.Float64ObservableGauge("lockstep.partition.oldest_age", metric.WithUnit("s"), metric.WithDescription("Age of the oldest message of the batch applied last."))
	if err != nil {
		return nil, err
	}
	oldest, err := m.Float64ObservableGauge("lockstep.lane.oldest_due", metric.WithUnit("s"), metric.WithDescription("How long the oldest due row waits."))
	if err != nil {
		return nil, err
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		out.mu.Lock()
		defer out.mu.Unlock()
		for p, n := range out.lag {
			o.ObserveInt64(lag, int64(n), metric.WithAttributes(attribute.String("stage", p.stage), attribute.Int("partition", p.number)))
			o.ObserveFloat64(age, out.age[p], metric.WithAttributes(attribute.String("stage", p.stage), attribute.Int("partition", p.number)))
		}
		for system, seconds := range out.oldest {
			o.ObserveFloat64(oldest, seconds, metric.WithAttributes(attribute.String("system", system.String())))
		}
		return nil
	}, lag, age, oldest)
	return out, err
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

// Oldest keeps how long the oldest due row waits.
func (m *Metrics) Oldest(system contact.System, age time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.oldest[system] = age.Seconds()
}

// Progress keeps how far a partition is behind.
func (m *Metrics) Progress(stage string, number int, lag uint64, age time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag[partition{stage, number}], m.age[partition{stage, number}] = lag, age.Seconds()
}

// Failed counts repeated batches.
func (m *Metrics) Failed(stage string, _ int) {
	m.repeated.Add(context.Background(), 1, metric.WithAttributes(attribute.String("stage", stage)))
}
