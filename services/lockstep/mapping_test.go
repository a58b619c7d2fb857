package lockstep_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// field is one row of the catalogue with values that people would set: as
// HubSpot holds them and as Aloware shows them.
type field struct {
	key            string
	hubspot        string   // property
	set, show      string   // name by which Aloware is given it, and by which it shows it
	hub, alo       []string // the same values on both sides
	only           string   // "full": writable in Aloware with that profile only; "never": never writable
	hubspotIsFixed bool     // HubSpot's side is not set by people here
}

// fields are the 25 rows that people edit; activity has its own test values.
func fields() []field {
	text := func(key, hubspot, set, show string) field {
		f := field{key: key, hubspot: hubspot, set: set, show: show}
		for i := range 6 {
			f.hub = append(f.hub, fmt.Sprintf("%s %d", key, i))
		}
		f.alo = f.hub
		return f
	}
	return []field{
		{key: "email", hubspot: "email", set: "email", show: "email", hub: []string{"a0@example.com", "a1@example.com", "a2@example.com", "a3@example.com", "a4@example.com", "a5@example.com"}},
		{key: "contact_owner", hubspot: "hubspot_owner_id", set: "user_id", show: "user_id", hub: []string{"81001", "81002", "81003"}, alo: []string{"1201", "1202", "1203"}},
		{key: "lifecycle_stage", hubspot: "lifecyclestage", set: "lifecycle_stage", show: "lifecycle_stage", hub: []string{"customer", "lead", "opportunity"}, only: "full"},
		text("first_name", "firstname", "first_name", "first_name"), text("last_name", "lastname", "last_name", "last_name"),
		text("company_name", "company", "company_name", "company_name"), text("address", "address", "address", "address"),
		text("city", "city", "city", "cnam_city"), text("state", "state", "state", "cnam_state"),
		text("country", "country", "country", "cnam_country"), text("zipcode", "zip", "zipcode", "cnam_zipcode"),
		{key: "website", hubspot: "website", set: "website", show: "website", hub: []string{"http://a.example", "http://b.example", "http://c.example"}},
		{key: "date_of_birth", hubspot: "date_of_birth", set: "date_of_birth", show: "date_of_birth", hub: []string{"1988-04-17", "1979-11-30", "2001-02-03"}},
		{key: "timezone", hubspot: "hs_timezone", set: "timezone", show: "timezone", hub: []string{"america_slash_chicago", "america_slash_los_angeles", "america_slash_new_york"}, alo: []string{"America/Chicago", "America/Los_Angeles", "America/New_York"}},
		text("lead_source", "aloware_lead_source", "lead_source", "lead_source"),
		text("custom_field_1", "aloware_custom_field_1", "csf1", "csf1"), text("custom_field_2", "aloware_custom_field_2", "csf2", "csf2"),
		{key: "incoming_number", hubspot: "aloware_incoming_number", set: "incoming_number", show: "incoming_number", hub: []string{"+12025550150", "+12025550151", "+12025550152"}, only: "never"},
		{key: "tcpa_approved", hubspot: "aloware_tcpa_approved", set: "text_authorized", show: "text_authorized", hub: []string{"true", "false", "true"}, alo: []string{"1", "0", "1"}, only: "never"},
		{key: "dnc", hubspot: "aloware_dnc", set: "is_dnc", show: "is_dnc", hub: []string{"true", "false", "true"}, alo: []string{"1", "0", "1"}},
		{key: "line_type", hubspot: "aloware_line_type", set: "lrn_type", show: "lrn_type", hub: []string{"Wireless", "VoIP", "Landline"}, alo: []string{"1", "2", "0"}, only: "never"},
	}
}

func (f *field) alow(i int) string {
	if f.alo != nil {
		return f.alo[i%len(f.alo)]
	}
	return f.hub[i%len(f.hub)]
}

func (f *field) hubs(i int) string { return f.hub[i%len(f.hub)] }

// writable reports whether the connection can write the field in Aloware.
func (f *field) writable(profile string) bool {
	return f.only == "" || f.only == profile
}

