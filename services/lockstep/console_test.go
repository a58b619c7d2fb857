package lockstep_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestPeopleWorkInTheConsole goes the ways that people go in the console, in a
// real browser, at a desk in light and again on a phone in dark: connect, map,
// be refused, sync, repair, decide, restore; then looks at every page that the
// router has, in all four looks.
func TestPeopleWorkInTheConsole(t *testing.T) {
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=6", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "LOCKSTEP_POLL_EVERY=-1s", "LOCKSTEP_ALERT_HOLD=1s")
	b := openBrowser(t, d)
	b.signIn()
	d.settle(60 * time.Second)
	for round, look := range []look{looks[0], looks[3]} {
		b.round = strconv.Itoa(round + 1)
		b.take(look)
		for _, journey := range []struct {
			name string
			walk func(*browser)
		}{
			{"disconnect and connect the tenant", (*browser).connect},
			{"connect by OAuth", (*browser).consent},
			{"change a direction with preview", (*browser).changeDirection},
			{"be refused on a locked mapping", (*browser).refused},
			{"add a mapping and create its property", (*browser).addMapping},
			{"pair an option", (*browser).pairOption},
			{"restore a version", (*browser).restore},
			{"watch a first sync", (*browser).watchSync},
			{"hold a sync with the keyboard", (*browser).holdSync},
			{"fix an error and retry", (*browser).fixError},
			{"sync one contact with HubSpot", (*browser).syncContact},
			{"answer a review", (*browser).answerReview},
			{"settle a conflict", (*browser).settleConflict},
			{"correct a form", (*browser).correctForm},
			{"read times in one's own zone", (*browser).readTimes},
			{"work without scripts", (*browser).withoutScripts},
			{"look on as a viewer", (*browser).lookOn},
		} {
			if round > 0 && journey.name == "connect by OAuth" {
				continue // the most of it is HubSpot's page, and a token is not renewed twice in a minute
			}
			if !t.Run(journey.name+" "+look.name, func(t *testing.T) {
				defer b.lend(t)()
				journey.walk(b)
			}) {
				return // the next ones build on it
			}
		}
	}
	b.leaveTraces()
	for _, look := range looks {
		t.Run("every page "+look.name, func(t *testing.T) {
			defer b.lend(t)()
			b.take(look)
			b.inspectAll(look)
		})
	}
}

var oneTime = regexp.MustCompile(`console sign-in: admin / (\S+)`)

// signIn takes the one-time password that the first start printed.
func (b *browser) signIn() {
	b.t.Helper()
	var printed []string
	eventually(b.t, 20*time.Second, func() string { // it follows the line that tells readiness
		b.d.mu.Lock()
		defer b.d.mu.Unlock()
		if printed = oneTime.FindStringSubmatch(b.d.output.String()); printed == nil {
			return "no one-time password was printed"
		}
		return ""
	})
	const chosen = "a long password of my own"
	b.open("/tenants/demo/mapping")
	b.sees("h1", "Sign in")
	for _, look := range looks {
		b.take(look)
		b.inspect("sign-in-" + look.name)
	}
	b.take(looks[0])
	b.enter(`input[name=login]`, "admin")
	b.enter(`input[name=password]`, "wrong")
	b.press(`main button.primary`)
	b.sees("#fault", ".")
	b.inspect("sign-in-refused")
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
	b.sees("#steps li:first-child", "Connect Aloware")
	b.enter(`#aloware input[name=token]`, "demo-aloware-token")
	b.press(`#aloware button.primary`)
	b.sees("#notices", "Aloware is connected")
	b.enter(`#hubspot input[name=token]`, "demo-hubspot-token")
	b.press(`#hubspot button.primary`)
	b.sees("#report", "all were there")
	b.sees("#hubspot h2", "connected")
	b.sees("#aloware", "Copy")
	if b.round == "1" { // later a first sync was run
		b.sees("#steps li:nth-child(2)", "done")
	}
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
	who, renewed := b.d.anyPair(), "renewed"+b.round+"@example.com"
	b.d.mustPost(b.d.hubspot, "/_sim/faults", []map[string]any{{"path": "/crm/objects/*/contacts/batch/update", "status": 401, "count": 1}, {"path": "/crm/objects/*/contacts/" + who[0], "method": "PATCH", "status": 401, "count": 1}}, nil)
	b.d.mustPost(b.d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"email": renewed}}, nil)
	eventually(b.t, patience, func() string {
		if got := b.d.one(b.d.hubspot, who[0])["email"]; got != renewed {
			return fmt.Sprintf("HubSpot holds %q", got)
		}
		return ""
	})
	b.d.mustPost(b.d.hubspot, "/_sim/faults", []map[string]any{}, nil)
}

