package writer

import (
	"context"
	"net/http"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
)

// listTrusted is how long the list of a portal's contacts is relied on: what came
// to the portal since is known to the mapper, by webhooks and polls.
const listTrusted = 24 * time.Hour

// adapter makes destinations of a system.
func adapter(system contact.System, db *postgres.DB, client *http.Client) func(*tenant.Tenant, quota.Budget) (Destination, error) {
	return func(t *tenant.Tenant, budget quota.Budget) (Destination, error) {
		if system == contact.HubSpot {
			id, portal := t.ID, t.HubSpot.PortalID
			listed := func(ctx context.Context, keys []string) ([]string, bool, error) {
				ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				return db.PortalIDs(ctx, id, portal, keys, listTrusted)
			}
			return hubspot.NewDestination(connection.HubSpot(t, budget, client), hubspot.DestinationConfig{Tenant: id, Region: t.Region, Listed: listed}), nil
		}
		c, err := connection.Aloware(t, budget, client)
		if err != nil {
			return nil, err
		}
		return aloware.NewDestination(c, aloware.Options{}), nil
	}
}