// set gives values of one round to one side, as a person would.
func (d *demo) setAll(system, id string, list []field, round int) {
	d.t.Helper()
	values := make(map[string]any)
	for i := range list {
		f := &list[i]
		if system == "hubspot" {
			values[f.hubspot] = f.hubs(round)
		} else {
			values[f.set] = f.alow(round)
		}
	}
	if len(values) == 0 {
		return
	}
	if system == "hubspot" {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": id, "properties": values}, nil)
	} else {
		d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": id, "fields": values}, nil)
	}
}

// holds waits until a side shows the values of a round.
func (d *demo) holds(system, id string, list []field, round int) {
	d.t.Helper()
	address := map[string]string{"hubspot": d.hubspot, "aloware": d.aloware}[system]
	eventually(d.t, 40*time.Second, func() string {
		shown := d.one(address, id)
		var wrong []string
		for i := range list {
			f := &list[i]
			name, want := f.hubspot, f.hubs(round)
			if system == "aloware" {
				name, want = f.show, f.alow(round)
			}
			if got := shown[name]; got != want && !(want == "1" && got == "true" || want == "0" && got == "false") {
				wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", f.key, got, want))
			}
		}
		return strings.Join(wrong, "; ")
	})
}

// leads sets the directions of mappings.
func (d *demo) leads(direction string, list []field) {
	d.t.Helper()
	_, now := d.mapping()
	var edits []map[string]any
	for _, f := range list {
		if now[f.key]["direction"] != direction {
			edits = append(edits, map[string]any{"set": map[string]any{"key": f.key, "direction": direction}})
		}
	}
	if len(edits) == 0 {
		return
	}
	if err := d.edit(edits...); err != nil {
		d.t.Fatal(err)
	}
}

func having(list []field, holds func(f *field) bool) []field {
	return slices.DeleteFunc(slices.Clone(list), func(f field) bool { return !holds(&f) })
}

