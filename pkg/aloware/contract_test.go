package aloware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/aloware/alowaresim"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// account is a simulated Aloware on a real socket, with a receiver of webhooks.
type account struct {
	url       string
	client    *aloware.Client
	dest      *aloware.Destination
	delivered chan []byte
}

const hookToken = "t0ken"

func open(t *testing.T, profile aloware.Profile, change func(*alowaresim.Config)) *account {
	t.Helper()
	a := &account{delivered: make(chan []byte, 100)}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := aloware.Authorize(r.Header.Get("Authorization"), aloware.Credential{Scheme: aloware.Bearer, Token: hookToken}); err != nil {
			t.Error(err)
		}
		a.delivered <- raw
	}))
	t.Cleanup(receiver.Close)
	cfg := alowaresim.Config{
		Token: token, Profile: string(profile), Rate: -1, Latency: -1, TimeScale: 0.001,
		Webhooks: []alowaresim.Webhook{{URL: receiver.URL, Auth: "bearer", Token: hookToken}},
	}
	if change != nil {
		change(&cfg)
	}
	sim, err := alowaresim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- sim.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		server.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	a.url = server.URL
	a.client, err = aloware.NewClient(aloware.ClientConfig{BaseURL: server.URL, Token: token, Profile: profile, Budget: &budget{}})
	if err != nil {
		t.Fatal(err)
	}
	a.dest = aloware.NewDestination(a.client, aloware.Options{})
	return a
}

// control makes a control call of the simulator.
func (a *account) control(t *testing.T, path, body string) {
	t.Helper()
	answer, err := http.Post(a.url+"/_sim/"+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if raw, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, raw)
	}
}