func (b *browser) changeDirection() {
	b.open("/tenants/demo/mapping")
	b.sees("#mapping-table", "First name")
	b.enter("#search", "lead status")
	if got := b.text("#mapping-table"); strings.Contains(got, "First Name") || strings.Contains(got, "Calls") || !strings.Contains(got, "Special") {
		b.t.Errorf("who looks for the lead status sees %q", got)
	}
	b.enter("#search", "nothing of the kind")
	b.sees("#none-found", "No mapping fits")
	b.enter("#search", "name")
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
	colour := "favourite_colour_" + b.round
	b.open("/tenants/demo/mapping")
	b.press(`#add-mapping`)
	b.sees("#add-panel", "Aloware's property")
	listed := eval[bool](b, `document.querySelector("#add-panel input[type=radio][name=add-aloware]") !== null`)
	if listed {
		b.press(`#add-panel input[type=radio][name=add-aloware]`)
	} else {
		b.enter(`#add-panel input[name=add-aloware]`, colour)
	}
	b.press(`#create-property summary`)
	b.enter(`#create-property [name=new-name]`, colour)
	b.enter(`#create-property [name=new-label]`, "Favourite colour "+b.round)
	b.press(`#create`)
	b.run("the new property is chosen", chromedp.WaitVisible(`input[name=add-hubspot][value=`+colour+`]:checked`))
	b.press(`#add`)
	b.sees("#draft-bar", "is added")
	b.press("#save")
	b.sees("#notices", "is saved and in force")
	b.sees("#mapping-table", colour)
}

