package lockstep_test

import (
	"encoding/json"
	"testing"
	"time"
)

// TestThePollFindsWhatNoWebhookTold: Aloware never sends a webhook twice, and
// HubSpot gives up after a while, so what is lost on the way must be found by
// asking.
func TestThePollFindsWhatNoWebhookTold(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=1", "LOCKSTEP_POLL_EVERY=2s", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	var hubspotID, alowareID string
	eventually(t, 60*time.Second, func() string {
		for h, a := range d.pairs() {
			hubspotID, alowareID = h, a
			return ""
		}
		return "no contact is on both sides"
	})
	d.settle(30 * time.Second)
	d.mustPost(d.aloware, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	took := d.follow(func() {
		d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"email": "unheard@example.com"}}, nil)
	}, d.hubspot, hubspotID, "email", "unheard@example.com")
	t.Logf("an edit without a webhook took %v", took)
	// A text that nobody told of shows in the contact's own counter.
	took = d.follow(func() {
		d.mustPost(d.aloware, "/_sim/communications", map[string]any{"contact_id": json.Number(alowareID), "kind": "sms", "direction": "inbound", "body": "Hello?"}, nil)
	}, d.hubspot, hubspotID, "aloware_total_inbound_text_messages", "1")
	t.Logf("a text without a webhook took %v", took)
	if hooks := d.hooks(d.aloware); number(hooks["dropped"]) == 0 {
		t.Errorf("no webhook was dropped, so that the poll was not needed: %v", hooks)
	}

	d.settle(30 * time.Second)
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	took = d.follow(func() {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"firstname": "Unheard"}}, nil)
	}, d.aloware, alowareID, "first_name", "Unheard")
	t.Logf("an edit in HubSpot without a webhook took %v", took)
	if hooks := d.hooks(d.hubspot); number(hooks["failed"]) == 0 || number(hooks["waiting"]) == 0 {
		t.Errorf("a webhook came through, so that the poll was not needed: %v", hooks)
	}
}
