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
// quota grants, and a small fixed part of the system's limits. One process at a
// time reads from a connection (it holds the reading's cursor), so that the
// parts add up to no more than the limits.
type budgets struct {
	bus *bus.Bus

	mu    sync.Mutex
	gates map[budgetKey]*quota.Gate
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
	if b.gates == nil {
		b.gates = make(map[budgetKey]*quota.Gate)
	}
	gate := b.gates[key]
	if gate == nil {
		gate = quota.NewGate(key.limits)
		b.gates[key] = gate
	}
	return &grant.Budget{Bus: b.bus, Tenant: t.ID, System: system, Own: gate}
}