// pairOption pairs one of Aloware's options with one of HubSpot's that it would not
// meet by itself, by the keyboard, and takes it back.
func (b *browser) pairOption() {
	const row, key = `tr[data-key=contact_disposition_status]`, "contact_disposition_status"
	b.open("/tenants/demo/mapping")
	b.press(`#open-` + key)
	b.sees("#option-map", "by itself")
	const first = `#option-map select[name=pair-hubspot]`
	id := eval[string](b, `document.querySelector("#option-map [name=pair-aloware]").value`)
	last := fmt.Sprintf(`document.querySelector(%q).options[document.querySelector(%q).options.length - %s]`, first, first, b.round)
	chosen, label := eval[string](b, last+".value"), eval[string](b, last+".text")
	b.run("choose by typing", chromedp.SendKeys(first, label))
	b.holds(first, chosen)
	b.press(`button[value="fields:` + key + `"]`)
	b.sees("#draft-bar", "1 unsaved change")
	b.holds(first, chosen) // the open line shows the draft
	b.press("#preview-button")
	b.sees("#preview", "contacts were looked at")
	b.enter("#reason", "pairs "+id)
	b.press("#save")
	b.sees("#notices", "is saved and in force")
	b.sees(row, "1 option paired")
	_, byKey := b.d.mapping()
	if got := fmt.Sprint(byKey[key]["options"]); !strings.Contains(got, id) || !strings.Contains(got, chosen) {
		b.t.Errorf("the mapping pairs %s, want %s with %s", got, id, chosen)
	}
	b.press(`#open-` + key)
	b.sees("#option-map", "Options")
	b.holds(first, chosen)
	eval[bool](b, fmt.Sprintf(`document.querySelector(%q).selectedIndex = 0; true`, first))
	b.press(`button[value="fields:` + key + `"]`)
	b.sees("#draft-bar", "1 unsaved change")
	b.press("#save")
	b.run("it is saved", chromedp.WaitNotPresent("#draft-bar"))
	b.sees("#notices", "is saved and in force")
	if got := b.text(row); strings.Contains(got, "paired") {
		b.t.Errorf("the line still says %q", got)
	}
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

// watchSync sets the schedule, and repairs an edit that nobody told of.
func (b *browser) watchSync() {
	d := b.d
	b.open("/tenants/demo/syncs")
	b.enter("#hours", b.round)
	b.press("#set-schedule")
	b.sees("#notices", "Reconciled every")
	if got := eval[string](b, `document.getElementById("hours").value`); got != b.round {
		b.t.Errorf("the schedule shows %q hours, want %s", got, b.round)
	}
	var schedule struct {
		EverySeconds int
		Set          bool
	}
	if d.mustCLI(&schedule, "sync", "schedule", "demo"); strconv.Itoa(schedule.EverySeconds/3600) != b.round || !schedule.Set {
		b.t.Errorf("the schedule in force is %+v, want %s hours", schedule, b.round)
	}
	b.press("#first-sync")
	b.sees("#jobs tr:first-child", "First sync")
	b.sees("#jobs tr:first-child", "done") // told by the server, without another look
	d.settle(patience)
	b.open("/tenants/demo")
	b.run("no steps are left to begin with", chromedp.WaitNotPresent("#steps"))
	b.open("/tenants/demo/syncs")
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": d.anyPair()[0], "properties": map[string]any{"city": "Missed " + b.round}}, nil)
	b.press("#reconcile")
	b.sees("#jobs tr:first-child", "Reconciliation")
	b.sees("#jobs tr:first-child", "edits missed in HubSpot: 1")
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{}, nil)
	b.run("the repairs are plotted", chromedp.WaitVisible("#plot-repairs canvas"))
	b.press("#jobs tr:first-child a")
	b.sees("main", "was set to Missed "+b.round+" in HubSpot")
	b.open("/tenants/demo/mapping")
	b.sees("tr[data-key=city]", "1 put right by the last reconciliation")
	d.settle(patience)
}

// holdSync pauses, resumes and cancels jobs that cannot go on. The list is
// renewed meanwhile, and the button that has the focus keeps it.
func (b *browser) holdSync() {
	d := b.d
	away := []map[string]any{{"path": "/crm/objects/*/contacts", "status": 503}, {"path": "/crm/objects/*/contacts/search", "status": 503}}
	d.mustPost(d.hubspot, "/_sim/faults", away, nil)
	b.open("/tenants/demo/syncs")
	b.press("#first-sync")
	b.run("it can be paused", chromedp.WaitVisible(`#jobs tr:first-child [data-act=pause]`))
	eval[bool](b, `window.held = document.querySelector("#jobs tr:first-child [data-act=pause]"); window.held.focus(); true`)
	b.sees("#jobs tr:first-child .bad", "503")
	if !eval[bool](b, `document.activeElement === window.held`) {
		b.t.Error("the button that had the focus lost it when the list was renewed")
	}
	b.run("press it by the keyboard", chromedp.SendKeys(`#jobs tr:first-child [data-act=pause]`, "\r"))
	b.sees("#notices", "It pauses")
	b.sees("#jobs tr:first-child", "paused")
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{}, nil)
	b.press(`#jobs tr:first-child [data-act=resume]`)
	b.sees("#jobs tr:first-child", "done")
	d.mustPost(d.hubspot, "/_sim/faults", away, nil)
	b.press("#first-sync")
	b.press(`#jobs tr:first-child [data-act=cancel]`)
	b.sees("#jobs tr:first-child", "cancelled")
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{}, nil)
}

