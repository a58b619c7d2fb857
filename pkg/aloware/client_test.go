package aloware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
)

const token = "deadbeef"

// budget counts what is taken and given back.
type budget struct {
	mu      sync.Mutex
	taken   int
	answers []quota.Answer
	refuse  error
}

func (b *budget) Take(ctx context.Context, pool quota.Pool) (quota.Ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return nil, b.refuse
	}
	if pool != quota.General {
		return nil, fmt.Errorf("pool %d", pool)
	}
	b.taken++
	return ticket{b}, ctx.Err()
}

type ticket struct{ *budget }

func (t ticket) Done(a quota.Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers = append(t.answers, a)
}

// step is one call that a script expects, and its answer.
type step struct {
	call    string // "GET contact/5" below the prefix, with the query but the token
	sent    string // JSON of the body but the token; "" for none
	status  int
	answer  string
	headers map[string]string
}

// script answers calls in order, and fails the test on any other.
type script struct {
	t     *testing.T
	mu    sync.Mutex
	steps []step
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	body := map[string]any{}
	if raw, _ := io.ReadAll(r.Body); len(raw) > 0 {
		if err := json.Unmarshal(raw, &body); err != nil {
			s.t.Errorf("%s: body is no JSON: %v", r.URL.Path, err)
		}
	}
	if given := query.Get("api_token") + fmt.Sprint(body["api_token"]); given != token+"<nil>" && given != token {
		s.t.Errorf("%s %s: token is %q, want it in the query of a GET and in the body of all else", r.Method, r.URL.Path, given)
	}
	query.Del("api_token")
	delete(body, "api_token")
	call := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v1/webhook/")
	if len(query) > 0 {
		call += "?" + query.Encode()
	}
	if len(s.steps) == 0 {
		s.t.Errorf("unexpected call %s", call)
		http.Error(w, `{"error":"unexpected"}`, http.StatusTeapot)
		return
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	if call != next.call {
		s.t.Errorf("call %s, want %s", call, next.call)
	}
	want := map[string]any{}
	if next.sent != "" {
		if err := json.Unmarshal([]byte(next.sent), &want); err != nil {
			s.t.Errorf("script: %v", err)
		}
	}
	if diff := cmp.Diff(want, body); diff != "" {
		s.t.Errorf("%s: body (-want +got):\n%s", call, diff)
	}
	w.Header().Set("Date", "Thu, 05 Mar 2026 12:00:00 GMT")
	w.Header().Set("Content-Type", "application/json")
	for name, value := range next.headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(max(next.status, 200))
	_, _ = io.WriteString(w, next.answer)
}

func (s *script) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.steps) > 0 {
		s.t.Errorf("%d calls were not made; the next is %s", len(s.steps), s.steps[0].call)
	}
}

// play makes a client whose calls a script answers.
func play(t *testing.T, profile aloware.Profile, b *budget, steps ...step) *aloware.Client {
	t.Helper()
	s := &script{t: t, steps: steps}
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.Close(); s.done() })
	return client(t, aloware.ClientConfig{BaseURL: server.URL, Profile: profile, Budget: b})
}

