package alerts

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// tells makes n alerts for Acme, one after the other.
func (e *env) tells(a *Alerts, n int) {
	e.t.Helper()
	for i := range n {
		row := refused("hubspot:1")
		row.Reason = string(rune('A' + i))
		e.problems([]contact.Key{"hubspot:1"}, row)
		if got := e.after(a, 61*time.Second) + e.after(a, 31*time.Second); got == 0 {
			e.t.Fatalf("alert %d is not told", i)
		}
	}
}

// sends delivers until a receiver has answered some times.
func (e *env) sends(a *Alerts, r *receiver, times int) []received {
	e.t.Helper()
	var got []received
	for deadline := time.Now().Add(20 * time.Second); len(got) < times && time.Now().Before(deadline); {
		e.send(a)
		got = append(got, r.take()...)
		time.Sleep(5 * time.Millisecond)
	}
	return got
}

// deliveries are those of Acme's alerts, the oldest first.
func (e *env) deliveries(a *Alerts) (all []postgres.AlertDelivery) {
	e.t.Helper()
	told, err := a.Recent(e.t.Context(), acme, 0, 100)
	if err != nil {
		e.t.Fatal(err)
	}
	slices.Reverse(told)
	for _, one := range told {
		all = append(all, one.Deliveries...)
	}
	return all
}

// TestAReceiverThatFailsIsToldAgain: under the same id, in order, one after the
// other, and with growing waits.
func TestAReceiverThatFailsIsToldAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r := e.room(local), newReceiver(t)
	e.webhook(a, r, TargetChange{})
	e.tells(a, 2)
	r.answers(500, 302, 429)
	got := e.sends(a, r, 5)
	if len(got) < 5 {
		t.Fatalf("the receiver was called %d times, want 5", len(got))
	}
	first, last := got[0].ID, got[4].ID
	for i, m := range got[:4] {
		if m.ID != first {
			t.Errorf("call %d is %s, want %s until it is taken", i, m.ID, first)
		}
	}
	if last == first || got[0].At.After(got[4].At) {
		t.Errorf("the second alert did not follow the first")
	}
	all := e.deliveries(a)
	if len(all) < 2 || all[0].State != postgres.AlertDelivered || all[0].Attempts != 4 {
		t.Errorf("deliveries are %+v", all)
	}
	var before time.Duration
	for attempt := 1; attempt < 12; attempt++ {
		wait := waitAfter(firstWait, attempt)
		if wait > longestWait*12/10 || attempt < 7 && wait < before {
			t.Errorf("after attempt %d it waits %v, before %v", attempt, wait, before)
		}
		before = wait
	}
	if before < longestWait*8/10 {
		t.Errorf("it comes to wait %v, want about %v", before, longestWait)
	}
}

// TestWhatCannotBeDelivered is given up and shown: at once where the receiver
// says that it wants no more, else after a day.
func TestWhatCannotBeDelivered(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r := e.room(local), newReceiver(t)
	e.webhook(a, r, TargetChange{})
	e.tells(a, 1)
	r.answers(410)
	e.sends(a, r, 1)
	if all := e.deliveries(a); len(all) != 1 || all[0].State != postgres.AlertUndeliverable || !strings.Contains(all[0].Answer, "410 Gone") {
		t.Errorf("after 410 deliveries are %+v", all)
	}
	e.problems([]contact.Key{"hubspot:1"})
	e.after(a, time.Hour)
	e.after(a, time.Minute)
	r.answers(500, 500, 500, 500)
	e.sends(a, r, 1)
	if all := e.deliveries(a); all[1].State != postgres.AlertWaiting || !strings.HasPrefix(all[1].Answer, "500 Internal Server Error in ") {
		t.Errorf("after 500 deliveries are %+v", all)
	}
	e.ahead.Add(int64(25 * time.Hour))
	e.sends(a, r, 1)
	if all := e.deliveries(a); all[1].State != postgres.AlertUndeliverable {
		t.Errorf("a day later deliveries are %+v", all)
	}
	targets, err := a.Targets(t.Context(), acme)
	if err != nil || targets[0].LastState != postgres.AlertUndeliverable || targets[0].LastAnswer == "" {
		t.Errorf("the target shows %+v, %v", targets, err)
	}
}