// fixError lets HubSpot refuse an update; its words are shown, and it is sent
// again when the cause is gone.
func (b *browser) fixError() {
	d := b.d
	who, again := d.anyPair(), "again"+b.round+"@example.com"
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{{"path": "/crm/objects/*/contacts/batch/update", "status": 400}, {"path": "/crm/objects/*/contacts/" + who[0], "method": "PATCH", "status": 400}}, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"email": again}}, nil)
	b.reload("/tenants/demo/errors", "tr[data-group=BAD_REQUEST]", "Email")
	b.sees("nav [href='/tenants/demo/errors']", "Errors 1")
	// One of a group is dismissed, and shown again.
	b.press(`tr[data-group=BAD_REQUEST] a`)
	b.sees("h1", "The request was refused")
	b.press(`main tbody [data-act=dismiss]`)
	b.sees("#notices", "1 error is dismissed until its reason changes")
	b.sees("main", "Nothing is refused")
	b.open("/tenants")
	b.sees("tr[data-tenant=demo] [data-label=Errors]", "0")
	b.open("/tenants/demo/errors?dismissed=1")
	b.press(`tr[data-group=BAD_REQUEST] [data-act=undismiss]`)
	b.sees("#notices", "1 error is shown again")
	b.open("/tenants")
	b.sees("tr[data-tenant=demo] [data-label=Errors]", "1")
	b.open("/tenants/demo/mapping")
	b.sees("tr[data-key=email]", "1 refused")
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{}, nil)
	b.open("/tenants/demo/errors")
	b.press("#retry-all")
	eventually(b.t, patience, func() string {
		if got := d.one(d.hubspot, who[0])["email"]; got != again {
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
	who, unheard, status := d.anyPair(), "Unheard"+b.round, map[string]string{"1": "IN_PROGRESS", "2": "OPEN_DEAL"}[b.round]
	name := d.one(d.hubspot, who[0])["firstname"]
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"firstname": unheard}}, nil)
	b.open("/tenants/demo/contacts?q=" + name)
	b.press(`main tbody a`)
	b.press("#sync-now")
	b.sees("#synced", unheard)
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{}, nil)
	b.sees("tr[data-field=first_name]", "in step")
	b.press(`tr[data-field=first_name] a`)
	b.sees("#timeline", unheard)
	if got := d.one(d.aloware, who[1])["first_name"]; got != unheard {
		b.t.Errorf("Aloware holds %q", got)
	}
	before := d.one(d.aloware, who[1])["disposition_status_id"]
	b.press("#status")
	b.run("pick a lead status", chromedp.SetValue("#status", status))
	b.press("#dispose")
	b.sees("#notices", "is set in HubSpot")
	eventually(b.t, patience, func() string {
		if h, a := d.one(d.hubspot, who[0])["hs_lead_status"], d.one(d.aloware, who[1])["disposition_status_id"]; h != status || a == before {
			return fmt.Sprintf("HubSpot holds %q, Aloware %q", h, a)
		}
		return ""
	})
	d.settle(patience)
	b.open("/tenants/demo/contacts/hubspot:" + who[0])
	b.sees("tr[data-field=contact_disposition_status] td.value", map[string]string{"1": "In Progress", "2": "Open Deal"}[b.round])
}

// readTimes has the browser where people live, who are not all in one zone.
func (b *browser) readTimes() {
	zone := func(name string) {
		b.t.Helper()
		if _, err := chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: name}); err != nil {
			b.t.Fatalf("set the time zone: %v", err)
		}
	}
	zone("Asia/Kathmandu")
	defer zone("")
	for _, page := range []string{"/tenants/demo/mapping/versions", "/tenants/demo/syncs"} {
		b.open(page)
		at, err := time.Parse(time.RFC3339, eval[string](b, `document.querySelector("main time[data-at]").dateTime`))
		if err != nil {
			b.t.Fatal(err)
		}
		want := at.In(time.FixedZone("Kathmandu", (5*60+45)*60)).Format(time.DateTime)
		b.sees("main time[data-at]", want)
		if title := eval[string](b, `document.querySelector("main time[data-at]").title`); title != at.UTC().Format(time.DateTime)+" UTC" {
			b.t.Errorf("the time is explained by %q", title)
		}
	}
}

