package pages

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
)

// callers is a Guard that knows some callers by token.
type callers map[string]access.Caller

func (c callers) Bearer(_ context.Context, token string) (access.Caller, error) {
	if caller, ok := c[token]; ok {
		return caller, nil
	}
	return access.Caller{}, access.ErrUnknown
}

var wildcard = regexp.MustCompile(`\{[a-z]+(\.\.\.)?\}`)

// rosterOf has some tenants and nothing else.
func rosterOf(t *testing.T, ids ...contact.Tenant) *roster.Roster {
	t.Helper()
	var tenants []tenant.Tenant
	for _, id := range ids {
		tenants = append(tenants, tenant.Tenant{ID: id, Name: string(id), Active: true})
	}
	known, err := roster.Open(t.Context(), func(context.Context) (postgres.Config, error) {
		return postgres.Config{Revision: 1, Tenants: tenants}, nil
	}, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// TestEveryRouteIsGuarded asks for every route there is, as somebody who is
// not signed in, who has every role in another tenant, and who has the role
// just below the one that is needed.
func TestEveryRouteIsGuarded(t *testing.T) {
	t.Parallel()
	known := rosterOf(t, "own", "other")
	guard := callers{"stranger": {Name: "stranger", Tenants: map[contact.Tenant]access.Role{"other": access.Operator}}}
	for role := access.Viewer; role <= access.Operator; role++ {
		guard["own-"+role.String()] = access.Caller{Name: role.String(), Tenants: map[contact.Tenant]access.Role{"own": role}}
	}
	templates, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	p := &Pages{Config: Config{Roster: known, Guard: guard}, templates: templates}
	served := ""
	routes := p.routes()
	for i := range routes {
		routes[i].quiet = true // the audit has a test of its own
		routes[i].serve = func(context.Context, *http.Request) (answer, error) {
			served = routes[i].pattern
			return redirect{to: "/"}, nil
		}
	}
	handler := p.handler(routes)
	ask := func(r route, token string) *httptest.ResponseRecorder {
		t.Helper()
		method, pattern, _ := strings.Cut(r.pattern, " ")
		path := wildcard.ReplaceAllString(strings.ReplaceAll(strings.ReplaceAll(pattern, "{tenant}", "own"), "{$}", ""), "1")
		request := httptest.NewRequest(method, path, nil)
		if token != "" {
			request.AddCookie(&http.Cookie{Name: sessionCookie, Value: url.QueryEscape(token)})
		}
		served = ""
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if served != "" && served != r.pattern {
			t.Errorf("%s is served by %s", r.pattern, served)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := recorder.Header().Get(name); !strings.Contains(got, want) {
				t.Errorf("%s is answered with %s %q, want %q in it", r.pattern, name, got, want)
			}
		}
		return recorder
	}
	for _, r := range routes {
		if r.need.where == forAnyone {
			if _, path, _ := strings.Cut(r.pattern, " "); !open[path] {
				t.Errorf("%s is open to everybody and not on the list of those", r.pattern)
			}
			continue
		}
		if r.need.where == forCaller {
			if answer := ask(r, ""); served != "" || !strings.HasPrefix(answer.Header().Get("Location"), "/sign-in") {
				t.Errorf("%s is not signed in and gets %d", r.pattern, answer.Code)
			}
			continue
		}
		if r.need.role < access.Viewer {
			t.Errorf("%s needs no role", r.pattern)
		}
		if strings.Contains(r.pattern, "{tenant}") != (r.need.where == forTenant) {
			t.Errorf("%s: a page has a tenant in its address exactly if the role is needed there", r.pattern)
		}
		if answer := ask(r, ""); served != "" || !strings.HasPrefix(answer.Header().Get("Location"), "/sign-in") {
			t.Errorf("%s is not signed in and gets %d to %q", r.pattern, answer.Code, answer.Header().Get("Location"))
		}
		if r.need.where == forTenant {
			if answer := ask(r, "stranger"); served != "" || answer.Code != http.StatusNotFound {
				t.Errorf("%s by another tenant's operator is answered %d", r.pattern, answer.Code)
			}
		}
		if below := r.need.role - 1; below >= access.Viewer || r.need.where == forAll {
			if r.need.where == forAll {
				below = access.Operator // of a tenant, not of all
			}
			if answer := ask(r, "own-"+below.String()); served != "" || answer.Code != http.StatusForbidden {
				t.Errorf("%s by a %s is answered %d", r.pattern, below, answer.Code)
			}
		}
		if r.need.where != forAll {
			if ask(r, "own-"+r.need.role.String()); served == "" {
				t.Errorf("%s is refused to a %s", r.pattern, r.need.role)
			}
		}
	}
}

// open are the addresses that need no sign-in.
var open = map[string]bool{"/static/{file}": true, "/sign-in": true, "/sign-out": true, "/theme": true, "/oidc/start": true, "/oidc/callback": true}

// TestAnotherSiteChangesNothing: a form or script of another site reaches no
// action, whoever is signed in, and no cookie goes there or to a script.
func TestAnotherSiteChangesNothing(t *testing.T) {
	t.Parallel()
	known, err := roster.Open(t.Context(), func(context.Context) (postgres.Config, error) { return postgres.Config{Revision: 1}, nil }, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	templates, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	guard := callers{"boss": {Name: "boss", Everywhere: access.Operator}}
	p := &Pages{Config: Config{Roster: known, Guard: guard}, templates: templates}
	served := 0
	routes := p.routes()
	for i := range routes {
		routes[i].quiet = true
		routes[i].serve = func(_ context.Context, r *http.Request) (answer, error) {
			served++
			return redirect{to: "/", say: "done", cookies: []*http.Cookie{cookie(r, sessionCookie, "boss", 60)}}, nil
		}
	}
	handler := p.handler(routes)
	for _, r := range routes {
		method, pattern, _ := strings.Cut(r.pattern, " ")
		path := wildcard.ReplaceAllString(strings.ReplaceAll(pattern, "{$}", ""), "1")
		ask := func(headers ...string) *httptest.ResponseRecorder {
			request := httptest.NewRequest(method, path, nil)
			request.AddCookie(&http.Cookie{Name: sessionCookie, Value: "boss"})
			for i := 0; i < len(headers); i += 2 {
				request.Header.Set(headers[i], headers[i+1])
			}
			served = 0
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			return recorder
		}
		if method != http.MethodGet {
			for _, from := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
				if answer := ask(from[0], from[1]); served != 0 || answer.Code != http.StatusForbidden {
					t.Errorf("%s with %s is answered %d", r.pattern, from, answer.Code)
				}
			}
		}
		plain, safe := ask("Sec-Fetch-Site", "same-origin"), ask("Sec-Fetch-Site", "same-origin", "X-Forwarded-Proto", "https")
		if served != 1 {
			t.Errorf("%s from its own page is not served", r.pattern)
		}
		if plain.Header().Get("Strict-Transport-Security") != "" || safe.Header().Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: browsers are told to encrypt exactly where that is possible", r.pattern)
		}
		for secure, answer := range map[bool]*httptest.ResponseRecorder{false: plain, true: safe} {
			set := answer.Result().Cookies()
			if len(set) != 2 {
				t.Fatalf("%s sets %d cookies", r.pattern, len(set))
			}
			for _, c := range set {
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != secure || c.Path != "/" || c.Domain != "" {
					t.Errorf("%s sets a cookie that is not kept safe: %v", r.pattern, c)
				}
			}
		}
	}
}