// TestACrashAfterSending repeats the message under its id, and loses none.
func TestACrashAfterSending(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r := e.room(local), newReceiver(t)
	e.webhook(a, r, TargetChange{})
	e.tells(a, 1)
	claimed, err := e.db.ClaimAlerts(t.Context(), 200*time.Millisecond, nil, 4, 10) // by a process that dies
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %+v, %v", claimed, err)
	}
	if out, _, err := a.try(t.Context(), claimed[0]); err != nil || !out.done {
		t.Fatalf("it came to %+v, %v", out, err)
	}
	if again, err := e.db.ClaimAlerts(t.Context(), time.Minute, nil, 4, 10); err != nil || len(again) != 0 {
		t.Errorf("while it is claimed somebody else gets %+v, %v", again, err)
	}
	got := e.sends(a, r, 2)
	if len(got) != 2 || got[0].ID != got[1].ID {
		t.Fatalf("the receiver got %+v", got)
	}
	if all := e.deliveries(a); all[0].State != postgres.AlertDelivered || all[0].Attempts != 2 {
		t.Errorf("deliveries are %+v", all)
	}
}

// TestAReceiverThatHangsHoldsNobodyUp: neither other tenants nor the other
// targets of its own.
func TestAReceiverThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, good := e.room(local), newReceiver(t)
	release := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hang.Close)
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { close(release) })
	for range mostOfTenant - 1 {
		if _, _, err := a.Save(t.Context(), acme, TargetChange{Kind: postgres.AlertWebhook, URL: tenant.Secret(hang.URL)}, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	e.webhook(a, good, TargetChange{})
	e.tells(a, 1)
	if err := a.send(t.Context(), &running); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	var got []received
	for len(got) == 0 && time.Now().Before(deadline) {
		got = good.take()
		time.Sleep(5 * time.Millisecond)
	}
	if len(got) != 1 {
		t.Errorf("%d messages came beside three that hang", len(got))
	}
	free, full := a.room()
	for free != mostAtOnce-(mostOfTenant-1) && time.Now().Before(deadline) { // the receiver has the message before its sender has the answer
		time.Sleep(5 * time.Millisecond)
		free, full = a.room()
	}
	if free != mostAtOnce-(mostOfTenant-1) || len(full) != 0 {
		t.Errorf("%d may begin, and %v are full", free, full)
	}
}

// TestWebhooksReachNoPrivateNetwork, whatever name or literal leads there.
func TestWebhooksReachNoPrivateNetwork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ip                      string
		public, demo, allowance bool
	}{
		{"93.184.216.34", true, true, true}, {"2606:2800:220:1:248:1893:25c8:1946", true, true, true},
		{"127.0.0.1", false, true, true}, {"::1", false, true, true}, {"::ffff:127.0.0.1", false, true, true},
		{"10.1.2.3", false, false, true}, {"192.168.0.1", false, false, true}, {"172.31.255.255", false, false, true}, {"fd00::1", false, false, true}, {"100.64.0.1", false, false, true},
		{"169.254.169.254", false, false, false}, {"fe80::1", false, false, false}, {"0.0.0.0", false, false, false}, {"::", false, false, false},
		{"224.0.0.1", false, false, false}, {"255.255.255.255", false, false, false}, {"64:ff9b::a00:1", false, false, false}, {"2002:a00:1::", false, false, false}, {"::ffff:10.0.0.1", false, false, true},
	} {
		ip := netip.MustParseAddr(test.ip)
		if got := [3]bool{Reach{}.may(ip), Reach{Loopback: true}.may(ip), Reach{Private: true}.may(ip)}; got != [3]bool{test.public, test.demo, test.allowance} {
			t.Errorf("%s may be called %v, want %v %v %v", test.ip, got, test.public, test.demo, test.allowance)
		}
	}
	for _, test := range []struct {
		url                     string
		public, demo, allowance string // what people see; "" is refused
	}{
		{"https://hooks.example.com/services/T0/secret", "https://hooks.example.com/…", "https://hooks.example.com/…", "https://hooks.example.com/…"},
		{"https://hooks.example.com", "https://hooks.example.com", "https://hooks.example.com", "https://hooks.example.com"},
		{"http://hooks.example.com/x", "", "", "http://hooks.example.com/…"},
		{"http://127.0.0.1:9000/x", "", "http://127.0.0.1:9000/…", "http://127.0.0.1:9000/…"},
		{"http://localhost:9000", "", "http://localhost:9000", "http://localhost:9000"},
		{"https://[::1]/x", "", "https://[::1]/…", "https://[::1]/…"},
		{"https://10.0.0.1/", "", "", "https://10.0.0.1"},
		{"https://169.254.169.254/latest", "", "", ""},
		{"https://ada:secret@hooks.example.com/", "", "", ""},
		{"ftp://hooks.example.com/", "", "", ""}, {"hooks.example.com", "", "", ""}, {"https://", "", "", ""}, {"https://a b/", "", "", ""}, {"", "", "", ""},
	} {
		for i, r := range []Reach{{}, {Loopback: true}, {Private: true}} {
			want := [3]string{test.public, test.demo, test.allowance}[i]
			if got, err := r.check(test.url); got != want || (err == nil) != (want != "") {
				t.Errorf("%q is taken as %q, %v by %+v, want %q", test.url, got, err, r, want)
			}
		}
	}
	// A name that leads to this machine only when it is called, as an attacker's would.
	r := newReceiver(t)
	target := &Target{Kind: postgres.AlertWebhook, URL: tenant.Secret(strings.Replace(r.URL, "127.0.0.1", "localhost", 1)), Secret: newSecret()}
	for reach, want := range map[Reach]bool{{}: false, {Loopback: true}: true} {
		a := New(Config{Settings: Settings{Reach: reach}})
		out := a.post(t.Context(), target, &Message{ID: "x"})
		if out.done != want || !want && !strings.Contains(out.answer, "private network") {
			t.Errorf("with %+v it comes to %+v", reach, out)
		}
	}
	if got := r.take(); len(got) != 1 {
		t.Errorf("the receiver was called %d times, want once", len(got))
	}
}

