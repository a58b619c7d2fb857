package lockstep_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestPeopleWorkInTheConsole goes the ways that people go in the console, in a
// real browser: sign in, connect, map, be refused, sync, repair, restore; then
// looks at every page as it is on a desk and on a phone, in light and dark.
func TestPeopleWorkInTheConsole(t *testing.T) {
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=4", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	b := openBrowser(t, d)
	b.look(1280, 900, "light")
	b.signIn()
	d.settle(60 * time.Second)
	for _, journey := range []struct {
		name string
		walk func(*browser)
	}{
		{"disconnect and connect the tenant", (*browser).connect},
		{"connect by OAuth", (*browser).consent},
		{"change a direction with preview", (*browser).changeDirection},
		{"be refused on a locked mapping", (*browser).refused},
		{"add a mapping and create its property", (*browser).addMapping},
		{"restore a version", (*browser).restore},
		{"watch a first sync", (*browser).watchSync},
		{"fix an error and retry", (*browser).fixError},
		{"sync one contact with HubSpot", (*browser).syncContact},
	} {
		if !t.Run(journey.name, func(t *testing.T) {
			before := b.t
			b.t, d.t = t, t
			defer func() { b.t, d.t = before, before }()
			journey.walk(b)
		}) {
			return // the next ones build on it
		}
	}
	card := b.card()
	for _, window := range []struct {
		name          string
		width, height int64
		theme         string
	}{{"desk-light", 1280, 900, "light"}, {"desk-dark", 1280, 900, "dark"}, {"phone-light", 400, 800, "light"}, {"phone-dark", 400, 800, "dark"}} {
		t.Run(window.name, func(t *testing.T) {
			before := b.t
			b.t = t
			defer func() { b.t = before }()
			b.look(window.width, window.height, window.theme)
			for _, p := range []struct{ name, path string }{
				{"tenants", "/tenants"}, {"tenant-new", "/tenants/new"}, {"connections", "/tenants/demo"}, {"mapping", "/tenants/demo/mapping"},
				{"versions", "/tenants/demo/mapping/versions?before=1"}, {"owners", "/tenants/demo/owners"}, {"dispositions", "/tenants/demo/dispositions"},
				{"contacts", "/tenants/demo/contacts"}, {"card", card}, {"errors", "/tenants/demo/errors"}, {"syncs", "/tenants/demo/syncs"},
				{"pipeline", "/pipeline"}, {"audit", "/audit"}, {"access", "/access"}, {"password", "/password"}, {"missing", "/nowhere"},
			} {
				b.open(p.path)
				b.inspect(p.name + "-" + window.name)
			}
			b.open("/tenants/demo/mapping")
			b.press(`#add-mapping`)
			b.sees("#add-panel", "Aloware's property")
			b.inspect("mapping-add-" + window.name)
			b.press(`#add-panel button[value="open:"]`)
			b.run("the panel closes", chromedp.WaitNotPresent("#add-panel"))
			b.press(`#open-contact_owner`)
			b.sees("tr.panel", "When both sides differ")
			b.inspect("mapping-edit-" + window.name)
		})
	}
}

var oneTime = regexp.MustCompile(`console sign-in: admin / (\S+)`)

// signIn takes the one-time password that the first start printed.
func (b *browser) signIn() {
	b.t.Helper()
	b.d.mu.Lock()
	printed := oneTime.FindStringSubmatch(b.d.output.String())
	b.d.mu.Unlock()
	if printed == nil {
		b.t.Fatal("no one-time password was printed")
	}
	const chosen = "a long password of my own"
	b.open("/tenants/demo/mapping")
	b.sees("h1", "Sign in")
	b.inspect("sign-in")
	b.enter(`input[name=login]`, "admin")
	b.enter(`input[name=password]`, "wrong")
	b.press(`main button.primary`)
	b.sees("#fault", ".")
	b.enter(`input[name=password]`, printed[1])
	b.press(`main button.primary`)
	b.sees("h1", "Change the password")
	b.open("/tenants")
	b.sees("h1", "Change the password") // nothing else is open before
	b.enter(`input[name=old]`, printed[1])
	b.enter(`input[name=password]`, chosen)
	b.enter(`input[name=repeated]`, chosen)
	b.press(`main button.primary`)
	b.sees("header", "Sign out")
}

