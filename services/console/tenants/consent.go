package tenants

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// consentLife is how long a consent may take.
const consentLife = 10 * time.Minute

// consentApp finds the app of a consent, which needs an address to come back to.
func (s *Tenants) consentApp(id int64) (tenant.App, error) {
	if s.config.ConsoleURL == "" {
		return tenant.App{}, refuse("unavailable", "hubspot", "the console does not know its own address, to which HubSpot sends browsers back: set LOCKSTEP_CONSOLE_URL, or connect by a token")
	}
	return s.app(id)
}

// app finds an app; id 0 is the only one there is.
func (s *Tenants) app(id int64) (tenant.App, error) {
	apps := s.config.Roster.Apps()
	if id == 0 && len(apps) == 1 {
		return apps[0], nil
	}
	for _, a := range apps {
		if a.AppID == id && id != 0 {
			return a, nil
		}
	}
	if id == 0 && len(apps) > 1 {
		return tenant.App{}, refuse(mapping.RuleInvalid, "app", "there are %d apps here: say which", len(apps))
	}
	return tenant.App{}, refuse(mapping.RuleNotFound, "app", "no app %d is known here: an operator adds it with its client id and secret (HubSpot apps, or: lockstep app save)", id)
}

// authority makes token calls for a tenant.
func (s *Tenants) authority(t *tenant.Tenant, app tenant.App) hubspot.OAuthApp {
	return hubspot.OAuthApp{
		BaseURL: app.BaseURL, ClientID: app.ClientID, ClientSecret: app.ClientSecret.Reveal(), Budget: s.config.Budget(t), HTTP: s.config.HTTP,
	}
}

// RedirectURL is the address that HubSpot sends browsers back to.
func (s *Tenants) RedirectURL() string { return s.config.ConsoleURL + "/hubspot/callback" }

// ConsentPage gives the page of the console that begins the consent of a person
// who opens it, and the redirect address that must be registered at the app. The
// app 0 is the only one that there is.
func (s *Tenants) ConsentPage(id contact.Tenant, appID int64) (page, redirect string, err error) {
	if _, err := s.Get(id); err != nil {
		return "", "", err
	}
	app, err := s.consentApp(appID)
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("%s/tenants/%s/hubspot-consent?app=%d", s.config.ConsoleURL, id, app.AppID), s.RedirectURL(), nil
}

// BeginConsent gives the address of HubSpot where a person gives the app access
// to the tenant's portal.
func (s *Tenants) BeginConsent(ctx context.Context, id contact.Tenant, appID int64, person string) (string, error) {
	if _, err := s.Get(id); err != nil {
		return "", err
	}
	app, err := s.consentApp(appID)
	if err != nil {
		return "", err
	}
	state := rand.Text()
	key := sha256.Sum256([]byte(state))
	consent := postgres.Consent{State: key[:], Tenant: id, AppID: app.AppID, Person: person, Verifier: oauth2.GenerateVerifier(), Expires: time.Now().Add(consentLife)}
	if err := s.config.DB.AddConsent(ctx, consent); err != nil {
		return "", err
	}
	client := oauth2.Config{ClientID: app.ClientID, RedirectURL: s.RedirectURL(), Scopes: hubspot.Scopes, Endpoint: oauth2.Endpoint{AuthURL: hubspot.AuthorizeURL(app.BaseURL)}}
	return client.AuthCodeURL(state, oauth2.S256ChallengeOption(consent.Verifier)), nil
}

// Consent is one that a person began and HubSpot answered.
type Consent struct {
	Tenant contact.Tenant
	AppID  int64
	taken  *postgres.Consent
}

// TakeConsent takes the consent that a browser brings back: once, by the person
// who began it, within ten minutes.
func (s *Tenants) TakeConsent(ctx context.Context, state, person string, may func(contact.Tenant) bool) (*Consent, error) {
	key := sha256.Sum256([]byte(state))
	taken, err := s.config.DB.TakeConsent(ctx, key[:])
	switch {
	case err != nil:
		return nil, err
	case taken == nil || taken.Person != person || !may(taken.Tenant):
		return nil, refuse(mapping.RuleInvalid, "state", "this consent was not begun here by you, or was finished already, or took longer than ten minutes; begin again")
	}
	return &Consent{taken.Tenant, taken.AppID, taken}, nil
}

