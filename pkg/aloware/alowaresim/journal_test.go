package alowaresim_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/aloware/alowaresim"
)

// everything is all that an account shows of itself.
func (a *account) everything() string {
	a.Helper()
	return a.do("GET", "/_sim/contacts", nil).raw + a.do("GET", "/_sim/communications", nil).raw + a.do("GET", "/_sim/lists", nil).raw
}

func TestWhatWasAnsweredSurvivesAKill(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Journal = filepath.Join(t.TempDir(), "journal")
	a := open(t, cfg) // never closed before the next one opens: a killed process closes nothing
	a.control("load", object{"contacts": 50, "seed": 1, "webhooks": false})
	a.control("edit", object{"phone_number": dana, "first_name": "Dana", "plan_tier": "plus", "tags": "VIP,New tag", "other_phone_numbers": "2025550143"})
	a.control("edit", object{"id": 48210003, "city": "Bonn", "notes": "likes tea"})
	a.write("POST", "forms", object{"phone_number": "2025550150", "email": "e@example.com"})
	a.control("merge", object{"id": 48210004, "into": 48210005})
	a.control("delete", object{"id": 48210006})
	a.control("communications", object{"contact_id": 48210003, "kind": "sms", "direction": "inbound", "body": "Grüße <b>"})
	a.write("PUT", "disposition-statuses/crm", object{"crm": "hubspot", "options": []object{{"value": "NEW", "label": "Fresh"}}})
	a.control("config", object{"profile": "documented"})
	before, stats := a.everything(), a.stats()

	for _, when := range []string{"from the journal as it grew", "from a compacted journal"} {
		cfg.Webhooks = nil
		b := open(t, cfg)
		if got := b.everything(); got != before {
			t.Errorf("%s: got\n%s\nwant\n%s", when, got, before)
		}
		if got := b.get("contact/48210003"); !strings.Contains(got.raw, "<html") {
			t.Errorf("%s: the profile that was set by a control call is lost: %s", when, got.raw)
		}
		after := b.stats()
		for _, name := range []string{"writes", "contacts", "communications"} {
			got, _ := json.Marshal(after[name])
			wanted, _ := json.Marshal(stats[name])
			if string(got) != string(wanted) {
				t.Errorf("%s: %s is %s, want %s", when, name, got, wanted)
			}
		}
		if got := b.get("contact/phone-number", "phone_number", "2025550143"); got.body["first_name"] != "Dana" {
			t.Errorf("%s: lookup by a further number: %s", when, got.raw)
		}
		created := b.control("edit", object{"phone_number": "2025550111"}).body["id"]
		b.control("delete", object{"id": created})
		if created == 48210052. || created == 48210006. {
			t.Errorf("%s: the id %v is given away again", when, created)
		}
		b.stop()
	}
}