// next is the next delivery, decoded.
func (a *account) next(t *testing.T) aloware.Webhook {
	t.Helper()
	select {
	case raw := <-a.delivered:
		w, err := aloware.DecodeWebhook(raw, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return w
	case <-time.After(10 * time.Second):
		t.Fatal("no webhook came")
		return aloware.Webhook{}
	}
}

func (a *account) deliver(t *testing.T, p contact.Patch) contact.Outcome {
	t.Helper()
	p.Contact, p.Version = "hubspot:501", 1
	got := a.dest.Deliver(t.Context(), []contact.Patch{p})[0]
	if got.Err != nil {
		t.Fatal(got.Err)
	}
	return got.Outcome
}

func reasons(o contact.Outcome) map[string]string {
	m := map[string]string{}
	for _, p := range o.Properties {
		if p.Refusal != nil {
			m[p.Name] = p.Refusal.Reason
		}
	}
	return m
}

var properties = []contact.Property{
	of("phone_number", contact.Phone, phone), of("email", contact.Email, "mira@okafor.example"), of("user_id", contact.User, "1202"),
	of("disposition_status_id", contact.Option, "5503"), of("lifecycle_stage", contact.Option, "lead"), text("first_name", "Mira"), text("last_name", "Okafor"),
	text("company_name", "Okafor Tiles"), text("address", "8 Quay Lane"), text("city", "Chicago"), text("state", "IL"), text("country", "US"),
	text("zipcode", "60601"), text("website", "https://okafor.example"), of("date_of_birth", contact.Date, "1979-11-30"),
	of("timezone", contact.Option, "America/Chicago"), text("lead_source", "Fair"), text("csf1", "tile"), text("csf2", ""),
	of("tcpa_approved", contact.Checkbox, "true"), text("aloware_contact_id", "1"), of("dnc", contact.Checkbox, "true"),
	of("plan_tier", contact.Option, "plus"), of("renewal_date", contact.Date, "2027-01-31"), of("seat_count", contact.Number, "12.5"), text("remarks", "Née Öz"),
}

// refusals are what a connection cannot write of the properties.
func refusals(profile aloware.Profile) map[string]string {
	m := map[string]string{"tcpa_approved": aloware.NotCapable, "aloware_contact_id": aloware.NotCapable}
	if profile == aloware.Documented {
		for _, name := range []string{"lifecycle_stage", "plan_tier", "renewal_date", "seat_count", "remarks"} {
			m[name] = aloware.NotCapable
		}
	}
	return m
}

// The contract of the adapter with Aloware, in both profiles, with shapes as
// unreliable as the real ones.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, profile := range []aloware.Profile{aloware.Documented, aloware.Full} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			full := profile == aloware.Full
			a := open(t, profile, nil)
			create := &contact.Create{Phones: []string{phone}, Email: "mira@okafor.example", MayCreate: true}
			only := &contact.Create{Phones: []string{phone}, Email: "mira@okafor.example"}

			if o := a.deliver(t, contact.Patch{Create: only, Properties: properties[:1]}); o.Result != contact.Absent {
				t.Fatalf("before: %+v", o)
			}
			made := a.deliver(t, contact.Patch{Create: create, Properties: properties})
			if made.Result != contact.Made || made.TargetID == "" {
				t.Fatalf("create: %+v", made)
			}
			if diff := cmp.Diff(refusals(profile), reasons(made)); diff != "" {
				t.Errorf("create: refused (-want +got):\n%s", diff)
			}
			held := pairs(t, made.Holds)
			for _, p := range made.Properties {
				kind := properties[slices.IndexFunc(properties, func(q contact.Property) bool { return q.Name == p.Name })].Type
				if got, err := contact.Canonical(kind, held[p.Name], "US"); p.Refusal == nil && (err != nil || got != p.Value) {
					t.Errorf("%s holds %q, want %q", p.Name, held[p.Name], p.Value)
				}
			}

			first := a.next(t)
			if first.Event != "Contact-Created" || len(first.Changes) != 1 || first.Changes[0].Event != contact.Created || first.Changes[0].ID != made.TargetID {
				t.Fatalf("webhook: %+v", first)
			}
			if !full { // the profile full writes once more after it
				if diff := cmp.Diff(held, pairs(t, first.Changes[0].Values)); diff != "" {
					t.Errorf("webhook and read differ (-read +webhook):\n%s", diff)
				}
			}
			if at := first.Changes[0].OccurredAt; made.AppliedAt < at || made.AppliedAt > at+2000 {
				t.Errorf("made at %d, told of at %d", made.AppliedAt, at)
			}
			if made.ClockAt < made.AppliedAt {
				t.Errorf("made at %d, answered at %d by Aloware's clock", made.AppliedAt, made.ClockAt)
			}

			again := a.deliver(t, contact.Patch{Create: create, Properties: []contact.Property{text("csf2", "new")}})
			if again.Result != contact.Written || again.TargetID != made.TargetID || len(reasons(again)) != 0 || len(again.Holds) == 0 {
				t.Errorf("create again: %+v", again)
			}
			update := contact.Patch{TargetID: made.TargetID, Create: only}
			fetch := func() map[string]string {
				t.Helper()
				o := a.deliver(t, contact.Patch{TargetID: made.TargetID, Create: only, Fetch: &contact.Fetch{}})
				if o.Result != contact.Fetched || o.TargetID != made.TargetID {
					t.Fatalf("fetch: %+v", o)
				}
				return pairs(t, o.Holds)
			}
			update.Properties = []contact.Property{text("csf1", ""), text("first_name", "Mirabel"), of("disposition_status_id", contact.Option, "1"),
				of("email", contact.Email, "no mail"), text("address", "9 Quay Lane"), of("dnc", contact.Checkbox, "false")}
			wrote := a.deliver(t, update)
			want := map[string]string{"disposition_status_id": aloware.InvalidOption, "email": aloware.InvalidValue}
			clear, csf1 := "", ""
			if !full {
				want["csf1"], csf1 = aloware.NotCapable, "tile"
			}
			if diff := cmp.Diff(want, reasons(wrote)); diff != "" || wrote.Result != contact.Written {
				t.Errorf("update: result %d, refused (-want +got):\n%s", wrote.Result, diff)
			}
			now := fetch()
			for name, value := range map[string]string{"first_name": "Mirabel", "address": "9 Quay Lane", "csf1": csf1, "csf2": "new", "dnc": "false",
				"email": "mira@okafor.example", "disposition_status_id": "5503"} {
				if now[name] != value {
					t.Errorf("after the update %s holds %q, want %q", name, now[name], value)
				}
			}

			a.control(t, "edit", `{"phone_number":"`+other+`","first_name":"Someone"}`)
			update.Properties = []contact.Property{of("phone_number", contact.Phone, other), of("user_id", contact.User, clear), text("city", "Gary")}
			want = map[string]string{"phone_number": aloware.PhoneTaken}
			if !full {
				want = map[string]string{"phone_number": aloware.NotCapable, "user_id": aloware.NotCapable}
			}
			if diff := cmp.Diff(want, reasons(a.deliver(t, update))); diff != "" {
				t.Errorf("taken number: refused (-want +got):\n%s", diff)
			}
			if now = fetch(); now["city"] != "Gary" || now["phone_number"] != phone {
				t.Errorf("after the taken number: %v", now)
			}

			conflict := a.deliver(t, contact.Patch{Create: &contact.Create{Phones: []string{phone, other}}})
			if conflict.Result != contact.Conflict || len(conflict.Candidates) != 2 || conflict.Candidates[0] != made.TargetID {
				t.Errorf("two contacts: %+v", conflict)
			}
			a.control(t, "delete", `{"id":`+made.TargetID+`}`)
			if o := a.deliver(t, update); o.Result != contact.Gone && full || o.Result != contact.Rejected && !full {
				t.Errorf("deleted: %+v", o)
			}
			update.Properties = []contact.Property{text("city", "Gary")}
			if o := a.deliver(t, update); o.Result != contact.Gone {
				t.Errorf("deleted: %+v", o)
			}
		})
	}
}

