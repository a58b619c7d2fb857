package lockstep_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAnAutomationIsNotFought: a workflow of HubSpot and an automation of Aloware
// set the city to values of their own whenever somebody else writes it. Lockstep
// stops after a few rounds and says who does it; once both are off, a retry lets
// the two sides agree.
func TestAnAutomationIsNotFought(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=3", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 3 {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	d.settle(30 * time.Second)
	var people [][2]string // HubSpot and Aloware ids
	for h, a := range d.pairs() {
		people = append(people, [2]string{h, a})
	}
	d.mustCLI(nil, "mapping", "set", "demo", "city", "--direction", "both", "--reason", "test")
	d.mustPost(d.hubspot, "/_sim/workflows", []map[string]any{{"property": "city", "set": "Austin", "id": "4711"}}, nil)
	d.mustPost(d.aloware, "/_sim/automations", []map[string]any{{"field": "city", "set": "Reno"}}, nil)
	for _, who := range people[:2] {
		d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"city": "Reno", "email": "mail" + who[1] + "@example.com"}}, nil)
	}
	var groups groupsAnswer
	eventually(t, 120*time.Second, func() string {
		groups = groupsAnswer{}
		d.mustCLI(&groups, "inbox", "list", "demo", "--field", "city")
		stopped := 0
		for _, g := range groups.Groups {
			if g.Kind == "rewritten" && g.Reason == "REWRITTEN" {
				stopped += g.Problems
			}
		}
		if stopped != 2 {
			return fmt.Sprintf("%d fields are stopped: the inbox has %+v", stopped, groups)
		}
		return ""
	})
	d.settle(30 * time.Second)
	before := d.writes()
	quiet := time.NewTimer(3 * time.Second)
	defer quiet.Stop()
	<-quiet.C
	if after := d.writes(); after != before {
		t.Errorf("what is stopped is written on: %s, then %s", before, after)
	}
	for _, who := range people[:2] {
		if h, a := d.one(d.hubspot, who[0]), d.one(d.aloware, who[1]); h["city"] != "Austin" || a["cnam_city"] != "Reno" || h["email"] != "mail"+who[1]+"@example.com" {
			t.Errorf("HubSpot holds %q and %q, Aloware %q; want each system's own city, and the e-mail in step", h["city"], h["email"], a["cnam_city"])
		}
	}
	var problems struct {
		Problems []struct{ Contact, Field, System, Kind, Message, Value string }
	}
	d.mustCLI(&problems, "inbox", "show", "demo", "--reason", "REWRITTEN")
	for _, p := range problems.Problems {
		for _, words := range []string{"times within", `HubSpot holds "Austin", Aloware "Reno"`, "switch off what sets it, then retry"} {
			if !strings.Contains(p.Message, words) {
				t.Errorf("the problem says %q, without %q", p.Message, words)
			}
		}
		if p.System == "hubspot" && !strings.Contains(p.Message, "by AUTOMATION_PLATFORM 4711") {
			t.Errorf("the problem says %q, and not who does it", p.Message)
		}
	}
	token, err := os.ReadFile(filepath.Join(d.data, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	page := func(path string) string { return d.page(path, strings.TrimSpace(string(token))) }
	if errors := page("/tenants/demo/errors"); !strings.Contains(errors, "Somebody else keeps setting it back") || !strings.Contains(errors, "stopped") {
		t.Errorf("the errors page says nothing of it: %s", errors)
	}
	if mappings := page("/tenants/demo/mapping"); !strings.Contains(mappings, "set back") {
		t.Error("the mapping page says nothing of it")
	}
	if card := page("/tenants/demo/contacts/" + problems.Problems[0].Contact); !strings.Contains(card, "set back") || !strings.Contains(card, "times within") {
		t.Error("the contact's card says nothing of it")
	}
	counted := false
	for _, line := range d.scrape() {
		counted = counted || strings.HasPrefix(line, "lockstep_mapper_rewritten_total{") && !strings.HasSuffix(line, " 0") && !strings.HasSuffix(line, " 0.0")
	}
	if !counted {
		t.Error("no metric counts it")
	}

	d.mustPost(d.hubspot, "/_sim/workflows", []map[string]any{}, nil)
	d.mustPost(d.aloware, "/_sim/automations", []map[string]any{}, nil)
	var retried struct{ Contacts int }
	if d.mustCLI(&retried, "inbox", "retry", "demo", "--reason", "REWRITTEN", "--field", "city"); retried.Contacts != 2 {
		t.Errorf("%d contacts were tried again, want 2", retried.Contacts)
	}
	eventually(t, 30*time.Second, func() string {
		groups = groupsAnswer{}
		d.mustCLI(&groups, "inbox", "list", "demo", "--field", "city")
		for _, who := range people[:2] {
			if h, a := d.one(d.hubspot, who[0])["city"], d.one(d.aloware, who[1])["cnam_city"]; h != a || len(groups.Groups) > 0 {
				return fmt.Sprintf("HubSpot holds %q, Aloware %q, the inbox %+v", h, a, groups)
			}
		}
		return ""
	})
	var why struct {
		Decisions []struct{ Rule, Reason string }
	}
	d.mustCLI(&why, "contact", "explain", "demo", problems.Problems[0].Contact, "city", "--limit", "100")
	told := map[string]int{}
	for _, decision := range why.Decisions {
		told[decision.Rule]++
	}
	if told["stopped"] != 1 || told["resumed"] != 1 || told["rewritten"] < 5 {
		t.Errorf("the decisions of the city are %v", told)
	}
}