// TestEveryFieldFlowsAsItIsMapped: for each of the 55 rows, in both profiles,
// a value set on a side that may flow arrives on the other in its right form,
// and one set on a side that may not does not.
func TestEveryFieldFlowsAsItIsMapped(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"full", "documented"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=1", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "LOCKSTEP_ALOWARE_PROFILE="+profile)
			var hub, alo string
			eventually(t, 60*time.Second, func() string {
				for h, a := range d.pairs() {
					hub, alo = h, a
					return ""
				}
				return "no contact is on both sides yet"
			})
			d.explainAtFailure("hubspot:" + hub)
			d.settle(30 * time.Second)
			all := fields()
			category := func(names ...string) []field {
				_, now := d.mapping()
				return having(all, func(f *field) bool { return slices.Contains(names, now[f.key]["category"].(string)) })
			}
			edited := category("special", "open")
			custom, compliance := category("aloware_custom"), category("compliance")
			derived := len(custom) // all of them have a value to set
			if len(edited)+derived+len(compliance)+1 != len(all) {
				t.Fatalf("%d rows of %d are looked at", len(edited)+derived+len(compliance)+1, len(all))
			}
			writable := func(list []field) []field { return having(list, func(f *field) bool { return f.writable(profile) }) }

			// As it is by default: from HubSpot to Aloware, and the catalogue's
			// own fields to HubSpot.
			d.setAll("hubspot", hub, edited, 0)
			d.holds("aloware", alo, writable(edited), 0)
			d.setAll("aloware", alo, append(slices.Clone(custom), compliance...), 0)
			d.holds("hubspot", hub, append(slices.Clone(custom), compliance...), 0)
			d.setAll("aloware", alo, edited, 1)
			d.setAll("hubspot", hub, append(slices.Clone(custom), compliance...), 1)
			d.settle(30 * time.Second)
			d.holds("hubspot", hub, edited, 0)
			d.holds("aloware", alo, append(slices.Clone(custom), compliance...), 0)

			// The other way round, where people may choose it.
			d.leads("DIRECTION_TO_HUBSPOT", edited)
			d.leads("DIRECTION_TO_ALOWARE", custom)
			d.setAll("aloware", alo, edited, 2)
			d.holds("hubspot", hub, edited, 2)
			d.setAll("hubspot", hub, custom, 2)
			d.holds("aloware", alo, writable(custom), 2)
			d.setAll("hubspot", hub, edited, 0)
			d.setAll("aloware", alo, writable(custom), 0)
			d.settle(30 * time.Second)
			d.holds("aloware", alo, edited, 2)
			d.holds("hubspot", hub, writable(custom), 2)

			// In both directions.
			d.leads("DIRECTION_BOTH", edited)
			d.leads("DIRECTION_BOTH", writable(custom))
			two := append(having(all, func(f *field) bool { return f.key == "email" }), append(writable(edited), writable(custom)...)...)
			d.setAll("hubspot", hub, two, 1)
			d.holds("aloware", alo, two, 1)
			// Back to the value from before, but not within the same second of
			// Aloware's clock: which came first could not be told then.
			d.settle(30 * time.Second)
			d.setAll("aloware", alo, two, 2)
			d.holds("hubspot", hub, two, 2)

			if profile == "full" {
				d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hub, "properties": map[string]any{"phone": "(202) 555-0161"}}, nil)
				d.holds("aloware", alo, []field{{key: "phone_number", show: "phone_number", hub: []string{"+12025550161"}}}, 0)
			} else {
				d.renumbered(hub, alo)
			}
			d.settle(30 * time.Second) // not within the same second here either
			d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alo, "fields": map[string]any{"phone_number": "+12025550162"}}, nil)
			d.holds("hubspot", hub, []field{{key: "phone_number", hubspot: "phone", hub: []string{"+12025550162"}}}, 0)
			c := d.one(d.hubspot, hub)
			if c["aloware_contact_id"] != alo || !strings.HasSuffix(c["aloware_contact_link"], "/contacts/"+alo) {
				t.Errorf("HubSpot has id %q and link %q of Aloware's contact %s", c["aloware_contact_id"], c["aloware_contact_link"], alo)
			}
			d.dispositions(profile, hub, alo)
			d.activity(hub, alo)
		})
	}
}

// renumbered gives a contact another number in HubSpot, which a documented
// connection cannot take over: it says so once, and writes the rest.
func (d *demo) renumbered(hub, alo string) {
	d.t.Helper()
	before := d.one(d.aloware, alo)["phone_number"]
	d.follow(func() {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hub, "properties": map[string]any{"phone": "(202) 555-0161", "firstname": "Renumbered"}}, nil)
	}, d.aloware, alo, "first_name", "Renumbered")
	type problem struct{ Field, System, Kind, Reason, Message, Value string }
	shown := func() (problems []problem) {
		var inbox struct{ Problems []problem }
		d.mustCLI(&inbox, "inbox", "show", "demo", "--field", "phone_number")
		return inbox.Problems
	}
	eventually(d.t, 20*time.Second, func() string {
		problems := shown()
		if len(problems) != 1 || problems[0].System != "aloware" || problems[0].Kind != "refused" || problems[0].Reason != "NOT_CAPABLE" ||
			problems[0].Value != "+12025550161" || !strings.Contains(problems[0].Message, "change it in Aloware") {
			return fmt.Sprintf("the inbox shows %+v, want why the number stays", problems)
		}
		return ""
	})
	var calls any
	since := time.Now()
	eventually(d.t, 20*time.Second, func() string { // a read may follow; then nobody calls any more
		if now := d.stats(d.aloware)["requests"]; now != calls {
			calls, since = now, time.Now()
		}
		if time.Since(since) < 3*time.Second {
			return fmt.Sprintf("Aloware is still called for the number: %v calls", calls)
		}
		return ""
	})
	d.follow(func() { // a later edit of something else sends the number no more
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hub, "properties": map[string]any{"firstname": "Renamed"}}, nil)
	}, d.aloware, alo, "first_name", "Renamed")
	if c := d.one(d.aloware, alo); c["phone_number"] != before || len(shown()) != 1 {
		d.t.Errorf("Aloware's number is %q, want %q; the inbox shows %+v", c["phone_number"], before, shown())
	}
}

