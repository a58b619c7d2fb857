package pages

import (
	"context"
	"net/http"
	"strings"

	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/tenants"
)

// appRoutes are the pages of the apps in HubSpot that the installation uses.
func (p *Pages) appRoutes() []route {
	everywhere := need{role: access.Operator, where: forAll}
	return []route{
		{pattern: "GET /apps", need: everywhere, serve: p.appsPage},
		{pattern: "POST /apps/save", action: "SaveApp", need: everywhere, serve: p.saveApp, page: p.appsPage},
		{pattern: "POST /apps/remove", action: "RemoveApp", need: everywhere, serve: p.removeApp},
	}
}

// appsView is the list of apps.
type appsView struct {
	Apps     []tenants.App
	Redirect string // address, as it must be registered at an app
}

func (p *Pages) appsPage(context.Context, *http.Request) (answer, error) {
	return page{name: "apps", title: "HubSpot apps", data: appsView{p.Tenants.Apps(), p.Tenants.RedirectURL()}}, nil
}

func (p *Pages) saveApp(ctx context.Context, r *http.Request) (answer, error) {
	id, err := number(r, "app_id", 0, 1<<53)
	if err != nil {
		return nil, err
	}
	a := tenant.App{
		AppID: int64(id), BaseURL: strings.TrimSpace(r.FormValue("base_url")), ClientID: r.FormValue("client_id"),
		ClientSecret: tenant.Secret(r.FormValue("client_secret")), SignatureV1: r.FormValue("signature_v1") != "",
	}
	if _, err := p.Tenants.SaveApp(ctx, a); err != nil {
		return nil, err
	}
	return redirect{to: "/apps", say: "The app is saved: its webhooks are taken, and portals can be connected by it."}, nil
}

func (p *Pages) removeApp(ctx context.Context, r *http.Request) (answer, error) {
	id, err := number(r, "app_id", 0, 1<<53)
	if err != nil {
		return nil, err
	}
	if err := p.Tenants.RemoveApp(ctx, int64(id)); err != nil {
		return nil, err
	}
	return redirect{to: "/apps", say: "The app is forgotten; its webhooks are refused from now on."}, nil
}
