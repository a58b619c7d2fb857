package hubspotsim

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"time"
)

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Version, Secret, Method, URL, Body, Signature, TimestampHeader string }
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for i, v := range vectors {
		got := ""
		switch v.Version {
		case "v1":
			got = signatureV1(v.Secret, []byte(v.Body))
		case "v2":
			got = signatureV2(v.Secret, v.Method, v.URL, []byte(v.Body))
		case "v3":
			got = signatureV3(v.Secret, v.Method, v.URL, []byte(v.Body), v.TimestampHeader)
		}
		if got != v.Signature {
			t.Errorf("vector %d (%s): got %s, want %s", i, v.Version, got, v.Signature)
		}
	}
}

// hooked is a simulator whose webhooks go to an inbox.
func hooked(t *testing.T, cfg Config, answer func(n int) int) (*bench, *inbox) {
	t.Helper()
	in := newInbox(t, answer)
	cfg.WebhookURL = in.server.URL + "/hooks?x=1"
	return start(t, cfg), in
}

func TestWebhooksAreSignedAndNameTheirSource(t *testing.T) {
	t.Parallel()
	b, in := hooked(t, Config{}, nil)
	b.run()
	id := b.make(props{"firstname": "Ada", "closedate": "2025-01-01T00:00:00Z"})
	p := in.next(t)
	if got := p.header.Get("X-HubSpot-Signature"); got != signatureV1("demo-secret", p.body) || p.header.Get("X-HubSpot-Signature-Version") != "v1" {
		t.Errorf("v1 signature %s", got)
	}
	if got := p.header.Get("X-HubSpot-Signature-v3"); got != signatureV3("demo-secret", "POST", in.server.URL+"/hooks?x=1", p.body, p.header.Get("X-HubSpot-Request-Timestamp")) {
		t.Errorf("v3 signature %s", got)
	}
	made, name, date, stage := has(p.events, "contact.creation", ""), has(p.events, "contact.propertyChange", "firstname"), has(p.events, "contact.propertyChange", "closedate"), has(p.events, "contact.propertyChange", "lifecyclestage")
	if made == nil || name == nil || date == nil || stage == nil {
		t.Fatalf("events %s", p.body)
	}
	number, _ := strconv.ParseFloat(id, 64)
	if made["objectId"] != number || made["changeSource"] != "INTEGRATION" || made["sourceId"] != "1001" || made["portalId"] != 2002.0 || made["appId"] != 1001.0 || made["attemptNumber"] != 0.0 {
		t.Errorf("creation %v", made)
	}
	if date["propertyValue"] != "1735689600000" || stage["changeSource"] != "CALCULATED" {
		t.Errorf("date %v, stage %v", date, stage)
	}
	b.do("POST", "/_sim/edit", map[string]any{"id": id, "properties": props{"firstname": ""}}).want(t, 200)
	if e := has(in.next(t).events, "contact.propertyChange", "firstname"); e["propertyValue"] != "" || e["changeSource"] != "CRM_UI" || e["sourceId"] != "userId:52530071" {
		t.Errorf("cleared %v", e)
	}
}

func TestWebhooksOfDeleteRestoreMergeAndPrivacy(t *testing.T) {
	t.Parallel()
	b, in := hooked(t, Config{}, nil)
	b.run()
	one, two := b.make(props{"email": "one@example.com"}), b.make(props{"email": "two@example.com", "city": "Oslo"})
	in.collect(t, 7)
	control := func(call string, body any) answer { t.Helper(); return b.do("POST", "/_sim/"+call, body).want(t, 200) }
	control("delete", props{"id": one})
	if e := has(in.next(t).events, "contact.deletion", ""); e == nil || e["changeFlag"] != "DELETED" {
		t.Errorf("deletion %v", e)
	}
	control("restore", props{"id": one})
	if has(in.next(t).events, "contact.restore", "") == nil {
		t.Error("no restore event")
	}
	id := control("merge", props{"primary": one, "secondary": two}).at("id").(string)
	events := in.collect(t, 3)
	m := has(events, "contact.merge", "")
	if m == nil || strconv.FormatFloat(m["newObjectId"].(float64), 'f', 0, 64) != id || m["numberOfPropertiesMoved"] != 1.0 || has(events, "contact.propertyChange", "") != nil || has(events, "contact.deletion", "") == nil {
		t.Errorf("merge %v", events)
	}
	control("privacy-delete", props{"id": id})
	if events := in.collect(t, 2); has(events, "contact.privacyDeletion", "") == nil || has(events, "contact.deletion", "") == nil {
		t.Errorf("privacy %v", events)
	}
}

