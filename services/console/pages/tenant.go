package pages

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/pipeline"
	"lockstep.internal/services/console/syncs"
	"lockstep.internal/services/console/tenants"
)

// tenantRoutes are the pages of tenants and their connections.
func (p *Pages) tenantRoutes() []route {
	viewer, administrator := need{role: access.Viewer}, need{role: access.Administrator}
	everywhere := need{role: access.Operator, where: forAll}
	return []route{
		{pattern: "GET /tenants/new", need: everywhere, serve: p.newTenantPage},
		{pattern: "POST /tenants/new", action: "SaveTenant", need: everywhere, serve: p.newTenant, page: p.newTenantPage},
		{pattern: "GET /tenants/{tenant}", need: viewer, serve: p.tenantPage},
		{pattern: "POST /tenants/{tenant}/settings", action: "SaveTenant", need: need{role: access.Operator}, serve: p.saveTenant, page: p.tenantPage},
		{pattern: "GET /tenants/{tenant}/hubspot-consent", need: administrator, serve: p.beginConsent},
		// Who finishes a consent is known by it; finishConsent writes it down.
		{pattern: "GET /hubspot/callback", need: need{where: forCaller}, serve: p.finishConsent},
		{pattern: "POST /tenants/{tenant}/connect-hubspot", action: "ConnectHubSpot", need: administrator, serve: p.connectHubSpot, page: p.tenantPage},
		{pattern: "POST /tenants/{tenant}/connect-aloware", action: "ConnectAloware", need: administrator, serve: p.connectAloware, page: p.tenantPage},
		{pattern: "POST /tenants/{tenant}/disconnect", action: "Disconnect", need: administrator, serve: p.disconnect},
		{pattern: "POST /tenants/{tenant}/test", need: administrator, serve: p.testConnection, quiet: true},
	}
}

// home leads to the one tenant that somebody may see, or to the list of them.
func (p *Pages) home(ctx context.Context, _ *http.Request) (answer, error) {
	if seen := p.visible(ctx); len(seen) == 1 && access.From(ctx).Everywhere == 0 {
		return redirect{to: "/tenants/" + string(seen[0].ID)}, nil
	}
	return redirect{to: "/tenants"}, nil
}

// tenantRow is a line of the list of tenants.
type tenantRow struct {
	*tenant.Tenant
	Stopped, Waiting, Failed int
	Errors                   int       // problems that nobody dismissed
	Oldest                   time.Time // of what waits; zero for nothing
	Pause                    time.Time // until when one of its lanes rests; zero for none
	Lanes                    []pipeline.Lane
}

// Broken reports whether nothing can be written, as a system is not connected.
func (row *tenantRow) Broken() bool {
	return row.HubSpot.State != tenant.Connected || row.Aloware.State != tenant.Connected
}

// tenantView is one page of the list of tenants.
type tenantView struct {
	Rows           []*tenantRow
	Search         string
	From, All      int
	Before, Behind string // addresses; "" for none
}

// tenantsOnPage is how many tenants a page of the list has.
const tenantsOnPage = 50

func (p *Pages) tenantList(ctx context.Context, r *http.Request) (answer, error) {
	view := tenantView{Search: strings.TrimSpace(r.FormValue("q"))}
	var found []*tenant.Tenant
	for _, t := range p.visible(ctx) {
		if strings.Contains(strings.ToLower(t.Name+" "+string(t.ID)+" "+strconv.FormatInt(t.HubSpot.PortalID, 10)), strings.ToLower(view.Search)) {
			found = append(found, t)
		}
	}
	view.All = len(found)
	view.From, _ = strconv.Atoi(r.FormValue("from")) // anything else begins with the first
	view.From = min(max(view.From, 0), max(view.All-1, 0)) / tenantsOnPage * tenantsOnPage
	link := func(from int) string {
		return "/tenants?" + (values{"q": view.Search, "from": strconv.Itoa(from)}).encode()
	}
	if view.From > 0 {
		view.Before = link(view.From - tenantsOnPage)
	}
	if view.From+tenantsOnPage < view.All {
		view.Behind = link(view.From + tenantsOnPage)
	}
	byID := make(map[contact.Tenant]*tenantRow)
	for _, t := range found[view.From:min(view.From+tenantsOnPage, view.All)] {
		row := &tenantRow{Tenant: t, Stopped: t.Mapping.AtRest()}
		view.Rows, byID[t.ID] = append(view.Rows, row), row
	}
	errors, err := p.Inbox.Open(ctx, slices.Collect(maps.Keys(byID))...)
	if err != nil {
		return nil, err
	}
	for id, n := range errors {
		byID[id].Errors = n
	}
	if now := p.Pipeline.Newest(); now != nil {
		for _, lane := range now.Lanes {
			if row := byID[lane.Tenant]; row != nil {
				row.add(lane)
			}
		}
	}
	return page{name: "tenants", title: "Tenants", data: view}, nil
}

