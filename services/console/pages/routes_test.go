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

// TestEveryRouteIsGuarded asks for every route there is, as somebody who is
// not signed in, who has every role in another tenant, and who has the role
// just below the one that is needed.
func TestEveryRouteIsGuarded(t *testing.T) {
	t.Parallel()
	var tenants []tenant.Tenant
	for _, id := range []contact.Tenant{"own", "other"} {
		tenants = append(tenants, tenant.Tenant{ID: id, Name: string(id), Active: true})
	}
	known, err := roster.Open(t.Context(), func(context.Context) (postgres.Config, error) {
		return postgres.Config{Revision: 1, Tenants: tenants}, nil
	}, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
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
	ask := func(r route, token string) *httptest.ResponseRecorder {
		method, pattern, _ := strings.Cut(r.pattern, " ")
		path := wildcard.ReplaceAllString(strings.ReplaceAll(strings.ReplaceAll(pattern, "{tenant}", "own"), "{$}", ""), "1")
		request := httptest.NewRequest(method, path, nil)
		if token != "" {
			request.AddCookie(&http.Cookie{Name: sessionCookie, Value: url.QueryEscape(token)})
		}
		served = ""
		inner := r
		inner.quiet = true // the audit has a test of its own
		inner.serve = func(context.Context, *http.Request) (answer, error) {
			served = r.pattern
			return redirect{to: "/"}, nil
		}
		mux := http.NewServeMux()
		mux.Handle(r.pattern, p.guard(inner))
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, request)
		return recorder
	}
	for _, r := range p.routes() {
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