// explainAtFailure tells of a test that fails why the contact's values are what
// they are.
func (d *demo) explainAtFailure(key string) {
	d.t.Cleanup(func() {
		if !d.t.Failed() {
			return
		}
		command := exec.Command(os.Args[0], "contact", "explain", "demo", key, "--limit", "200", "--server", "http://"+d.console)
		command.Env = d.env
		out, err := command.CombinedOutput()
		d.t.Logf("why %s holds what it holds (%v):\n%s", key, err, out)
	})
}

// dispositions checks the contact's status: HubSpot's options alone, by value,
// in both directions; where the account does not tell its ids, they are paired
// by hand.
func (d *demo) dispositions(profile, hub, alo string) {
	d.t.Helper()
	var status field
	if profile == "full" {
		eventually(d.t, 40*time.Second, func() string {
			status = field{key: "contact_disposition_status", hubspot: "hs_lead_status", set: "disposition_status_id", show: "disposition_status_id"}
			for _, one := range d.must("MappingService/ListDispositions", map[string]any{"tenant": "demo"})["dispositions"].([]any) {
				if o := one.(map[string]any); o["offered"] == true && o["locked"] == true {
					status.hub, status.alo = append(status.hub, o["value"].(string)), append(status.alo, o["alowareId"].(string))
				}
			}
			if len(status.hub) < 8 {
				return fmt.Sprintf("agents are offered %v", status.hub)
			}
			return ""
		})
	} else {
		lists := d.simLists()
		status = field{key: "contact_disposition_status", hubspot: "hs_lead_status", set: "disposition_status_id", show: "disposition_status_id", hub: []string{"NEW", "OPEN"}, alo: lists[:2]}
		d.learnt(status, hub, alo)
	}
	one := []field{status}
	d.setAll("hubspot", hub, one, 0)
	d.holds("aloware", alo, one, 0)
	d.setAll("aloware", alo, one, 1)
	d.settle(30 * time.Second)
	d.holds("hubspot", hub, one, 0)
	if err := d.edit(map[string]any{"set": map[string]any{"key": status.key, "direction": "DIRECTION_TO_HUBSPOT"}}); err == nil || !strings.Contains(err.Error(), "direction") {
		d.t.Errorf("the status may not lead to HubSpot alone; got %v", err)
	}
	d.leads("DIRECTION_BOTH", one)
	d.setAll("aloware", alo, one, 0)
	d.setAll("aloware", alo, one, 1)
	d.holds("hubspot", hub, one, 1)
}

// learnt pairs dispositions whose ids are known from contacts alone: what is
// suggested is what HubSpot has of them, and nothing is paired before somebody
// asks for it.
func (d *demo) learnt(status field, hub, alo string) {
	d.t.Helper()
	d.setAll("hubspot", hub, []field{status}, 1)
	d.setAll("aloware", alo, []field{status}, 1)
	eventually(d.t, 40*time.Second, func() string {
		seen, _ := d.must("MappingService/ListDispositions", map[string]any{"tenant": "demo"})["seen"].([]any)
		if len(seen) == 1 {
			if one := seen[0].(map[string]any); one["alowareId"] == status.alo[1] && one["suggested"] == status.hub[1] {
				return ""
			}
		}
		return fmt.Sprintf("seen are %v, want %s with %s", seen, status.alo[1], status.hub[1])
	})
	if output, _ := d.run("dispositions", "demo"); !strings.Contains(output, "--pair "+status.alo[1]+"="+status.hub[1]) {
		d.t.Errorf("the pair is not suggested by command:\n%s", output)
	}
	if _, now := d.mapping(); now[status.key]["options"] != nil {
		d.t.Errorf("something was paired by itself: %v", now[status.key]["options"])
	}
	for i := range status.hub {
		d.mustCLI(nil, "dispositions", "demo", "--pair", status.alo[i]+"="+status.hub[i])
	}
	if answer := d.must("MappingService/ListDispositions", map[string]any{"tenant": "demo"}); answer["seen"] != nil {
		d.t.Errorf("what is paired is still suggested: %v", answer["seen"])
	}
}