func (row *tenantRow) add(lane pipeline.Lane) {
	row.Waiting, row.Failed, row.Lanes = row.Waiting+lane.Rows, row.Failed+lane.Failed, append(row.Lanes, lane)
	if !lane.Oldest.IsZero() && (row.Oldest.IsZero() || lane.Oldest.Before(row.Oldest)) {
		row.Oldest = lane.Oldest
	}
	if lane.Pause.After(row.Pause) {
		row.Pause = lane.Pause
	}
}

func (p *Pages) newTenantPage(context.Context, *http.Request) (answer, error) {
	return page{name: "tenant-new", title: "Add a tenant"}, nil
}

func (p *Pages) newTenant(ctx context.Context, r *http.Request) (answer, error) {
	id, err := contact.ParseTenant(strings.TrimSpace(r.FormValue("id")))
	if err != nil {
		return nil, invalid(err.Error())
	}
	if _, err := p.Tenants.Get(id); err == nil {
		return nil, invalid("There is a tenant " + string(id) + " already.")
	}
	if _, err := p.Tenants.Save(ctx, id, settingsOf(r)); err != nil {
		return nil, err
	}
	return redirect{to: "/tenants/" + string(id), say: "The tenant is added; connect both systems now."}, nil
}

func settingsOf(r *http.Request) tenants.Settings {
	return tenants.Settings{
		Name: r.FormValue("name"), Region: strings.ToUpper(strings.TrimSpace(r.FormValue("region"))), TimeZone: strings.TrimSpace(r.FormValue("time_zone")),
		Active: r.FormValue("active") != "", Creation: tenant.Flow(r.FormValue("creation")), Updates: tenant.Flow(r.FormValue("updates")), Archive: tenant.Flow(r.FormValue("archive")),
		DefaultOwner: r.FormValue("default_owner"), DefaultLeadSource: r.FormValue("default_lead_source"), BurstFloor: floorOf(r),
	}
}

// connectionView is what the page of a tenant's connections shows.
type connectionView struct {
	Settings   tenants.Settings
	Webhook    string
	Can        aloware.Capabilities
	Lanes      []pipeline.Lane
	Report     *tenants.Report
	Unmappable map[string]string
	Flows      []tenant.Flow
	Owners     []string     // who can be the default owner, or is
	Apps       []tenant.App // whose access can be given by consent
	Steps      []stepToBegin
}

// stepToBegin is one of what a new tenant needs to be kept in step.
type stepToBegin struct {
	Text, Link string
	Done       bool
}

// stepsToBegin are the steps of a tenant that is not yet in step; nil when all
// that must be done is.
func (p *Pages) stepsToBegin(ctx context.Context, t *tenant.Tenant) ([]stepToBegin, error) {
	jobs, err := p.Syncs.List(ctx, t.ID, usualJobs)
	if err != nil {
		return nil, err
	}
	synced := len(jobs) == usualJobs || slices.ContainsFunc(jobs, func(j syncs.Job) bool { return j.Kind == postgres.FirstSync && j.State != postgres.SyncCancelled })
	aloware, hubspot := t.Aloware.State == tenant.Connected, t.HubSpot.State == tenant.Connected
	if aloware && hubspot && synced {
		return nil, nil
	}
	return []stepToBegin{
		{"Connect Aloware, and enter the webhook's settings there", "#aloware", aloware},
		{"Connect HubSpot, which makes the mappings and the missing properties", "#hubspot", hubspot},
		{"Go through the mapping, and say what flows where", "/tenants/" + string(t.ID) + "/mapping", t.Mapping.Version > 1},
		{"Start the first sync", "/tenants/" + string(t.ID) + "/syncs", synced},
	}, nil
}

