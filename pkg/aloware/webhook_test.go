package aloware_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
)

var received = time.Date(2026, 3, 5, 12, 0, 0, 250e6, time.UTC)

func ms(text string) contact.Millis {
	at, err := time.Parse(time.DateTime, text)
	if err != nil {
		panic(err)
	}
	return contact.Millis(at.UnixMilli())
}

func example(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "webhook", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func eventID(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:16])
}

// pairs are values as a map, so that a table stays readable.
func pairs(t *testing.T, values []contact.Value) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, v := range values {
		if _, twice := m[v.Name]; twice {
			t.Errorf("%s is told twice", v.Name)
		}
		m[v.Name] = v.Text
	}
	return m
}

const (
	id   = "7100200300"
	link = "https://app.aloware.com/contacts/7100200300"
)

func with(more map[string]string) map[string]string {
	m := map[string]string{"aloware_contact_id": id, "aloware_contact_link": link, "phone_number": "+13125550187"}
	for k, v := range more {
		m[k] = v
	}
	return m
}

var whole = with(map[string]string{
	"first_name": "Mira", "last_name": "Okafor", "email": "Mira@Okafor.example", "company_name": "Okafor Tiles",
	"address": "8 Quay Lane", "city": "Chicago", "state": "IL", "country": "US", "zipcode": "60601", "website": "",
	"date_of_birth": "1979-11-30", "timezone": "America/Chicago", "lead_source": "Fair 2026", "csf1": "tile", "csf2": "",
	"user_id": "42", "disposition_status_id": "9001", "dnc": "false", "tcpa_approved": "true", "line_type": "Wireless",
	"plan_tier": "gold", "Größe": "", "score": "12.5",
})

