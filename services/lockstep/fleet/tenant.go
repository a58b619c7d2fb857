package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/aloware/alowaresim"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/hubspot/hubspotsim"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/tenants"
)

// What all simulated systems share.
const (
	AppID        = 1001
	WebhookToken = "fleet-webhook-token" // which Aloware's webhooks carry

	clientID     = "fleet-client"
	clientSecret = "fleet-secret"
)

// Tenant is one tenant with a simulated HubSpot portal and Aloware account of
// its own.
type Tenant struct {
	ID     contact.Tenant
	Portal int64
	// Window is HubSpot's limit, in calls in 10 s; Rate and Burst are Aloware's,
	// in calls a second and at once.
	Window int
	Rate   float64
	Burst  int
	// HubSpotWebhooks and AlowareWebhooks are where the systems find an ingest,
	// http://host:port.
	HubSpotWebhooks, AlowareWebhooks string
	// OAuth connects by a consent, with tokens that end and can be renewed; else
	// by a token that lasts.
	OAuth bool
}

// HubSpotToken is the access token of the tenant's portal.
func (t *Tenant) HubSpotToken() string { return "hubspot-" + string(t.ID) }

// AlowareToken is the API token of the tenant's account.
func (t *Tenant) AlowareToken() string { return "aloware-" + string(t.ID) }

// Simulators makes both systems of a tenant; Serve runs them.
func (t *Tenant) Simulators() (*hubspotsim.Sim, *alowaresim.Sim, error) {
	quiet := slog.New(slog.DiscardHandler)
	portal, err := hubspotsim.New(hubspotsim.Config{
		Token: t.HubSpotToken(), AppID: AppID, PortalID: t.Portal, ClientID: clientID, ClientSecret: clientSecret,
		WebhookURL: t.HubSpotWebhooks + "/webhooks/hubspot", WindowLimit: t.Window, DailyLimit: 1 << 30, Logger: quiet,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("HubSpot simulator: %w", err)
	}
	aloware, err := alowaresim.New(alowaresim.Config{
		Token: t.AlowareToken(), Profile: "full", Rate: t.Rate, Burst: t.Burst, Logger: quiet,
		Webhooks: []alowaresim.Webhook{{URL: t.AlowareWebhooks + "/webhooks/aloware/" + string(t.ID), Auth: "bearer", Token: WebhookToken}},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("Aloware simulator: %w", err)
	}
	return portal, aloware, nil
}

// Serve runs two simulators until ctx ends.
func Serve(ctx context.Context, portal *hubspotsim.Sim, at net.Listener, aloware *alowaresim.Sim, and net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return daemon.Serve(ctx, at, portal.Handler()) })
	group.Go(func() error { return daemon.Serve(ctx, and, aloware.Handler()) })
	group.Go(func() error { return portal.Run(ctx) })
	group.Go(func() error { return aloware.Run(ctx) })
	return group.Wait()
}

// SaveApp stores the app that all portals have installed.
func SaveApp(ctx context.Context, db *postgres.DB, sealer *seal.Sealer) error {
	return db.SaveApp(ctx, tenant.App{AppID: AppID, ClientID: clientID, ClientSecret: clientSecret}, sealer)
}

// Connect stores the tenant with the addresses at which the services reach its
// systems, and prepares the portal; who asked is named by author.
func (t *Tenant) Connect(ctx context.Context, db *postgres.DB, sealer *seal.Sealer, portal, account, author string) error {
	row := tenant.Tenant{
		ID: t.ID, Name: string(t.ID), Region: "US", TimeZone: "America/New_York", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth,
	}
	row.HubSpot = tenant.HubSpot{
		BaseURL: portal, PortalID: t.Portal, AppID: AppID, AccessToken: tenant.Secret(t.HubSpotToken()), WindowLimit: t.Window, State: tenant.Connected,
	}
	row.Aloware = tenant.Aloware{
		BaseURL: account, Token: tenant.Secret(t.AlowareToken()), Profile: "full",
		WebhookAuth: "bearer", WebhookToken: WebhookToken, Rate: t.Rate, Burst: t.Burst, State: tenant.Connected,
	}
	budget := quota.NewGate(connection.Limits(&row, contact.HubSpot, connection.WriterShare))
	if t.OAuth {
		tokens, err := consent(ctx, portal, budget)
		if err != nil {
			return fmt.Errorf("connect %s: %w", t.ID, err)
		}
		row.HubSpot.AccessToken, row.HubSpot.RefreshToken, row.HubSpot.Expires = tenant.Secret(tokens.Access), tenant.Secret(tokens.Refresh), tokens.Expires
	}
	set, _, err := tenants.Prepare(ctx, connection.HubSpot(&row, budget, nil))
	if err != nil {
		return fmt.Errorf("connect %s: %w", t.ID, err)
	}
	if err := db.SaveTenant(ctx, row, sealer); err != nil {
		return err
	}
	_, err = db.SaveMapping(ctx, t.ID, set, author, "connected")
	return err
}

// consent lets somebody of the portal give access to the app.
func consent(ctx context.Context, portal string, budget quota.Budget) (hubspot.Tokens, error) {
	const redirect = "http://127.0.0.1/consented" // nobody follows it
	form := url.Values{"client_id": {clientID}, "redirect_uri": {redirect}, "scope": {strings.Join(hubspot.Scopes, " ")}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hubspot.AuthorizeURL(portal), strings.NewReader(form.Encode()))
	if err != nil {
		return hubspot.Tokens{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return hubspot.Tokens{}, fmt.Errorf("consent: %w", err)
	}
	defer answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		return hubspot.Tokens{}, fmt.Errorf("consent: %d: %w", answer.StatusCode, err)
	}
	app := hubspot.OAuthApp{BaseURL: portal, ClientID: clientID, ClientSecret: clientSecret, Budget: budget}
	return app.Exchange(ctx, back.Query().Get("code"), redirect, "")
}