func (p *Pages) tenantPage(ctx context.Context, r *http.Request) (answer, error) {
	return p.tenantAnswer(ctx, tenantOf(r), nil)
}

func (p *Pages) tenantAnswer(ctx context.Context, id contact.Tenant, report *tenants.Report) (answer, error) {
	t, err := p.Tenants.Get(id)
	if err != nil {
		return nil, err
	}
	owners, err := p.Mappings.Offered(ctx, id)
	if err != nil {
		return nil, err
	}
	if t.DefaultOwner != "" && !slices.Contains(owners, t.DefaultOwner) {
		owners = append(owners, t.DefaultOwner)
	}
	view := connectionView{
		Settings: tenants.SettingsOf(t), Owners: owners, Webhook: p.Tenants.WebhookURL(id), Can: aloware.Profile(t.Aloware.Profile).Capabilities(), Report: report,
		Apps:  p.Roster.Apps(),
		Flows: []tenant.Flow{tenant.FlowBoth, tenant.FlowToAloware, tenant.FlowToHubSpot, tenant.FlowNone}, Lanes: p.Pipeline.Newest().Of(id),
	}
	if view.Steps, err = p.stepsToBegin(ctx, t); err != nil {
		return nil, err
	}
	return page{name: "tenant", title: "Connections", data: view}, nil
}

func (p *Pages) saveTenant(ctx context.Context, r *http.Request) (answer, error) {
	id := tenantOf(r)
	if _, err := p.Tenants.Save(ctx, id, settingsOf(r)); err != nil {
		return nil, err
	}
	return redirect{to: "/tenants/" + string(id), say: "The settings are saved and in force."}, nil
}