// FinishConsent connects the portal with the code that HubSpot gave, or tells
// why it refused to.
func (s *Tenants) FinishConsent(ctx context.Context, consent *Consent, code, refused string) (Report, error) {
	if refused != "" || code == "" {
		return Report{}, refuse("refused", "hubspot", "HubSpot gave no access (%s); begin again, and approve the app there", refused)
	}
	t, err := s.Get(consent.Tenant)
	if err != nil {
		return Report{}, err
	}
	app, err := s.app(consent.AppID)
	if err != nil {
		return Report{}, err
	}
	tokens, err := s.authority(t, app).Exchange(ctx, code, s.RedirectURL(), consent.taken.Verifier)
	if err != nil {
		return Report{}, said("HubSpot", err)
	}
	next := t.HubSpot
	next.AppID, next.BaseURL = app.AppID, app.BaseURL
	next.AccessToken, next.RefreshToken, next.Expires = tenant.Secret(tokens.Access), tenant.Secret(tokens.Refresh), tokens.Expires
	_, report, err := s.ConnectHubSpot(ctx, consent.Tenant, next, consent.taken.Person)
	return report, err
}

// How tokens are kept alive: looked at every renewEvery, renewed renewAhead of
// their end, and one that was refused before its end at most every renewAgain.
const (
	renewEvery = 2 * time.Second
	renewAhead = 5 * time.Minute
	renewAgain = time.Minute
	// refusedEvery is how often refused credentials are looked for.
	refusedEvery = 10 * time.Second
)

// Run renews access tokens ahead of their end, for all processes, until ctx
// ends. A token that a lane was refused with is renewed at once; a connection
// whose credentials cannot be renewed is marked when they are refused again.
func (s *Tenants) Run(ctx context.Context) error {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	tried := make(map[contact.Tenant]time.Time)
	for looked := time.Now(); ; {
		if time.Since(looked) > refusedEvery {
			looked = time.Now()
			s.refused(ctx)
		}
		var refused []postgres.Pause
		if len(tried) > 0 || s.anyOAuth() {
			var err error
			if refused, err = s.config.DB.Pauses(ctx, contact.HubSpot); err != nil && ctx.Err() == nil {
				s.config.Logger.WarnContext(ctx, "the pauses of lanes could not be read; tokens are renewed by their age alone", "error", err)
			}
		}
		group, renewing := errgroup.WithContext(ctx)
		group.SetLimit(8)
		for _, t := range s.config.Roster.All() {
			if !due(t, refused, tried[t.ID], time.Now()) {
				continue
			}
			tried[t.ID] = time.Now()
			group.Go(func() error {
				if err := s.renew(renewing, t.ID, t.HubSpot.AccessToken); err != nil && renewing.Err() == nil {
					s.config.Logger.WarnContext(renewing, "a token could not be renewed; it is tried again", "tenant", t.ID, "error", err)
				}
				return nil
			})
		}
		_ = group.Wait() // its functions give no errors
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Tenants) anyOAuth() bool {
	for _, t := range s.config.Roster.All() {
		if t.HubSpot.RefreshToken != "" {
			return true
		}
	}
	return false
}

// due reports whether a tenant's token is to be renewed now.
func due(t *tenant.Tenant, pauses []postgres.Pause, tried, now time.Time) bool {
	if t.HubSpot.RefreshToken == "" || t.HubSpot.State != tenant.Connected {
		return false
	}
	if now.Add(renewAhead).After(t.HubSpot.Expires) {
		return now.Sub(tried) > 5*time.Second
	}
	for _, p := range pauses {
		if p.Tenant == t.ID && p.Class == fault.Unauthorized.String() {
			return now.Sub(tried) > renewAgain
		}
	}
	return false
}

// renew asks for a new token in place of an old one, unless another process
// does or did.
func (s *Tenants) renew(ctx context.Context, id contact.Tenant, old tenant.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := s.config.DB.RefreshingToken(ctx, id, func(ctx context.Context) error {
		if err := s.config.Roster.Refresh(ctx); err != nil {
			return err
		}
		t, err := s.Get(id)
		if err != nil || t.HubSpot.AccessToken != old {
			return err
		}
		app, err := s.app(t.HubSpot.AppID)
		if err != nil {
			return err
		}
		tokens, err := s.authority(t, app).Refresh(ctx, t.HubSpot.RefreshToken.Reveal())
		next := *t
		switch {
		case fault.Is(err, fault.Unauthorized):
			s.config.Logger.ErrorContext(ctx, "HubSpot has ended the access of a tenant; somebody must connect it again", "tenant", id, "error", err)
			next.HubSpot.State = tenant.Unauthorized
		case err != nil:
			return err
		default:
			next.HubSpot.AccessToken, next.HubSpot.RefreshToken, next.HubSpot.Expires = tenant.Secret(tokens.Access), tenant.Secret(tokens.Refresh), tokens.Expires
		}
		_, err = s.save(ctx, next)
		return err
	})
	if errors.Is(err, postgres.ErrLocked) {
		return nil
	}
	return err
}
