package console

import (
	"net/http"
	"sync"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/grant"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/contacts"
	"lockstep.internal/services/console/mappings"
	"lockstep.internal/services/console/tenants"
)

// clients makes the clients that the console's own calls go through. Each
// connection has one budget in this process: all of the quota while nothing
// else calls it; afterwards what its owner grants, and while there is none a small
// part.
type clients struct {
	bus  *bus.Bus
	http *http.Client

	mu    sync.Mutex
	known map[gateKey]quota.Budget
}

type gateKey struct {
	tenant contact.Tenant
	system contact.System
	limits quota.Limits // those of who is alone are greater
}

func (c *clients) budget(t *tenant.Tenant, system contact.System) quota.Budget {
	share, alone := connection.ConsoleShare, false
	if state := t.HubSpot.State; system == contact.HubSpot && t.Mapping.Version == 0 || state == tenant.Disconnected {
		share, alone = connection.WriterShare, true // nothing else calls it yet
	}
	key := gateKey{t.ID, system, connection.Limits(t, system, share)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = make(map[gateKey]quota.Budget)
	}
	budget := c.known[key]
	if budget == nil {
		budget = quota.NewGate(key.limits)
		if !alone {
			budget = &grant.Budget{Bus: c.bus, Tenant: t.ID, System: system, Own: budget}
		}
		c.known[key] = budget
	}
	return budget
}

func (c *clients) tokens(t *tenant.Tenant) quota.Budget { return c.budget(t, contact.HubSpot) }

func (c *clients) hubspot(t *tenant.Tenant) *hubspot.Client {
	return connection.HubSpot(t, c.budget(t, contact.HubSpot), c.http)
}

func (c *clients) portal(t *tenant.Tenant) tenants.Portal { return c.hubspot(t) }

func (c *clients) setter(t *tenant.Tenant) contacts.Portal { return c.hubspot(t) }

func (c *clients) account(t *tenant.Tenant) (tenants.Account, error) {
	return connection.Aloware(t, c.budget(t, contact.Aloware), c.http)
}

func (c *clients) schema(t *tenant.Tenant) mappings.Portal { return c.hubspot(t) }

func (c *clients) attributes(t *tenant.Tenant) (mappings.Account, error) {
	return connection.Aloware(t, c.budget(t, contact.Aloware), c.http)
}
