// Package writer is the service that writes: it turns patches into calls of
// one system, within that system's limits, and reports what came of each. It
// knows nothing of mappings.
//
// Every patch becomes part of a row per tenant and contact before its place in
// the stream is passed, so that delays, pauses and retries are states of rows
// and nothing waits behind another contact or tenant. An outcome is published,
// and acknowledged, before its row is removed: a crash repeats a write and
// loses none.
package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/pkg/tenant"
)

// Config is what a writer needs.
type Config struct {
	Owner  string // unique name of this process
	System contact.System
	Bus    *bus.Bus
	DB     *postgres.DB
	Roster *roster.Roster
	Logger *slog.Logger
	// Destination makes the destination of one tenant; nil is the system's own
	// adapter.
	Destination func(*tenant.Tenant, quota.Budget) (Destination, error)
	// HTTP is used by the adapters; nil is their default.
	HTTP *http.Client
	// Observer hears of outcomes; nil is none.
	Observer Observer
	// StageObserver hears of the partitions' progress; nil is none.
	StageObserver stage.Observer
	// CallsPerLane bounds the deliveries of one tenant under way, of which a third is
	// kept for live edits; 0 means 12: a quota of 19 calls a second is used up also where
	// each takes two fifths of a second.
	CallsPerLane int
	// Calls bounds the deliveries of the process under way; 0 means 128.
	Calls int
	// LeaseTTL is the partitions' lease; 0 means 8 s: what a portal's quota could
	// do meanwhile is lost with an owner that dies.
	LeaseTTL time.Duration
}

// Destination carries out patches in one system of one tenant.
type Destination interface {
	// Deliver carries out patches of different contacts, and gives one answer
	// for each, in their order.
	Deliver(ctx context.Context, patches []contact.Patch) []contact.Delivery
	// Batch is how many patches are worth handing over at once.
	Batch() int
}

// Observer hears what an operator wants counted.
type Observer interface {
	// Delivered counts what came of patches: a result, or an error's class.
	Delivered(ctx context.Context, system contact.System, outcome string, patches int)
	// Paused tells that a lane rests.
	Paused(ctx context.Context, system contact.System, class fault.Class)
	// Oldest tells how long the oldest due row of the process waits.
	Oldest(system contact.System, age time.Duration)
	// Quota counts the calls that the quotas gave out, and those that the system
	// refused for its limit, since it was told last; now is how much is used.
	Quota(ctx context.Context, system contact.System, calls, refused int, now quota.Total)
}

// Writer is one process of the service for one system.
type Writer struct {
	config Config
	name   string
	lanes  *lanes
	status stage.Status
}

// StageName is a writer's name in leases, metrics and dead letters.
func StageName(system contact.System) string { return "writer-" + system.String() }

// New makes a writer; Run starts it.
func New(config Config) (*Writer, error) {
	if config.Bus == nil || config.DB == nil || config.Roster == nil || config.Owner == "" {
		return nil, errors.New("writer: a bus, a database, a roster and an owner name are needed")
	}
	if config.System != contact.HubSpot && config.System != contact.Aloware {
		return nil, fmt.Errorf("writer: a system is needed: hubspot or aloware")
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Observer == nil {
		config.Observer = deaf{}
	}
	if config.Destination == nil {
		config.Destination = adapter(config.System, config.DB, config.HTTP)
	}
	if config.LeaseTTL == 0 {
		config.LeaseTTL = 8 * time.Second
	}
	if config.CallsPerLane == 0 {
		config.CallsPerLane = 12
	}
	if config.Calls == 0 {
		config.Calls = 128
	}
	w := &Writer{config: config, name: StageName(config.System)}
	w.lanes = newLanes(&w.config)
	return w, nil
}

// Run writes until ctx ends; then it lets the calls under way finish and gives
// the partitions back.
func (w *Writer) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.lanes.sweep(ctx) })
	group.Go(func() error { return w.lanes.obey(ctx) })
	group.Go(func() error {
		return stage.Run(ctx, stage.Config{
			Name: w.name, Owner: w.config.Owner, Streams: []bus.Stream{bus.Patches, bus.PatchesBulk},
			Beside: []string{StageName(w.config.System.Other())},
			DB:     w.config.DB, Bus: w.config.Bus, Logger: w.config.Logger, Observer: w.config.StageObserver, LeaseTTL: w.config.LeaseTTL,
			Status: &w.status,
		}, w)
	})
	return group.Wait()
}

// Alive tells when the writer hangs.
func (w *Writer) Alive() error { return w.status.Alive() }

// Troubles tells which partitions do not go on, and why, and how many lanes
// rest.
func (w *Writer) Troubles() []string { return append(w.status.Troubles(), w.lanes.paused()...) }

// deaf is an observer that does not listen.
type deaf struct{}

func (deaf) Delivered(context.Context, contact.System, string, int)       {}
func (deaf) Paused(context.Context, contact.System, fault.Class)          {}
func (deaf) Oldest(contact.System, time.Duration)                         {}
func (deaf) Quota(context.Context, contact.System, int, int, quota.Total) {}
