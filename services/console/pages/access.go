package pages

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/console/access"
)

// accessRoutes are the pages of people, tokens and the audit.
func (p *Pages) accessRoutes() []route {
	manages := need{role: access.Operator, where: forAny}
	return []route{
		{pattern: "GET /access", need: manages, serve: p.accessPage},
		{pattern: "POST /access/person", action: "SavePerson", need: manages, serve: p.savePerson, page: p.accessPage},
		{pattern: "POST /access/disable", action: "DisablePerson", need: manages, serve: p.disablePerson},
		{pattern: "POST /access/reset", action: "ResetPassword", need: manages, serve: p.resetPassword},
		{pattern: "POST /access/token", action: "CreateToken", need: manages, serve: p.createToken, page: p.accessPage},
		{pattern: "POST /access/revoke", action: "RevokeToken", need: manages, serve: p.revokeToken},
		{pattern: "GET /audit", need: need{role: access.Administrator, where: forAny}, serve: p.auditPage},
	}
}

// accessView is what the page of people and tokens shows.
type accessView struct {
	People []access.Person
	Tokens []access.APIToken
	// Once is a secret that is shown this time only, for OnceOf.
	Once, OnceOf string
}

func (p *Pages) accessPage(ctx context.Context, _ *http.Request) (answer, error) {
	return p.accessAnswer(ctx, "", "")
}

