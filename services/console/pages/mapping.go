package pages

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/mappings"
)

// mappingRoutes are the pages of a tenant's mappings, and of what values they
// may take: owners and dispositions.
func (p *Pages) mappingRoutes() []route {
	viewer, administrator := need{role: access.Viewer}, need{role: access.Administrator}
	return []route{
		{pattern: "GET /tenants/{tenant}/mapping", need: viewer, serve: p.mappingPage},
		{pattern: "POST /tenants/{tenant}/mapping/edit", need: administrator, serve: p.editMapping, quiet: true},
		{pattern: "POST /tenants/{tenant}/mapping/preview", need: administrator, serve: p.previewMapping, quiet: true},
		{pattern: "POST /tenants/{tenant}/mapping/property", action: "CreateProperty", need: administrator, serve: p.createProperty},
		{pattern: "POST /tenants/{tenant}/mapping/save", action: "EditMapping", need: administrator, serve: p.saveMapping},
		{pattern: "GET /tenants/{tenant}/mapping/versions", need: viewer, serve: p.versionsPage},
		{pattern: "GET /tenants/{tenant}/owners", need: viewer, serve: p.ownersPage},
		{pattern: "GET /tenants/{tenant}/dispositions", need: viewer, serve: p.dispositionsPage},
		{pattern: "POST /tenants/{tenant}/dispositions/pair", action: "EditMapping", need: administrator, serve: p.pairDisposition},
	}
}

func (p *Pages) mappingPage(ctx context.Context, r *http.Request) (answer, error) {
	view, err := p.mappingView(ctx, r, draft{}, "", "")
	if err != nil {
		return nil, err
	}
	return page{name: "mapping", title: "Mapping", data: view}, nil
}

// editMapping adds a change to the draft, or shows something of the page.
// Nothing is saved.
func (p *Pages) editMapping(ctx context.Context, r *http.Request) (answer, error) {
	d, err := draftOf(r)
	if err != nil {
		return nil, err
	}
	verb, rest, _ := strings.Cut(r.FormValue("edit"), ":")
	key, rest, _ := strings.Cut(rest, ":")
	panel, next, alert := r.FormValue("panel"), d, ""
	switch verb {
	case "open":
		panel = key
	case "undo":
		next.Steps = next.Steps[:max(len(next.Steps)-1, 0)]
	default:
		added, ok, err := stepOf(r, verb, key, rest)
		var wrong *problem
		switch {
		case errors.As(err, &wrong):
			alert = wrong.message
		case err != nil:
			return nil, err
		case ok:
			next = d.with(added)
			if verb == "add" || verb == "filter" {
				panel = ""
			}
		}
	}
	return p.mappingAnswer(ctx, r, d, next, panel, alert)
}

// mappingAnswer shows the page with the next draft; where a rule refuses it,
// with the one before and the rule's words.
func (p *Pages) mappingAnswer(ctx context.Context, r *http.Request, d, next draft, panel, alert string) (answer, error) {
	view, err := p.mappingView(ctx, r, next, panel, alert)
	var refused *mapping.Refusal
	if errors.As(err, &refused) {
		if refused.Rule == mappings.RuleStale {
			// The changes are done on top of what the other one saved.
			now, err := p.Mappings.Get(ctx, tenantOf(r), 0)
			if err != nil {
				return nil, err
			}
			d.BasedOn, next.BasedOn = now.Version, now.Version
			return p.mappingAnswer(ctx, r, d, next, panel, "Version "+strconv.FormatInt(now.Version, 10)+" was saved by "+now.Author+" meanwhile. Your changes are shown on top of it now; look at them again before you save.")
		}
		view, err = p.mappingView(ctx, r, d, r.FormValue("panel"), sentence(refused.Message))
	}
	if errors.As(err, &refused) {
		// Not even the changes before can be done any more.
		view, err = p.mappingView(ctx, r, draft{}, "", sentence(refused.Message)+" The unsaved changes do not fit any more and are left out.")
	}
	if err != nil {
		return nil, err
	}
	if isPart(r) {
		return part{name: "mapping", block: "mapping-form", data: view}, nil
	}
	return page{name: "mapping", title: "Mapping", data: view}, nil
}

// saveMapping makes a version of the draft, and applies it to all contacts
// where that is asked for.
func (p *Pages) saveMapping(ctx context.Context, r *http.Request) (answer, error) {
	d, err := draftOf(r)
	if err != nil {
		return nil, err
	}
	edits, err := d.edits()
	if err != nil {
		return nil, err
	}
	id, author := tenantOf(r), access.From(ctx).Name
	saved, _, err := p.Mappings.Save(ctx, id, d.BasedOn, edits, author, r.FormValue("reason"))
	var refused *mapping.Refusal
	if errors.As(err, &refused) {
		if refused.Rule == mappings.RuleStale {
			return p.mappingAnswer(ctx, r, d, d, "", "")
		}
		return p.mappingAnswer(ctx, r, d, d, r.FormValue("panel"), sentence(refused.Message))
	}
	if err != nil {
		return nil, err
	}
	say := "Version " + strconv.FormatInt(saved.Version, 10) + " is saved and in force."
	if r.FormValue("apply") != "" {
		if _, err := p.Syncs.Start(ctx, id, postgres.Apply, nil, false, author); err != nil {
			return redirect{to: mappingURL(r), bad: true, say: say + " Applying it to all contacts could not be started: " + err.Error()}, nil
		}
		return redirect{to: "/tenants/" + string(id) + "/syncs", say: say + " It is being applied to all contacts."}, nil
	}
	return redirect{to: mappingURL(r), say: say}, nil
}

func mappingURL(r *http.Request) string { return "/tenants/" + string(tenantOf(r)) + "/mapping" }
