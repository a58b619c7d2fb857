package lockstep_test

import (
	"fmt"
	"strings"
	"time"
)

// commands runs each command about mappings, users, dispositions and
// capabilities, as an operator would.
func (d *demo) commands() {
	for _, c := range []struct {
		command, says string
	}{
		{"mapping show demo", "contact_owner"},
		{"mapping show demo", " today, last "},
		{"mapping set demo city --direction both --policy only_if_empty --transform trim --ignore-blank --reason by-command", "saved as version"},
		{"mapping show demo", "--ignore-blank --transform trim"},
		{"mapping versions demo", "by-command"},
		{"mapping diff demo 1 0", "only_if_empty"},
		{"mapping filter demo state is=TX,NV --any --preview", "hubspot"},
		{"mapping filter demo state is=TX,NV --any", "saved as version"},
		{"mapping show demo", "(only contacts with: state is=TX,NV --any)"},
		{"mapping filter demo", "saved as version"},
		{"mapping create-property demo favourite_colour --label Favourite --type option --option RED=Red", "favourite_colour"},
		{"mapping properties demo hubspot --search favourite", "favourite_colour"},
		{"mapping properties demo hubspot --for city --search email", "already mapped"},
		{"mapping remove demo custom_field_2", "saved as version"},
		{"mapping add demo custom_field_2 -", "saved as version"},
		{"mapping preview demo", "READ FIRST"},
		{"mapping reset demo", "saved as version"},
		{"mapping restore demo 2", "saved as version"},
		{"users demo", "@example.com"},
		{"dispositions demo", "🔐"},
		{"dispositions demo --calls", "🔐"},
		{"tenant capabilities demo", "dispositions"},
	} {
		if output, code := d.run(strings.Fields(c.command)...); code != 0 || !strings.Contains(output, c.says) {
			d.t.Errorf("lockstep %s ends with %d and does not say %q:\n%s", c.command, code, c.says, output)
		}
	}
	if output, code := d.run("mapping", "set", "demo", "phone_number", "--direction", "to_aloware"); code == 0 || !strings.Contains(output, "locked") {
		d.t.Errorf("an edit of a locked mapping ends with %d:\n%s", code, output)
	}
}

// picks holds that agents pick from HubSpot's list as it is now: an option that
// is added there is offered, one that is removed is not, and one that HubSpot
// does not have is refused.
func (d *demo) picks(hub string) {
	d.t.Helper()
	offered := func() map[string]string {
		labels := make(map[string]string)
		for _, one := range d.must("MappingService/ListDispositions", map[string]any{"tenant": "demo"})["dispositions"].([]any) {
			if o := one.(map[string]any); o["offered"] == true {
				labels[o["value"].(string)] = o["label"].(string)
			}
		}
		return labels
	}
	var options []any
	for value, label := range offered() {
		options = append(options, map[string]any{"value": value, "label": label})
	}
	if len(options) < 8 {
		d.t.Fatalf("agents are offered %v", options)
	}
	has := func(list []any, want bool) {
		d.t.Helper()
		d.mustPost(d.hubspot, "/_sim/options", map[string]any{"property": "hs_lead_status", "options": list}, nil)
		eventually(d.t, 30*time.Second, func() string {
			if _, ok := offered()["PATIENT"]; ok != want {
				return fmt.Sprintf("the new option is offered: %v, want %v", ok, want)
			}
			return ""
		})
	}
	dispose := []string{"contact", "dispose", "demo", "hubspot:" + hub, "PATIENT"}
	if output, code := d.run(dispose...); code == 0 || !strings.Contains(output, "HubSpot has no contact disposition") {
		d.t.Errorf("an option that HubSpot does not have ends with %d:\n%s", code, output)
	}
	has(append(options, map[string]any{"value": "PATIENT", "label": "Patient"}), true)
	if output, code := d.run(dispose...); code != 0 || d.one(d.hubspot, hub)["hs_lead_status"] != "PATIENT" {
		d.t.Errorf("an option that HubSpot has now ends with %d:\n%s", code, output)
	}
	has(options, false)
	// Aloware follows, though HubSpot names our app as who wrote it.
	other := d.pairs()[hub]
	for _, value := range []string{"NEW", "IN_PROGRESS"} {
		before := d.one(d.aloware, other)["disposition_status_id"]
		dispose[len(dispose)-1] = value
		if output, code := d.run(dispose...); code != 0 {
			d.t.Errorf("lead status %s ends with %d:\n%s", value, code, output)
		}
		eventually(d.t, 30*time.Second, func() string {
			if now := d.one(d.aloware, other)["disposition_status_id"]; now == before || now == "" {
				return fmt.Sprintf("after %s Aloware holds the disposition %q", value, now)
			}
			return ""
		})
	}
}

// reconnects holds that a reconnect lets owner and disposition status lead to
// Aloware again, and leaves the other mappings as they were.
func (d *demo) reconnects() {
	d.t.Helper()
	direction := func(key, to string) map[string]any {
		return map[string]any{"set": map[string]any{"key": key, "direction": to}}
	}
	if err := d.edit(direction("contact_owner", "DIRECTION_TO_HUBSPOT"), direction("contact_disposition_status", "DIRECTION_BOTH"), direction("company_name", "DIRECTION_TO_HUBSPOT")); err != nil {
		d.t.Fatal(err)
	}
	_, before := d.mapping()
	d.must("TenantService/Disconnect", map[string]any{"tenant": "demo"})
	d.must("TenantService/ConnectHubSpot", map[string]any{"tenant": "demo", "accessToken": "demo-hubspot-token", "baseUrl": "http://" + d.hubspot, "windowLimit": 190})
	_, after := d.mapping()
	for key, m := range after {
		want := before[key]["direction"]
		if key == "contact_owner" || key == "contact_disposition_status" {
			want = "DIRECTION_TO_ALOWARE"
		}
		if m["direction"] != want {
			d.t.Errorf("after the reconnect %s has %v, want %v", key, m["direction"], want)
		}
	}
	newest := d.must("MappingService/ListVersions", map[string]any{"tenant": "demo"})["versions"].([]any)[0].(map[string]any)
	if reason, _ := newest["reason"].(string); !strings.HasPrefix(reason, "reconnected") {
		d.t.Errorf("the newest version is there because %q", reason)
	}
	// Doing it again to a connected tenant changes nothing.
	version, _ := d.mapping()
	d.must("TenantService/ConnectHubSpot", map[string]any{"tenant": "demo", "accessToken": "demo-hubspot-token", "baseUrl": "http://" + d.hubspot, "windowLimit": 190})
	if again, _ := d.mapping(); again != version {
		d.t.Errorf("connecting again made version %v of %v", again, version)
	}
}
