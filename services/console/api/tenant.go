package api

import (
	"context"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/pipeline"
	"lockstep.internal/services/console/tenants"
)

// tenantService is TenantService.
type tenantService struct{ Config }

// ListTenants gives the tenants that the caller may see.
func (s *tenantService) ListTenants(ctx context.Context, _ *consolev1.ListTenantsRequest) (*consolev1.ListTenantsResponse, error) {
	caller, lanes := access.From(ctx), s.Pipeline.Fresh(ctx).ByTenant()
	var seen []*tenant.Tenant
	var ids []contact.Tenant
	for _, t := range s.Roster.All() {
		if caller.May(t.ID, access.Viewer) {
			seen, ids = append(seen, t), append(ids, t.ID)
		}
	}
	errors, err := s.Inbox.Open(ctx, ids...)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListTenantsResponse{}
	for _, t := range seen {
		answer.Tenants = append(answer.Tenants, tenantMessage(t, lanes[t.ID], errors[t.ID]))
	}
	return answer, nil
}

// GetTenant gives one tenant.
func (s *tenantService) GetTenant(ctx context.Context, r *consolev1.GetTenantRequest) (*consolev1.GetTenantResponse, error) {
	t, err := s.Tenants.Get(contact.Tenant(r.GetTenant()))
	if err != nil {
		return nil, err
	}
	tenantNow, err := s.now(ctx, t)
	if err != nil {
		return nil, err
	}
	v := tenants.SettingsOf(t)
	return &consolev1.GetTenantResponse{Tenant: tenantNow, Settings: &consolev1.TenantSettings{
		Name: v.Name, Region: v.Region, TimeZone: v.TimeZone, Active: v.Active, Creation: string(v.Creation), Updates: string(v.Updates), Archive: string(v.Archive),
		DefaultOwner: v.DefaultOwner, DefaultLeadSource: v.DefaultLeadSource, BurstFloor: v.BurstFloor,
	}, Hubspot: hubspotMessage(&t.HubSpot), Aloware: s.alowareMessage(t)}, nil
}

