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
	need    need
	serve   serve
}

// routes are all pages and actions. A page is GET and changes nothing; an
// action is POST, and ends in a page.
func (p *Pages) routes() []route {
	anywhere := need{role: access.Viewer, where: forAny}
	all := []route{
		{"GET /static/{file}", anyone, static},
		{"GET /sign-in", anyone, p.signInPage},
		{"POST /sign-in", anyone, p.signIn},
		{"POST /sign-out", anyone, p.signOut},
		{"POST /theme", anyone, p.theme},
		{"GET /{$}", anywhere, p.home},
		{"GET /tenants", anywhere, p.tenantList},
	}
	return slices.Concat(all)
}

// guard serves a route to those who may use it.
func (p *Pages) guard(to route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, known := p.recognise(r)
		r = r.WithContext(ctx)
		var a answer
		var err error
		switch caller := access.From(ctx); {
		case to.need.where == forAnyone, allowed(caller, to.need, r):
			if r.Method != http.MethodGet {
				r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
			}
			a, err = to.serve(ctx, r)
		case !known:
			a = toSignIn(r)
		default:
			err = refused(caller, to.need, r)
		}
		if err != nil {
			a = p.failed(ctx, r, err)
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
