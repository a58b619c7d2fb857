package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

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
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
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

func (p *Pages) signInPage(_ context.Context, r *http.Request) (answer, error) {
	return page{name: "sign-in", title: "Sign in", data: map[string]string{"To": local(r.FormValue("to"))}}, nil
}

func (p *Pages) signIn(ctx context.Context, r *http.Request) (answer, error) {
	token, to := strings.TrimSpace(r.FormValue("token")), local(r.FormValue("to"))
	if _, err := p.Guard.Bearer(ctx, token); errors.Is(err, access.ErrUnknown) {
		return page{name: "sign-in", title: "Sign in", status: http.StatusUnauthorized, data: map[string]string{"To": to, "Fault": "This is nobody's token. Look for a missing character at its ends."}}, nil
	} else if err != nil {
		return nil, err
	}
	return redirect{to: to, cookies: []*http.Cookie{cookie(r, sessionCookie, token, 7*24*3600)}}, nil
}

func (p *Pages) signOut(_ context.Context, r *http.Request) (answer, error) {
	return redirect{to: "/sign-in", cookies: []*http.Cookie{cookie(r, sessionCookie, "", -1)}}, nil
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
