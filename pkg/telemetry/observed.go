package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"lockstep.internal/pkg/bus"
)

// instruments makes instruments that are read when they are collected, and
// keeps the first fault.
type instruments struct {
	metric.Meter
	all []metric.Observable
	err error
}

func (i *instruments) gauge(name, unit, what string) metric.Int64Observable {
	g, err := i.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
	i.all, i.err = append(i.all, g), errors.Join(i.err, err)
	return g
}

func (i *instruments) float(name, unit, what string) metric.Float64Observable {
	g, err := i.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
	i.all, i.err = append(i.all, g), errors.Join(i.err, err)
	return g
}

func (i *instruments) counter(name, unit, what string) metric.Int64Observable {
	c, err := i.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	i.all, i.err = append(i.all, c), errors.Join(i.err, err)
	return c
}

// register has the instruments read by read.
func (i *instruments) register(read func(metric.Observer)) error {
	if i.err != nil {
		return i.err
	}
	_, err := i.RegisterCallback(func(_ context.Context, o metric.Observer) error { read(o); return nil }, i.all...)
	return err
}

// observe registers what the services tell of from time to time.
func (m *Metrics) observe() error {
	i := &instruments{Meter: m.meter}
	lag := i.gauge("lockstep.partition.lag", "{message}", "Messages stored and not applied.")
	age := i.float("lockstep.partition.oldest_age", "s", "Age of the oldest message of the batch applied last.")
	oldest := i.float("lockstep.lane.oldest_due", "s", "How long the oldest due row waits.")
	window := i.gauge("lockstep.quota.window_used", "{call}", "Calls of the running windows of all tenants.")
	most := i.gauge("lockstep.quota.window_limit", "{call}", "Calls that these windows may hold.")
	highest := i.float("lockstep.quota.used_ratio", "1", "Part of its window that the tenant has used who used most of it.")
	return i.register(func(o metric.Observer) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for p, n := range m.lag {
			of := metric.WithAttributes(attribute.String("stage", p.stage), attribute.Int("partition", p.number))
			o.ObserveInt64(lag, int64(n), of)
			o.ObserveFloat64(age, m.age[p], of)
		}
		for system, seconds := range m.oldest {
			o.ObserveFloat64(oldest, seconds, metric.WithAttributes(systemOf(system)))
		}
		for system, total := range m.quotas {
			of := metric.WithAttributes(systemOf(system))
			o.ObserveInt64(window, int64(total.Used), of)
			o.ObserveInt64(most, int64(total.Max), of)
			o.ObserveFloat64(highest, total.Highest, of)
		}
	})
}

// Bus shows what a bus counts.
func (m *Metrics) Bus(stats func() bus.Stats) error {
	i := &instruments{Meter: m.meter}
	reconnects := i.counter("lockstep.bus.reconnects", "{connection}", "Connections that were made after a loss.")
	refused := i.counter("lockstep.bus.refused", "{permission}", "Permissions that the server refused.")
	faults := i.counter("lockstep.bus.errors", "{error}", "Other errors that the connection reported.")
	resends := i.counter("lockstep.bus.resends", "{message}", "Attempts to publish after the first.")
	resets := i.counter("lockstep.bus.resets", "{reader}", "Readers that had to begin anew.")
	missed := i.counter("lockstep.bus.missed", "{message}", "Messages that a stream no longer held when a reader came to them.")
	undecodable := i.counter("lockstep.bus.undecodable", "{message}", "Messages that could not be decoded, or not whole.")
	letters := i.counter("lockstep.bus.dead_letters", "{message}", "Messages that were put into the dead letters.")
	return i.register(func(o metric.Observer) {
		s := stats()
		for _, c := range []struct {
			is metric.Int64Observable
			n  uint64
		}{
			{reconnects, s.Reconnects}, {refused, s.Violations}, {faults, s.AsyncErrors}, {resends, s.Resends},
			{resets, s.Resets}, {missed, s.Missed}, {undecodable, s.Undecodable}, {letters, s.DeadLetters},
		} {
			o.ObserveInt64(c.is, int64(c.n))
		}
	})
}

// Spool shows what waits in ingest's spool: how much, and since when; the time
// is zero when nothing waits.
func (m *Metrics) Spool(depth func() (deliveries int, oldest time.Time)) error {
	i := &instruments{Meter: m.meter}
	waiting := i.gauge("lockstep.spool.depth", "{delivery}", "Deliveries that wait on disk for the bus.")
	age := i.float("lockstep.spool.oldest_age", "s", "How long the oldest of them waits.")
	return i.register(func(o metric.Observer) {
		n, oldest := depth()
		o.ObserveInt64(waiting, int64(n))
		seconds := 0.0
		if n > 0 && !oldest.IsZero() {
			seconds = time.Since(oldest).Seconds()
		}
		o.ObserveFloat64(age, seconds)
	})
}

// Holds shows how many bursts of all tenants are held and wait for an answer.
func (m *Metrics) Holds(open func() int64) error {
	i := &instruments{Meter: m.meter}
	waiting := i.gauge("lockstep.holds.open", "{hold}", "Bursts of changes that are held and wait for an answer.")
	return i.register(func(o metric.Observer) { o.ObserveInt64(waiting, open()) })
}
