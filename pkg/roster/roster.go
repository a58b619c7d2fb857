// Package roster is every service's view of the tenants: loaded once, renewed
// when the console announces a change and by age, and served from memory. When
// the database is away it goes on serving what it has.
package roster

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// Topic is what the console announces a change under.
const Topic = "config"

// MaxAge is the age at which the view is renewed without an announcement.
const MaxAge = 30 * time.Second

// The first and the longest pause after a load that failed.
const firstPause, longestPause = 250 * time.Millisecond, 10 * time.Second

// Source gives the configuration of all tenants.
type Source func(context.Context) (postgres.Config, error)

// Roster is the view. It is safe for concurrent use.
type Roster struct {
	load   Source
	logger *slog.Logger
	stale  chan struct{}

	mu   sync.Mutex // one load at a time
	view atomic.Pointer[view]
}

type view struct {
	revision int64
	version  int64
	tenants  []*tenant.Tenant
	byID     map[contact.Tenant]*tenant.Tenant
	byPortal map[int64]*tenant.Tenant
	apps     []tenant.App
}

// Open loads the view for the first time.
func Open(ctx context.Context, load Source, logger *slog.Logger) (*Roster, error) {
	if logger == nil {
		logger = slog.Default()
	}
	r := &Roster{load: load, logger: logger, stale: make(chan struct{}, 1)}
	return r, r.Refresh(ctx)
}

// Refresh looks for changes and takes them in; the old view stays when that
// fails. What was stored before the call is in the view after it.
func (r *Roster) Refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	config, err := r.load(ctx)
	if err != nil {
		return err
	}
	next := &view{revision: config.Revision, version: 1, byID: make(map[contact.Tenant]*tenant.Tenant), byPortal: make(map[int64]*tenant.Tenant), apps: config.Apps}
	if old := r.view.Load(); old != nil {
		if config.Revision != 0 && old.revision == config.Revision {
			return nil // nothing has changed
		}
		next.version = old.version + 1
	}
	for _, fault := range config.Faults {
		r.logger.ErrorContext(ctx, "a connection has no usable credentials", "error", fault)
	}
	for i := range config.Tenants {
		t := &config.Tenants[i]
		next.tenants = append(next.tenants, t)
		next.byID[t.ID] = t
		if t.HubSpot.PortalID != 0 {
			next.byPortal[t.HubSpot.PortalID] = t
		}
	}
	r.view.Store(next)
	return nil
}

// Invalidate asks for a refresh soon; it does not wait for it.
func (r *Roster) Invalidate() {
	select {
	case r.stale <- struct{}{}:
	default:
	}
}

// Run keeps the view fresh until ctx ends. listen calls its argument at each
// announcement.
func (r *Roster) Run(ctx context.Context, listen func(topic string, f func()) (stop func(), err error)) error {
	stop, err := listen(Topic, r.Invalidate)
	if err != nil {
		return err
	}
	defer stop()
	var pause time.Duration // after a failure; 0 while all is well
	for {
		age := MaxAge - rand.N(MaxAge/4)
		if pause > 0 {
			age = pause + rand.N(pause/4)
		}
		timer := time.NewTimer(age)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-r.stale:
		case <-timer.C:
		}
		timer.Stop()
		loading, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := r.Refresh(loading)
		cancel()
		switch {
		case err == nil:
			pause = 0
		case ctx.Err() == nil:
			pause = min(max(2*pause, firstPause), longestPause)
			r.logger.WarnContext(ctx, "the tenants could not be read again; the last view serves on", "error", err, "again_in", pause)
		}
	}
}

// Version rises when the view has changed. It is at least 1.
func (r *Roster) Version() int64 { return r.view.Load().version }

// Tenant finds a tenant. It must not be changed.
func (r *Roster) Tenant(id contact.Tenant) (*tenant.Tenant, bool) {
	t, ok := r.view.Load().byID[id]
	return t, ok
}

// ByPortal finds the tenant of a HubSpot portal.
func (r *Roster) ByPortal(portal int64) (*tenant.Tenant, bool) {
	t, ok := r.view.Load().byPortal[portal]
	return t, ok
}

// All are all tenants, by id.
func (r *Roster) All() []*tenant.Tenant { return r.view.Load().tenants }

// Apps are the apps whose webhooks are taken.
func (r *Roster) Apps() []tenant.App { return r.view.Load().apps }