// now is a tenant with what its writes are doing and how many errors it has.
func (s *tenantService) now(ctx context.Context, t *tenant.Tenant) (*consolev1.Tenant, error) {
	errors, err := s.Inbox.Open(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	return tenantMessage(t, s.Pipeline.Fresh(ctx).Of(t.ID), errors[t.ID]), nil
}

// hubspotMessage is a connection without its secrets.
func hubspotMessage(h *tenant.HubSpot) *consolev1.HubSpotConnection {
	out := &consolev1.HubSpotConnection{
		BaseUrl: h.BaseURL, AppId: h.AppID, WindowLimit: int32(h.WindowLimit), DailyLimit: int32(h.DailyLimit), Ceiling: int32(h.Ceiling),
		TimeZone: h.TimeZone,
	}
	switch {
	case h.RefreshToken != "":
		out.SignsInBy, out.ExpiresMs = "oauth", millis(h.Expires)
	case h.AccessToken != "":
		out.SignsInBy = "token"
	}
	return out
}

// alowareMessage is a connection without its secrets.
func (s *tenantService) alowareMessage(t *tenant.Tenant) *consolev1.AlowareConnection {
	a := &t.Aloware
	return &consolev1.AlowareConnection{
		BaseUrl: a.BaseURL, HasToken: a.Token != "", Profile: a.Profile, WebhookUrl: s.Tenants.WebhookURL(t.ID), WebhookAuth: a.WebhookAuth,
		WebhookUser: a.WebhookUser, HasWebhookSecret: a.WebhookPassword != "" || a.WebhookToken != "",
		Rate: a.Rate, Burst: int32(a.Burst), Ceiling: int32(a.Ceiling),
	}
}

// SaveTenant adds a tenant or changes its settings.
func (s *tenantService) SaveTenant(ctx context.Context, r *consolev1.SaveTenantRequest) (*consolev1.SaveTenantResponse, error) {
	v := r.GetSettings()
	t, err := s.Tenants.Save(ctx, contact.Tenant(r.GetTenant()), tenants.Settings{
		Name: v.GetName(), Region: v.GetRegion(), TimeZone: v.GetTimeZone(), Active: v.GetActive(),
		Creation: tenant.Flow(v.GetCreation()), Updates: tenant.Flow(v.GetUpdates()), Archive: tenant.Flow(v.GetArchive()),
		DefaultOwner: v.GetDefaultOwner(), DefaultLeadSource: v.GetDefaultLeadSource(), BurstFloor: burstFloor(v),
	})
	if err != nil {
		return nil, err
	}
	tenantNow, err := s.now(ctx, t)
	if err != nil {
		return nil, err
	}
	return &consolev1.SaveTenantResponse{Tenant: tenantNow}, nil
}

// ConnectHubSpot starts the connection to a portal.
func (s *tenantService) ConnectHubSpot(ctx context.Context, r *consolev1.ConnectHubSpotRequest) (*consolev1.ConnectHubSpotResponse, error) {
	t, report, err := s.Tenants.ConnectHubSpot(ctx, contact.Tenant(r.GetTenant()), tenant.HubSpot{
		BaseURL: r.GetBaseUrl(), AppID: r.GetAppId(), AccessToken: tenant.Secret(r.GetAccessToken()),
		WindowLimit: int(r.GetWindowLimit()), DailyLimit: int(r.GetDailyLimit()), Ceiling: int(r.GetCeiling()),
	}, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	tenantNow, err := s.now(ctx, t)
	if err != nil {
		return nil, err
	}
	return &consolev1.ConnectHubSpotResponse{Tenant: tenantNow, Created: report.Created, Incompatible: report.Incompatible}, nil
}

// ConnectAloware starts the connection to an account.
func (s *tenantService) ConnectAloware(ctx context.Context, r *consolev1.ConnectAlowareRequest) (*consolev1.ConnectAlowareResponse, error) {
	connection := tenant.Aloware{
		BaseURL: r.GetBaseUrl(), Token: tenant.Secret(r.GetToken()), Profile: r.GetProfile(), WebhookAuth: r.GetWebhookAuth(),
		Rate: r.GetRate(), Burst: int(r.GetBurst()), Ceiling: int(r.GetCeiling()),
	}
	switch r.GetWebhookAuth() {
	case "basic":
		connection.WebhookUser, connection.WebhookPassword = r.GetWebhookUser(), tenant.Secret(r.GetWebhookSecret())
	case "bearer":
		connection.WebhookToken = tenant.Secret(r.GetWebhookSecret())
	}
	t, err := s.Tenants.ConnectAloware(ctx, contact.Tenant(r.GetTenant()), connection)
	if err != nil {
		return nil, err
	}
	tenantNow, err := s.now(ctx, t)
	if err != nil {
		return nil, err
	}
	return &consolev1.ConnectAlowareResponse{Tenant: tenantNow, WebhookUrl: s.Tenants.WebhookURL(t.ID)}, nil
}

// Disconnect stops both connections.
func (s *tenantService) Disconnect(ctx context.Context, r *consolev1.DisconnectRequest) (*consolev1.DisconnectResponse, error) {
	t, err := s.Tenants.Disconnect(ctx, contact.Tenant(r.GetTenant()))
	if err != nil {
		return nil, err
	}
	tenantNow, err := s.now(ctx, t)
	if err != nil {
		return nil, err
	}
	return &consolev1.DisconnectResponse{Tenant: tenantNow}, nil
}

// TestConnection calls both systems.
func (s *tenantService) TestConnection(ctx context.Context, r *consolev1.TestConnectionRequest) (*consolev1.TestConnectionResponse, error) {
	test, err := s.Tenants.Try(ctx, contact.Tenant(r.GetTenant()))
	if err != nil {
		return nil, err
	}
	return &consolev1.TestConnectionResponse{
		HubspotFault: words(test.HubSpot), AlowareFault: words(test.Aloware), PortalId: test.Portal.PortalID, PortalTimeZone: test.Portal.TimeZone,
		PropertyLimit: test.Limit.Limit, PropertyUsage: test.Limit.Usage,
	}, nil
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// GetCapabilities tells what the connection to Aloware can do.
func (s *tenantService) GetCapabilities(_ context.Context, r *consolev1.GetCapabilitiesRequest) (*consolev1.GetCapabilitiesResponse, error) {
	t, err := s.Tenants.Get(contact.Tenant(r.GetTenant()))
	if err != nil {
		return nil, err
	}
	all := aloware.Profile(t.Aloware.Profile).Capabilities()
	answer := &consolev1.GetCapabilitiesResponse{Profile: string(all.Profile)}
	for _, a := range all.Functions {
		answer.Functions = append(answer.Functions, &consolev1.Capability{Function: string(a.Function), Possible: a.Possible, Note: a.Note})
	}
	all.Attribute.Property = "(fields that the account defined)"
	for _, f := range append(all.Fields, all.Attribute) {
		answer.Fields = append(answer.Fields, &consolev1.FieldCapability{
			Property: f.Property, Read: f.Read, Set: f.Set, SetAtCreation: f.SetAtCreation, Clear: f.Clear, SetNote: f.SetNote, ClearNote: f.ClearNote,
		})
	}
	return answer, nil
}

// tenantMessage is a tenant; what a change answers with has no lanes.
func tenantMessage(t *tenant.Tenant, lanes []pipeline.Lane, errors int) *consolev1.Tenant {
	out := &consolev1.Tenant{
		Tenant: string(t.ID), Name: t.Name, Active: t.Active,
		HubspotState: string(t.HubSpot.State), AlowareState: string(t.Aloware.State),
		PortalId: t.HubSpot.PortalID, AlowareProfile: t.Aloware.Profile, MappingVersion: t.Mapping.Version,
		Mappings: int32(len(t.Mapping.Mappings)), MappingsAtRest: int32(t.Mapping.AtRest()), Errors: int64(errors),
	}
	for _, lane := range lanes {
		out.Lanes = append(out.Lanes, laneMessage(&lane))
	}
	return out
}

// burstFloor is nil where the settings say nothing of it.
func burstFloor(v *consolev1.TenantSettings) *int64 {
	if v == nil {
		return nil
	}
	return v.BurstFloor
}
