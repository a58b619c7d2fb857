package hubspot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
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

// OAuthConfig is what refreshing needs.
type OAuthConfig struct {
	BaseURL, Version       string // as in ClientConfig
	ClientID, ClientSecret string
	Tokens                 Tokens       // to begin with; Refresh is required
	Budget                 quota.Budget // a refresh takes a ticket like any call; required
	HTTP                   *http.Client // as in ClientConfig
	// Save stores new tokens, called before their first use; nil stores none.
	// Its failure is not a failure of the refresh.
	Save func(context.Context, Tokens)
	Now  func() time.Time // nil is time.Now
}

// refreshPause is how long a failed refresh is not repeated.
const refreshPause = 5 * time.Second

// OAuth refreshes an access token ahead of its end, one refresh at a time.
type OAuth struct {
	config OAuthConfig
	turn   chan struct{} // holds one item: who has it may refresh

	mu      sync.Mutex // guards the rest
	tokens  Tokens
	ahead   time.Duration
	failed  error // of the last refresh
	retryAt time.Time
}

// NewOAuth makes a source; it panics without a budget.
func NewOAuth(config OAuthConfig) *OAuth {
	if config.Budget == nil {
		panic("hubspot: an OAuth source needs a budget")
	}
	if config.BaseURL == "" {
		config.BaseURL = defaultBaseURL
	}
	if config.Version == "" {
		config.Version = defaultVersion
	}
	if config.HTTP == nil {
		config.HTTP = sharedHTTP
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	o := &OAuth{config: config, turn: make(chan struct{}, 1), tokens: config.Tokens, ahead: 5 * time.Minute}
	o.config.Tokens = Tokens{}
	return o
}

// Token gives the current token, refreshed when less than a sixth of its life
// (five minutes of thirty) is left. While a refresh fails, a token that still
// lives is given.
func (o *OAuth) Token(ctx context.Context) (string, error) {
	for {
		token, fresh, err := o.current()
		if fresh || err != nil {
			return token, err
		}
		select {
		case o.turn <- struct{}{}:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if token, fresh, err = o.current(); !fresh && err == nil {
			err = o.refresh(ctx)
		}
		<-o.turn
		if fresh || err != nil && ctx.Err() != nil {
			return token, err
		}
	}
}

// current gives the token if it can be used without a refresh, or the error of
// a refresh that shall not be repeated yet.
func (o *OAuth) current() (token string, fresh bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.config.Now()
	if o.tokens.Access != "" && now.Before(o.tokens.Expires.Add(-o.ahead)) {
		return o.tokens.Access, true, nil
	}
	if o.failed == nil || now.After(o.retryAt) && !fault.Is(o.failed, fault.Unauthorized) {
		return "", false, nil
	}
	if o.tokens.Access != "" && now.Before(o.tokens.Expires) && !fault.Is(o.failed, fault.Unauthorized) {
		return o.tokens.Access, true, nil
	}
	return "", false, o.failed
}

// Refused drops a token before its time. It reports false when the refresh
// token itself was refused.
func (o *OAuth) Refused(token string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tokens.Access == token {
		o.tokens.Access = ""
	}
	return o.failed == nil || !fault.Is(o.failed, fault.Unauthorized)
}

// refresh asks for a new token and remembers it, or why there is none.
func (o *OAuth) refresh(ctx context.Context) error {
	o.mu.Lock()
	old := o.tokens
	o.mu.Unlock()
	got, lifetime, err := o.ask(ctx, old.Refresh)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		pause := refreshPause
		if wait := fault.As(err).Wait; wait > pause {
			pause = wait
		}
		o.failed, o.retryAt = err, o.config.Now().Add(pause)
		return nil
	}
	if o.config.Save != nil {
		o.config.Save(ctx, got)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokens, o.failed = got, nil
	o.ahead = min(5*time.Minute, lifetime/6)
	return nil
}

// ask makes the token call.
func (o *OAuth) ask(ctx context.Context, refreshToken string) (Tokens, time.Duration, error) {
	path := "/oauth/" + o.config.Version + "/token"
	call := "POST " + path
	form := url.Values{
		"grant_type": {"refresh_token"}, "client_id": {o.config.ClientID},
		"client_secret": {o.config.ClientSecret}, "refresh_token": {refreshToken},
	}
	ticket, err := o.config.Budget.Take(ctx, quota.General)
	if err != nil {
		return Tokens{}, 0, fmt.Errorf("hubspot %s: wait for budget: %w", call, err)
	}
	var told quota.Answer
	defer func() { ticket.Done(told) }()
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	asked := o.config.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(o.config.BaseURL, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return Tokens{}, 0, fault.Wrap(fault.Permanent, fmt.Errorf("hubspot %s: address: %w", call, bare(err)))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	response, err := o.config.HTTP.Do(req)
	if err != nil {
		return Tokens{}, 0, fault.Wrap(fault.Transient, fmt.Errorf("hubspot %s: %w", call, bare(err)))
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	told = limitsOf(response.Header)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		refused := classify(call, response.StatusCode, response.Header, raw, quota.General, o.config.Now(), nil)
		if refused.body.OAuthError != "" && response.StatusCode < 500 && refused.Class != fault.Throttled {
			// Every named refusal of a token call needs a person: the
			// connection is revoked, or the app's own credentials are wrong.
			refused.Class = fault.Unauthorized
		}
		told.Throttled, told.Wait, told.Scope = refused.Class == fault.Throttled, refused.Wait, refused.Scope
		return Tokens{}, 0, refused
	}
	var got struct {
		Access  string  `json:"access_token"`
		Refresh string  `json:"refresh_token"`
		Seconds float64 `json:"expires_in"`
	}
	if err != nil || lenient(raw, &got) != nil || got.Access == "" {
		return Tokens{}, 0, fault.Wrap(fault.Transient, errors.New("hubspot "+call+": answer without a token"))
	}
	if got.Refresh == "" {
		got.Refresh = refreshToken
	}
	if got.Seconds <= 0 {
		got.Seconds = 1800
	}
	lifetime := time.Duration(got.Seconds * float64(time.Second))
	return Tokens{Access: got.Access, Refresh: got.Refresh, Expires: asked.Add(lifetime)}, lifetime, nil
}
