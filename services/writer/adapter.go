package writer

import (
	"net/http"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
)

// adapter makes destinations of a system.
func adapter(system contact.System, client *http.Client) func(*tenant.Tenant, quota.Budget) (Destination, error) {
	return func(t *tenant.Tenant, budget quota.Budget) (Destination, error) {
		if system == contact.HubSpot {
			return hubspot.NewDestination(connection.HubSpot(t, budget, client), hubspot.DestinationConfig{Tenant: t.ID, Region: t.Region}), nil
		}
		c, err := connection.Aloware(t, budget, client)
		if err != nil {
			return nil, err
		}
		return aloware.NewDestination(c, aloware.Options{}), nil
	}
}
