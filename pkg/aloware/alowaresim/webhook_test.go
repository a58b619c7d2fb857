package alowaresim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/aloware/alowaresim"
)

func TestEditsAreToldByTheirKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		edit   object
		events []string
		member string
		value  string
	}{
		{"a field by its read name", object{"cnam_city": "Austin"}, []string{"Contact-Updated"}, "cnam_city", "Austin"},
		{"a field by its write name", object{"city": "Austin"}, []string{"Contact-Updated"}, "cnam_city", "Austin"},
		{"the owner", object{"user_id": 1202}, []string{"Contact-Updated"}, "user_id", "1202"},
		{"the disposition", object{"disposition_status_id": 5502}, []string{"Contact-Disposed"}, "disposition_status_id", "5502"},
		{"do not call", object{"is_dnc": true}, []string{"Contact-DncUpdated"}, "is_dnc", "true"},
		{"consent", object{"text_authorized": "yes"}, []string{"Contact-Updated"}, "text_authorized", "1"},
		{"an attribute", object{"plan_tier": "basic"}, []string{"Contact-Updated"}, "plan_tier", "basic"},
		{"several kinds", object{"city": "Bonn", "is_dnc": true, "disposition_status_id": 5501},
			[]string{"Contact-Updated", "Contact-Disposed", "Contact-DncUpdated"}, "cnam_city", "Bonn"},
		{"nothing new", object{"phone_number": "202-555-0142"}, nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := open(t, quick())
			id := a.contact(object{"phone_number": dana})
			a.control("edit", object{"id": json.Number(id), "fields": c.edit})
			if len(c.events) == 0 {
				a.nothing()
				return
			}
			got := a.expect(c.events...)
			want(t, got.body, "id", id)
			want(t, got.body, "phone_number", dana)
			want(t, got.body, c.member, c.value)
			a.nothing()
		})
	}
}

func TestWritesOfTheAPIAreEchoedUnlessSwitchedOff(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	a.write("POST", "forms", object{"phone_number": dana})
	a.expect("Contact-Created")
	a.write("POST", "forms", object{"phone_number": dana, "force_update": true, "csf1": "x", "is_dnc": true})
	a.expect("Contact-Updated", "Contact-DncUpdated")
	a.write("PUT", "contact/48210001", object{"csf1": "x"})
	a.nothing()
	a.control("config", object{"echo": false})
	a.write("PUT", "contact/48210001", object{"csf1": "y"})
	a.nothing()
	stats := a.stats()["writes"].(object)
	want(t, stats, "contacts", "3")
	want(t, stats, "values", "4") // phone number; csf1 and is_dnc; csf1
	want(t, stats, "without_change", "1")
}

func TestDeliveriesHaveTheHeadersThatWereSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		auth, header string
	}{
		{"none", ""}, {"basic", "Basic dXNlcjpwYXNz"}, {"bearer", "Bearer secret"},
	} {
		t.Run(c.auth, func(t *testing.T) {
			t.Parallel()
			a := open(t, quick(), func(h *alowaresim.Webhook) {
				h.Auth, h.User, h.Password, h.Token = c.auth, "user", "pass", "secret"
			})
			a.control("edit", object{"phone_number": dana})
			h := a.expect("Contact-Created").header
			for name, value := range map[string]string{
				"User-Agent": "GuzzleHttp/7", "Content-Type": "application/json", "Authorization": c.header,
			} {
				if h.Get(name) != value {
					t.Errorf("%s is %q, want %q", name, h.Get(name), value)
				}
			}
		})
	}
}

func TestDeliveryComesAtMostOnce(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	a.inbox.answer(http.StatusInternalServerError)
	a.control("edit", object{"phone_number": dana})
	a.expect("Contact-Created")
	a.inbox.answer(http.StatusNoContent)
	a.nothing()
	want(t, a.stats()["webhooks"].(object), "failed", "1")

	a.control("config", object{"redeliver": 2})
	a.inbox.answer(http.StatusInternalServerError)
	a.control("edit", object{"id": 48210001, "city": "Bonn"})
	a.expect("Contact-Updated", "Contact-Updated", "Contact-Updated")
	a.inbox.answer(http.StatusNoContent)
	a.nothing()
}

func TestContactsWithTheSameIDAlwaysHaveTheSameShape(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Switches = nil
	a := open(t, cfg)
	noisy := 0
	for i := range 30 {
		a.control("edit", object{"phone_number": fmt.Sprint(2025550100 + i), "user_id": 1201})
		created := a.expect("Contact-Created").raw
		id := 48210001 + i
		a.control("edit", object{"id": id, "city": "Bonn"})
		updated := a.expect("Contact-Updated").raw
		for _, name := range []string{"id", "user_id", "is_dnc", "is_opted_out", "lrn_type", "nb_communications", "text_authorized"} {
			before, after := member(t, created, name), member(t, updated, name)
			if before != after {
				t.Errorf("contact %d: %s is %s and then %s", id, name, before, after)
			}
			if strings.HasPrefix(before, `"`) || name == "is_dnc" && before == "0" {
				noisy++
			}
		}
		if plain := a.do("GET", fmt.Sprintf("/_sim/contacts?id=%d", id), nil); !strings.HasPrefix(plain.raw, fmt.Sprintf(`{"id":%d,`, id)) {
			t.Errorf("a control call shows noise: %s", plain.raw)
		}
	}
	if noisy < 10 {
		t.Errorf("only %d members of 210 have an unusual shape", noisy)
	}
}