// withoutScripts changes a mapping, syncs a contact and retries in a browser that
// runs no scripts.
func (b *browser) withoutScripts() {
	scripts := func(off bool) {
		b.t.Helper()
		if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: off}); err != nil {
			b.t.Fatalf("turn scripts off: %v", err)
		}
	}
	scripts(true)
	defer scripts(false)
	b.open("/tenants/demo/mapping")
	b.press(`#way-city-to_hubspot`)
	b.sees("#draft-bar", "1 unsaved change")
	b.press("#preview-button")
	b.sees("main", "contacts were looked at")
	b.open("/tenants/demo/mapping")
	b.press(`#way-city-to_hubspot`)
	b.press("#save")
	b.sees("#notices", "is saved and in force")
	b.press(`#way-city-to_aloware`)
	b.sees("#draft-bar", "1 unsaved change")
	b.press("#save")
	b.sees("#notices", "is saved and in force")
	b.sees(`tr[data-key=city] [aria-pressed=true]`, "←")
	b.open("/tenants/demo/contacts/hubspot:" + b.d.anyPair()[0])
	b.press("#sync-now")
	b.sees("#synced", "nothing was written")
	b.press(`tr[data-field=first_name] a`)
	b.sees("#timeline h2", "First Name")
	b.open("/tenants/demo")
	b.press("#test")
	b.sees("main", "answers")
	b.open("/pipeline")
	b.sees("#tables", "mapper")
	b.open("/tenants/demo/syncs")
	b.sees("#jobs", "done")
}

// answerReview has a field ask before it is written, and answers on the card.
func (b *browser) answerReview() {
	d := b.d
	who, company := d.anyPair(), "Analytical Engines "+b.round
	d.mustCLI(nil, "mapping", "set", "demo", "company_name", "--policy", "review", "--reason", "test")
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"company": company}}, nil)
	b.reload("/tenants/demo/errors", "main", company)
	b.press(`tr[data-group=REVIEW] [data-act=decide]`)
	b.press(`main tbody [data-act=decide]`)
	b.sees("tr[data-field=company_name]", company)
	b.press(`tr[data-field=company_name] [data-act=hubspot-stands]`)
	b.sees("#notices", "HubSpot's value stands")
	eventually(b.t, patience, func() string {
		if got := d.one(d.aloware, who[1])["company_name"]; got != company {
			return fmt.Sprintf("Aloware holds %q", got)
		}
		return ""
	})
	d.mustCLI(nil, "mapping", "set", "demo", "company_name", "--policy", "newest", "--reason", "test")
	d.settle(patience)
	b.open("/tenants/demo/errors")
	b.sees("main", "Nothing is refused")
}

// settleConflict makes a second person with a number that is taken. Somebody
// goes from the errors to the card and says who it is.
func (b *browser) settleConflict() {
	d := b.d
	who, name := d.anyPair(), "Second"+b.round
	number := d.one(d.aloware, who[1])["phone_number"]
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": name, "phone": number}}, nil)
	b.reload("/tenants/demo/contacts", "main", "Who is "+name)
	b.open("/tenants/demo/errors")
	b.press(`tr[data-group=SEVERAL_CONTACTS] [data-act=decide]`)
	b.sees("main tbody", name)
	b.press(`main tbody [data-act=decide]`)
	b.sees("h1", name)
	b.sees("[data-conflict]", "Who is "+name)
	b.inspect("card-conflict-" + b.round)
	b.press(`[data-candidate="` + who[1] + `"] [data-act=choose]`)
	b.sees("#notices", "It is settled")
	eventually(b.t, patience, func() string {
		if got := d.one(d.aloware, who[1])["first_name"]; got != name {
			return fmt.Sprintf("Aloware's contact is %q, want %s, who has its number now", got, name)
		}
		return ""
	})
	d.settle(patience)
	b.open("/tenants/demo/contacts")
	b.sees("main", "No contact waits")
	// Whoever had the number before is without a counterpart now, which is told.
	b.reload("/tenants/demo/errors", "tr[data-group=SOMEBODY_ELSE]", "belongs to somebody else")
	eventually(b.t, patience, func() string {
		d.mustCLI(nil, "inbox", "dismiss", "demo", "--kind", "refused")
		var left groupsAnswer
		if d.mustCLI(&left, "inbox", "list", "demo"); len(left.Groups) > 0 {
			return fmt.Sprintf("the inbox has %+v", left)
		}
		return ""
	})
}

