package pages

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lockstep.internal/services/console/access"
)

// The cookies. None can be read by a script, none goes to another site.
const (
	sessionCookie = "lockstep_session"
	flashCookie   = "lockstep_flash"
	themeCookie   = "lockstep_theme"
)

func cookie(r *http.Request, name, value string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: encrypted(r),
	}
}

// encrypted reports whether the browser's connection is, as far as this process
// or the proxy before it knows.
func encrypted(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

// recognise puts the caller of the session into the context.
func (p *Pages) recognise(r *http.Request) (context.Context, bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return r.Context(), false
	}
	caller, err := p.Guard.Bearer(r.Context(), c.Value)
	if err != nil {
		if !errors.Is(err, access.ErrUnknown) {
			p.Logger.ErrorContext(r.Context(), "a session could not be looked up", "error", err)
		}
		return r.Context(), false
	}
	return access.With(r.Context(), caller), true
}

// toSignIn leads who is not signed in to the page for it, and back afterwards.
func toSignIn(r *http.Request) answer {
	to := "/sign-in"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		to += "?to=" + url.QueryEscape(r.URL.RequestURI())
	}
	return redirect{to: to}
}

// local is an address of this console, "/" for anything else.
func local(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}

// signInForm is what the page for signing in shows.
type signInForm struct {
	To, Login, Fault string
	Token, OIDC      bool
}

func (p *Pages) signInPage(_ context.Context, r *http.Request) (answer, error) {
	return p.signInAnswer(r, http.StatusOK, ""), nil
}

func (p *Pages) signInAnswer(r *http.Request, status int, fault string) answer {
	return page{name: "sign-in", title: "Sign in", status: status, data: signInForm{
		To: local(r.FormValue("to")), Login: r.FormValue("login"), Fault: fault, Token: r.FormValue("by") == "token", OIDC: p.Access.OIDC(),
	}}
}

// signIn takes a login with its password, or an API token.
func (p *Pages) signIn(ctx context.Context, r *http.Request) (answer, error) {
	to := local(r.FormValue("to"))
	if token := strings.TrimSpace(r.FormValue("token")); token != "" {
		if _, err := p.Guard.Bearer(ctx, token); errors.Is(err, access.ErrUnknown) {
			return p.signInAnswer(r, http.StatusUnauthorized, "This is nobody's token. Look for a missing character at its ends."), nil
		} else if err != nil {
			return nil, err
		}
		return redirect{to: to, cookies: []*http.Cookie{cookie(r, sessionCookie, token, 12*3600)}}, nil
	}
	in, err := p.Access.SignIn(ctx, r.FormValue("login"), r.FormValue("password"), remote(r))
	return p.signedIn(r, to, in, err)
}

// signedIn begins the session in the browser, or shows why there is none.
func (p *Pages) signedIn(r *http.Request, to string, in access.SignedIn, err error) (answer, error) {
	var refused *access.Error
	var many *access.TooMany
	switch {
	case errors.As(err, &many):
		return p.signInAnswer(r, http.StatusTooManyRequests, "There were too many attempts. Try again in "+ago(many.RetryAfter)+"."), nil
	case errors.As(err, &refused):
		return p.signInAnswer(r, http.StatusUnauthorized, sentence(refused.Message)), nil
	case err != nil:
		return nil, err
	}
	if in.Caller.MustChange {
		to = "/password"
	}
	return redirect{to: to, cookies: []*http.Cookie{cookie(r, sessionCookie, in.Token, int(time.Until(in.Expires).Seconds()))}}, nil
}

// remote is the address of the browser.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (p *Pages) signOut(ctx context.Context, r *http.Request) (answer, error) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		if err := p.Access.SignOut(ctx, c.Value); err != nil && !errors.Is(err, access.ErrUnknown) {
			p.Logger.WarnContext(ctx, "a session did not end in the database; it ends by its age", "error", err)
		}
	}
	return redirect{to: "/sign-in", cookies: []*http.Cookie{cookie(r, sessionCookie, "", -1)}}, nil
}

// oidcCookie holds the state of a sign-in at the organisation's provider.
const oidcCookie = "lockstep_oidc"

func (p *Pages) beginOIDC(ctx context.Context, r *http.Request) (answer, error) {
	if !p.Access.OIDC() {
		return nil, notFound("no provider is configured for signing in")
	}
	address, state, err := p.Access.BeginOIDC(ctx, remote(r))
	if err != nil {
		return p.signedIn(r, "/", access.SignedIn{}, err)
	}
	return redirect{to: address, cookies: []*http.Cookie{cookie(r, oidcCookie, state, 600)}}, nil
}

func (p *Pages) finishOIDC(ctx context.Context, r *http.Request) (answer, error) {
	var kept string
	if c, err := r.Cookie(oidcCookie); err == nil {
		kept = c.Value
	}
	in, err := p.Access.FinishOIDC(ctx, access.OIDCAnswer{
		Cookie: kept, State: r.FormValue("state"), Code: r.FormValue("code"), Error: r.FormValue("error"), Remote: remote(r),
	})
	return p.signedIn(r, "/", in, err)
}

func (p *Pages) passwordPage(ctx context.Context, _ *http.Request) (answer, error) {
	return page{name: "password", title: "Change the password", data: ""}, nil
}

func (p *Pages) changePassword(ctx context.Context, r *http.Request) (answer, error) {
	again := func(status int, fault string) (answer, error) {
		return page{name: "password", title: "Change the password", status: status, data: fault}, nil
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil, invalid("there is no session")
	}
	if r.FormValue("password") != r.FormValue("repeated") {
		return again(http.StatusUnprocessableEntity, "The two new passwords are not the same.")
	}
	in, err := p.Access.ChangePassword(ctx, c.Value, r.FormValue("old"), r.FormValue("password"))
	var refused *access.Error
	var many *access.TooMany
	switch {
	case errors.As(err, &many):
		return again(http.StatusTooManyRequests, sentence(many.Error()))
	case errors.Is(err, access.ErrUnknown):
		return again(http.StatusUnprocessableEntity, "Only a person who signed in by a password has one to change.")
	case errors.As(err, &refused):
		return again(http.StatusUnprocessableEntity, sentence(refused.Message))
	case err != nil:
		return nil, err
	}
	return redirect{to: "/", say: "The password is changed; your other sessions have ended.", cookies: []*http.Cookie{cookie(r, sessionCookie, in.Token, int(time.Until(in.Expires).Seconds()))}}, nil
}

// theme keeps whether somebody wants it light, dark, or as the machine says.
func (p *Pages) theme(_ context.Context, r *http.Request) (answer, error) {
	theme := r.FormValue("theme")
	if theme != "light" && theme != "dark" {
		theme = "auto"
	}
	back := "/"
	if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host {
		back = local(from.RequestURI())
	}
	return redirect{to: back, cookies: []*http.Cookie{cookie(r, themeCookie, theme, 400*24*3600)}}, nil
}
