package lockstep_test

import (
	"fmt"
	"testing"
	"time"
)

// one gives one contact of a simulator.
func (d *demo) one(address, id string) map[string]string {
	d.t.Helper()
	return d.contacts(address, "?id="+id)[id]
}

// TestAContactsLife: made in Aloware, called and texted, merged in HubSpot,
// deleted, and a second one forgotten.
func TestAContactsLife(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=2", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 2 {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	var made struct {
		ID any `json:"id"`
	}
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"fields": map[string]any{
		"phone_number": "+14155550199", "first_name": "Nora", "last_name": "New", "email": "nora@example.com", "csf1": "gold",
	}}, &made)
	alowareID := fmt.Sprintf("%.0f", made.ID)
	d.explainAtFailure("aloware:" + alowareID)
	var hubspotID string
	eventually(t, 20*time.Second, func() string {
		for h, a := range d.pairs() {
			if a == alowareID {
				hubspotID = h
				return ""
			}
		}
		return "the contact made in Aloware is not in HubSpot"
	})
	eventually(t, 20*time.Second, func() string {
		c := d.one(d.hubspot, hubspotID)
		if c["aloware_contact_id"] != alowareID || c["aloware_custom_field_1"] != "gold" || c["firstname"] != "Nora" {
			return fmt.Sprintf("HubSpot holds %v", c)
		}
		return ""
	})

	for _, c := range []map[string]any{
		{"contact_id": made.ID, "kind": "sms", "direction": "inbound", "body": "Call me"},
		{"contact_id": made.ID, "kind": "call", "direction": "outbound", "disposition": "Connected"},
		{"contact_id": made.ID, "kind": "call", "direction": "outbound", "disposition": "No answer"},
	} {
		d.mustPost(d.aloware, "/_sim/communications", c, nil)
	}
	eventually(t, 30*time.Second, func() string {
		c := d.one(d.hubspot, hubspotID)
		if c["aloware_last_inbound_text_message"] != "Call me" || c["aloware_total_inbound_text_messages"] != "1" ||
			c["aloware_total_outbound_calls"] != "2" || c["aloware_last_call_disposition"] == "" {
			return fmt.Sprintf("activity in HubSpot: text %q, texts in %q, calls out %q, outcome %q", c["aloware_last_inbound_text_message"],
				c["aloware_total_inbound_text_messages"], c["aloware_total_outbound_calls"], c["aloware_last_call_disposition"])
		}
		return ""
	})

	// A second record of the same person in HubSpot, without a number of its
	// own, is merged: the link follows to the new record.
	var twin struct {
		ID any `json:"id"`
	}
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": "Nora", "lastname": "New", "city": "Reno"}}, &twin)
	var survivor map[string]any
	d.mustPost(d.hubspot, "/_sim/merge", map[string]any{"primary": hubspotID, "secondary": twin.ID}, &survivor)
	merged := fmt.Sprint(survivor["id"])
	if merged == hubspotID || survivor["id"] == nil {
		t.Fatalf("the merge gave %v", survivor)
	}
	eventually(t, 20*time.Second, func() string {
		if city := d.one(d.aloware, alowareID)["cnam_city"]; city != "Reno" {
			return fmt.Sprintf("the merged record's city has not reached Aloware: %q", city)
		}
		return ""
	})
	d.follow(func() {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": merged, "properties": map[string]any{"firstname": "Leonora"}}, nil)
	}, d.aloware, alowareID, "first_name", "Leonora")

	// A deletion cuts the link and leaves Aloware's contact alone; nothing is
	// made anew in HubSpot for it.
	count := len(d.contacts(d.hubspot, ""))
	d.mustPost(d.hubspot, "/_sim/delete", map[string]any{"id": merged}, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"email": "late@example.com"}}, nil)
	d.settle(20 * time.Second)
	if got := len(d.contacts(d.hubspot, "")); got != count-1 {
		t.Errorf("HubSpot has %d contacts after the deletion, want %d", got, count-1)
	}
	if c := d.one(d.aloware, alowareID); c["first_name"] != "Leonora" {
		t.Errorf("Aloware's contact is %v after the deletion in HubSpot", c)
	}
	d.mustPost(d.hubspot, "/_sim/restore", map[string]any{"id": merged}, nil)
	d.follow(func() {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": merged, "properties": map[string]any{"city": "Elko"}}, nil)
	}, d.aloware, alowareID, "cnam_city", "Elko")

	// Another person with a number that is taken is a conflict for people to
	// settle, never a coin toss: Aloware's contact stays whose it was.
	number, people := d.one(d.aloware, alowareID)["phone_number"], len(d.contacts(d.aloware, ""))
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": "Impostor", "phone": number}}, nil)
	d.settle(20 * time.Second)
	if got := len(d.contacts(d.aloware, "")); got != people || d.one(d.aloware, alowareID)["first_name"] != "Leonora" {
		t.Errorf("a second contact with the number changed Aloware: %d contacts, want %d; the first is %v", got, people, d.one(d.aloware, alowareID))
	}

	// Who asked to be forgotten is not brought back by a late event.
	var forgotten, kept string
	for h, a := range d.pairs() {
		if a != alowareID {
			forgotten, kept = h, a
		}
	}
	d.mustPost(d.hubspot, "/_sim/privacy-delete", map[string]any{"id": forgotten}, nil)
	d.settle(20 * time.Second)
	count = len(d.contacts(d.hubspot, ""))
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": kept, "fields": map[string]any{"email": "back@example.com"}}, nil)
	d.settle(20 * time.Second)
	if got := len(d.contacts(d.hubspot, "")); got != count {
		t.Errorf("HubSpot has %d contacts, want %d: a late event brought an erased person back", got, count)
	}
}
