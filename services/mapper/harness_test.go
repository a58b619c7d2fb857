package mapper_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/mapper"
)

// env is a running mapper with one tenant, a bus and a database of its own.
type env struct {
	t      testing.TB
	bus    *bus.Bus
	db     *postgres.DB
	number int // of events

	server *bustest.Env
	set    *mapping.Set // in force when the mapper starts
	heard  mapper.Observer
	stages stage.Observer
	stop   func() // the mapper, which start starts again
}

const acme contact.Tenant = "acme"

func newEnv(t testing.TB) *env {
	t.Helper()
	server := bustest.Start(t, bustest.Partitions(1))
	e := &env{t: t, bus: server.Bus, db: dbtest.Open(t), server: server, set: mapping.Default(nil)}
	e.start()
	t.Cleanup(func() { e.stop() })
	return e
}

// mapper is one that does not run yet.
func (e *env) mapper() *mapper.Mapper {
	e.t.Helper()
	t, set := e.t, e.set
	view, err := roster.Open(t.Context(), func(context.Context) (postgres.Config, error) {
		return postgres.Config{Tenants: []tenant.Tenant{{
			ID: acme, Region: "US", TimeZone: "UTC", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth, Mapping: *set,
		}}}, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mapper.New(mapper.Config{Owner: "test", Bus: e.server.Connect(), DB: e.db, Roster: view, Logger: slog.New(slog.DiscardHandler), Observer: e.heard, StageObserver: e.stages})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// start lets a mapper run until stop.
func (e *env) start() {
	e.t.Helper()
	t, m := e.t, e.mapper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	e.stop = func() {
		e.stop = func() {}
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the mapper does not end")
		}
	}
}

// say publishes events as one message and waits until the mapper has applied
// them. Events without an id get one.
func (e *env) say(events ...contact.Incoming) {
	e.t.Helper()
	e.publish(events...)
	e.applied()
}

// publish puts events on their way as one message.
func (e *env) publish(events ...contact.Incoming) {
	e.t.Helper()
	for i := range events {
		e.number++
		id := fmt.Sprint("event-", e.number)
		switch in := &events[i]; {
		case in.Change != nil && in.Change.EventID == "":
			in.Change.EventID = id
		case in.Communication != nil && in.Communication.EventID == "":
			in.Communication.EventID = id
		case in.Outcome != nil && in.Outcome.EventID == "":
			in.Outcome.EventID = id
		case in.Command != nil && in.Command.EventID == "":
			in.Command.EventID = id
		}
	}
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	if err := e.bus.Publisher(bus.Changes, 0).Publish(ctx, bus.Message{Tenant: acme, Incoming: events}); err != nil {
		e.t.Fatal(err)
	}
}

// applied waits until the mapper has applied all that was published.
func (e *env) applied() {
	e.t.Helper()
	e.appliedOf(bus.Changes)
}

// appliedOf waits until the mapper has applied all that was published on a stream.
func (e *env) appliedOf(stream bus.Stream) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	e.eventually("the mapper applies what was said", func() bool {
		last, _, err := e.bus.Last(ctx, stream, 0)
		if err != nil {
			return false
		}
		stages, err := e.db.Stages(ctx)
		for _, s := range stages {
			if s.Stage == stage.LeaseName(mapper.Stage, stream) {
				return err == nil && s.Seq >= last
			}
		}
		return false
	})
}

func (e *env) eventually(what string, holds func() bool) {
	e.t.Helper()
	deadline := time.Now().Add(25 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			e.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // polls with a deadline
	}
}

// snapshot is a whole contact of a system; pairs are names and values.
func snapshot(system contact.System, id string, at contact.Millis, pairs ...string) contact.Incoming {
	c := &contact.Change{System: system, ID: id, Event: contact.Snapshot, Channel: contact.Webhook, OccurredAt: at, ReceivedAt: at}
	for i := 0; i < len(pairs); i += 2 {
		c.Values = append(c.Values, contact.Value{Name: pairs[i], Text: pairs[i+1]})
	}
	return contact.Incoming{Change: c}
}

// card gives what is known of a contact; nil when nothing is.
func (e *env) card(key contact.Key) *contact.Card {
	e.t.Helper()
	question, err := json.Marshal(contact.CardQuestion{Tenant: acme, Keys: []contact.Key{key}})
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	for {
		var card *contact.Card
		err := e.bus.Ask(ctx, contact.CardTopic, question, func(part []byte) error {
			card = &contact.Card{}
			return json.Unmarshal(part, card)
		})
		if err == nil {
			return card
		}
		if !errors.Is(err, bus.ErrNobody) || ctx.Err() != nil { // it may just have started
			e.t.Fatal(err)
		}
	}
}

func (e *env) mustCard(key contact.Key) *contact.Card {
	e.t.Helper()
	card := e.card(key)
	if card == nil {
		e.t.Fatalf("nothing is known of %s", key)
	}
	return card
}

// patches gives all patches for a system so far.
func (e *env) patches(system contact.System) []contact.Patch {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	last, _, err := e.bus.Last(ctx, bus.Patches, 0)
	if err != nil || last == 0 {
		return nil
	}
	reader, err := e.bus.Read(ctx, bus.Patches, 0, "test", 0)
	if err != nil {
		e.t.Fatal(err)
	}
	defer reader.Close()
	var patches []contact.Patch
	for seq := uint64(0); seq < last; {
		d, err := reader.Next(ctx)
		if err != nil {
			e.t.Fatal(err)
		}
		if seq = d.Seq; d.System == system {
			patches = append(patches, d.Patches...)
		}
	}
	return patches
}

// of are the patches of one contact.
func of(patches []contact.Patch, key contact.Key) []contact.Patch {
	var some []contact.Patch
	for _, p := range patches {
		if p.Contact == key {
			some = append(some, p)
		}
	}
	return some
}

// newest is the last patch of a contact that writes or creates; it fails
// without one.
func (e *env) newest(system contact.System, key contact.Key) contact.Patch {
	e.t.Helper()
	patches := of(e.patches(system), key)
	for i := len(patches) - 1; i >= 0; i-- {
		if len(patches[i].Properties) > 0 {
			return patches[i]
		}
	}
	e.t.Fatalf("nothing is written to %s for %s; patches are %+v", system, key, patches)
	return contact.Patch{}
}

func property(p contact.Patch, name string) (string, bool) {
	for _, each := range p.Properties {
		if each.Name == name {
			return each.Value, true
		}
	}
	return "", false
}

// made answers a patch: the contact was made or written as asked.
func made(p contact.Patch, result contact.Result, id string, at contact.Millis) contact.Incoming {
	o := &contact.Outcome{System: p.System, Contact: p.Contact, Version: p.Version, TargetID: id, Result: result, AppliedAt: at, AnsweredAt: at}
	for _, each := range p.Properties {
		o.Properties = append(o.Properties, contact.PropertyOutcome{Name: each.Name, Version: each.Version, Value: each.Value})
	}
	return contact.Incoming{Outcome: o}
}

func (e *env) problems() []postgres.ProblemRow {
	e.t.Helper()
	problems, err := e.db.Problems(e.t.Context(), postgres.ProblemFilter{Tenant: acme, Dismissed: true}, postgres.ProblemRow{}, 100)
	if err != nil {
		e.t.Fatal(err)
	}
	return problems
}