// correctForm sends forms with mistakes: they come back as they were typed,
// with the reason, and without the secrets.
func (b *browser) correctForm() {
	b.open("/tenants/new")
	b.enter(`input[name=id]`, "Not An Id")
	b.enter(`input[name=name]`, "Named "+b.round)
	b.press(`main button.primary`)
	b.sees("[data-fault]", "tenant")
	b.holds(`input[name=name]`, "Named "+b.round)
	b.inspect("tenant-new-refused-" + b.round)

	b.open("/tenants/demo")
	b.press(`#hubspot summary`)
	b.enter(`#hubspot input[name=token]`, "a-secret")
	b.enter(`#hubspot input[name=window]`, "many")
	b.enter(`#hubspot input[name=daily]`, "1000")
	b.press(`#hubspot form button.primary`)
	b.sees("#hubspot [data-fault]", "no whole number")
	b.holds(`#hubspot input[name=daily]`, "1000")
	b.holds(`#hubspot input[name=window]`, "many")
	b.holds(`#hubspot input[name=token]`, "")
	b.inspect("connections-refused-" + b.round)

	b.open("/access")
	b.enter(`#add-person input[name=login]`, "agent"+b.round)
	const roles = `#add-person fieldset > div:nth-of-type(%d) `
	first, third := fmt.Sprintf(roles, 1), fmt.Sprintf(roles, 3)
	b.run("choose a role", chromedp.SetValue(first+`select`, "agent"))
	b.press(`#add-person button.primary`)
	b.sees("#add-person [data-fault]", "for which tenant")
	b.holds(`#add-person input[name=login]`, "agent"+b.round)
	b.holds(first+`select`, "agent")
	b.enter(first+`input`, "demo")
	b.run("a line is added", chromedp.Click(`#add-person [data-another]`), chromedp.WaitVisible(third+`select`))
	b.press(`#add-person button.primary`)
	b.sees("main", "Copy the one-time password of agent"+b.round)
	b.sees("tr[data-login=agent"+b.round+"]", "demo: agent")
	b.inspect("access-once-" + b.round)
}

// lookOn is somebody who may only look: what is not for them is not offered,
// and refused to who goes there all the same.
func (b *browser) lookOn() {
	var made struct{ Text string }
	b.d.mustCLI(&made, "access", "create-token", "looks-on-"+b.round, "--role", "demo=viewer")
	defer b.as(b.as(made.Text))
	b.open("/tenants/demo/errors")
	for _, page := range []string{"/audit", "/access", "/letters"} {
		if eval[bool](b, fmt.Sprintf(`document.querySelector('a[href=%q]') !== null`, page)) {
			b.t.Errorf("a viewer is led to %s", page)
		}
	}
	b.open("/tenants/demo/syncs")
	if n := eval[int](b, `document.querySelectorAll("main form").length`); n != 0 {
		b.t.Errorf("the syncs offer a viewer %d forms", n)
	}
	b.open("/access")
	b.sees("h1", "Not allowed")
	b.inspect("not-allowed-" + b.round)
}

// anyPair is one contact that both systems have, and nobody else with its
// number: its HubSpot and Aloware ids.
func (d *demo) anyPair() [2]string {
	d.t.Helper()
	pairs := d.pairs()
	shared := make(map[string]int)
	for _, a := range pairs {
		shared[a]++
	}
	for h, a := range pairs {
		if shared[a] == 1 {
			return [2]string{h, a}
		}
	}
	d.t.Fatal("no contact is on both sides")
	return [2]string{}
}