func TestAContactThatIsFoundIsReadInsteadOfWrittenWhereAReadIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, profile := range []aloware.Profile{aloware.Documented, aloware.Full} {
		a := open(t, profile, func(c *alowaresim.Config) { c.Webhooks = nil })
		patch := contact.Patch{
			Create: &contact.Create{Phones: []string{phone}, MayCreate: true}, Fetch: &contact.Fetch{},
			Properties: []contact.Property{text("first_name", "Mira")},
		}
		made := a.deliver(t, patch)
		if made.Result != contact.Made || len(made.Properties) != 1 {
			t.Fatalf("%s: made: %+v", profile, made)
		}
		patch.Properties = []contact.Property{text("first_name", "Other"), text("csf1", "x")}
		found := a.deliver(t, patch)
		holds := map[string]string{}
		for _, v := range found.Holds {
			holds[v.Name] = v.Text
		}
		if found.Result != contact.Fetched || found.TargetID != made.TargetID || len(found.Properties) != 0 || holds["first_name"] != "Mira" || holds["csf1"] != "" {
			t.Errorf("%s: found: %+v", profile, found)
		}
	}
}

func TestContractOfFullOnly(t *testing.T) {
	t.Parallel()
	a := open(t, aloware.Full, func(c *alowaresim.Config) { c.Webhooks = nil })
	made := a.deliver(t, contact.Patch{Create: &contact.Create{Phones: []string{phone}, MayCreate: true}})
	moved := a.deliver(t, contact.Patch{TargetID: made.TargetID, Properties: []contact.Property{of("phone_number", contact.Phone, other)}})
	if len(reasons(moved)) != 0 || len(moved.Holds) != 0 {
		t.Errorf("new number: %+v", moved)
	}
	if o := a.deliver(t, contact.Patch{Create: &contact.Create{Phones: []string{other}}}); o.TargetID != made.TargetID {
		t.Errorf("found under the new number: %+v", o)
	}
	a.control(t, "load", `{"contacts":450,"seed":1}`)
	ids := map[string]bool{}
	for page := 1; page != 0; {
		changes, next, upTo, err := a.client.ChangedSince(t.Context(), time.Time{}, page)
		if err != nil || time.Since(upTo).Abs() > time.Minute {
			t.Fatalf("page %d up to %v: %v", page, upTo, err)
		}
		for _, c := range changes {
			ids[c.ID] = true
		}
		page = next
	}
	if len(ids) != 451 {
		t.Errorf("the walk found %d contacts, want 451", len(ids))
	}
	if changes, _, _, err := a.client.ChangedSince(t.Context(), time.Now().Add(time.Hour), 1); err != nil || len(changes) != 0 {
		t.Errorf("changed in the future: %d, %v", len(changes), err)
	}

	list, err := a.client.Dispositions(t.Context())
	if err != nil || len(list.Entries) != 8 || list.Entries[1].Match != "OPEN" {
		t.Errorf("dispositions: %+v, %v", list, err)
	}
	list, err = a.client.ReplaceDispositions(t.Context(), []aloware.Choice{{Value: "OPEN", Label: "Open"}, {Value: "HOT", Label: "Hot"}})
	matched := 0
	for _, e := range list.Entries {
		if e.Match != "" {
			matched++
		}
	}
	if err != nil || len(list.Entries) != 9 || matched != 2 {
		t.Errorf("replaced: %+v, %v", list, err)
	}
	if list, err = a.client.ReplaceCallDispositions(t.Context(), nil); err != nil || len(list.Entries) != 6 {
		t.Errorf("call dispositions: %+v, %v", list, err)
	}
	if list, err = a.client.CallDispositions(t.Context()); err != nil || len(list.Entries) != 6 {
		t.Errorf("call dispositions: %+v, %v", list, err)
	}
	if list, err = a.client.Users(t.Context()); err != nil || len(list.Entries) != 4 || list.Entries[3].Active {
		t.Errorf("users: %+v, %v", list, err)
	}
}

