package tenants

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/tenant"
)

// App is an app in HubSpot, with what to enter there.
type App struct {
	tenant.App
	WebhookURL, RedirectURL string
	Tenants                 []contact.Tenant // connected ones that use it
}

// Apps are the apps in HubSpot that the installation uses, by id.
func (s *Tenants) Apps() []App {
	var apps []App
	for _, a := range s.config.Roster.Apps() {
		apps = append(apps, s.described(a))
	}
	return apps
}

func (s *Tenants) described(a tenant.App) App {
	app := App{App: a, WebhookURL: s.config.PublicURL + "/webhooks/hubspot/" + strconv.FormatInt(a.AppID, 10), RedirectURL: s.RedirectURL()}
	for _, t := range s.config.Roster.All() {
		if t.HubSpot.AppID == a.AppID && t.HubSpot.State != tenant.Disconnected {
			app.Tenants = append(app.Tenants, t.ID)
		}
	}
	return app
}

// SaveApp adds an app or changes one. An empty client id or secret keeps the
// present one.
func (s *Tenants) SaveApp(ctx context.Context, a tenant.App) (App, error) {
	a.BaseURL, a.ClientID, a.ClientSecret = strings.TrimRight(strings.TrimSpace(a.BaseURL), "/"), strings.TrimSpace(a.ClientID), tenant.Secret(strings.TrimSpace(a.ClientSecret.Reveal()))
	if at := slices.IndexFunc(s.config.Roster.Apps(), func(known tenant.App) bool { return known.AppID == a.AppID }); at >= 0 {
		known := s.config.Roster.Apps()[at]
		if a.ClientID == "" {
			a.ClientID = known.ClientID
		}
		if a.ClientSecret == "" && a.BaseURL != known.BaseURL {
			return App{}, refuse(mapping.RuleInvalid, "client_secret", "the present secret is not sent to another address: give the secret with it")
		}
		if a.ClientSecret == "" {
			a.ClientSecret = known.ClientSecret
		}
	}
	switch {
	case a.AppID <= 0:
		return App{}, refuse(mapping.RuleInvalid, "app_id", "the app's id is a number, as HubSpot shows it at the app")
	case a.ClientID == "" || len(a.ClientID) > 200:
		return App{}, refuse(mapping.RuleInvalid, "client_id", "the client id has 1 to 200 bytes; HubSpot shows it at the app, under Auth")
	case a.ClientSecret == "" || len(a.ClientSecret) > 1000:
		return App{}, refuse(mapping.RuleInvalid, "client_secret", "the client secret has 1 to 1000 bytes; HubSpot shows it at the app, under Auth")
	}
	if err := s.config.DB.SaveApp(ctx, a, s.config.Seal); err != nil {
		return App{}, err
	}
	if err := s.announce(ctx); err != nil {
		return App{}, err
	}
	return s.described(a), nil
}

// RemoveApp forgets an app that no connected tenant uses.
func (s *Tenants) RemoveApp(ctx context.Context, id int64) error {
	if !slices.ContainsFunc(s.config.Roster.Apps(), func(a tenant.App) bool { return a.AppID == id }) {
		return refuse(mapping.RuleNotFound, "app_id", "there is no app %d here", id)
	}
	gone, err := s.config.DB.DeleteApp(ctx, id)
	switch {
	case err != nil:
		return err
	case !gone:
		return refuse(mapping.RuleTaken, "app_id", "connected tenants use app %d: its webhooks would be refused, and tokens could not be renewed. Disconnect them, or connect them by another app first", id)
	}
	return s.announce(ctx)
}

// announce lets this process and all others hear of a change.
func (s *Tenants) announce(ctx context.Context) error {
	if err := s.config.Roster.Refresh(ctx); err != nil {
		return err
	}
	if err := s.config.Bus.Announce(ctx, roster.Topic); err != nil {
		s.config.Logger.WarnContext(ctx, "the configuration was saved and could not be announced; others see it within half a minute", "error", err)
	}
	return nil
}