func client(t *testing.T, cfg aloware.ClientConfig) *aloware.Client {
	t.Helper()
	cfg.Token = token
	cfg.Now = func() time.Time { return received }
	c, err := aloware.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const page = "<!doctype html><title>Aloware</title>"

func TestAnswersHaveTheirClass(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		status  int
		answer  string
		headers map[string]string
		class   fault.Class
		reason  string
		message string
		wait    time.Duration
	}{
		{name: "web page", answer: page, class: fault.Unauthorized, reason: aloware.HTMLAnswer, message: "web page"},
		{name: "plain text", answer: "OK", class: fault.Unauthorized, reason: aloware.HTMLAnswer},
		{name: "nothing", answer: "", class: fault.Unauthorized, reason: aloware.HTMLAnswer},
		{name: "login redirect", status: 302, headers: map[string]string{"Location": "/login"}, class: fault.Unauthorized, reason: aloware.HTMLAnswer},
		{name: "page not found", status: 404, answer: page, class: fault.Unauthorized, reason: aloware.HTMLAnswer},
		{name: "cut short", answer: `[{"id":1`, class: fault.Transient, reason: aloware.Malformed},
		{name: "wrong token", status: 401, answer: `{"error":"Unauthenticated."}`, class: fault.Unauthorized, reason: "401", message: "Unauthenticated."},
		{name: "forbidden page", status: 403, answer: page, class: fault.Unauthorized, reason: "403", message: "Forbidden"},
		{name: "not found", status: 404, answer: `{"error":"Contact not found."}`, class: fault.Gone, reason: aloware.NotFound, message: "Contact not found."},
		{name: "conflict", status: 409, answer: `{"error":"Taken."}`, class: fault.Permanent, reason: "409", message: "Taken."},
		{name: "bad", status: 400, answer: `{"message":"No."}`, class: fault.Permanent, reason: "400", message: "No."},
		{name: "fields", status: 422, answer: `{"errors":{"email":["Not an e-mail.","Too long."]}}`, class: fault.Permanent, reason: "422", message: "email: Not an e-mail.; Too long."},
		{name: "throttled", status: 429, answer: `{"message":"Too Many Attempts."}`, headers: map[string]string{"Retry-After": "7"}, class: fault.Throttled, reason: "429", wait: 7 * time.Second},
		{name: "throttled until", status: 429, headers: map[string]string{"Retry-After": "Thu, 05 Mar 2026 12:00:09 GMT"}, class: fault.Throttled, reason: "429", wait: 8750 * time.Millisecond},
		{name: "throttled for ever", status: 429, headers: map[string]string{"Retry-After": "999999"}, class: fault.Throttled, reason: "429", wait: time.Hour},
		{name: "broken", status: 500, answer: page, class: fault.Transient, reason: "500", message: "Internal Server Error"},
		{name: "gateway", status: 502, class: fault.Transient, reason: "502"},
		{name: "token in the answer", status: 400, answer: `{"error":"token deadbeef"}`, class: fault.Permanent, reason: "400", message: "token [redacted]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := &budget{}
			steps := []step{{call: "GET users", status: test.status, answer: test.answer, headers: test.headers}}
			if test.reason == aloware.HTMLAnswer {
				steps = append(steps, steps[0]) // one alone tells nothing
			}
			c := play(t, aloware.Documented, b, steps...)
			_, err := c.Users(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			f := fault.As(err)
			if f.Class != test.class || f.Reason != test.reason || f.Wait != test.wait || !strings.Contains(f.Message, test.message) {
				t.Errorf("got %v wait %v, want %v %s wait %v", f, f.Wait, test.class, test.reason, test.wait)
			}
			want := make([]quota.Answer, len(steps))
			want[0] = quota.Answer{Throttled: test.class == fault.Throttled, Wait: test.wait}
			if diff := cmp.Diff(want, b.answers); diff != "" || b.taken != len(steps) {
				t.Errorf("budget: %d taken, answers (-want +got):\n%s", b.taken, diff)
			}
		})
	}
}

func TestAssumedEndpoints(t *testing.T) {
	t.Parallel()
	list := step{call: "GET disposition-statuses", answer: page}
	tests := []struct {
		name    string
		profile aloware.Profile
		steps   []step
		class   fault.Class
		reason  string
		capable bool
	}{
		{"documented makes no call", aloware.Documented, nil, fault.Permanent, aloware.NotCapable, false},
		{"page where the token is good", aloware.Full, []step{list, {call: "GET users", answer: `[]`}, list}, fault.Permanent, aloware.NotCapable, false},
		{"page where the token is wrong", aloware.Full, []step{list, {call: "GET users", answer: page}}, fault.Unauthorized, aloware.HTMLAnswer, true},
		{"not found page", aloware.Full, []step{{call: list.call, status: 404, answer: page}, {call: "GET users", answer: `[]`}, {call: list.call, status: 404, answer: page}}, fault.Permanent, aloware.NotCapable, false},
		{"wrong method", aloware.Full, []step{{call: list.call, status: 405, answer: `{}`}, {call: "GET users", answer: `[]`}, {call: list.call, status: 405, answer: `{}`}}, fault.Permanent, aloware.NotCapable, false},
		{"no list", aloware.Full, []step{{call: list.call, answer: `{"a":1}`}}, fault.Permanent, aloware.Malformed, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := play(t, test.profile, &budget{}, test.steps...).Dispositions(t.Context())
			if f := fault.As(err); f.Class != test.class || f.Reason != test.reason {
				t.Errorf("got %v, want %v %s", err, test.class, test.reason)
			}
			if errors.Is(err, aloware.ErrNotCapable) == test.capable {
				t.Errorf("errors.Is(%v, ErrNotCapable) is %v", err, !test.capable)
			}
		})
	}
}