// simLists are the ids of the account's contact dispositions.
func (d *demo) simLists() (ids []string) {
	d.t.Helper()
	answer, err := client.Get("http://" + d.aloware + "/_sim/lists")
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	var lists struct {
		Dispositions []struct {
			ID int64 `json:"id"`
		} `json:"dispositions"`
	}
	if err := decodeJSON(answer.Body, &lists); err != nil {
		d.t.Fatal(err)
	}
	for _, one := range lists.Dispositions {
		ids = append(ids, fmt.Sprint(one.ID))
	}
	return ids
}

// activity checks the 30 fields that calls and texts feed, in the forms that
// HubSpot's property types want; HubSpot's own edit of one goes nowhere.
func (d *demo) activity(hub, alo string) {
	d.t.Helper()
	for _, c := range []map[string]any{
		{"kind": "sms", "direction": "inbound", "body": "Hello"}, {"kind": "sms", "direction": "outbound", "body": "Hi"},
		{"kind": "call", "direction": "inbound", "disposition": "Connected"}, {"kind": "call", "direction": "outbound", "disposition": "No answer"},
	} {
		c["contact_id"] = alo
		d.mustPost(d.aloware, "/_sim/communications", c, nil)
	}
	_, now := d.mapping()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if c := now[key]["category"].(string); strings.HasSuffix(c, "_activity") || strings.HasSuffix(c, "_tracking") {
			keys = append(keys, key)
		}
	}
	if len(keys) != 30 {
		d.t.Fatalf("%d rows of activity, want 30", len(keys))
	}
	today := time.Now()
	eventually(d.t, 40*time.Second, func() string {
		shown := d.one(d.hubspot, hub)
		var wrong []string
		for _, key := range keys {
			value := shown[now[key]["hubspot"].(string)]
			bad := value == ""
			switch now[key]["type"] {
			case "number":
				bad = value != "1"
			case "date":
				at, err := time.Parse(time.DateOnly, value)
				bad = err != nil || today.Sub(at).Abs() > 48*time.Hour
			case "datetime":
				at, err := time.Parse(time.RFC3339, value)
				bad = err != nil || today.Sub(at).Abs() > time.Hour
			}
			if bad {
				wrong = append(wrong, fmt.Sprintf("%s is %q", key, value))
			}
		}
		return strings.Join(wrong, "; ")
	})
	d.settle(30 * time.Second)
	// On the side to which these rows and Aloware's own id and link lead, an edit
	// stays where it was made.
	before, held := fmt.Sprint(d.stats(d.aloware)["writes"]), d.one(d.aloware, alo)
	edited := map[string]any{"aloware_contact_id": "1", "aloware_contact_link": "https://example.com/1"}
	for _, key := range keys {
		value := map[string]string{"number": "77", "date": "2020-02-29", "datetime": "2020-02-29T12:00:00.000Z", "checkbox": "true"}[now[key]["type"].(string)]
		edited[now[key]["hubspot"].(string)] = cmp.Or(value, "set in HubSpot")
	}
	if len(edited) != len(keys)+2 {
		d.t.Fatalf("%d properties are edited for %d rows", len(edited), len(keys)+2)
	}
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hub, "properties": edited}, nil)
	d.settle(30 * time.Second)
	if after := fmt.Sprint(d.stats(d.aloware)["writes"]); after != before {
		d.t.Errorf("edits of activity in HubSpot led to writes in Aloware: %v, then %v", before, after)
	}
	if got := d.one(d.aloware, alo); !maps.Equal(got, held) {
		d.t.Errorf("Aloware's contact was %v and is %v after edits of activity in HubSpot", held, got)
	}
	if got := d.one(d.hubspot, hub)["aloware_total_inbound_calls"]; got != "77" {
		d.t.Errorf("HubSpot's own edit of a total is %q, want it left until the next call", got)
	}
}
