package hubspot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
)

// TokenSource gives the access token of one portal. It is safe for concurrent
// use.
type TokenSource interface {
	// Token is a token that should be valid now.
	Token(ctx context.Context) (string, error)
	// Refused tells that HubSpot refused a token with 401, and reports whether
	// Token can give another one.
	Refused(token string) bool
}

// StaticToken is the token of a private app or a service key.
type StaticToken string

// Token is the token itself.
func (t StaticToken) Token(context.Context) (string, error) { return string(t), nil }

// Refused is always final: nothing can renew a static token.
func (t StaticToken) Refused(string) bool { return false }

// String hides the token from logs.
func (t StaticToken) String() string { return "hubspot token" }

// GoString hides the token from logs.
func (t StaticToken) GoString() string { return t.String() }

// Tokens are what HubSpot gave for one connection.
type Tokens struct {
	Access  string
	Refresh string
	Expires time.Time // of Access; the zero time means now
}

// OAuthApp is an app that people give access to their portal.
type OAuthApp struct {
	BaseURL, Version       string // as in ClientConfig
	ClientID, ClientSecret string
	Budget                 quota.Budget     // a token call takes a ticket like any call; required
	HTTP                   *http.Client     // as in ClientConfig
	Now                    func() time.Time // nil is time.Now
}

// AuthorizeURL is where people consent, of a portal at a base address ("" is
// HubSpot's own).
func AuthorizeURL(baseURL string) string {
	if baseURL == "" {
		return "https://app.hubspot.com/oauth/authorize"
	}
	return strings.TrimRight(baseURL, "/") + "/oauth/authorize"
}

// Scopes are what Lockstep needs: contacts, their properties and owners.
var Scopes = []string{
	"oauth", "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.schemas.contacts.read", "crm.schemas.contacts.write", "crm.objects.owners.read",
}

// Exchange turns the code that a consent ended with into tokens. redirect and
// verifier are those of the consent's beginning. Faults are Unauthorized where
// HubSpot refuses by name.
func (a OAuthApp) Exchange(ctx context.Context, code, redirect, verifier string) (Tokens, error) {
	return a.ask(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}})
}

// Refresh gives new tokens for a refresh token. The answer may leave the
// refresh token out, which then stays as it is. Faults are Unauthorized where
// the connection was revoked or the app's own credentials are wrong.
func (a OAuthApp) Refresh(ctx context.Context, refresh string) (Tokens, error) {
	got, err := a.ask(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	if err == nil && got.Refresh == "" {
		got.Refresh = refresh
	}
	return got, err
}

// ask makes the token call.
func (a OAuthApp) ask(ctx context.Context, form url.Values) (Tokens, error) {
	a.BaseURL, a.Version = cmp.Or(a.BaseURL, defaultBaseURL), cmp.Or(a.Version, defaultVersion)
	if a.HTTP == nil {
		a.HTTP = sharedHTTP
	}
	if a.Now == nil {
		a.Now = time.Now
	}
	path := "/oauth/" + a.Version + "/token"
	call := "POST " + path
	form.Set("client_id", a.ClientID)
	form.Set("client_secret", a.ClientSecret)
	ticket, err := a.Budget.Take(ctx, quota.General)
	if err != nil {
		return Tokens{}, fmt.Errorf("hubspot %s: wait for budget: %w", call, err)
	}
	var told quota.Answer
	defer func() { ticket.Done(told) }()
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	asked := a.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(a.BaseURL, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return Tokens{}, fault.Wrap(fault.Permanent, fmt.Errorf("hubspot %s: address: %w", call, bare(err)))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	response, err := a.HTTP.Do(req)
	if err != nil {
		return Tokens{}, fault.Wrap(fault.Transient, fmt.Errorf("hubspot %s: %w", call, bare(err)))
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	told = limitsOf(response.Header)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		refused := classify(call, response.StatusCode, response.Header, raw, quota.General, a.Now(), nil)
		if refused.body.OAuthError != "" && response.StatusCode < 500 && refused.Class != fault.Throttled {
			// Every named refusal of a token call needs a person: the
			// connection is revoked, or the app's own credentials are wrong.
			refused.Class = fault.Unauthorized
		}
		told.Throttled, told.Wait, told.Scope = refused.Class == fault.Throttled, refused.Wait, refused.Scope
		return Tokens{}, refused
	}
	var got struct {
		Access  string  `json:"access_token"`
		Refresh string  `json:"refresh_token"`
		Seconds float64 `json:"expires_in"`
	}
	if err != nil || lenient(raw, &got) != nil || got.Access == "" {
		return Tokens{}, fault.Wrap(fault.Transient, errors.New("hubspot "+call+": answer without a token"))
	}
	if got.Seconds <= 0 {
		got.Seconds = 1800
	}
	return Tokens{Access: got.Access, Refresh: got.Refresh, Expires: asked.Add(time.Duration(got.Seconds * float64(time.Second)))}, nil
}
