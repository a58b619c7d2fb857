package lockstep_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"
)

// TestFirstSyncMatchesAndNeverOverwritesByBlanks: a person that is on both
// sides already is matched, not made again, and a value that one side lacks
// is kept on the other.
func TestFirstSyncMatchesAndNeverOverwritesByBlanks(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=2", "LOCKSTEP_POLL_EVERY=-1s", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 1 {
			return "no contact is on both sides"
		}
		return ""
	})
	d.settle(60 * time.Second)
	for _, address := range []string{d.hubspot, d.aloware} {
		d.mustPost(address, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	}
	create := func(address, path string, fields url.Values) {
		t.Helper()
		answer, err := client.PostForm("http://"+address+path, fields)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Fatalf("create: %s", answer.Status)
		}
	}
	const phone = "+12025550177"
	create(d.hubspot, "/create", url.Values{"phone": {phone}, "firstname": {"Nina"}, "email": {"nina@example.com"}})
	create(d.aloware, "/ui/new", url.Values{"phone_number": {phone}, "last_name": {"Kept"}})
	job, _ := d.sync("first", "demo")
	eventually(t, 30*time.Second, func() string {
		var found []map[string]string
		for _, c := range d.contacts(d.aloware, "") {
			if c["phone_number"] == phone {
				found = append(found, c)
			}
		}
		if len(found) != 1 {
			return fmt.Sprintf("%d contacts of Aloware have the number, want the one", len(found))
		}
		if c := found[0]; c["first_name"] != "Nina" || c["email"] != "nina@example.com" {
			return fmt.Sprintf("Aloware holds %q %q", c["first_name"], c["email"])
		}
		return ""
	})
	d.settle(20 * time.Second)
	people := 0
	for _, c := range d.contacts(d.hubspot, "") {
		if c["phone"] == phone {
			people++
		}
	}
	if people != 1 {
		t.Errorf("%d contacts of HubSpot have the number, want the one", people)
	}
	for _, c := range d.contacts(d.aloware, "") {
		if c["phone_number"] == phone && c["last_name"] != "Kept" {
			t.Errorf("a blank of HubSpot made the last name %q, want it kept", c["last_name"])
		}
	}
	effects := d.effects(fmt.Sprint(job["id"]))
	if effects["matched"] != "1" {
		t.Errorf("counted %v, want one match", effects)
	}
	t.Logf("first sync: %v of %v contacts, %v", job["done"], job["total"], effects)
}
