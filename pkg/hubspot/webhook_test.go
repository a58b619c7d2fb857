package hubspot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
)

type webhookSample struct {
	Name string
	Body json.RawMessage
}

var receivedAt = time.UnixMilli(1795000000000)

// describe is a change in one line.
func describe(c contact.Change) string {
	events := map[contact.Event]string{1: "changed", 2: "created", 4: "deleted", 5: "merged", 6: "restored", 7: "erased"}
	line := fmt.Sprintf("%s %s origin %d", events[c.Event], c.ID, c.Origin)
	for _, v := range c.Values {
		line += fmt.Sprintf(" %s=%q", v.Name, v.Text)
	}
	if len(c.MergedIDs) > 0 {
		line += " absorbed " + strings.Join(c.MergedIDs, ",")
	}
	return line
}

// TestWebhookSamples decodes each known delivery.
func TestWebhookSamples(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"contact.creation by a UI user":                  {"created 501 origin 1"},
		"contact.creation by our own app":                {"created 502 origin 2"},
		"contact.creation by another app":                {"created 503 origin 1"},
		"contact.propertyChange by a UI user":            {`changed 501 origin 1 firstname="Ada"`},
		"contact.propertyChange echo of our own write":   {`changed 501 origin 2 lifecyclestage="customer"`},
		"contact.propertyChange date and cleared value":  {`changed 501 origin 1 date_of_renewal="1735689600000"`, `changed 501 origin 1 phone=""`},
		"contact.propertyChange of a sensitive property": {"ignored: sensitive value is withheld"},
		"contact.propertyChange by import / workflow / form / email": {
			`changed 504 origin 1 city="Oslo"`, `changed 505 origin 1 city="Oslo"`, `changed 506 origin 1 city="Oslo"`,
			`changed 507 origin 1 city="Oslo"`, `changed 508 origin 1 city="Oslo"`,
		},
		"contact.deletion":                    {"deleted 505 origin 1"},
		"contact.restore":                     {"restored 505 origin 1"},
		"contact.merge":                       {"merged 508 origin 1 absorbed 506,507"},
		"contact.privacyDeletion":             {"erased 509 origin 1"},
		"contact.associationChange (classic)": {"ignored: association change"},
		"object.creation (generic)":           {"created 510 origin 1"},
		"object.propertyChange (generic)":     {`changed 510 origin 1 email="ada@example.com"`},
		"object.associationChange (generic)":  {"ignored: object type  is not a contact"},
		"Test button of the app settings":     {"ignored: test event", "ignored: test event"},
	}
	var samples []webhookSample
	loadJSON(t, "webhooks.json", &samples)
	for _, sample := range samples {
		batch, err := hubspot.DecodeWebhook(sample.Body, receivedAt, 1160452)
		if err != nil {
			t.Errorf("%s: %v", sample.Name, err)
			continue
		}
		var got []string
		for _, portal := range batch.Portals {
			if portal.PortalID != 62515 {
				t.Errorf("%s: portal %d", sample.Name, portal.PortalID)
			}
			for _, change := range portal.Changes {
				got = append(got, describe(change))
			}
		}
		for _, ignored := range batch.Ignored {
			got = append(got, "ignored: "+ignored.Reason)
		}
		if diff := cmp.Diff(want[sample.Name], got); diff != "" {
			t.Errorf("%s: %s", sample.Name, diff)
		}
	}
}