func TestContractOfCommunications(t *testing.T) {
	t.Parallel()
	a := open(t, aloware.Documented, nil)
	made := a.deliver(t, contact.Patch{Create: &contact.Create{Phones: []string{phone}, MayCreate: true}})
	a.next(t) // created
	a.control(t, "webhooks/test", ``)
	if w := a.next(t); !w.Test {
		t.Errorf("test: %+v", w)
	}
	a.control(t, "communications", `{"contact_id":`+made.TargetID+`,"kind":"sms","direction":"inbound","body":"Hello","at":"2026-08-06 02:00:00"}`)
	w := a.next(t)
	if len(w.Communications) != 1 || len(w.Changes) != 1 {
		t.Fatalf("text: %+v", w)
	}
	c := w.Communications[0]
	if !c.Text || !c.Inbound || !c.Finished || c.Body != "Hello" || c.ContactID != made.TargetID || c.StartedAt != ms("2026-08-06 02:00:00") || c.Counters != (contact.Counters{InboundTexts: 1}) {
		t.Errorf("text: %+v", c)
	}
	if got := pairs(t, w.Changes[0].Values)["incoming_number"]; got != "+12025550101" {
		t.Errorf("incoming number %q", got)
	}

	a.control(t, "communications", `{"contact_id":`+made.TargetID+`,"kind":"call","direction":"outbound","disposition":"Busy"}`)
	var seen []string
	for len(seen) < 7 { // six of the call, and the owner that it got
		w := a.next(t)
		seen = append(seen, w.Event)
		for _, c := range w.Communications {
			start := w.Event == "OutboundPhoneCall"
			if c.Text || c.Inbound || c.Finished == start || (c.Disposition == "Busy") == start || c.Counters.OutboundCalls < 0 {
				t.Errorf("%s: %+v", w.Event, c)
			}
		}
		if strings.HasPrefix(w.Event, "Outbound") && len(w.Communications) != 1 || len(w.Changes) != 1 {
			t.Errorf("%s: %d communications, %d changes", w.Event, len(w.Communications), len(w.Changes))
		}
	}
	slices.Sort(seen)
	want := []string{"Call-Disposed", "Contact-Updated", "OutboundPhoneCall", "OutboundPhoneCall-DispositionCompleted", "Recording-Saved",
		"transcription.call.summarized", "transcription.open_search.saved"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestContractOfRefusals(t *testing.T) {
	t.Parallel()
	deliver := func(a *account, c *aloware.Client) contact.Delivery {
		return aloware.NewDestination(c, aloware.Options{}).Deliver(t.Context(), []contact.Patch{{TargetID: "1", Create: find, Properties: []contact.Property{text("csf1", "x")}}})[0]
	}
	for _, answer := range []string{"json", "html"} {
		for _, profile := range []aloware.Profile{aloware.Documented, aloware.Full} {
			a := open(t, profile, func(c *alowaresim.Config) {
				s := alowaresim.DefaultSwitches()
				s.BadToken = answer
				c.Switches = &s
			})
			c, err := aloware.NewClient(aloware.ClientConfig{BaseURL: a.url, Token: "stale", Profile: profile, Budget: &budget{}})
			if err != nil {
				t.Fatal(err)
			}
			if got := deliver(a, c); !fault.Is(got.Err, fault.Unauthorized) {
				t.Errorf("wrong token, %s, %s: %+v", answer, profile, got)
			}
		}
	}
	a := open(t, aloware.Documented, nil)
	c, err := aloware.NewClient(aloware.ClientConfig{BaseURL: a.url, Token: token, Profile: aloware.Full, Budget: &budget{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := deliver(a, c); got.Err != nil || got.Outcome.Result != contact.Rejected || got.Outcome.Refusal.Reason != aloware.NotCapable {
		t.Errorf("full where the account is not: %+v", got)
	}
	b := &budget{}
	a = open(t, aloware.Documented, func(c *alowaresim.Config) { c.Rate, c.Burst = 0.5, 1 })
	if c, err = aloware.NewClient(aloware.ClientConfig{BaseURL: a.url, Token: token, Budget: b}); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Users(t.Context())
	if got := deliver(a, c); !fault.Is(got.Err, fault.Throttled) || fault.As(got.Err).Wait <= 0 {
		t.Errorf("throttled: %+v", got)
	}
	if fmt.Sprint(b.answers[0]) == fmt.Sprint(b.answers[1]) || !b.answers[1].Throttled {
		t.Errorf("the budget was told %+v", b.answers)
	}
}
