package pages

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/alerts"
)

// alertRoutes are the page of a tenant's alerts and what can be done there.
func (p *Pages) alertRoutes() []route {
	viewer, administrator := need{role: access.Viewer}, need{role: access.Administrator}
	return []route{
		{pattern: "GET /tenants/{tenant}/alerts", need: viewer, serve: p.alertsPage},
		{pattern: "POST /tenants/{tenant}/alerts/webhook", action: "SaveAlertTarget", need: administrator, serve: p.saveTarget, page: p.alertsPage},
		{pattern: "POST /tenants/{tenant}/alerts/mail", action: "SaveAlertTarget", need: administrator, serve: p.saveTarget, page: p.alertsPage},
		{pattern: "POST /tenants/{tenant}/alerts/change", action: "SaveAlertTarget", need: administrator, serve: p.saveTarget, page: p.alertsPage},
		{pattern: "POST /tenants/{tenant}/alerts/remove", action: "RemoveAlertTarget", need: administrator, serve: p.removeTarget},
		{pattern: "POST /tenants/{tenant}/alerts/test", action: "TestAlertTarget", need: administrator, serve: p.testTarget},
	}
}

// alertsView is a tenant's targets and alerts.
type alertsView struct {
	Targets []alerts.Target
	Mail    bool // this installation sends mail
	Kinds   []alerts.KindInfo
	Open    []changeView
	Told    []toldView
	More    string // address of earlier alerts; "" for none
	Once    string // a secret that was made just now
	OnceOf  string
	// Tried is what came of a test, of the target Tested.
	Tested string
	Tried  []alerts.Tried
}

// changeView is a change with where people look into it.
type changeView struct {
	postgres.AlertChange
	Text, Page, ContactPage string
}

// toldView is an alert with what became of it.
type toldView struct {
	alerts.Told
	Changes    []changeView
	Left       int // changes that are not shown
	Deliveries []deliveryView
}

type deliveryView struct {
	postgres.AlertDelivery
	To string // name of the target, with the address of mail
}

func changeViews(id contact.Tenant, changes []postgres.AlertChange) []changeView {
	views := make([]changeView, len(changes))
	for i, c := range changes {
		page, query := alerts.ChangePage(c)
		views[i] = changeView{AlertChange: c, Text: alerts.Sentence(c), Page: alerts.Path(id, page, query)}
		if c.Contact != "" {
			views[i].ContactPage = alerts.Path(id, "contacts/"+string(c.Contact), nil)
		}
	}
	return views
}

func (p *Pages) alertsPage(ctx context.Context, r *http.Request) (answer, error) {
	return p.alertsAnswer(ctx, r, alertsView{})
}

// alertsAnswer is the page with what was done just now.
func (p *Pages) alertsAnswer(ctx context.Context, r *http.Request, view alertsView) (answer, error) {
	const many, mostShown = 30, 20
	id := tenantOf(r)
	before, _ := strconv.ParseInt(r.FormValue("before"), 10, 64) // anything else begins with the newest
	var err error
	if view.Targets, err = p.Alerts.Targets(ctx, id); err != nil {
		return nil, err
	}
	open, err := p.Alerts.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	told, err := p.Alerts.Recent(ctx, id, before, many)
	if err != nil {
		return nil, err
	}
	view.Open, view.Mail, view.Kinds = changeViews(id, open), p.Alerts.SendsMail(), alerts.Kinds
	names := make(map[string]string, len(view.Targets))
	for _, t := range view.Targets {
		names[t.ID] = t.Name
	}
	for _, a := range told {
		one := toldView{Told: a, Left: max(0, len(a.Changes)-mostShown)}
		one.Changes = changeViews(id, a.Changes[:len(a.Changes)-one.Left])
		for _, d := range a.Deliveries {
			to := names[d.Target]
			if d.Recipient != "" && to != d.Recipient {
				to += ": " + d.Recipient
			}
			one.Deliveries = append(one.Deliveries, deliveryView{d, to})
		}
		view.Told = append(view.Told, one)
	}
	if len(told) == many {
		view.More = "?before=" + strconv.FormatInt(told[many-1].Number, 10)
	}
	return page{name: "alerts", title: "Alerts", data: view}, nil
}

// saveTarget adds a target, or changes one. A form in which every kind is left
// out would tell nothing: it is refused.
func (p *Pages) saveTarget(ctx context.Context, r *http.Request) (answer, error) {
	c := alerts.TargetChange{
		ID: r.FormValue("id"), Name: r.FormValue("name"), URL: tenant.Secret(r.FormValue("secret_url")), Kinds: r.Form["wants"], Words: r.FormValue("words") != "",
		Addresses: strings.FieldsFunc(r.FormValue("addresses"), func(c rune) bool { return strings.ContainsRune(" ,;\r\n\t", c) }),
		NewSecret: r.FormValue("new") != "",
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/webhook"):
		c.Kind, c.ID = postgres.AlertWebhook, ""
	case strings.HasSuffix(r.URL.Path, "/mail"):
		c.Kind, c.ID = postgres.AlertMail, ""
	case c.ID == "":
		return nil, invalid("say which target to change")
	}
	if len(c.Kinds) == 0 {
		return nil, invalid("choose at least one kind of alert; or remove the target, if it shall be told nothing")
	}
	saved, secret, err := p.Alerts.Save(ctx, tenantOf(r), c, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	if secret != "" {
		return p.alertsAnswer(ctx, r, alertsView{Once: secret.Reveal(), OnceOf: saved.Name})
	}
	return redirect{to: alertsURL(r), say: saved.Name + " is saved. Press Test to see whether it hears."}, nil
}

func alertsURL(r *http.Request) string { return alerts.Path(tenantOf(r), "alerts", nil) }

func (p *Pages) removeTarget(ctx context.Context, r *http.Request) (answer, error) {
	if err := p.Alerts.Remove(ctx, tenantOf(r), r.FormValue("id")); err != nil {
		return nil, err
	}
	return redirect{to: alertsURL(r), say: "The target is removed; it is told nothing more."}, nil
}

func (p *Pages) testTarget(ctx context.Context, r *http.Request) (answer, error) {
	target := r.FormValue("id")
	tried, err := p.Alerts.Test(ctx, tenantOf(r), target, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return p.alertsAnswer(ctx, r, alertsView{Tested: target, Tried: tried})
}