func TestContactEvents(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		event     contact.Event
		cause     string
		at        contact.Millis
		precision contact.Millis
		values    map[string]string
	}{
		"contact_created":     {contact.Created, "Contact-Created", ms("2026-03-02 10:00:05"), 999, whole},
		"contact_updated":     {contact.Snapshot, "Contact-Updated", ms("2026-03-03 07:00:00"), 999, with(map[string]string{"first_name": "Mira", "last_name": "Okafor-Lind", "user_id": "42"})},
		"contact_disposed":    {contact.Snapshot, "Contact-Disposed", ms("2026-03-03 07:01:00"), 999, with(map[string]string{"disposition_status_id": ""})},
		"contact_dnc_updated": {contact.Snapshot, "Contact-DncUpdated", ms("2026-03-03 07:02:00"), 999, with(map[string]string{"dnc": "true"})},
		"contact_without_time": {contact.Snapshot, "contact.updated", contact.Millis(received.UnixMilli()) - 1000, 1000,
			with(map[string]string{"csf1": "tile"})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := example(t, name)
			got, err := aloware.DecodeWebhook(raw, received)
			if err != nil || len(got.Changes) != 1 || len(got.Communications) != 0 || got.Ignored != "" || got.Test {
				t.Fatalf("got %+v, %v; want one change", got, err)
			}
			change := got.Changes[0]
			if diff := cmp.Diff(test.values, pairs(t, change.Values)); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			change.Values = nil
			want := contact.Change{
				System: contact.Aloware, ID: id, EventID: eventID(raw), Event: test.event, OccurredAt: test.at, Precision: test.precision,
				ReceivedAt: contact.Millis(received.UnixMilli()), Channel: contact.Webhook, Cause: test.cause,
			}
			if name == "contact_created" { // the others tell no counters
				want.Counters = &contact.Counters{InboundCalls: 2, OutboundCalls: 5, InboundTexts: 3, OutboundTexts: 4}
			}
			if diff := cmp.Diff(want, change); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommunicationEvents(t *testing.T) {
	t.Parallel()
	none := contact.UnknownCounters
	tests := map[string]contact.Communication{
		"call_initiated": {ID: "880001", StartedAt: ms("2026-03-04 15:00:00"), UpdatedAt: ms("2026-03-04 15:00:00"),
			Counters: contact.Counters{InboundCalls: -1, OutboundCalls: 5, InboundTexts: -1, OutboundTexts: -1}},
		"call_completed": {ID: "880001", StartedAt: ms("2026-03-04 15:00:00"), UpdatedAt: ms("2026-03-04 15:01:10"), Disposition: "Connected", Finished: true,
			Counters: contact.Counters{InboundCalls: 2, OutboundCalls: 5, InboundTexts: 3, OutboundTexts: 4}},
		"call_missed": {ID: "880002", Inbound: true, StartedAt: ms("2026-03-04 16:00:00"), UpdatedAt: ms("2026-03-04 16:00:22"), Finished: true,
			Counters: contact.Counters{InboundCalls: 3, OutboundCalls: 5, InboundTexts: 3, OutboundTexts: 4}},
		"sms_in": {ID: "880003", Text: true, Inbound: true, StartedAt: ms("2026-03-04 17:00:00"), UpdatedAt: ms("2026-03-04 17:00:01"), Finished: true,
			Body: "Tomorrow at nine suits me", Counters: contact.Counters{InboundCalls: -1, OutboundCalls: -1, InboundTexts: 4, OutboundTexts: -1}},
		"sms_out_invalid": {ID: "880004", Text: true, StartedAt: ms("2026-03-04 17:05:00"), UpdatedAt: ms("2026-03-04 17:05:03"), Finished: true, Body: "Good morning", Counters: none},
		"sms_sending":     {ID: "880005", Text: true, StartedAt: ms("2026-03-04 17:06:00"), UpdatedAt: ms("2026-03-04 17:06:00"), Body: "On my way", Counters: none},
		"call_disposed":   {ID: "880001", StartedAt: ms("2026-03-04 15:00:00"), UpdatedAt: ms("2026-03-04 15:01:17"), Disposition: "Left voicemail", Finished: true, Counters: none},
		"recording_saved": {ID: "880001", StartedAt: ms("2026-03-04 15:00:00"), UpdatedAt: ms("2026-03-04 15:01:14"), Finished: true, Counters: none},
		"voicemail_saved": {ID: "880006", Inbound: true, StartedAt: ms("2026-03-04 18:00:00"), UpdatedAt: ms("2026-03-04 18:00:40"), Finished: true, Counters: none},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := example(t, name)
			want.ContactID, want.EventID, want.ReceivedAt = id, eventID(raw), contact.Millis(received.UnixMilli())
			got, err := aloware.DecodeWebhook(raw, received)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]contact.Communication{want}, got.Communications); diff != "" {
				t.Errorf("communications (-want +got):\n%s", diff)
			}
			// The contact inside is a snapshot only where it has its own time.
			if want := name == "call_completed"; (len(got.Changes) == 1) != want {
				t.Errorf("changes: got %d", len(got.Changes))
			}
		})
	}
}

