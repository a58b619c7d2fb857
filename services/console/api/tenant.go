package api

import (
	"context"

	"lockstep.internal/pkg/tenant"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
)

// tenants is TenantService.
type tenants struct{ Config }

// ListTenants gives the tenants that the caller may see.
func (s *tenants) ListTenants(ctx context.Context, _ *consolev1.ListTenantsRequest) (*consolev1.ListTenantsResponse, error) {
	caller := access.From(ctx)
	answer := &consolev1.ListTenantsResponse{}
	for _, t := range s.Roster.All() {
		if caller.May(t.ID, access.Viewer) {
			answer.Tenants = append(answer.Tenants, tenantMessage(t))
		}
	}
	return answer, nil
}

func tenantMessage(t *tenant.Tenant) *consolev1.Tenant {
	return &consolev1.Tenant{
		Tenant: string(t.ID), Name: t.Name, Active: t.Active,
		HubspotState: string(t.HubSpot.State), AlowareState: string(t.Aloware.State),
		PortalId: t.HubSpot.PortalID, AlowareProfile: t.Aloware.Profile, MappingVersion: t.Mapping.Version,
	}
}
