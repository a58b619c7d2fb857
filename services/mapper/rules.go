package mapper

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/mapper/resolve"
)

// rules gives what a tenant decided, in the version in force now. An unknown
// tenant is looked for once more in the database before it is refused.
func (m *Mapper) rules(ctx context.Context, id contact.Tenant) (*resolve.Rules, error) {
	t, ok := m.config.Roster.Tenant(id)
	if !ok {
		if err := m.config.Roster.Refresh(ctx); err != nil {
			return nil, err
		}
		if t, ok = m.config.Roster.Tenant(id); !ok {
			return nil, fault.New(fault.Refusal{
				Class: fault.Permanent, Reason: "UNKNOWN_TENANT",
				Message: fmt.Sprintf("tenant %q is not configured; add it in the console, then replay its dead letters", id),
			})
		}
	}
	lists, err := m.lists.of(ctx, id)
	if err != nil {
		return nil, err
	}
	return &resolve.Rules{
		Set: &t.Mapping, Region: t.Region, Zone: zone(t), Lists: lists,
		Creation: resolve.Flow(t.Creation), Updates: resolve.Flow(t.Updates), Archive: resolve.Flow(t.Archives()),
		Profiles: [2]string{1: string(t.Aloware.Profile)},
		Defaults: map[string]string{"contact_owner": t.DefaultOwner, "lead_source": t.DefaultLeadSource},
	}, nil
}

// zones keeps loaded time zones, which are few.
var zones sync.Map

func zone(t *tenant.Tenant) *time.Location {
	if at, ok := zones.Load(t.TimeZone); ok {
		return at.(*time.Location)
	}
	at, err := time.LoadLocation(t.TimeZone)
	if err != nil {
		at = time.UTC
	}
	zones.Store(t.TimeZone, at)
	return at
}

// listCache keeps the user and option lists of the tenants of this process's
// partitions. The lists change through this mapper's own commits only; another
// owner's changes are met by dropping the cache at each take-over.
type listCache struct {
	db *postgres.DB

	mu    sync.Mutex
	lists map[contact.Tenant]resolve.Lists
}

func newListCache(db *postgres.DB) *listCache {
	return &listCache{db: db, lists: make(map[contact.Tenant]resolve.Lists)}
}

func (c *listCache) of(ctx context.Context, id contact.Tenant) (resolve.Lists, error) {
	c.mu.Lock()
	lists, ok := c.lists[id]
	c.mu.Unlock()
	if ok {
		return lists, nil
	}
	stored, err := c.db.Lists(ctx, id)
	if err != nil {
		return nil, err
	}
	lists = make(resolve.Lists, len(stored))
	for _, d := range stored {
		lists[resolve.ListKey{System: d.System, List: d.List}] = d.Entries
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists[id] = lists
	return lists, nil
}

func (c *listCache) drop(id contact.Tenant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lists, id)
}

func (c *listCache) dropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.lists)
}