func TestEmbeddedContactKeepsItsOwnTime(t *testing.T) {
	t.Parallel()
	got, err := aloware.DecodeWebhook(example(t, "call_completed"), received)
	if err != nil || len(got.Changes) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	change := got.Changes[0]
	if change.OccurredAt != ms("2026-03-02 10:00:05") || change.Event != contact.Snapshot {
		t.Errorf("occurred at %d as event %d, want the contact's own updated_at and a snapshot", change.OccurredAt, change.Event)
	}
	want := map[string]string{"incoming_number": "+13125550100"}
	for k, v := range whole {
		want[k] = v
	}
	if diff := cmp.Diff(want, pairs(t, change.Values)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestOtherDeliveries(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body            string // else the example of that name
		changes         int
		test            bool
		ignored, failed string
	}{
		"appointment":         {ignored: "communication of type appointment"},
		"appointment_saved":   {changes: 1},
		"call_summarized":     {ignored: "transcription"},
		"open_search":         {ignored: "transcription"},
		"transcription_saved": {changes: 1},
		"test":                {test: true},
		"unknown":             {ignored: "unknown shape"},
		"empty object":        {body: `{}`, ignored: "no body"},
		"body is a list":      {body: `{"event":"Contact-Updated","body":[]}`, ignored: "no body"},
		"contact without id":  {body: `{"event":"Contact-Updated","body":{"contact":{"phone_number":"+1"}}}`, ignored: "contact without an id"},
		"call without contact": {body: `{"event":"InboundPhoneCall","body":{"id":1,"type":1,"direction":1,"created_at":"2026-03-04 17:00:00"}}`,
			ignored: "communication without a contact"},
		"call without time":      {body: `{"event":"InboundPhoneCall","body":{"id":1,"type":1,"contact_id":2}}`, ignored: "communication without a time"},
		"call without direction": {body: `{"event":"Call-Disposed","body":{"id":1,"type":1,"contact_id":2,"created_at":"2026-03-04 17:00:00"}}`, ignored: "communication without a direction"},
		"type of the future":     {body: `{"event":"x","body":{"id":1,"type":99,"contact_id":2,"direction":1}}`, ignored: "communication of unknown type"},
		"list":                   {body: `[]`, failed: "not a JSON object"},
		"nothing":                {body: ``, failed: "not a JSON object"},
		"two objects":            {body: `{"test_payload":true}{}`, failed: "not a JSON object"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := []byte(test.body)
			if test.body == "" && test.failed == "" {
				raw = example(t, name)
			}
			got, err := aloware.DecodeWebhook(raw, received)
			if test.failed != "" {
				if !errors.Is(err, aloware.ErrNoObject) || !strings.Contains(err.Error(), test.failed) {
					t.Fatalf("got %v, want %q", err, test.failed)
				}
				return
			}
			if err != nil || len(got.Communications) != 0 || len(got.Changes) != test.changes || got.Test != test.test || got.Ignored != test.ignored {
				t.Errorf("got %+v, %v; want %+v", got, err, test)
			}
		})
	}
}

func TestKindIsDecidedByTheBody(t *testing.T) {
	t.Parallel()
	got, err := aloware.DecodeWebhook([]byte(`{"event":"InboundSMS-DispositionCompleted","body":{"id":1,"type":1,"direction":2,"contact_id":2,"created_at":"2026-03-04 17:00:00","updated_at":"2026-03-04 17:00:00"}}`), received)
	if err != nil || len(got.Communications) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if c := got.Communications[0]; c.Text || c.Inbound {
		t.Errorf("got text %v inbound %v, want an outbound call as the body says", c.Text, c.Inbound)
	}
}

func TestIDsKeepAllDigits(t *testing.T) {
	t.Parallel()
	for wire, want := range map[string]string{
		`9223372036854775807`: "9223372036854775807", `"9007199254740993"`: "9007199254740993", `7.1002003e9`: "7100200300",
		`1e400`: "", `-1`: "", `"x"`: "", `true`: "",
	} {
		got, err := aloware.DecodeWebhook([]byte(`{"event":"Contact-Updated","body":{"id":`+wire+`,"phone_number":"+1"}}`), received)
		if err != nil {
			t.Fatal(err)
		}
		id := ""
		if len(got.Changes) == 1 {
			id = got.Changes[0].ID
		}
		if id != want {
			t.Errorf("id %s: got %q, want %q", wire, id, want)
		}
	}
}

