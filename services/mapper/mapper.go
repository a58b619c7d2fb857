// Package mapper is the service that decides: it takes what both systems say
// and what the writers report, in order per tenant, and gives out what must be
// written where.
//
// It alone owns each contact's sync state and applies the direction rules
// (package resolve). It calls neither system; everything it wants done goes
// out as a patch. What it publishes is acknowledged before its one transaction
// commits the state and the watermark, so that a crash at any moment repeats
// decisions and loses none.
package mapper

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/stage"
)

// Stage is the mapper's name in leases, metrics and dead letters.
const Stage = "mapper"

// Config is what a mapper needs.
type Config struct {
	Owner  string // unique name of this process among the mappers
	Bus    *bus.Bus
	DB     *postgres.DB
	Roster *roster.Roster
	Logger *slog.Logger
	// Observer hears of lags and counts; nil is none.
	Observer Observer
	// StageObserver hears of the partitions' progress; nil is none.
	StageObserver stage.Observer
	// KeepHistory is how long decisions are kept, in whole days; 0 means 400 of
	// them, and less than one is refused.
	KeepHistory time.Duration
	// Now is our clock; nil is time.Now.
	Now func() time.Time
}

// Observer hears what an operator wants counted.
type Observer interface {
	// Judged counts events, echoes of our own writes, and events known before.
	Judged(ctx context.Context, events, echoes, stale, patches int)
	// Lost hears by how many the communications have grown that Aloware
	// counted and never told of; a negative number came late.
	Lost(ctx context.Context, communications int64)
	// Written hears the time from an edit (by its own system's clock) to its
	// write, and from its receipt to its write.
	Written(ctx context.Context, system contact.System, sinceEdit, sinceReceipt time.Duration)
	// Repaired counts values of a side that jobs over all contacts put right, by
	// cause.
	Repaired(ctx context.Context, side contact.System, cause string, values int64)
	// Rewritten counts fields of contacts that were left alone, as somebody else
	// kept rewriting them on a side.
	Rewritten(ctx context.Context, side contact.System, fields int64)
}

// Mapper is one process of the service.
type Mapper struct {
	config Config
	status stage.Status
	lists  *listCache
	flows  *flowCache

	mu       sync.Mutex
	attempts map[string]int64 // batches handled, per stream and partition
}

// New makes a mapper; Run starts it.
func New(config Config) (*Mapper, error) {
	if config.Bus == nil || config.DB == nil || config.Roster == nil || config.Owner == "" {
		return nil, fmt.Errorf("mapper: a bus, a database, a roster and an owner name are needed")
	}
	if config.KeepHistory != 0 && config.KeepHistory < 24*time.Hour {
		return nil, fmt.Errorf("mapper: decisions are kept for a day at least, not for %v", config.KeepHistory)
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.KeepHistory == 0 {
		config.KeepHistory = 400 * 24 * time.Hour
	}
	if config.Observer == nil {
		config.Observer = deaf{}
	}
	return &Mapper{config: config, lists: newListCache(config.DB), flows: newFlowCache(config.DB), attempts: make(map[string]int64)}, nil
}

// Run maps until ctx ends, then finishes the running batches and gives the
// partitions back.
func (m *Mapper) Run(ctx context.Context) error {
	m.keep(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		daily := time.NewTicker(24 * time.Hour)
		defer daily.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-daily.C:
				m.keep(ctx)
			}
		}
	})
	group.Go(func() error { return m.servePreviews(ctx) })
	group.Go(func() error { return m.serveCards(ctx) })
	group.Go(func() error {
		return stage.Run(ctx, stage.Config{
			Name: Stage, Owner: m.config.Owner, Streams: streams,
			DB: m.config.DB, Bus: m.config.Bus, Logger: m.config.Logger, Observer: m.config.StageObserver, Status: &m.status,
		}, m)
	})
	return group.Wait()
}

// Alive tells when the mapper hangs.
func (m *Mapper) Alive() error { return m.status.Alive() }

// Troubles tells which partitions do not go on, and why.
func (m *Mapper) Troubles() []string { return m.status.Troubles() }

// keep makes the history's partitions ahead, drops what is too old, and puts
// right what is counted.
func (m *Mapper) keep(ctx context.Context) {
	if err := m.config.DB.RecountProblems(ctx); err != nil && ctx.Err() == nil {
		m.config.Logger.WarnContext(ctx, "problems were not counted again; the numbers stay as they are", "error", err)
	}
	if err := m.config.DB.KeepFieldWrites(ctx, m.config.Now()); err != nil && ctx.Err() == nil {
		m.config.Logger.WarnContext(ctx, "old numbers of written fields were not dropped; the next day does it", "error", err)
	}
	if err := m.config.DB.KeepHistory(ctx, m.config.KeepHistory); err != nil && ctx.Err() == nil {
		m.config.Logger.WarnContext(ctx, "history partitions were not made; rows go to the default partition", "error", err)
	}
	if err := m.config.DB.ForgetFlows(ctx, contact.Millis(m.config.Now().Add(-keepFlows).UnixMilli())); err != nil && ctx.Err() == nil {
		m.config.Logger.WarnContext(ctx, "old counts of changes were not removed; trying again tomorrow", "error", err)
	}
}

// streams are what the mapper reads; their order is that of contact.NewVersion.
var streams = []bus.Stream{bus.Changes, bus.ChangesEcho, bus.ChangesBulk}

// version is higher than any that was given out for a batch of this partition
// before, whoever owned it: the epoch leads, then the stream (each has leases of its
// own), then a count of attempts.
func (m *Mapper) version(b stage.Batch) contact.Version {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := fmt.Sprintf("%s-%d-%d", b.Stream, b.Partition, b.Epoch)
	m.attempts[name]++
	return contact.NewVersion(b.Epoch, slices.Index(streams, b.Stream), m.attempts[name])
}

// deaf is an observer that does not listen.
type deaf struct{}

func (deaf) Judged(context.Context, int, int, int, int)                            {}
func (deaf) Lost(context.Context, int64)                                           {}
func (deaf) Written(context.Context, contact.System, time.Duration, time.Duration) {}
func (deaf) Repaired(context.Context, contact.System, string, int64)               {}
func (deaf) Rewritten(context.Context, contact.System, int64)                      {}