// A single web page says nothing of an endpoint: the same call is made again,
// and where it gave data before, not even several pages do.
func TestADisturbanceIsNotTakenForAMissingEndpoint(t *testing.T) {
	t.Parallel()
	list, users := "GET disposition-statuses", step{call: "GET users", answer: `[]`}
	c := play(t, aloware.Full, &budget{},
		step{call: list, answer: page}, users, step{call: list, answer: `[{"id":1,"name":"Sold"}]`},
		step{call: list, answer: page}, users, step{call: list, answer: page},
		step{call: list, answer: page}, step{call: "GET users", status: 401, answer: `{}`})
	if got, err := c.Dispositions(t.Context()); err != nil || len(got.Entries) != 1 {
		t.Errorf("after one page: %v, %v", got, err)
	}
	if _, err := c.Dispositions(t.Context()); !fault.Is(err, fault.Transient) || errors.Is(err, aloware.ErrNotCapable) {
		t.Errorf("two pages of what gave data: %v, want a transient fault", err)
	}
	if _, err := c.Dispositions(t.Context()); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("a token that is refused meanwhile: %v", err)
	}
	c = play(t, aloware.Documented, &budget{}, step{call: "GET users", answer: page}, users)
	if _, err := c.Users(t.Context()); err != nil {
		t.Errorf("one page of a published endpoint: %v", err)
	}
}

func TestNetworkFailureIsTransientAndKeepsSecrets(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	b := &budget{}
	c := client(t, aloware.ClientConfig{BaseURL: server.URL, Budget: b})
	d := aloware.NewDestination(c, aloware.Options{})
	got := d.Deliver(t.Context(), []contact.Patch{{Create: &contact.Create{Phones: []string{"+13125550187"}, MayCreate: true}}})
	if len(got) != 1 || !fault.Is(got[0].Err, fault.Transient) || b.taken != 1 || len(b.answers) != 1 {
		t.Fatalf("got %+v, %d taken, %d given back", got, b.taken, len(b.answers))
	}
	if text := got[0].Err.Error(); strings.Contains(text, token) || strings.Contains(text, "3125550187") {
		t.Errorf("the error tells too much: %s", text)
	}
}

func TestSlowAnswerEnds(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release); server.Close() })
	b := &budget{}
	c := client(t, aloware.ClientConfig{BaseURL: server.URL, Budget: b, Timeout: 30 * time.Millisecond})
	if _, err := c.Users(t.Context()); !fault.Is(err, fault.Transient) || len(b.answers) != 1 {
		t.Errorf("got %v, want a transient fault and the ticket back", err)
	}
}

func TestNoCallWithoutBudget(t *testing.T) {
	t.Parallel()
	if _, err := aloware.NewClient(aloware.ClientConfig{}); err == nil {
		t.Error("a client without a budget was made")
	}
	stop := errors.New("no grant")
	if _, err := play(t, aloware.Full, &budget{refuse: stop}).Users(t.Context()); !errors.Is(err, stop) {
		t.Errorf("got %v, want the budget's error", err)
	}
}

func TestClientConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"app.aloware.io", "ftp://x", "https://user:pass@x", "https://x?api_token=1", "https://"} {
		if _, err := aloware.NewClient(aloware.ClientConfig{BaseURL: base, Budget: &budget{}}); err == nil {
			t.Errorf("%s was taken", base)
		}
	}
	if _, err := aloware.NewClient(aloware.ClientConfig{Profile: "all", Budget: &budget{}}); err == nil {
		t.Error("an unknown profile was taken")
	}
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	dispositions := `[{"id":9001,"name":"Open","crm":"hubspot","crm_value":"OPEN"},{"id":"9002","name":"Own","crm":null,"crm_value":"x"},{"name":"without id"}]`
	entries := []contact.DirectoryEntry{{Value: "9001", Match: "OPEN", Label: "Open", Active: true}, {Value: "9002", Label: "Own", Active: true}}
	choices := []aloware.Choice{{Value: "OPEN", Label: "Open"}}
	sent := `{"crm":"hubspot","options":[{"value":"OPEN","label":"Open"}]}`
	tests := []struct {
		name string
		step step
		read func(*aloware.Client) (contact.Directory, error)
		list string
		want []contact.DirectoryEntry
	}{
		{"users, deleted ones by name", step{call: "GET users", answer: `[{"id":42,"name":"Ada","email":"Ada@X.example"},{"id":43,"name":"Gone","email":"g_deleted_1@x.example"}]`},
			func(c *aloware.Client) (contact.Directory, error) { return c.Users(t.Context()) },
			"users", []contact.DirectoryEntry{{Value: "42", Match: "ada@x.example", Label: "Ada", Active: true}, {Value: "43", Label: "Gone"}}},
		{"dispositions", step{call: "GET disposition-statuses", answer: dispositions},
			func(c *aloware.Client) (contact.Directory, error) { return c.Dispositions(t.Context()) },
			"options:disposition_status_id", entries},
		{"call dispositions", step{call: "GET call-dispositions", answer: `{"data":` + dispositions + `}`},
			func(c *aloware.Client) (contact.Directory, error) { return c.CallDispositions(t.Context()) },
			"options:call_disposition_id", entries},
		{"replace dispositions", step{call: "PUT disposition-statuses/crm", sent: sent, answer: dispositions},
			func(c *aloware.Client) (contact.Directory, error) { return c.ReplaceDispositions(t.Context(), choices) },
			"options:disposition_status_id", entries},
		{"replace call dispositions", step{call: "PUT call-dispositions/crm", sent: sent, answer: dispositions},
			func(c *aloware.Client) (contact.Directory, error) {
				return c.ReplaceCallDispositions(t.Context(), choices)
			},
			"options:call_disposition_id", entries},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.read(play(t, aloware.Full, &budget{}, test.step))
			want := contact.Directory{System: contact.Aloware, List: test.list, ReadAt: contact.Millis(received.UnixMilli()), Entries: test.want}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestChangedSince(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 5, 11, 0, 0, 0, time.FixedZone("", 3600))
	c := play(t, aloware.Full, &budget{},
		step{call: "GET contacts?page=1&per_page=200&updated_since=2026-03-05+10%3A00%3A00",
			answer: `{"data":[{"id":5,"csf1":"a","inbound_calls_count":3,"outbound_sms_count":"4","updated_at":"2026-03-05 11:30:00"},{"id":6}],"current_page":1,"last_page":2}`},
		step{call: "GET contacts?page=2&per_page=200", answer: `{"data":[],"last_page":2}`},
		step{call: "GET contacts?page=1&per_page=200", answer: `{"data":"no"}`},
	)
	changes, next, upTo, err := c.ChangedSince(t.Context(), since, 0)
	if err != nil || next != 2 || !upTo.Equal(time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)) || len(changes) != 2 {
		t.Fatalf("got %d changes, next %d, up to %v, %v", len(changes), next, upTo, err)
	}
	first := changes[0]
	if !strings.HasPrefix(first.EventID, "read/") || first.EventID == changes[1].EventID {
		t.Errorf("event ids %q and %q", first.EventID, changes[1].EventID)
	}
	first.EventID, first.Values = "", nil
	want := contact.Change{System: contact.Aloware, ID: "5", Event: contact.Snapshot, OccurredAt: ms("2026-03-05 11:30:00"), Precision: 999,
		ReceivedAt: contact.Millis(received.UnixMilli()), Channel: contact.Poll,
		Counters: &contact.Counters{InboundCalls: 3, OutboundCalls: -1, InboundTexts: -1, OutboundTexts: 4}}
	if changes[1].Counters != nil {
		t.Errorf("a contact without counters tells %+v", changes[1].Counters)
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
	if changes, next, _, err = c.ChangedSince(t.Context(), time.Time{}, 2); err != nil || next != 0 || len(changes) != 0 {
		t.Errorf("last page: %d changes, next %d, %v", len(changes), next, err)
	}
	if _, _, _, err = c.ChangedSince(t.Context(), time.Time{}, 1); fault.As(err).Reason != aloware.Malformed {
		t.Errorf("no list: %v", err)
	}
	if _, _, _, err = play(t, aloware.Documented, &budget{}).ChangedSince(t.Context(), since, 1); !errors.Is(err, aloware.ErrNotCapable) {
		t.Errorf("documented: %v", err)
	}
}