func (b *browser) connect() {
	b.open("/tenants/demo")
	b.press("#test")
	b.sees("#tested", "portal 2002")
	b.press("#disconnect")
	b.sees("#notices", "Both connections are ended")
	b.sees("#aloware h2", "not connected")
	b.enter(`#aloware input[name=token]`, "demo-aloware-token")
	b.press(`#aloware button.primary`)
	b.sees("#notices", "Aloware is connected")
	b.enter(`#hubspot input[name=token]`, "demo-hubspot-token")
	b.press(`#hubspot button.primary`)
	b.sees("#report", "all were there")
	b.sees("#hubspot h2", "connected")
	b.sees("#aloware", "Copy")
}

// consent connects the tenant by OAuth: HubSpot asks, the token is renewed.
func (b *browser) consent() {
	b.open("/tenants/demo")
	b.press(`#hubspot summary`)
	b.press(`#consent`)
	b.press(`button[value=deny]`)
	b.sees("main", "HubSpot gave no access")
	b.open("/tenants/demo")
	b.press(`#hubspot summary`)
	b.press(`#consent`)
	b.sees("body", "crm.objects.contacts.write")
	b.press(`button[value=approve]`)
	b.sees("#notices", "connected by OAuth")
	b.sees("#hubspot", "renewed ahead of")
	b.open("/hubspot/callback?state=forged&code=1")
	b.sees("main", "was not begun here by you")
	// A token that is refused before its time is renewed, and writing goes on.
	who := b.d.anyPair()
	b.d.mustPost(b.d.hubspot, "/_sim/faults", []map[string]any{{"path": "/crm/objects/*/contacts/batch/update", "status": 401, "count": 1}, {"path": "/crm/objects/*/contacts/" + who[0], "method": "PATCH", "status": 401, "count": 1}}, nil)
	b.d.mustPost(b.d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"email": "renewed@example.com"}}, nil)
	eventually(b.t, patience, func() string {
		if got := b.d.one(b.d.hubspot, who[0])["email"]; got != "renewed@example.com" {
			return fmt.Sprintf("HubSpot holds %q", got)
		}
		return ""
	})
	b.d.mustPost(b.d.hubspot, "/_sim/faults", []map[string]any{}, nil)
}

func (b *browser) changeDirection() {
	b.open("/tenants/demo/mapping")
	b.sees("#mapping-table", "First name")
	b.press(`#way-first_name-to_hubspot`)
	b.sees("#draft-bar", "1 unsaved change")
	b.sees("#draft-bar", "to HubSpot")
	b.press("#preview-button")
	b.sees("#preview", "contacts were looked at")
	b.shoot("mapping-preview")
	b.enter("#reason", "first names are kept in Aloware")
	b.press("#save")
	b.sees("#notices", "is saved and in force")
	b.sees(`tr[data-key=first_name] [aria-pressed=true]`, "→")
	if _, byKey := b.d.mapping(); byKey["first_name"]["direction"] != "DIRECTION_TO_HUBSPOT" {
		b.t.Errorf("first_name has %v, want the direction that was chosen", byKey["first_name"]["direction"])
	}
	// A direction taken back leaves nothing to save.
	b.press(`#way-first_name-to_aloware`)
	b.sees("#draft-bar", "1 unsaved change")
	b.press(`#way-first_name-to_hubspot`)
	b.run("nothing is unsaved", chromedp.WaitNotPresent("#draft-bar"))
}

func (b *browser) refused() {
	b.open("/tenants/demo/mapping")
	locked := eval[int](b, `document.querySelectorAll("tr[data-key=phone_number] .ways button:not([disabled]), tr[data-key=phone_number] .actions button").length`)
	if locked != 1 { // its own direction, which changes nothing
		b.t.Errorf("the locked phone number has %d controls that work, want its own direction alone", locked)
	}
	b.run("the locked one is marked in red", chromedp.WaitVisible(`tr[data-key=phone_number] td.lock .bad [data-icon=lock]`))
	// Who goes around the page is refused by the rule.
	eval[bool](b, `document.querySelector("#mapping [name=draft]").value = JSON.stringify([{remove: "phone_number"}]); true`)
	b.press(`#open-first_name`)
	b.sees("#refusal", "phone")
	// A property in use says where.
	b.press(`#add-mapping`)
	b.sees("#add-panel", "already mapped by")
	b.run("and is marked", chromedp.WaitVisible(`#add-panel [data-icon=forbidden]`))
}

