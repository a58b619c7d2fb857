package alowaresim_test

import (
	"encoding/json"
	"slices"
	"testing"
)

// late are the members that the start event of a call lacks.
var late = []string{"current_status", "disposition_status", "direct_recording_url", "call_disposition"}

func TestCompletedCallIsToldInSixDeliveries(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	id := json.Number(a.contact(object{"phone_number": dana, "user_id": 1202}))
	made := number(a.control("communications", object{
		"contact_id": id, "kind": "call", "direction": "outbound", "at": "2026-08-05T20:58:49Z", "disposition": "left voicemail", "talk_time": 63,
	}).body["id"])

	start := a.expect("OutboundPhoneCall").body
	for _, name := range late {
		if _, told := start[name]; told {
			t.Errorf("the start event has %s", name)
		}
	}
	for name, value := range map[string]string{
		"id": made, "type": "1", "direction": "2", "current_status2": "1", "disposition_status2": "1", "user_id": "<nil>", "owner_id": "1202",
		"talk_time": "0", "lead_number": dana, "incoming_number": "+12025550101", "created_at": "2026-08-05 20:58:49", "updated_at": "2026-08-05 20:58:49",
	} {
		want(t, start, name, value)
	}
	want(t, start["contact"].(object), "outbound_call_count", "0")

	for _, event := range []string{"OutboundPhoneCall-DispositionCompleted", "Recording-Saved", "Call-Disposed"} {
		got := a.expect(event).body
		for _, name := range late {
			if _, told := got[name]; !told {
				t.Errorf("%s lacks %s", event, name)
			}
		}
		for name, value := range map[string]string{
			"id": made, "user_id": "1202", "current_status": "completed", "current_status2": "9", "disposition_status": "completed", "disposition_status2": "4",
			"call_disposition": "Left voicemail", "call_disposition_id": "31002", "talk_time": "63", "created_at": "2026-08-05 20:58:49",
		} {
			want(t, got, name, value)
		}
		counted := got["contact"].(object)
		want(t, counted, "outbound_call_count", "1")
		want(t, counted, "nb_communications", "1")
		want(t, counted, "last_outbound_engagement_at", "2026-08-05 20:58:49")
		want(t, counted, "last_inbound_engagement_at", "<nil>")
	}
	for _, event := range []string{"transcription.call.summarized", "transcription.open_search.saved"} {
		got := a.expect(event).body
		if _, told := got["id"]; told {
			t.Errorf("%s has an id of its own", event)
		}
		want(t, got["communication"].(object), "id", made)
		want(t, got["transcription"].(object), "communication_id", made)
	}
	a.control("disposition", object{"communication_id": json.Number(made), "disposition": "Connected"})
	want(t, a.expect("Call-Disposed").body, "call_disposition", "Connected")
	a.nothing()
}

func TestEachTalkIsToldAndCounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		talk   object
		events []string
		counts map[string]string
	}{
		{"completed inbound call", object{"kind": "call", "direction": "inbound"},
			[]string{"InboundPhoneCall", "InboundPhoneCall-DispositionCompleted", "Call-Disposed"}, map[string]string{"inbound_call_count": "1"}},
		{"missed call", object{"kind": "call", "direction": "inbound", "status": "missed"},
			[]string{"InboundPhoneCall", "InboundPhoneCall-DispositionMissed", "Call-Disposed"}, map[string]string{"inbound_call_count": "1", "unread_missed_calls_count": "1"}},
		{"failed call", object{"kind": "call", "direction": "outbound", "status": "failed"},
			[]string{"OutboundPhoneCall", "OutboundPhoneCall-DispositionFailed"}, map[string]string{"outbound_call_count": "1"}},
		{"voicemail", object{"kind": "call", "direction": "inbound", "status": "voicemail"},
			[]string{"InboundPhoneCall", "InboundPhoneCall-DispositionVoicemail", "Voicemail-Saved"}, map[string]string{"inbound_call_count": "1", "unread_voicemails_count": "1"}},
		{"text in", object{"kind": "sms", "direction": "inbound", "body": "Yes"},
			[]string{"InboundSMS-DispositionCompleted"}, map[string]string{"inbound_sms_count": "1", "unread_texts_count": "1", "is_opted_out": "false"}},
		{"stop", object{"kind": "sms", "direction": "inbound", "body": " stop "},
			[]string{"InboundSMS-DispositionCompleted", "Contact-Updated"}, map[string]string{"is_opted_out": "true"}},
		{"text out", object{"kind": "sms", "direction": "outbound", "body": "Hello"},
			[]string{"OutboundSMS-DispositionCompleted"}, map[string]string{"outbound_sms_count": "1"}},
		{"invalid text", object{"kind": "sms", "direction": "outbound", "status": "invalid"},
			[]string{"OutboundSMS-DispositionInvalid"}, map[string]string{"outbound_sms_count": "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := open(t, quick())
			id := a.contact(object{"phone_number": dana, "user_id": 1201})
			c.talk["contact_id"] = json.Number(id)
			a.control("communications", c.talk)
			a.expect(c.events...)
			a.nothing()
			shown := a.shown(id)
			for name, value := range c.counts {
				want(t, shown, name, value)
			}
			want(t, shown, "nb_communications", "1")
			if len(a.lines("/_sim/communications?contact_id="+id)) != 1 {
				t.Error("the communication is not listed")
			}
		})
	}
}