func TestFailedDeliveryRepeatsTheWholeBatch(t *testing.T) {
	t.Parallel()
	b, in := hooked(t, Config{TimeScale: 0.01}, func(n int) int {
		if n < 2 {
			return 500
		}
		return 200
	})
	b.run()
	b.make(props{"firstname": "Ada"})
	for attempt := range 3 {
		p := in.next(t)
		if len(p.events) != 3 || p.events[0]["attemptNumber"] != float64(attempt) {
			t.Fatalf("attempt %d: %s", attempt, p.body)
		}
	}
	waitFor(t, func() bool { s := b.sim.hooks.report(); return s.Waiting == 0 && s.Sent == 1 && s.Retried == 2 })
}

func TestDeliveryIsGivenUpAfterTenRetries(t *testing.T) {
	t.Parallel()
	b, in := hooked(t, Config{TimeScale: 0.0001}, func(int) int { return 503 })
	b.run()
	b.make(props{"firstname": "Ada"})
	for range 11 {
		in.next(t)
	}
	waitFor(t, func() bool { s := b.sim.hooks.report(); return s.Waiting == 0 && s.GivenUp == 3 })
}

func TestDuplicatesDropsAndReorderingLoseNothing(t *testing.T) {
	t.Parallel()
	b, in := hooked(t, Config{TimeScale: 0.001}, nil)
	b.run()
	b.do("POST", "/_sim/webhooks", `{"duplicate":0.5,"reorder":0.3,"drop":0.3,"delay_ms":1}`).want(t, 200)
	const contacts = 50
	for range contacts {
		b.make(props{"firstname": "Ada"})
	}
	seen := map[float64]int{}
	for len(seen) < 3*contacts {
		for _, e := range in.next(t).events {
			seen[e["eventId"].(float64)]++
		}
	}
	waitFor(t, func() bool { return b.sim.hooks.report().Waiting == 0 })
	for len(in.posts) > 0 {
		for _, e := range in.next(t).events {
			seen[e["eventId"].(float64)]++
		}
	}
	twice := 0
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	if twice == 0 || b.sim.hooks.report().Retried == 0 {
		t.Errorf("nothing was repeated or dropped: %+v", b.sim.hooks.report())
	}
	b.do("POST", "/_sim/webhooks", `{"drop":2}`).want(t, 400)
}

func TestBatchesHoldAHundredEvents(t *testing.T) {
	t.Parallel()
	b, in := hooked(t, Config{}, nil)
	b.do("POST", "/_sim/load", `{"contacts":30,"seed":3}`).want(t, 200)
	b.run()
	total, largest := 0, 0
	for waiting := b.sim.hooks.report().Events; total < int(waiting); {
		n := len(in.next(t).events)
		total, largest = total+n, max(largest, n)
	}
	if largest != 100 {
		t.Errorf("the largest of the batches has %d events", largest)
	}
}

func TestTestButtonSendsEventsOfNoRealContact(t *testing.T) {
	t.Parallel()
	b, in := hooked(t, Config{}, nil)
	b.run()
	b.do("POST", "/_sim/test-event", nil).want(t, 200)
	if e := in.next(t).events; len(e) != 2 || e[0]["eventId"] != 100.0 || e[0]["objectId"] != 123.0 || e[0]["changeFlag"] != "NEW" {
		t.Errorf("events %v", e)
	}
}

func TestLargeLoadsSendNothing(t *testing.T) {
	t.Parallel()
	b, _ := hooked(t, Config{}, nil)
	b.do("POST", "/_sim/load", `{"contacts":1001,"seed":3}`).want(t, 200)
	if s := b.sim.hooks.report(); s.Events != 0 {
		t.Errorf("%d events", s.Events)
	}
}

// waitFor polls a condition that another goroutine brings about.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the condition did not come true in 10 s")
		}
	}
}