func (p *Pages) accessAnswer(ctx context.Context, once, onceOf string) (answer, error) {
	people, err := p.Access.People(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := p.Access.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	return page{name: "access", title: "Access", data: accessView{people, tokens, once, onceOf}}, nil
}

// rolesOf reads the roles of a form, each with its tenant; "*" is everywhere. A
// line without a role is none.
func rolesOf(r *http.Request) (access.Roles, error) {
	tenants, words := r.PostForm["role_tenant"], r.PostForm["role"]
	if len(tenants) != len(words) {
		return nil, invalid("A role has a tenant and a word; load the page again.")
	}
	roles := make(access.Roles)
	for i, word := range words {
		if word == "" {
			continue
		}
		tenant := contact.Tenant(strings.TrimSpace(tenants[i]))
		if tenant == "" {
			return nil, invalid("Say for which tenant the role " + word + " is; * is everywhere.")
		}
		if _, twice := roles[tenant]; twice {
			return nil, invalid("The tenant " + string(tenant) + " is there twice.")
		}
		role, err := access.ParseRole(word)
		if err != nil {
			return nil, err
		}
		roles[tenant] = role
	}
	return roles, nil
}

// roleRow is one role of a form.
type roleRow struct{ Tenant, Role string }

// Roles are the lines of a form's roles: what was typed, if it was not accepted,
// else those in force, and one to be filled in.
func (f frame) Roles(form string, inForce access.Roles) []roleRow {
	var rows []roleRow
	if f.Fault(form) != "" {
		words := f.typed.values["role"]
		for i, tenant := range f.typed.values["role_tenant"] {
			if i < len(words) && (tenant != "" || words[i] != "") {
				rows = append(rows, roleRow{tenant, words[i]})
			}
		}
	} else {
		for tenant, role := range inForce {
			rows = append(rows, roleRow{string(tenant), role.String()})
		}
		slices.SortFunc(rows, func(a, b roleRow) int { return strings.Compare(a.Tenant, b.Tenant) })
	}
	return append(rows, roleRow{})
}

// roleLines writes roles for people.
func roleLines(roles access.Roles) string {
	var lines []string
	for tenant, role := range roles {
		where := string(tenant)
		if tenant == access.Everywhere {
			where = "everywhere"
		}
		lines = append(lines, where+": "+role.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (p *Pages) savePerson(ctx context.Context, r *http.Request) (answer, error) {
	roles, err := rolesOf(r)
	if err != nil {
		return nil, err
	}
	person, password, err := p.Access.SavePerson(ctx, access.PersonChange{
		Login: r.FormValue("login"), Name: r.FormValue("name"), Roles: roles, Password: r.FormValue("new") != "",
	})
	if err != nil {
		return nil, err
	}
	if password != "" {
		return p.accessAnswer(ctx, password, "the one-time password of "+person.Login)
	}
	return redirect{to: "/access", say: person.Login + " is saved."}, nil
}

func (p *Pages) disablePerson(ctx context.Context, r *http.Request) (answer, error) {
	login, disabled := r.FormValue("login"), r.FormValue("disabled") == "true"
	revoked, err := p.Access.DisablePerson(ctx, login, disabled)
	if err != nil {
		return nil, err
	}
	if !disabled {
		return redirect{to: "/access", say: login + " may sign in again."}, nil
	}
	return redirect{to: "/access", say: login + " is disabled; " + many(revoked, "token was", "tokens were") + " revoked."}, nil
}

func (p *Pages) resetPassword(ctx context.Context, r *http.Request) (answer, error) {
	login := r.FormValue("login")
	password, err := p.Access.ResetPassword(ctx, login)
	if err != nil {
		return nil, err
	}
	return p.accessAnswer(ctx, password, "the one-time password of "+login)
}

func (p *Pages) createToken(ctx context.Context, r *http.Request) (answer, error) {
	roles, err := rolesOf(r)
	if err != nil {
		return nil, err
	}
	days, err := strconv.Atoi(r.FormValue("days"))
	if err != nil || days < 0 || days > 3650 {
		return nil, invalid("a token holds for 1 to 3650 days, or 0 for ever")
	}
	token, secret, err := p.Access.CreateToken(ctx, r.FormValue("name"), roles, time.Duration(days)*24*time.Hour)
	if err != nil {
		return nil, err
	}
	return p.accessAnswer(ctx, secret, "the token \""+token.Name+"\"")
}

func (p *Pages) revokeToken(ctx context.Context, r *http.Request) (answer, error) {
	if err := p.Access.RevokeToken(ctx, r.FormValue("id")); err != nil {
		return nil, err
	}
	return redirect{to: "/access", say: "The token is revoked."}, nil
}

// auditView is a page of the audit.
type auditView struct {
	Entries              []access.AuditEntry
	Tenant, Caller, More string
	From                 string
}

func (p *Pages) auditPage(ctx context.Context, r *http.Request) (answer, error) {
	const many = 100
	f := access.AuditFilter{Caller: r.FormValue("caller"), Limit: many}
	if id := r.FormValue("in"); id != "" {
		tenant := contact.Tenant(strings.TrimPrefix(id, "-"))
		f.Tenant = &tenant
	} else if caller := access.From(ctx); caller.Everywhere < access.Administrator {
		// Who may see some tenants only sees one at a time.
		for _, t := range p.visible(ctx) {
			if caller.May(t.ID, access.Administrator) {
				f.Tenant = &t.ID
				break
			}
		}
	}
	if from := r.FormValue("from"); from != "" {
		day, err := time.Parse(time.DateOnly, from)
		if err != nil {
			return nil, invalid("\"" + from + "\": want a day such as 2026-01-31")
		}
		f.From = day
	}
	f.Before, _ = strconv.ParseInt(r.FormValue("before"), 10, 64) // anything else begins with the newest
	entries, err := p.Access.Audit(ctx, f)
	if err != nil {
		return nil, err
	}
	view := auditView{Entries: entries, Tenant: r.FormValue("in"), Caller: f.Caller, From: r.FormValue("from")}
	if len(entries) == many {
		q := url.Values{"in": {view.Tenant}, "caller": {f.Caller}, "from": {view.From}, "before": {strconv.FormatInt(entries[many-1].Number, 10)}}
		view.More = "/audit?" + q.Encode()
	}
	return page{name: "audit", title: "Audit", data: view}, nil
}
