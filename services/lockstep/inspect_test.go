package lockstep_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lockstep.internal/services/console/pages"
)

// noPages are addresses that show no page of the console: files, streams, and
// ways to another place.
var noPages = map[string]bool{
	"/static/{file}": true, "/{$}": true, "/oidc/start": true, "/oidc/callback": true, "/pipeline/events": true, "/tenants/{tenant}/syncs/events": true,
	"/tenants/{tenant}/hubspot-consent": true,
}

// traces are what leaveTraces left to be looked at.
type traces struct{ refused, asked, conflict, job string }

// addresses are where each page is to be seen, by its pattern: with something
// on it.
func (l traces) addresses() map[string]string {
	group := url.Values{"kind": {"refused"}, "reason": {"BAD_REQUEST"}, "system": {"hubspot"}, "field": {"email"}}
	return map[string]string{
		"/sign-in": "/sign-in?by=token", "/password": "/password", "/tenants": "/tenants", "/tenants/new": "/tenants/new", "/access": "/access", "/audit": "/audit", "/letters": "/letters", "/apps": "/apps",
		"/pipeline": "/pipeline", "/hubspot/callback": "/hubspot/callback?state=forged&code=1", "/tenants/{tenant}": "/tenants/demo",
		"/tenants/{tenant}/mapping": "/tenants/demo/mapping", "/tenants/{tenant}/mapping/versions": "/tenants/demo/mapping/versions?before=1",
		"/tenants/{tenant}/owners": "/tenants/demo/owners", "/tenants/{tenant}/dispositions": "/tenants/demo/dispositions",
		"/tenants/{tenant}/contacts": "/tenants/demo/contacts", "/tenants/{tenant}/contacts/{contact}": "/tenants/demo/contacts/" + l.refused,
		"/tenants/{tenant}/contacts/{contact}/timeline": "/tenants/demo/contacts/" + l.refused + "/timeline",
		"/tenants/{tenant}/errors":                      "/tenants/demo/errors", "/tenants/{tenant}/errors/group": "/tenants/demo/errors/group?" + group.Encode(),
		"/tenants/{tenant}/holds": "/tenants/demo/holds", "/tenants/{tenant}/alerts": "/tenants/demo/alerts", "/tenants/{tenant}/syncs": "/tenants/demo/syncs", "/tenants/{tenant}/syncs/{job}": "/tenants/demo/syncs/" + l.job,
	}
}

// leaveTraces brings about what pages are to show: a refusal, a question, a
// conflict, and a job that is held.
func (b *browser) leaveTraces() {
	b.t.Helper()
	d, who := b.d, b.d.anyPair()
	b.holdBursts()
	d.mustCLI(nil, "mapping", "set", "demo", "company_name", "--policy", "review", "--reason", "to look at")
	away := []map[string]any{
		{"path": "/crm/objects/*/contacts/batch/update", "status": 400}, {"path": "/crm/objects/*/contacts/" + who[0], "method": "PATCH", "status": 400},
		{"path": "/crm/objects/*/contacts", "status": 503}, {"path": "/crm/objects/*/contacts/search", "status": 503},
	}
	d.mustPost(d.hubspot, "/_sim/faults", away, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"email": "looked@example.com"}}, nil)
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"company": "Looked At"}}, nil)
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": "Third", "phone": d.one(d.aloware, who[1])["phone_number"]}}, nil)
	d.mustCLI(nil, "alert", "add-webhook", "demo", "http://"+d.console+"/nowhere", "--name", "Nobody who listens")
	b.left.refused = who[0]
	for _, want := range []string{"The request was refused", "A difference to decide", "Several contacts fit"} {
		b.reload("/tenants/demo/errors", "main", want)
	}
	b.open("/tenants/demo/contacts?q=Third")
	b.left.conflict = eval[string](b, `document.querySelector("main tbody a").getAttribute("href")`)
	var jobs struct {
		Syncs []struct{ Id, State, Kind string }
	}
	d.mustCLI(&jobs, "sync", "list", "demo")
	for _, job := range jobs.Syncs {
		if job.Kind == "reconcile" && job.State == "done" {
			b.left.job = job.Id
		}
	}
	b.open("/tenants/demo/syncs")
	b.press("#first-sync")
	b.press(`#jobs tr:first-child [data-act=pause]`)
	b.sees("#jobs tr:first-child", "paused")
}