func TestDerivedValues(t *testing.T) {
	t.Parallel()
	tests := []struct{ keys, property, want string }{
		{`"lrn_type":0`, "line_type", "Landline"},
		{`"lrn_type":"1"`, "line_type", "Wireless"},
		{`"lrn_type":2`, "line_type", "VoIP"},
		{`"lrn_type":3`, "line_type", "Unknown"},
		{`"lrn_type":3,"phone_number":"+4930901820"`, "line_type", "Foreign"},
		{`"lrn_type":3,"phone_number":null`, "line_type", "absent"},
		{`"lrn_type":4`, "line_type", "Unknown"},
		{`"lrn_type":null`, "line_type", "Unknown"},
		{``, "line_type", "absent"},
		{`"text_authorized":0`, "tcpa_approved", "false"},
		{`"text_authorized":true`, "tcpa_approved", "true"},
		{`"text_authorized":null`, "tcpa_approved", ""},
		{`"text_authorized_at":"2026-01-01 00:00:00"`, "tcpa_approved", "true"},
		{`"text_authorized_at":null`, "tcpa_approved", "false"},
		{``, "tcpa_approved", "absent"},
		{`"is_dnc":null`, "dnc", ""},
		{`"is_dnc":"1"`, "dnc", "true"},
		{`"is_dnc":[1]`, "dnc", "absent"},
		{`"user_id":null`, "user_id", ""},
		{`"user_id":"x"`, "user_id", "absent"},
		{`"city":"Bern"`, "city", "Bern"},
		{`"cnam_city":null,"city":"Bern"`, "city", ""},
		{`"csf1":"a\u0000b"`, "csf1", "ab"},
		{`"unread_texts_count":3`, "unread_texts_count", "absent"},
		{`"dnc":"mine"`, "dnc", "absent"},
		{`"vip":true`, "vip", "true"},
	}
	for _, test := range tests {
		body := `"id":5`
		if !strings.Contains(test.keys, "phone_number") {
			body += `,"phone_number":"+13125550187"`
		}
		if test.keys != "" {
			body += "," + test.keys
		}
		w, err := aloware.DecodeWebhook([]byte(`{"event":"Contact-Updated","body":{`+body+`}}`), received)
		if err != nil || len(w.Changes) != 1 {
			t.Fatalf("%s: got %+v, %v", test.keys, w, err)
		}
		got, ok := pairs(t, w.Changes[0].Values)[test.property]
		if !ok {
			got = "absent"
		}
		if got != test.want {
			t.Errorf("{%s}: %s is %q, want %q", test.keys, test.property, got, test.want)
		}
	}
}

// The webhook's promises hold for any bytes whatever.
func FuzzDecodeWebhook(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "webhook", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := aloware.DecodeWebhook(raw, received)
		if err != nil {
			return
		}
		if (w.Ignored == "") == (len(w.Changes)+len(w.Communications) == 0 && !w.Test) {
			t.Errorf("ignored is %q with %d changes and %d communications", w.Ignored, len(w.Changes), len(w.Communications))
		}
		for _, c := range w.Changes {
			if c.ID == "" || strings.Trim(c.ID, "0123456789") != "" || c.EventID == "" || c.OccurredAt == 0 {
				t.Errorf("change %+v", c)
			}
			pairs(t, c.Values)
		}
		for _, c := range w.Communications {
			if c.ID == "" || c.ContactID == "" || c.StartedAt == 0 || c.UpdatedAt == 0 || c.Counters.InboundCalls < -1 {
				t.Errorf("communication %+v", c)
			}
		}
	})
}

func BenchmarkDecodeWebhook(b *testing.B) {
	raw := example(b, "call_completed")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := aloware.DecodeWebhook(raw, received); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	basic := aloware.Credential{Scheme: aloware.Basic, User: "hook", Password: "open:sesame"}
	bearer := aloware.Credential{Scheme: aloware.Bearer, Token: "t0ken"}
	tests := []struct {
		name   string
		cred   aloware.Credential
		header string
		ok     bool
	}{
		{"none wants nothing", aloware.Credential{Scheme: aloware.None}, "", true},
		{"before anything was entered nobody is let in", aloware.Credential{}, "", false},
		{"none takes anything", aloware.Credential{Scheme: aloware.None}, "Bearer x", true},
		{"basic", basic, "Basic aG9vazpvcGVuOnNlc2FtZQ==", true},
		{"scheme in any case", basic, "basic aG9vazpvcGVuOnNlc2FtZQ==", true},
		{"basic wrong", basic, "Basic aG9vazp3cm9uZw==", false},
		{"basic garbage", basic, "Basic %%%", false},
		{"basic missing", basic, "", false},
		{"basic given as bearer", basic, "Bearer aG9vazpvcGVuOnNlc2FtZQ==", false},
		{"bearer", bearer, "Bearer t0ken", true},
		{"bearer wrong", bearer, "Bearer t0ke", false},
		{"bearer given as basic", bearer, "Basic t0ken", false},
		{"empty bearer lets nobody in", aloware.Credential{Scheme: aloware.Bearer}, "Bearer ", false},
		{"empty basic lets nobody in", aloware.Credential{Scheme: aloware.Basic}, "Basic Og==", false},
		{"unknown scheme lets nobody in", aloware.Credential{Scheme: "digest"}, "", false},
	}
	for _, test := range tests {
		if err := aloware.Authorize(test.header, test.cred); (err == nil) != test.ok {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}
