package ingest

import (
	"sync"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/grant"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
)

// budgets are the budgets for reading, one per connection: what the owner of the
// quota grants, and while there is none a small fixed part of the system's limits.
type budgets struct {
	bus *bus.Bus

	mu    sync.Mutex
	known map[budgetKey]*grant.Budget
}

type budgetKey struct {
	tenant contact.Tenant
	system contact.System
	limits quota.Limits
}

func (b *budgets) of(t *tenant.Tenant, system contact.System) quota.Budget {
	key := budgetKey{t.ID, system, connection.Limits(t, system, connection.ReaderShare)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		b.known = make(map[budgetKey]*grant.Budget)
	}
	budget := b.known[key]
	if budget == nil {
		budget = &grant.Budget{Bus: b.bus, Tenant: t.ID, System: system, Own: quota.NewGate(key.limits)}
		b.known[key] = budget
	}
	return budget
}