// holdBursts has two imports held, of which one is answered.
func (b *browser) holdBursts() {
	b.t.Helper()
	d := b.d
	d.mustCLI(nil, "tenant", "save", "demo", "--burst-floor", "1")
	for _, field := range []string{"website", "address"} { // which HubSpot calls the same
		for id := range d.pairs() {
			d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": id, "source": "IMPORT 7", "properties": map[string]any{field: "https://example.com/" + id}}, nil)
		}
		h := d.hold(field, func(h heldBurst) bool { return h.State == "open" })
		if field == "website" {
			d.mustCLI(nil, "hold", "drop", "demo", h.Id)
			d.hold(field, func(h heldBurst) bool { return h.State == "released" })
		}
	}
	d.mustCLI(nil, "tenant", "save", "demo", "--burst-floor", "500")
}

// inspectAll looks at every page that the router has, and in two of the looks
// at what appears on them by pressing something.
func (b *browser) inspectAll(l look) {
	addresses := b.left.addresses()
	for _, pattern := range pages.Patterns() {
		path, isPage := strings.CutPrefix(pattern, "GET ")
		if !isPage || noPages[path] {
			continue
		}
		address, known := addresses[path]
		if !known {
			b.t.Errorf("the page %s is looked at by nobody: name an address where it is to be seen", path)
			continue
		}
		b.open(address)
		b.inspect(strings.Trim(strings.NewReplacer("/", "-", "{", "", "}", "").Replace(path), "-") + "-" + l.name)
	}
	if l.name != "desk-dark" && l.name != "phone-light" {
		return // two looks show both widths and both sets of colours
	}
	for _, scene := range []struct {
		name string
		show func()
	}{
		{"nowhere", func() { b.open("/nowhere") }},
		{"contacts-found", func() { b.open("/tenants/demo/contacts?q=Third") }},
		{"card-conflict", func() { b.open(b.left.conflict) }},
		{"mapping-add", func() {
			b.open("/tenants/demo/mapping")
			b.press(`#add-mapping`)
			b.sees("#add-panel", "Aloware's property")
		}},
		{"mapping-filter", func() {
			b.press(`#add-panel button[value="open:"]`)
			b.run("the panel closes", chromedp.WaitNotPresent("#add-panel"))
			b.press(`button[value="open:filter"]`)
			b.run("the filter opens", chromedp.WaitVisible("#filter-panel"))
		}},
		{"mapping-edit", func() {
			b.press(`#filter-panel button[value="open:"]`)
			b.run("the panel closes", chromedp.WaitNotPresent("#filter-panel"))
			b.press(`#open-contact_owner`)
			b.sees("tr.panel", "When both sides differ")
		}},
		{"mapping-draft", func() {
			b.open("/tenants/demo/mapping")
			b.press(`#way-first_name-to_hubspot`)
			b.sees("#draft-bar", "1 unsaved change")
			b.press("#preview-button")
			b.sees("#preview", "Written")
		}},
		{"connections-tested", func() {
			b.press("#discard")
			b.run("nothing is unsaved", chromedp.WaitNotPresent("#draft-bar"))
			b.open("/tenants/demo")
			b.press("#test")
			b.sees("#tested", "Aloware")
		}},
	} {
		scene.show()
		b.inspect(fmt.Sprintf("%s-%s", scene.name, l.name))
	}
}

// TestEveryPageHasAnAddress: a page that is new is looked at too, or said to be
// none. It needs no browser.
func TestEveryPageHasAnAddress(t *testing.T) {
	t.Parallel()
	addresses := traces{}.addresses()
	for _, pattern := range pages.Patterns() {
		if path, isPage := strings.CutPrefix(pattern, "GET "); isPage && addresses[path] == "" && !noPages[path] {
			t.Errorf("nobody looks at the page %s: name an address where it is to be seen", path)
		}
	}
}