// TestWebhookDetail: ids stay exact, times and event ids are as agreed, and
// each portal has its own list.
func TestWebhookDetail(t *testing.T) {
	t.Parallel()
	body := `[
	 {"eventId":9223372036854775806,"portalId":1,"appId":7,"occurredAt":1700000000001,"subscriptionType":"contact.propertyChange","objectId":9007199254740993,"propertyName":"city","propertyValue":"Bergen","changeSource":"INTEGRATION","sourceId":"7"},
	 {"eventId":2,"portalId":2,"occurredAt":1700000000002,"subscriptionType":"contact.deletion","objectId":12,"changeSource":"CRM_UI"},
	 {"eventId":"3","portalId":"1","occurredAt":"1700000000003","subscriptionType":"object.propertyChange","objectTypeId":"0-1","objectId":"13","propertyName":"age","propertyValue":41,"sourceId":9,"changeSource":"FORM"},
	 {"eventId":4,"portalId":1,"occurredAt":1700000000004,"subscriptionType":"contact.merge","objectId":20,"primaryObjectId":20,"mergedObjectIds":[21,22,20]},
	 {"eventId":5,"portalId":1,"occurredAt":1700000000005,"subscriptionType":"object.creation","objectTypeId":"0-2","objectId":30},
	 {"eventId":6,"portalId":1,"occurredAt":1700000000006,"subscriptionType":"contact.dance","objectId":31},
	 {"eventId":7,"portalId":1,"occurredAt":1700000000007,"subscriptionType":"contact.deletion","objectId":-5},
	 {"eventId":8,"occurredAt":1700000000008,"subscriptionType":"contact.deletion","objectId":32},
	 "nonsense", null, 17, {"portalId":1,"mergedObjectIds":{"a":1},"subscriptionType":"contact.propertyChange","objectId":33,"occurredAt":5}
	]`
	batch, err := hubspot.DecodeWebhook([]byte(body), receivedAt, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []hubspot.PortalEvents{
		{PortalID: 1, Events: 3, Changes: []contact.Change{
			{
				System: contact.HubSpot, ID: "9007199254740993", Event: contact.Changed, Channel: contact.Webhook, Origin: contact.Ours,
				EventID:    "contact.propertyChange/9007199254740993/9223372036854775806/1700000000001/city",
				OccurredAt: 1700000000001, ReceivedAt: 1795000000000, Cause: "INTEGRATION 7",
				Values: []contact.Value{{Name: "city", Text: "Bergen"}},
			},
			{
				System: contact.HubSpot, ID: "13", Event: contact.Changed, Channel: contact.Webhook, Origin: contact.Others,
				EventID: "object.propertyChange/13/3/1700000000003/age", OccurredAt: 1700000000003, ReceivedAt: 1795000000000,
				Cause: "FORM 9", Values: []contact.Value{{Name: "age", Text: "41"}},
			},
			{
				System: contact.HubSpot, ID: "20", Event: contact.Merged, Channel: contact.Webhook, EventID: "contact.merge/20/4/1700000000004",
				OccurredAt: 1700000000004, ReceivedAt: 1795000000000, MergedIDs: []string{"21", "22"},
			},
		}},
		{PortalID: 2, Events: 1, Changes: []contact.Change{{
			System: contact.HubSpot, ID: "12", Event: contact.Deleted, Channel: contact.Webhook, Origin: contact.Others,
			EventID: "contact.deletion/12/2/1700000000002", OccurredAt: 1700000000002, ReceivedAt: 1795000000000, Cause: "CRM_UI",
		}}},
	}
	if diff := cmp.Diff(want, batch.Portals); diff != "" {
		t.Error(diff)
	}
	if len(batch.Ignored) != 8 {
		t.Errorf("ignored %+v, want 8", batch.Ignored)
	}
	for _, bad := range []string{"", "{}", "null", `"x"`, "[", "[]x", `[{]`} {
		if _, err := hubspot.DecodeWebhook([]byte(bad), receivedAt, 0); !errors.Is(err, hubspot.ErrNotBatch) {
			t.Errorf("%q: got %v, want ErrNotBatch", bad, err)
		}
	}
}

// TestWhatOneWriteSetIsOneChange: the echo of a write comes as an event for each
// property; it is one change of all of them, and nothing else is joined.
func TestWhatOneWriteSetIsOneChange(t *testing.T) {
	t.Parallel()
	event := func(id, at int, object, source, name, value string) string {
		return fmt.Sprintf(`{"eventId":%d,"portalId":1,"appId":7,"occurredAt":%d,"subscriptionType":"contact.propertyChange","objectId":%s,"propertyName":%q,"propertyValue":%q,"changeSource":"INTEGRATION","sourceId":%q}`,
			id, at, object, name, value, source)
	}
	decode := func(events ...string) []contact.Change {
		t.Helper()
		batch, err := hubspot.DecodeWebhook([]byte("["+strings.Join(events, ",")+"]"), receivedAt, 7)
		if err != nil || len(batch.Portals) != 1 || batch.Portals[0].Events != len(events) {
			t.Fatal(batch, err)
		}
		return batch.Portals[0].Changes
	}
	a1, b1, a2 := event(1, 5, "10", "7", "city", "Oslo"), event(2, 5, "11", "7", "city", "Rome"), event(3, 5, "10", "7", "zip", "0150")
	joint := decode(a1, b1, a2)
	if len(joint) != 2 || len(joint[0].Values) != 2 || joint[0].Values[1] != (contact.Value{Name: "zip", Text: "0150"}) || len(joint[1].Values) != 1 {
		t.Errorf("got %+v", joint)
	}
	if again := decode(a1, b1, a2); again[0].EventID != joint[0].EventID {
		t.Errorf("the same delivery is %q, then %q", joint[0].EventID, again[0].EventID)
	}
	seen := map[string]bool{decode(a1)[0].EventID: true}
	for _, other := range []string{a2, event(4, 5, "10", "7", "state", "x"), event(5, 5, "10", "7", "zip", "0150")} {
		id := decode(a1, other)[0].EventID
		if seen[id] {
			t.Errorf("two different changes have the id %q", id)
		}
		seen[id] = true
	}
	for what, other := range map[string]string{
		"a later write": event(6, 6, "10", "7", "zip", "0150"), "another app": event(7, 5, "10", "8", "zip", "0150"), "the same property": event(8, 5, "10", "7", "city", "Bergen"),
	} {
		if got := decode(a1, other); len(got) != 2 {
			t.Errorf("%s: joined to %+v", what, got)
		}
	}
	if got := decode(a1, event(9, 5, "10", "userId:3", "state", "x"), a2); len(got) != 3 {
		t.Errorf("joined over an edit in between: %+v", got)
	}
}

func FuzzDecodeWebhook(f *testing.F) {
	var samples []webhookSample
	loadJSON(f, "webhooks.json", &samples)
	for _, sample := range samples {
		f.Add([]byte(sample.Body))
	}
	f.Add([]byte(`[{"portalId":1.5,"objectId":1e3},[],{"subscriptionType":7,"portalId":"2","objectId":3,"occurredAt":9}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := hubspot.DecodeWebhook(body, receivedAt, 1)
		if err != nil {
			return
		}
		events := 0
		for _, portal := range batch.Portals {
			if portal.PortalID <= 0 || len(portal.Changes) == 0 {
				t.Errorf("portal %d with %d changes", portal.PortalID, len(portal.Changes))
			}
			for _, change := range portal.Changes {
				if change.ID == "" || change.EventID == "" || change.OccurredAt <= 0 || change.Event == 0 {
					t.Errorf("incomplete change %+v", change)
				}
			}
			events += portal.Events
		}
		var raw []json.RawMessage
		if json.Unmarshal(body, &raw) == nil && events+len(batch.Ignored) != len(raw) {
			t.Errorf("%d of %d events accounted for", events+len(batch.Ignored), len(raw))
		}
	})
}

func BenchmarkDecodeWebhook(b *testing.B) {
	var events []string
	for i := range 100 {
		events = append(events, fmt.Sprintf(`{"eventId":%d,"subscriptionId":2300004,"portalId":62515,"appId":1160452,"occurredAt":1794999999104,"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":%d,"propertyName":"firstname","propertyValue":"Ada","changeSource":"CRM_UI","sourceId":"userId:52530071","isSensitive":false}`, 3816279104+i, 171591000198+i))
	}
	body := []byte("[" + strings.Join(events, ",") + "]")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hubspot.DecodeWebhook(body, receivedAt, 1160452); err != nil {
			b.Fatal(err)
		}
	}
}
