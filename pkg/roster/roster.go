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

// Refresh loads the view anew; the old one stays when that fails.
func (r *Roster) Refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	config, err := r.load(ctx)
	if err != nil {
		return err
	}
	next := &view{version: 1, byID: make(map[contact.Tenant]*tenant.Tenant), byPortal: make(map[int64]*tenant.Tenant), apps: config.Apps}
	if old := r.view.Load(); old != nil {
		next.version = old.version + 1
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
	for {
		age := time.NewTimer(MaxAge + rand.N(MaxAge/4))
		select {
		case <-ctx.Done():
			age.Stop()
			return nil
		case <-r.stale:
		case <-age.C:
		}
		age.Stop()
		loading, cancel := context.WithTimeout(ctx, 10*time.Second)
		if err := r.Refresh(loading); err != nil && ctx.Err() == nil {
			r.logger.WarnContext(ctx, "the tenants could not be read again; the last view serves on", "error", err)
		}
		cancel()
	}
}

// Version rises with each view.
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
