package lockstep_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestEachKindOfEditDoesWhatItsPreviewSays: what the preview of an edit counts
// for each side is what follows when it is saved and applied, and afterwards
// nothing is left to do.
func TestEachKindOfEditDoesWhatItsPreviewSays(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=4", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "LOCKSTEP_ALOWARE_PROFILE=documented", "LOCKSTEP_LISTS_EVERY=1s")
	var hubs, alos []string
	eventually(t, 60*time.Second, func() string {
		hubs, alos = nil, nil
		for hub, alo := range d.pairs() {
			hubs, alos = append(hubs, hub), append(alos, alo)
		}
		if len(hubs) < 4 {
			return fmt.Sprintf("%d contacts are on both sides", len(hubs))
		}
		return ""
	})
	d.settle(30 * time.Second)
	// Each change is of three of the four.
	aloware := func(name, value string) func() {
		return func() {
			for i, id := range alos[:3] {
				d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": id, "fields": map[string]any{name: strings.ReplaceAll(value, "#", fmt.Sprint(i))}}, nil)
			}
		}
	}
	hubspot := func(name, value, fourth string) func() {
		return func() {
			for i, id := range hubs {
				if i == 3 {
					value = fourth
				}
				d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": id, "properties": map[string]any{name: value}}, nil)
			}
		}
	}
	property := func(method, name string) func() {
		return func() {
			d.properties(method, name)
			eventually(t, 30*time.Second, func() string {
				_, now := d.mapping()
				if rests := now["custom_field_1"]["stopped"] != nil && now["custom_field_1"]["stopped"] != ""; rests != (method == http.MethodDelete) {
					return fmt.Sprintf("custom_field_1 at rest: %v", rests)
				}
				return ""
			})
		}
	}
	set := func(key string, more map[string]any) map[string]any {
		more["key"] = key
		return map[string]any{"set": more}
	}
	filter := map[string]any{"conditions": []any{map[string]any{"key": "first_name", "op": "is", "texts": []any{"Nobody at all"}}}}
	for _, c := range []struct {
		name             string
		before           func()
		edit             map[string]any
		hubspot, aloware float64 // contacts that are written
		reads            bool    // by what is found where nothing is known yet
	}{
		{"a direction", aloware("city", "Reno #"), set("city", map[string]any{"direction": "DIRECTION_TO_HUBSPOT"}), 3, 0, false},
		{"a policy that never overwrites", aloware("city", "Elko #"), set("city", map[string]any{"policy": "only_if_empty"}), 0, 0, false},
		{"a blank that counts for nothing", aloware("csf1", "one #"), set("custom_field_1", map[string]any{"ignore_blank": true}), 0, 0, false},
		{"a blank that counts again", aloware("csf1", ""), set("custom_field_1", map[string]any{"ignore_blank": false}), 0, 0, false},
		{"a transform", aloware("csf1", "two #"), set("custom_field_1", map[string]any{"transforms": map[string]any{"transforms": []any{map[string]any{"kind": "upper"}}}}), 3, 0, false},
		{"another property that people read in HubSpot", nil, set("custom_field_1", map[string]any{"hubspot": "jobtitle"}), 3, 0, true},
		{"its own property again, which holds the same", nil, set("custom_field_1", map[string]any{"hubspot": "aloware_custom_field_1"}), 0, 0, true},
		{"an option that gets its pair", hubspot("hs_lead_status", "NEW", "OPEN"), set("contact_disposition_status", map[string]any{"options": map[string]any{"options": []any{map[string]any{"aloware": d.simLists()[0], "hubspot": "NEW"}}}}), 0, 3, false},
		{"a filter that leaves everybody out", nil, map[string]any{"setFilter": map[string]any{"filter": filter}}, 0, 0, false},
		{"no filter any more", aloware("csf2", "three #"), map[string]any{"setFilter": map[string]any{}}, 3, 0, false},
		{"a mapping that is removed", nil, map[string]any{"remove": "custom_field_2"}, 0, 0, false},
		{"a mapping that is added back", nil, map[string]any{"addBuiltIn": map[string]any{"key": "custom_field_2"}}, 0, 0, true},
		{"an edit beside a mapping at rest", func() { property(http.MethodDelete, "aloware_custom_field_1")(); aloware("csf1", "four #")() },
			set("state", map[string]any{"ignore_blank": true}), 0, 0, false},
	} {
		if c.before != nil {
			c.before()
			d.settle(30 * time.Second)
		}
		preview := d.preview(c.edit)
		side := func(p map[string]any, name, what string) float64 {
			one, _ := p[name].(map[string]any)
			if one[what] == nil {
				return 0
			}
			n, err := strconv.ParseFloat(fmt.Sprint(one[what]), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if h, a := side(preview, "hubspot", "written"), side(preview, "aloware", "written"); !c.reads && (h != c.hubspot || a != c.aloware) || c.reads && h+a > 0 {
			t.Errorf("%s: the preview says %v of HubSpot and %v of Aloware, want %v and %v\n%v", c.name, h, a, c.hubspot, c.aloware, preview)
		}
		if reads := side(preview, "hubspot", "read")+side(preview, "aloware", "read") > 0; reads != c.reads {
			t.Errorf("%s: the preview says that contacts are read first: %v, want %v", c.name, reads, c.reads)
		}
		if e, _ := preview["estimate"].(map[string]any); c.reads {
			if h, a := side(preview, "estimate", "hubspot"), side(preview, "estimate", "aloware"); e == nil || fmt.Sprint(e["contacts"]) != "4" || h != c.hubspot || a != c.aloware {
				t.Errorf("%s: the estimate says %v, want 4 contacts, %v of HubSpot and %v of Aloware", c.name, e, c.hubspot, c.aloware)
			}
		} else if e != nil {
			t.Errorf("%s: there is an estimate of what is known: %v", c.name, e)
		}
		hub, alo := d.written()
		if err := d.edit(c.edit); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		d.job("apply", nil)
		eventually(t, 30*time.Second, func() string {
			if h, a := d.written(); h-hub < c.hubspot || a-alo < c.aloware {
				return fmt.Sprintf("%s: %v contacts were written in HubSpot, %v in Aloware", c.name, h-hub, a-alo)
			}
			return ""
		})
		d.settle(30 * time.Second)
		if h, a := d.written(); h-hub != c.hubspot || a-alo != c.aloware {
			t.Errorf("%s: %v contacts were written in HubSpot and %v in Aloware, want %v and %v", c.name, h-hub, a-alo, c.hubspot, c.aloware)
		}
		if left := d.preview(); left["fields"] != nil || side(left, "hubspot", "read")+side(left, "aloware", "read") > 0 {
			t.Errorf("%s: after it was applied there is still something to do: %v", c.name, left)
		}
	}
	// What was at rest goes on by itself, over a property that came back blank.
	property(http.MethodPost, "aloware_custom_field_1")()
	for i := range 3 {
		eventually(t, 30*time.Second, func() string {
			if got, want := d.one(d.hubspot, hubs[i])["aloware_custom_field_1"], fmt.Sprintf("FOUR %d", i); got != want {
				return fmt.Sprintf("HubSpot's custom field is %q, want %q", got, want)
			}
			return ""
		})
	}
}

// written is how many contacts were changed by API in HubSpot and in Aloware.
func (d *demo) written() (hubspot, aloware float64) {
	d.t.Helper()
	return d.hubspotWrites(), number(d.stats(d.aloware)["writes"].(map[string]any)["contacts"])
}

// properties archives a text property of HubSpot, or makes it again.
func (d *demo) properties(method, name string) {
	d.t.Helper()
	path, body := "/"+name, ""
	if method == http.MethodPost {
		path, body = "", `{"name":"`+name+`","label":"`+name+`","type":"string","fieldType":"text","groupName":"aloware"}`
	}
	r, err := http.NewRequest(method, "http://"+d.hubspot+"/crm/properties/2026-09/contacts"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer demo-hubspot-token")
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		d.t.Fatalf("%s %s: %d", method, path, answer.StatusCode)
	}
}
