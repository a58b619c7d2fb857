package lockstep_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// job waits until a job has ended and gives it.
func (d *demo) job(kind string, request map[string]any) map[string]any {
	d.t.Helper()
	if request == nil {
		request = map[string]any{}
	}
	request["tenant"], request["kind"] = "demo", kind
	id := d.must("SyncService/StartSync", request)["sync"].(map[string]any)["id"]
	return d.ended(func(s map[string]any) bool { return s["id"] == id })
}

// ended waits for the newest job of which something holds.
func (d *demo) ended(which func(map[string]any) bool) (last map[string]any) {
	d.t.Helper()
	eventually(d.t, 60*time.Second, func() string {
		list, _ := d.must("SyncService/ListSyncs", map[string]any{"tenant": "demo"})["syncs"].([]any)
		for _, one := range list {
			if s := one.(map[string]any); which(s) {
				if last = s; s["state"] == "done" {
					return ""
				}
				return fmt.Sprintf("the job is %v", s)
			}
		}
		return "there is no such job"
	})
	return last
}

// hubspotWrites are the contacts that HubSpot was told to change by API.
func (d *demo) hubspotWrites() float64 {
	d.t.Helper()
	return number(d.stats(d.hubspot)["writes"].(map[string]any)["contacts"])
}

// preview gives the last answer of a preview of edits.
func (d *demo) preview(edits ...map[string]any) map[string]any {
	d.t.Helper()
	version, _ := d.mapping()
	answer := d.stream("MappingService/PreviewMapping", map[string]any{"tenant": "demo", "basedOn": version, "edits": edits})
	if len(answer) == 0 {
		d.t.Fatal("the preview gave no answer")
	}
	return answer[len(answer)-1]
}

// TestWhatAMappingWouldDoIsWhatItDoes: the preview of a change counts the very
// writes that follow when it is saved and applied, and none before.
func TestWhatAMappingWouldDoIsWhatItDoes(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=6", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 6 {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	d.settle(30 * time.Second)
	// Three of six have another city in Aloware, which flows nowhere by default.
	n := 0
	for _, alo := range d.pairs() {
		if n++; n <= 3 {
			d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alo, "fields": map[string]any{"city": fmt.Sprintf("Reno %d", n)}}, nil)
		}
	}
	d.settle(30 * time.Second)
	edit := map[string]any{"set": map[string]any{"key": "city", "direction": "DIRECTION_TO_HUBSPOT"}}
	before := d.writes()
	preview := d.preview(edit)
	hub := preview["hubspot"].(map[string]any)
	if fmt.Sprintf("%v %v %v", preview["looked"], preview["total"], hub["written"]) != "6 6 3" {
		t.Errorf("the preview says %v", preview)
	}
	field := preview["fields"].([]any)[0].(map[string]any)
	if field["key"] != "city" || fmt.Sprint(field["replaces"]) != "3" || len(field["examples"].([]any)) != 3 {
		t.Errorf("the preview says of the field %v", field)
	}
	if d.writes() != before {
		t.Error("a preview has written")
	}
	if err := d.edit(edit); err != nil {
		t.Fatal(err)
	}
	writes := d.hubspotWrites()
	if done := d.job("apply", nil); fmt.Sprintf("%v %v", done["done"], done["total"]) != "6 6" {
		t.Errorf("the job says %v", done)
	}
	eventually(t, 30*time.Second, func() string {
		if got := d.hubspotWrites() - writes; got != 3 {
			return fmt.Sprintf("%v contacts were written, want the 3 of the preview", got)
		}
		return ""
	})
	d.settle(30 * time.Second)
	if got := d.hubspotWrites() - writes; got != 3 {
		t.Errorf("%v contacts were written, want the 3 of the preview and no more", got)
	}
	if left := d.preview(); left["fields"] != nil {
		t.Errorf("after it was applied there is still something to write: %v", left["fields"])
	}
	// Restoring the version before leads back to what was.
	if err := d.edit(map[string]any{"restore": 1}); err != nil {
		t.Fatal(err)
	}
	if _, now := d.mapping(); now["city"]["direction"] != "DIRECTION_TO_ALOWARE" {
		t.Errorf("after restoring, the city leads %v", now["city"]["direction"])
	}
	version, _ := d.mapping()
	if _, err := d.call("MappingService/EditMapping", map[string]any{"tenant": "demo", "basedOn": 1, "edits": []any{edit}}); err == nil || !strings.Contains(err.Error(), "stale") {
		t.Errorf("an edit of version 1 over %v gave %v, want it refused as stale", version, err)
	}
}

// TestOneMappingRestsWhileItsPropertyIsAway: the others go on, it says why, and
// it takes up by itself what happened meanwhile.
func TestOneMappingRestsWhileItsPropertyIsAway(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=1", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "LOCKSTEP_LISTS_EVERY=1s")
	var hub, alo string
	eventually(t, 60*time.Second, func() string {
		for h, a := range d.pairs() {
			hub, alo = h, a
			return ""
		}
		return "no contact is on both sides yet"
	})
	d.settle(30 * time.Second)
	const property = "aloware_custom_field_1"
	stopped := func(want bool) {
		t.Helper()
		eventually(t, 30*time.Second, func() string {
			_, now := d.mapping()
			for key, m := range now {
				if rests := m["stopped"] != nil && m["stopped"] != ""; rests != (want && key == "custom_field_1") {
					return fmt.Sprintf("%s at rest: %v", key, m["stopped"])
				}
			}
			return ""
		})
	}
	d.properties(http.MethodDelete, property)
	stopped(true)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alo, "fields": map[string]any{"csf1": "meanwhile", "csf2": "goes on"}}, nil)
	eventually(t, 30*time.Second, func() string {
		if got := d.one(d.hubspot, hub)["aloware_custom_field_2"]; got != "goes on" {
			return fmt.Sprintf("the other field is %q", got)
		}
		return ""
	})
	d.properties(http.MethodPost, property)
	stopped(false)
	eventually(t, 30*time.Second, func() string {
		if got := d.one(d.hubspot, hub)[property]; got != "meanwhile" {
			return fmt.Sprintf("the field that was away is %q", got)
		}
		return ""
	})
	// The demonstration reads its lists each second, which these need too.
	d.picks(hub)
	d.commands()
	d.reconnects()
}