func (p *Pages) connectHubSpot(ctx context.Context, r *http.Request) (answer, error) {
	id := tenantOf(r)
	window, err := number(r, "window", 0, 10_000)
	if err != nil {
		return nil, err
	}
	daily, err := number(r, "daily", 0, 100_000_000)
	if err != nil {
		return nil, err
	}
	app, err := number(r, "app", 0, 1<<40)
	if err != nil {
		return nil, err
	}
	ceiling, err := number(r, "ceiling", 0, 100)
	if err != nil {
		return nil, err
	}
	next := tenant.HubSpot{
		BaseURL: strings.TrimSpace(r.FormValue("base_url")), AppID: int64(app), AccessToken: tenant.Secret(strings.TrimSpace(r.FormValue("token"))),
		WindowLimit: window, DailyLimit: daily, Ceiling: ceiling,
	}
	_, report, err := p.Tenants.ConnectHubSpot(ctx, id, next, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return p.tenantAnswer(ctx, id, &report)
}

// beginConsent leads to HubSpot, where somebody gives the app access.
func (p *Pages) beginConsent(ctx context.Context, r *http.Request) (answer, error) {
	app, err := number(r, "app", 0, 1<<40)
	if err != nil {
		return nil, err
	}
	address, err := p.Tenants.BeginConsent(ctx, tenantOf(r), int64(app), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return redirect{to: address}, nil
}

// finishConsent takes what HubSpot sent the browser back with. The tenant is
// that of the consent; who may administrate it is asked for here.
func (p *Pages) finishConsent(ctx context.Context, r *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	caller := access.From(ctx)
	may := func(id contact.Tenant) bool { return caller.May(id, access.Administrator) }
	refused := r.FormValue("error_description")
	if refused == "" {
		refused = r.FormValue("error")
	}
	consent, err := p.Tenants.TakeConsent(ctx, r.FormValue("state"), caller.Name, may)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(map[string]string{"by": "oauth", "app_id": strconv.FormatInt(consent.AppID, 10)})
	if err != nil {
		return nil, err
	}
	recording, err := p.Access.Record(ctx, access.Entry{Tenant: consent.Tenant, Action: "ConnectHubSpot", Detail: raw})
	if err != nil {
		return nil, err
	}
	report, err := p.Tenants.FinishConsent(ctx, consent, r.FormValue("code"), refused)
	recording.Done(ctx, err)
	if err != nil {
		return nil, err
	}
	say := "HubSpot is connected by OAuth; " + strconv.Itoa(len(report.Created)) + " properties were created there."
	if n := len(report.Incompatible); n > 0 {
		say += " " + strconv.Itoa(n) + " mappings rest, because the portal's property does not fit; the mapping page says why."
	}
	return redirect{to: "/tenants/" + string(consent.Tenant), say: say}, nil
}

func (p *Pages) connectAloware(ctx context.Context, r *http.Request) (answer, error) {
	id := tenantOf(r)
	ceiling, err := number(r, "ceiling", 0, 100)
	if err != nil {
		return nil, err
	}
	burst, err := number(r, "burst", 0, 10_000)
	if err != nil {
		return nil, err
	}
	rate, err := decimal(r, "rate", 10_000)
	if err != nil {
		return nil, err
	}
	next := tenant.Aloware{
		BaseURL: strings.TrimSpace(r.FormValue("base_url")), Token: tenant.Secret(strings.TrimSpace(r.FormValue("token"))), Profile: r.FormValue("profile"),
		WebhookAuth: r.FormValue("webhook_auth"), WebhookUser: r.FormValue("webhook_user"), Rate: rate, Burst: burst, Ceiling: ceiling,
	}
	switch secret := tenant.Secret(r.FormValue("webhook_secret")); next.WebhookAuth {
	case "basic":
		next.WebhookPassword = secret
	case "bearer":
		next.WebhookToken = secret
	}
	if _, err := p.Tenants.ConnectAloware(ctx, id, next); err != nil {
		return nil, err
	}
	return redirect{to: "/tenants/" + string(id), say: "Aloware is connected. Enter the webhook's settings there, if you have not."}, nil
}

func (p *Pages) disconnect(ctx context.Context, r *http.Request) (answer, error) {
	id := tenantOf(r)
	if _, err := p.Tenants.Disconnect(ctx, id); err != nil {
		return nil, err
	}
	return redirect{to: "/tenants/" + string(id), say: "Both connections are ended and their credentials forgotten. What waits is kept, and goes on after the next connect."}, nil
}

func (p *Pages) testConnection(ctx context.Context, r *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	test, err := p.Tenants.Try(ctx, tenantOf(r))
	if err != nil {
		return nil, err
	}
	if isPart(r) {
		return part{name: "tenant", block: "tested", data: test}, nil
	}
	return page{name: "tested", title: "Test of the connections", data: test}, nil
}

// number reads a whole number of a form; nothing is the least one.
func number(r *http.Request, name string, least, most int) (int, error) {
	text := strings.TrimSpace(r.FormValue(name))
	if text == "" {
		return least, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, invalid(name + ": \"" + text + "\" is no whole number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most))
	}
	return n, nil
}

// decimal reads a number of a form that may have a fraction; nothing is 0.
func decimal(r *http.Request, name string, most float64) (float64, error) {
	text := strings.TrimSpace(r.FormValue(name))
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n <= most) { // no number is none of these
		return 0, invalid(name + ": \"" + text + "\" is no number from 0 to " + strconv.FormatFloat(most, 'f', -1, 64))
	}
	return n, nil
}

// floorOf is from how many contacts on bursts are held; what is no number is
// refused as one that is too small.
func floorOf(r *http.Request) *int64 {
	text := strings.TrimSpace(r.FormValue("burst_floor"))
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		n = -1
	}
	return &n
}
