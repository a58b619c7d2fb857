package lockstep_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// heldBurst is a hold as the command line prints it.
type heldBurst struct {
	Id, Field, Into, Source, State, Answer, AnsweredBy, Contacts, Fills, Replaces, Clears, Passed, Threshold, Done, Total string
	Go, Undo                                                                                                              struct{ Calls string }
}

// hold waits for the newest hold of a field of which something holds.
func (d *demo) hold(field string, holds func(heldBurst) bool) (found heldBurst) {
	d.t.Helper()
	eventually(d.t, 90*time.Second, func() string {
		var list struct{ Holds []heldBurst }
		if err := d.cli(&list, "hold", "list", "demo", "--all"); err != nil {
			return err.Error()
		}
		for _, h := range list.Holds {
			if h.Field == field {
				if found = h; holds(h) {
					return ""
				}
				return fmt.Sprintf("the hold is %+v", h)
			}
		}
		return "nothing of " + field + " is held"
	})
	return found
}

// TestABurstIsHeld: an import far beyond a field's usual rate is not written
// from the tenant's floor on, while other fields and other people's edits flow;
// going on writes it, undoing gives HubSpot its former values back, and dropping
// leaves both sides as they are. What is held outlives a crash.
func TestABurstIsHeld(t *testing.T) {
	t.Parallel()
	const many, floor = 60, 20
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=0", "LOCKSTEP_ALOWARE_SIM_RATE=200", "LOCKSTEP_ALOWARE_SIM_BURST=200", "LOCKSTEP_HUBSPOT_SIM_WINDOW=1000")
	d.mustPost(d.hubspot, "/_sim/load", map[string]any{"contacts": many, "seed": 3}, nil)
	eventually(t, 120*time.Second, func() string {
		if n := len(d.pairs()); n < many {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	d.settle(60 * time.Second)
	d.mustCLI(nil, "tenant", "save", "demo", "--burst-floor", fmt.Sprint(floor))
	var list struct{ Holds []heldBurst }
	if d.mustCLI(&list, "hold", "list", "demo", "--all"); len(list.Holds) > 0 {
		t.Fatalf("a first sync is held: %+v", list.Holds)
	}
	d.exits(3, "tenant", "save", "demo", "--burst-floor", "-1")
	d.exits(3, "hold", "show", "demo", "none")
	pairs := d.pairs()
	people := slices.Sorted(maps.Keys(pairs))
	load := func(source, property string, value func(int) string) {
		t.Helper()
		for i, hub := range people {
			d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hub, "source": source, "properties": map[string]any{property: value(i)}}, nil)
		}
	}
	aloware := func(field string) map[string]int {
		n := make(map[string]int)
		for _, c := range d.contacts(d.aloware, "") {
			n[c[field]]++
		}
		return n
	}
	same := func(text string) func(int) string { return func(int) string { return text } }

	// Go on.
	load("IMPORT 7", "city", same("Imported"))
	whole := fmt.Sprint(many - floor)
	h := d.hold("city", func(h heldBurst) bool { return h.Contacts == whole })
	if h.State != "open" || h.Into != "aloware" || h.Source != "IMPORT" || h.Passed != fmt.Sprint(floor) || h.Replaces != whole || h.Go.Calls == "0" || h.Undo.Calls == "0" {
		t.Errorf("the hold is %+v", h)
	}
	var shown struct {
		Examples []struct{ Before, After string }
	}
	d.mustCLI(&shown, "hold", "show", "demo", h.Id)
	if len(shown.Examples) != 10 || shown.Examples[0].After != "Imported" || shown.Examples[0].Before == "" {
		t.Errorf("the examples are %+v", shown.Examples)
	}
	var held string // a contact that is held
	for _, hub := range people {
		if d.one(d.aloware, pairs[hub])["cnam_city"] != "Imported" {
			held = hub
		}
	}
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": held, "properties": map[string]any{"firstname": "Flows"}}, nil)
	eventually(t, 20*time.Second, func() string {
		if got := d.one(d.aloware, pairs[held])["first_name"]; got != "Flows" {
			return "another field of a contact that is held is " + got
		}
		return ""
	})
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": held, "properties": map[string]any{"city": "By Hand"}}, nil)
	eventually(t, 20*time.Second, func() string {
		if got := d.one(d.aloware, pairs[held])["cnam_city"]; got != "By Hand" {
			return "what a person set in the field that is held is " + got
		}
		return ""
	})
	d.seesHold(h.Id)
	d.kill()
	d.start()
	h = d.hold("city", func(h heldBurst) bool { return h.Contacts == fmt.Sprint(many-floor-1) })
	if n := aloware("cnam_city")["Imported"]; n != floor {
		t.Errorf("%d contacts were written, want the first %d", n, floor)
	}
	d.mustCLI(nil, "hold", "go", "demo", h.Id)
	d.mustCLI(nil, "hold", "go", "demo", h.Id)
	d.exits(3, "hold", "undo", "demo", h.Id)
	h = d.hold("city", func(h heldBurst) bool { return h.State == "released" })
	if h.Answer != "go" || h.AnsweredBy == "" || h.Done != fmt.Sprint(many-floor-1) || h.Total != h.Done {
		t.Errorf("after it went on the hold is %+v", h)
	}
	d.settle(30 * time.Second)
	if n := aloware("cnam_city"); n["Imported"] != many-1 || n["By Hand"] != 1 {
		t.Errorf("after it went on Aloware has %v", n)
	}
	load("IMPORT 7", "city", same("Again"))
	eventually(t, 60*time.Second, func() string {
		if n := aloware("cnam_city")["Again"]; n != many {
			return fmt.Sprintf("of what goes on %d are written", n)
		}
		return ""
	})

	// Undo: the field leads to Aloware alone.
	before := d.contacts(d.hubspot, "")
	load("AUTOMATION_PLATFORM enrollmentId:1", "zip", func(i int) string { return fmt.Sprint("wrong ", i) })
	h = d.hold("zipcode", func(h heldBurst) bool { return h.Contacts == whole })
	wrote := make(map[string]bool)
	for _, hub := range people {
		wrote[hub] = strings.HasPrefix(d.one(d.aloware, pairs[hub])["cnam_zipcode"], "wrong")
		if !wrote[hub] {
			held = hub
		}
	}
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": held, "properties": map[string]any{"zip": "mine"}}, nil)
	d.hold("zipcode", func(h heldBurst) bool { return h.Contacts == fmt.Sprint(many-floor-1) })
	d.mustCLI(nil, "hold", "undo", "demo", h.Id)
	d.hold("zipcode", func(h heldBurst) bool { return h.State == "released" })
	d.settle(30 * time.Second)
	for i, hub := range people {
		want := before[hub]["zip"]
		switch {
		case hub == held:
			want = "mine"
		case wrote[hub]:
			want = fmt.Sprint("wrong ", i)
		}
		if h, a := d.one(d.hubspot, hub)["zip"], d.one(d.aloware, pairs[hub])["cnam_zipcode"]; h != want || a != want {
			t.Errorf("after the undo %s has %q in HubSpot and %q in Aloware, want %q", hub, h, a, want)
		}
	}

	// Drop.
	was := aloware("company_name")
	load("IMPORT 8", "company", same("Dropped Inc"))
	h = d.hold("company_name", func(h heldBurst) bool { return h.Contacts == whole })
	d.mustCLI(nil, "hold", "drop", "demo", h.Id)
	d.hold("company_name", func(h heldBurst) bool { return h.State == "released" })
	d.mustCLI(nil, "sync", "apply", "demo")
	d.settle(30 * time.Second)
	if n := aloware("company_name")["Dropped Inc"]; n != floor || len(was) < 2 {
		t.Errorf("after the drop %d contacts of Aloware have the import's value, want the first %d", n, floor)
	}
	if n := d.audits("AnswerHold"); n < 4 {
		t.Errorf("the audit has %d answers", n)
	}
}

// audits counts the entries of the audit about a call.
func (d *demo) audits(call string) (n int) {
	d.t.Helper()
	var audit struct{ Entries []struct{ Action string } }
	d.mustCLI(&audit, "audit", "demo")
	for _, e := range audit.Entries {
		if strings.HasSuffix(e.Action, call) {
			n++
		}
	}
	return n
}

// seesHold looks at a hold by the API, and at the pages that tell of it.
func (d *demo) seesHold(id string) {
	d.t.Helper()
	answer := d.must("HoldService/GetHold", map[string]any{"tenant": "demo", "id": id})
	if hold, _ := answer["hold"].(map[string]any); hold["state"] != "open" {
		d.t.Errorf("the API tells %v", answer)
	}
	if _, err := d.call("HoldService/AnswerHold", map[string]any{"tenant": "demo", "id": id, "answer": "perhaps"}); err == nil || !strings.Contains(err.Error(), "want go") {
		d.t.Errorf("a wrong answer is met by %v", err)
	}
}