func TestTornLastLineIsDropped(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Journal = filepath.Join(t.TempDir(), "journal")
	a := open(t, cfg)
	a.contact(object{"phone_number": dana})
	a.stop()
	file, err := os.OpenFile(cfg.Journal, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"c":[{"id":482100`); err != nil {
		t.Fatal(err)
	}
	file.Close()
	b := open(t, cfg)
	if got := b.lines("/_sim/contacts"); len(got) != 1 {
		t.Errorf("%d contacts, want 1", len(got))
	}
	b.contact(object{"phone_number": "2025550143"})
	b.stop()
	if got := open(t, cfg).lines("/_sim/contacts"); len(got) != 2 {
		t.Errorf("%d contacts after another restart, want 2", len(got))
	}
}

func TestSpoiledJournalIsRefused(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Journal = filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(cfg.Journal, []byte("{}\nnonsense\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := alowaresim.New(cfg)
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v, want one about line 2", err)
	}
}

func TestDeliveryThatWasNotAttemptedComesAfterTheKill(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Journal = filepath.Join(t.TempDir(), "journal")
	cfg.Webhooks = []alowaresim.Webhook{{URL: "http://127.0.0.1:9/"}}
	sim, err := alowaresim.New(cfg) // never run: the process dies before it delivers
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.Create(object{"phone_number": dana}); err != nil {
		t.Fatal(err)
	}
	cfg.Webhooks = nil
	a := open(t, cfg)
	want(t, a.expect("Contact-Created").body, "phone_number", dana)
	a.control("communications", object{"contact_id": 48210001, "kind": "call", "direction": "inbound"})
	a.expect("InboundPhoneCall", "InboundPhoneCall-DispositionCompleted", "Contact-Updated", "Call-Disposed")
	a.nothing()
	a.stop()
	b := open(t, cfg)
	b.nothing() // what was attempted does not come again
}

func TestAttemptThatWasCutShortIsMadeAgain(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Journal = filepath.Join(t.TempDir(), "journal")
	entered, free := make(chan struct{}, 1), make(chan struct{})
	slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-free
	})
	url, closeServer := listen(t, slow)
	cfg.Webhooks = []alowaresim.Webhook{{URL: url}}
	a := open(t, cfg)
	a.control("edit", object{"phone_number": dana})
	<-entered
	a.stop()
	close(free)
	closeServer()
	cfg.Webhooks = nil
	open(t, cfg).expect("Contact-Created")
}

func TestLaterEventsOfACallSurviveAKill(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Journal = filepath.Join(t.TempDir(), "journal")
	cfg.TimeScale = 1000
	a := open(t, cfg)
	id := a.contact(object{"phone_number": dana, "user_id": 1201})
	a.control("communications", object{"contact_id": json.Number(id), "kind": "call", "direction": "inbound"})
	a.expect("InboundPhoneCall", "InboundPhoneCall-DispositionCompleted")
	a.stop()
	cfg.Now = func() time.Time { return time.Now().Add(3 * time.Hour) }
	b := open(t, cfg)
	for b.next().event != "Call-Disposed" { // an attempt that the stop cut short may come first
	}
}

func TestBucketAndWindowsGoOnOverARestart(t *testing.T) {
	t.Parallel()
	clock := newClock()
	cfg := quick()
	cfg.Now, cfg.Rate, cfg.Burst = clock.now, 5, 10
	cfg.Journal = filepath.Join(t.TempDir(), "journal")
	statuses := func(a *account, n int) (all []int) {
		for range n {
			all = append(all, a.get("users").status)
		}
		return all
	}
	a := open(t, cfg)
	if got := statuses(a, 8); slices.Contains(got, 429) {
		t.Fatalf("the burst is refused: %v", got)
	}
	for range 2 { // the second time from a compacted journal
		a.stop()
		a = open(t, cfg)
	}
	if got := statuses(a, 3); !slices.Equal(got, []int{200, 200, 429}) {
		t.Errorf("after the restart %v, want two more calls of the burst", got)
	}
	last := a.get("users")
	if last.status != 429 || last.raw != `{"message":"Too Many Attempts."}` || last.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s Retry-After %q", last.status, last.raw, last.header.Get("Retry-After"))
	}
	clock.advance(1)
	if got := statuses(a, 6); !slices.Equal(got, []int{200, 200, 200, 200, 200, 429}) {
		t.Errorf("a second later %v, want five calls", got)
	}
	clock.advance(8.5)
	a.get("users")
	stats := a.stats()
	want(t, stats, "requests", "19")
	want(t, stats, "throttled", "3")
	want(t, stats, "bucket_overruns", "3")
	window := stats["max_in_window"].(object)
	want(t, window, "1s", "12")
	want(t, window, "10s", "19")
	want(t, stats["by_status"].(object), "429", "3")
	want(t, stats["by_route"].(object)["GET /api/v1/webhook/users"].(object), "200", "16")
	a.control("stats/reset", object{})
	a.get("users")
	a.stop()
	want(t, open(t, cfg).stats(), "requests", "1")
}