func (b *browser) addMapping() {
	b.open("/tenants/demo/mapping")
	b.press(`#add-mapping`)
	b.sees("#add-panel", "Aloware's property")
	listed := eval[bool](b, `document.querySelector("#add-panel input[type=radio][name=add-aloware]") !== null`)
	if listed {
		b.press(`#add-panel input[type=radio][name=add-aloware]`)
	} else {
		b.enter(`#add-panel input[name=add-aloware]`, "favourite_colour")
	}
	b.press(`#create-property summary`)
	b.enter(`#create-property [name=new-name]`, "favourite_colour")
	b.enter(`#create-property [name=new-label]`, "Favourite colour")
	b.press(`#create`)
	b.run("the new property is chosen", chromedp.WaitVisible(`input[name=add-hubspot][value=favourite_colour]:checked`))
	b.press(`#add`)
	b.sees("#draft-bar", "is added")
	b.press("#save")
	b.sees("#notices", "is saved and in force")
	b.sees("#mapping-table", "favourite_colour")
}

func (b *browser) restore() {
	b.open("/tenants/demo/mapping/versions")
	b.press(`tr[data-version="1"] a`)
	b.sees("#comparison", "First name")
	b.press(`button[value="restore:1"]`)
	b.sees("#draft-bar", "is removed")
	b.enter("#reason", "back to how it was")
	b.press("#save")
	b.sees("#notices", "is saved and in force")
	b.sees(`tr[data-key=first_name] [aria-pressed=true]`, "←")
}

func (b *browser) watchSync() {
	b.open("/tenants/demo/syncs")
	b.press("#first-sync")
	b.sees("#jobs", "First sync")
	b.sees("#jobs", "done") // told by the server, without another look
	b.press("#reconcile")
	b.sees("#jobs", "Reconcile")
	b.sees("#jobs tr:first-child", "done")
}

// fixError lets HubSpot refuse an update; its words are shown, and it is sent
// again when the cause is gone.
func (b *browser) fixError() {
	d := b.d
	who := d.anyPair()
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{{"path": "/crm/objects/*/contacts/batch/update", "status": 400}, {"path": "/crm/objects/*/contacts/" + who[0], "method": "PATCH", "status": 400}}, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"email": "again@example.com"}}, nil)
	deadline := time.Now().Add(patience)
	for b.open("/tenants/demo/errors"); !strings.Contains(b.text("main"), "email"); b.open("/tenants/demo/errors") {
		if time.Now().After(deadline) {
			b.t.Fatalf("the refusal is not shown: %s", b.text("main"))
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.shoot("errors-refused")
	b.open("/tenants/demo/mapping")
	b.sees("tr[data-key=email]", "1 refused")
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{}, nil)
	b.open("/tenants/demo/errors")
	b.press("#retry-all")
	eventually(b.t, patience, func() string {
		if got := d.one(d.hubspot, who[0])["email"]; got != "again@example.com" {
			return fmt.Sprintf("HubSpot holds %q", got)
		}
		return ""
	})
	d.settle(patience)
	b.open("/tenants/demo/errors")
	b.sees("main", "Nothing is refused")
}

// syncContact changes a contact in HubSpot without a word of it, and has the
// difference found by hand.
func (b *browser) syncContact() {
	d := b.d
	who := d.anyPair()
	name := d.one(d.hubspot, who[0])["firstname"]
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"firstname": "Unheard"}}, nil)
	b.open("/tenants/demo/contacts?q=" + name)
	b.press(`main tbody a`)
	b.press("#sync-now")
	b.sees("#synced", "Unheard")
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{}, nil)
	b.sees("tr[data-field=first_name]", "in step")
	b.press(`tr[data-field=first_name] a`)
	b.sees("#timeline", "Unheard")
	if got := d.one(d.aloware, who[1])["first_name"]; got != "Unheard" {
		b.t.Errorf("Aloware holds %q", got)
	}
	b.press("#status")
	b.run("pick a lead status", chromedp.SetValue("#status", "OPEN"))
	b.press("#dispose")
	b.sees("#notices", "is set in HubSpot")
	eventually(b.t, patience, func() string {
		if h, a := d.one(d.hubspot, who[0])["hs_lead_status"], d.one(d.aloware, who[1])["disposition_status_id"]; h != "OPEN" || a == "" {
			return fmt.Sprintf("HubSpot holds %q, Aloware %q", h, a)
		}
		return ""
	})
}

// anyPair is one contact that both systems have: its HubSpot and Aloware ids.
func (d *demo) anyPair() [2]string {
	d.t.Helper()
	for h, a := range d.pairs() {
		return [2]string{h, a}
	}
	d.t.Fatal("no contact is on both sides")
	return [2]string{}
}

// card is the address of a contact's card.
func (b *browser) card() string {
	b.t.Helper()
	b.open("/tenants/demo/contacts?q=Unheard")
	address := eval[string](b, `document.querySelector("main tbody a").getAttribute("href")`)
	return address
}
