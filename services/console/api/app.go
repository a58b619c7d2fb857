package api

import (
	"context"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/tenants"
)

// GetHubSpotConsent gives the page that begins a person's consent. The consent
// itself is begun there, by the person who will finish it.
func (s *tenantService) GetHubSpotConsent(_ context.Context, r *consolev1.GetHubSpotConsentRequest) (*consolev1.GetHubSpotConsentResponse, error) {
	page, redirect, err := s.Tenants.ConsentPage(contact.Tenant(r.GetTenant()), r.GetAppId())
	if err != nil {
		return nil, err
	}
	return &consolev1.GetHubSpotConsentResponse{Address: page, RedirectUrl: redirect}, nil
}

// ListApps gives the apps that the installation uses.
func (s *tenantService) ListApps(ctx context.Context, _ *consolev1.ListAppsRequest) (*consolev1.ListAppsResponse, error) {
	answer := &consolev1.ListAppsResponse{}
	for _, a := range s.Tenants.Apps() {
		answer.Apps = append(answer.Apps, appMessage(access.From(ctx), &a))
	}
	return answer, nil
}

// SaveApp adds an app or changes one.
func (s *tenantService) SaveApp(ctx context.Context, r *consolev1.SaveAppRequest) (*consolev1.SaveAppResponse, error) {
	a, err := s.Tenants.SaveApp(ctx, tenant.App{
		AppID: r.GetAppId(), BaseURL: r.GetBaseUrl(), ClientID: r.GetClientId(), ClientSecret: tenant.Secret(r.GetClientSecret()), SignatureV1: r.GetSignatureV1(),
	})
	if err != nil {
		return nil, err
	}
	return &consolev1.SaveAppResponse{App: appMessage(access.From(ctx), &a)}, nil
}

// RemoveApp forgets an app.
func (s *tenantService) RemoveApp(ctx context.Context, r *consolev1.RemoveAppRequest) (*consolev1.RemoveAppResponse, error) {
	return &consolev1.RemoveAppResponse{}, s.Tenants.RemoveApp(ctx, r.GetAppId())
}

// appMessage is an app as a caller may see it.
func appMessage(caller access.Caller, a *tenants.App) *consolev1.App {
	out := &consolev1.App{
		AppId: a.AppID, BaseUrl: a.BaseURL, ClientId: a.ClientID, HasSecret: a.ClientSecret != "", SignatureV1: a.SignatureV1,
		WebhookUrl: a.WebhookURL, RedirectUrl: a.RedirectURL,
	}
	for _, id := range a.Tenants {
		if caller.May(id, access.Viewer) {
			out.Tenants = append(out.Tenants, string(id))
		}
	}
	return out
}