func TestFirstTalkAssignsTheContact(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	id := a.contact(object{"phone_number": dana})
	a.control("communications", object{"contact_id": json.Number(id), "kind": "sms", "direction": "outbound", "user_id": 1202, "body": "Hi"})
	want(t, a.expect("OutboundSMS-DispositionCompleted").body["contact"].(object), "user_id", "1202")
	want(t, a.expect("Contact-Updated").body, "user_id", "1202")
	a.control("config", object{"auto_assign": false})
	created := a.control("edit", object{"phone_number": "2025550143"}).body["id"]
	want(t, a.expect("Contact-Created").body, "user_id", "1201") // the default owner
	if created == nil {
		t.Error("no id")
	}
}

func TestTalkWithAnUnknownNumberMakesAContact(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	a.write("POST", "sms-gateway/send", object{"to": "2025550142", "from": "+12025550101", "message": "Hi"})
	want(t, a.expect("Contact-Created").body, "phone_number", dana)
	got := a.expect("OutboundSMS-DispositionCompleted", "Contact-Updated")
	want(t, got.body, "intake_source", "single-sms")
	a.write("POST", "two-legged-call", object{"user_id": 1202, "contact_phone_number": dana, "line_phone_number": "2025550101"})
	want(t, a.expect("OutboundPhoneCall", "OutboundPhoneCall-DispositionCompleted").body, "creator_type", "2")
}

func TestControlCallsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	a.contact(object{"phone_number": dana})
	for path, bodies := range map[string][]any{
		"edit": {object{"first_name": "x"}, object{"id": "x"}, object{"id": 48210001, "shoe": 1}, object{"id": 48210001, "user_id": 9},
			object{"phone_number": dana}, []int{1}},
		"load":           {object{"contacts": 0}, object{"contact": 5}},
		"faults":         {[]object{{"status": 500}}, []object{{"path": "/", "rate": 2}}, object{}},
		"webhooks":       {object{"drop": 2}, object{"delay": 1}},
		"communications": {object{"contact_id": 48210001, "kind": "fax", "direction": "inbound"}, object{"contact_id": 48210001, "kind": "call", "direction": "inbound", "disposition": "x"}},
		"config":         {object{"profile": "x"}, object{"profil": "full"}, object{"webhooks": []object{{"url": "x"}}}},
		"lists":          {object{"users": []object{}}, object{"attributes": []object{{"slug": "email"}}}},
	} {
		for _, body := range bodies {
			got := a.do("POST", "/_sim/"+path, body)
			if got.status != 400 || got.body["error"] == nil {
				t.Errorf("%s %v: %d %s", path, body, got.status, got.raw)
			}
		}
	}
	for _, path := range []string{"delete", "merge", "communications", "disposition", "edit", "none"} {
		body := object{"id": 5}
		switch path {
		case "merge":
			body["into"] = 48210001
		case "communications":
			body = object{"contact_id": 5, "kind": "call", "direction": "inbound"}
		case "disposition":
			body = object{"communication_id": 5, "disposition": "Busy"}
		}
		if got := a.do("POST", "/_sim/"+path, body); got.status != 404 || got.body["error"] == nil {
			t.Errorf("%s of nothing: %d %s", path, got.status, got.raw)
		}
	}
}

func TestLoadIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	a, b := open(t, quick()), open(t, quick())
	for _, account := range []*account{a, b} {
		account.control("load", object{"contacts": 2000, "seed": 7, "webhooks": false})
	}
	first, second := a.lines("/_sim/contacts"), b.lines("/_sim/contacts")
	if len(first) != 2000 {
		t.Fatalf("%d contacts, want 2000", len(first))
	}
	seen := map[any]bool{}
	for i := range first {
		if first[i]["phone_number"] != second[i]["phone_number"] || first[i]["email"] != second[i]["email"] {
			t.Fatalf("contact %d differs: %v, %v", i, first[i], second[i])
		}
		if seen[first[i]["phone_number"]] || seen[first[i]["email"]] {
			t.Fatalf("contact %d shares a number or an e-mail: %v", i, first[i])
		}
		seen[first[i]["phone_number"]], seen[first[i]["email"]] = true, true
	}
	a.control("load", object{"contacts": 2000, "seed": 7, "webhooks": false})
	if again := a.lines("/_sim/contacts"); slices.ContainsFunc(again[2000:], func(c object) bool { return seen[c["phone_number"]] }) {
		t.Error("a second load gives numbers away twice")
	}
	b.control("load", object{"contacts": 1, "seed": 9})
	b.expect("Contact-Created")
}