// member is a member of the body as written.
func member(t *testing.T, raw, name string) string {
	t.Helper()
	var whole struct{ Body map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(raw), &whole); err != nil {
		t.Fatal(err)
	}
	return string(whole.Body[name])
}

func TestWebhookGetsOnlyTheEventsItAskedFor(t *testing.T) {
	t.Parallel()
	a := open(t, quick(), func(h *alowaresim.Webhook) { h.Events = []string{"contact.dnc_updated", "Call-Disposed"} })
	a.control("edit", object{"phone_number": dana})
	a.control("edit", object{"id": 48210001, "is_dnc": true})
	a.expect("Contact-DncUpdated")
	a.control("communications", object{"contact_id": 48210001, "kind": "call", "direction": "inbound"})
	a.expect("Call-Disposed")
	a.nothing()
}

func TestFiltersHoldBackCommunicationsOnly(t *testing.T) {
	t.Parallel()
	a := open(t, quick(), func(h *alowaresim.Webhook) {
		h.Direction, h.SkipLines = "outbound", []int64{6394}
	})
	id := json.Number(a.contact(object{"phone_number": dana, "user_id": 1201}))
	a.control("communications", object{"contact_id": id, "kind": "sms", "direction": "inbound"})
	a.control("communications", object{"contact_id": id, "kind": "sms", "direction": "outbound"})
	a.control("communications", object{"contact_id": id, "kind": "appointment", "direction": "outbound"})
	a.expect("OutboundAppointment") // without a line, which slips through
	a.control("communications", object{"contact_id": id, "kind": "sms", "direction": "outbound", "line_id": 6395})
	a.expect("OutboundSMS-DispositionCompleted")
	a.nothing()
}

func TestDelayOfAWebhookIsWaited(t *testing.T) {
	t.Parallel()
	a := open(t, quick(), func(h *alowaresim.Webhook) { h.Delay = 60 * time.Millisecond })
	start := time.Now()
	a.control("edit", object{"phone_number": dana})
	a.expect("Contact-Created")
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("the delivery came after %v", took)
	}
}

func TestDisorderOfWebhooks(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	a.control("webhooks", object{"drop": 1})
	a.control("edit", object{"phone_number": dana})
	a.control("webhooks", object{"duplicate": 1})
	a.control("edit", object{"id": 48210001, "city": "Bonn"})
	if first, second := a.expect("Contact-Updated"), a.expect("Contact-Updated"); first.raw != second.raw {
		t.Error("the duplicate has another body")
	}
	a.control("webhooks", object{"reorder": 1})
	order := ""
	for i := range 12 {
		a.control("edit", object{"id": 48210001, "city": fmt.Sprintf("%02d", i)})
	}
	sorted := ""
	for i := range 12 {
		order += fmt.Sprint(a.expect("Contact-Updated").body["cnam_city"])
		sorted += fmt.Sprintf("%02d", i)
	}
	if order == sorted { // by chance once in 479 million times
		t.Error("twelve deliveries came in order")
	}
	stats := a.stats()["webhooks"].(object)
	want(t, stats, "dropped", "1")
	want(t, stats, "duplicated", "1")
}

func TestMergeAndDeletionAreToldByNoEvent(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	winner := a.contact(object{"phone_number": dana, "city": "Austin", "user_id": 1201})
	loser := a.contact(object{"phone_number": "2025550143", "city": "Bonn", "email": "dana@example.com", "user_id": 1201})
	a.control("communications", object{"contact_id": json.Number(loser), "kind": "sms", "direction": "inbound"})
	a.expect("InboundSMS-DispositionCompleted")
	a.control("merge", object{"id": json.Number(loser), "into": json.Number(winner)})
	shown := a.get("contact/phone-number", "phone_number", "2025550143").body
	want(t, shown, "id", winner)
	want(t, shown, "cnam_city", "Austin")
	want(t, shown, "email", "dana@example.com")
	want(t, shown, "inbound_sms_count", "1")
	if got := a.get("contact/" + loser); got.status != 404 {
		t.Errorf("the merged contact is still there: %d", got.status)
	}
	a.control("delete", object{"id": json.Number(winner)})
	if got := a.get("contact/phone-number", "phone_number", dana); got.status != 404 {
		t.Errorf("the deleted contact is still there: %d", got.status)
	}
	a.nothing()
}
