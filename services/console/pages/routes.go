package pages

import (
	"context"
	"net/http"
	"slices"

	"lockstep.internal/services/console/access"
)

// need is who may use a page or action.
type need struct {
	role access.Role
	// where is what the role must be held for.
	where scope
}

// scope is what a role must be held for.
type scope uint8

const (
	// forTenant: the role in the tenant that the address names as {tenant}.
	forTenant scope = iota
	// forAny: the role in some tenant; the page shows what that one may see.
	forAny
	// forAll: the role for the whole installation.
	forAll
	// forCaller: whoever is signed in, even without a role.
	forCaller
	// forAnyone: nobody needs to be signed in.
	forAnyone
)

var anyone = need{where: forAnyone}

// serve answers a request; an error is shown as a page of its own, or beside
// what was being done.
type serve func(ctx context.Context, r *http.Request) (answer, error)

// route is one page or action.
type route struct {
	pattern string // of http.ServeMux, with its method
	// action is the word that the audit has for it: the name of the API's call
	// that does the same.
	action string
	need   need
	serve  serve
	// quiet marks an action that changes nothing, such as a preview.
	quiet bool
	// page is the page that has an action's form: a form that cannot be accepted
	// is shown there again with what was typed. nil is for actions that take
	// nothing typed.
	page serve
}

// routes are all pages and actions. A page is GET and changes nothing; an
// action is POST, and ends in a page.
func (p *Pages) routes() []route {
	anywhere, signed := need{role: access.Viewer, where: forAny}, need{where: forCaller}
	all := []route{
		{pattern: "GET /static/{file}", need: anyone, serve: static},
		{pattern: "GET /sign-in", need: anyone, serve: p.signInPage},
		{pattern: "POST /sign-in", need: anyone, serve: p.signIn},
		{pattern: "POST /sign-out", need: anyone, serve: p.signOut},
		{pattern: "POST /theme", need: anyone, serve: p.theme},
		{pattern: "GET /oidc/start", need: anyone, serve: p.beginOIDC},
		{pattern: "GET /oidc/callback", need: anyone, serve: p.finishOIDC},
		{pattern: "GET /password", need: signed, serve: p.passwordPage},
		{pattern: "POST /password", need: signed, serve: p.changePassword},
		{pattern: "GET /{$}", need: anywhere, serve: p.home},
		{pattern: "GET /tenants", need: anywhere, serve: p.tenantList},
	}
	return slices.Concat(all, p.accessRoutes(), p.appRoutes(), p.tenantRoutes(), p.pipelineRoutes(), p.contactRoutes(), p.errorRoutes(), p.alertRoutes(), p.syncRoutes(), p.mappingRoutes(), p.holdRoutes())
}

// Patterns are those of all pages and actions, each with its method.
func Patterns() []string {
	var all []string
	for _, r := range new(Pages).routes() {
		all = append(all, r.pattern)
	}
	return all
}

// guard serves a route to those who may use it.
func (p *Pages) guard(to route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, known := p.recognise(r)
		r = r.WithContext(ctx)
		var a answer
		var err error
		switch caller := access.From(ctx); {
		case to.need.where == forAnyone, to.need.where == forCaller && known, allowed(caller, to.need, r):
			if r.Method != http.MethodGet {
				r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
			}
			a, err = p.audited(to, r)
		case caller.MustChange:
			a = redirect{to: "/password"}
		case !known:
			a = toSignIn(r)
		default:
			p.denied(to, r)
			err = refused(caller, to.need, r)
		}
		if err != nil {
			a = p.failed(ctx, r, to, err)
		}
		a.send(p, w, r)
	})
}

func allowed(caller access.Caller, n need, r *http.Request) bool {
	switch n.where {
	case forTenant:
		return caller.May(tenantOf(r), n.role)
	case forAll:
		return caller.Everywhere >= n.role
	case forCaller:
		return false // being known is what counts
	}
	if caller.Everywhere >= n.role {
		return true
	}
	for id := range caller.Tenants {
		if caller.May(id, n.role) {
			return true
		}
	}
	return false
}
