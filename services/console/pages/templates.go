package pages

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/holds"
)

//go:embed all:templates static
var files embed.FS

// templates are the pages' templates, each with the frame and the shared parts.
type templates struct{ pages map[string]*template.Template }

// parse reads all templates. A file that begins with "_" is shared by all
// pages; any other is a page, which defines "main" and may define parts.
// traceURL is where traces are shown, with {trace} for the id; "" is nowhere.
func parse(traceURL string) (*templates, error) {
	trace := template.FuncMap{"trace": func(traceparent string) *traceLink { return traceOf(traceparent, traceURL) }}
	shared, err := template.New("").Funcs(functions).Funcs(trace).ParseFS(files, "templates/_*.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/[a-z]*.html")
	if err != nil {
		return nil, err
	}
	t := &templates{pages: make(map[string]*template.Template)}
	for _, name := range names {
		one, err := template.Must(shared.Clone()).ParseFS(files, name)
		if err != nil {
			return nil, err
		}
		t.pages[strings.TrimSuffix(path.Base(name), ".html")] = one
	}
	return t, nil
}

func (t *templates) page(w io.Writer, name string, f frame) error {
	return t.block(w, name, "frame", f)
}

func (t *templates) block(w io.Writer, name, block string, f frame) error {
	one := t.pages[name]
	if one == nil {
		return fmt.Errorf("no template file %q", name)
	}
	return one.ExecuteTemplate(w, block, f)
}

// frame is what every template is given.
type frame struct {
	Title  string
	Path   string
	Theme  string // "light", "dark" or "auto"
	Caller access.Caller
	Signed bool
	// Tenant is the one that the address names; nil on pages of no tenant.
	Tenant *tenant.Tenant
	// Tenants are those that the caller may see.
	Tenants []*tenant.Tenant
	Links   []Link
	Flash   string
	Bad     bool // Flash is about something that went wrong
	Data    any
	typed   *typed
	// Errors are the open ones of the tenant.
	Errors int
	// Held are the bursts that wait for an answer.
	Held []holds.Hold
}

// May reports whether the caller has a role in the page's tenant, or, on a page
// of none, for the installation: for showing an action only to who may do it.
func (f frame) May(role string) bool {
	var id contact.Tenant
	if f.Tenant != nil {
		id = f.Tenant.ID
	}
	r, err := access.ParseRole(role)
	return err == nil && f.Caller.May(id, r)
}

// MayAny reports whether the caller has a role somewhere: for leading to pages
// that show what each may see.
func (f frame) MayAny(role string) bool {
	r, err := access.ParseRole(role)
	return err == nil && allowed(f.Caller, need{role: r, where: forAny}, nil)
}

// With is the frame around other data, for a shared part.
func (f frame) With(data any) frame {
	f.Data = data
	return f
}

// URL is an address within the page's tenant: {{.URL "mapping"}}.
func (f frame) URL(rest string) string {
	if f.Tenant == nil {
		return "/"
	}
	return strings.TrimSuffix("/tenants/"+string(f.Tenant.ID)+"/"+rest, "/")
}

// Section is the part of the address that says which page of a tenant this is.
func (f frame) Section() string {
	if rest, ok := strings.CutPrefix(f.Path, "/tenants/"); ok {
		if _, rest, ok = strings.Cut(rest, "/"); ok {
			section, _, _ := strings.Cut(rest, "/")
			return section
		}
		return ""
	}
	return f.Path
}

func (p *Pages) frame(r *http.Request, a page) frame {
	f := frame{Title: a.title, Path: r.URL.Path, Theme: "auto", Caller: access.From(r.Context()), Links: p.Links, Data: a.data, typed: a.typed}
	f.Signed = f.Caller.Name != ""
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		f.Theme = c.Value
	}
	if c, err := r.Cookie(flashCookie); err == nil && !isPart(r) {
		f.Flash, f.Bad = readFlash(c.Value)
	}
	if t, ok := p.Roster.Tenant(tenantOf(r)); ok && f.Caller.May(t.ID, access.Viewer) {
		f.Tenant = t
		if !isPart(r) {
			f.Held, f.Errors = p.held(r.Context(), t.ID), p.errors(r.Context(), t.ID)
		}
	}
	f.Tenants = p.visible(r.Context())
	return f
}

// visible are the tenants that the caller may see.
func (p *Pages) visible(ctx context.Context) []*tenant.Tenant {
	caller := access.From(ctx)
	all := p.Roster.All()
	if caller.Everywhere >= access.Viewer {
		return all
	}
	var some []*tenant.Tenant
	for _, t := range all {
		if caller.May(t.ID, access.Viewer) {
			some = append(some, t)
		}
	}
	return some
}

func static(_ context.Context, r *http.Request) (answer, error) {
	name := "static/" + r.PathValue("file")
	if _, err := fs.Stat(files, name); err != nil {
		return nil, notFound("there is no such file")
	}
	return handler(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeFileFS(w, r, files, name)
	}), nil
}