// TestARedirectLeadsNowhere: it could lead into a private network, or tell the
// alert to somebody else.
func TestARedirectLeadsNowhere(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	from := httptest.NewServer(http.RedirectHandler(r.URL, http.StatusTemporaryRedirect))
	t.Cleanup(from.Close)
	a := New(Config{Settings: local})
	out := a.post(t.Context(), &Target{URL: tenant.Secret(from.URL + "/do-not-tell"), Secret: newSecret()}, &Message{ID: "x"})
	if out.done || !strings.Contains(out.answer, "307") || len(r.take()) != 0 {
		t.Errorf("it came to %+v", out)
	}
	from.Close()
	a = New(Config{Settings: local}) // without a connection that was there before
	out = a.post(t.Context(), &Target{URL: tenant.Secret(from.URL + "/do-not-tell"), Secret: newSecret()}, &Message{ID: "x"})
	if out.done || !strings.Contains(out.answer, "connection refused") || strings.Contains(out.answer, "do-not-tell") {
		t.Errorf("where nobody listens it comes to %+v", out)
	}
	slow, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if out := a.post(slow, &Target{URL: tenant.Secret(r.URL), Secret: newSecret()}, &Message{ID: "x"}); out.done || !strings.Contains(out.answer, "no answer within") {
		t.Errorf("without an answer it comes to %+v", out)
	}
}
