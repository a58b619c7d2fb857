package alerts

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// TestARefusalIsTold once, with cause, contact and field, signed, and without
// anybody's values; once more when it is over; and never again by another
// console or after a restart.
func TestARefusalIsTold(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.maps(&mapping.Set{Mappings: []mapping.Mapping{{Key: "email", Aloware: "email", HubSpot: "email", Type: contact.Email, Direction: contact.Both}}})
	a, r := e.room(local), newReceiver(t)
	_, secret := e.webhook(a, r, TargetChange{Words: true})
	err := e.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		return tx.ChangeRefs(t.Context(), []postgres.RefChange{
			{Ref: postgres.Ref{Tenant: acme, Kind: postgres.RefHubSpot, Value: "501"}, Contact: "hubspot:501"},
			{Ref: postgres.Ref{Tenant: acme, Kind: postgres.RefAloware, Value: "48"}, Contact: "hubspot:501"},
			{Ref: postgres.Ref{Tenant: acme, Kind: postgres.RefEmail, Value: "private@example.com"}, Contact: "hubspot:501"},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := []contact.Key{"hubspot:501", "hubspot:502", "hubspot:503"}
	var rows []postgres.ProblemRow
	for i, key := range keys {
		row := refused(key)
		row.Since = time.Now().Add(time.Duration(i) * time.Millisecond)
		rows = append(rows, row)
	}
	e.problems(keys, rows...)
	if n := e.after(a, 0); n != 0 {
		t.Errorf("%d alerts at once, want none before the state has lasted", n)
	}
	if n := e.after(a, 31*time.Second); n != 1 {
		t.Fatalf("%d alerts, want 1", n)
	}
	e.send(a)
	got := r.take()
	if len(got) != 1 || len(got[0].Changes) != 1 {
		t.Fatalf("the webhook got %d messages: %+v", len(got), got)
	}
	m, c := got[0], got[0].Changes[0]
	check, err := standardwebhooks.NewWebhook(secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if err := check.Verify(m.body, m.header); err != nil {
		t.Errorf("the signature is not accepted: %v", err)
	}
	if err := check.Verify(append(m.body, ' '), m.header); err == nil {
		t.Error("the signature is accepted for another body")
	}
	if m.header.Get("Webhook-Id") != m.ID || m.Type != "alert" || m.Tenant != "acme" || m.TenantName != "Acme" || m.Link != "https://lockstep.example.com/tenants/acme/alerts" {
		t.Errorf("the message is %+v with the id %s", m.Message, m.header.Get("Webhook-Id"))
	}
	want := Change{
		Kind: "error", State: "open", Key: "refused/INVALID_EMAIL/hubspot/email", Since: c.Since, System: "hubspot", Contacts: 3,
		Text:  "HubSpot did not take Email of 3 contacts: an invalid e-mail address",
		Cause: c.Cause, Field: c.Field, Contact: c.Contact,
		Link: "https://lockstep.example.com/tenants/acme/errors/group?field=email&kind=refused&reason=INVALID_EMAIL&system=hubspot",
	}
	if c != want {
		t.Errorf("the change is %+v, want %+v", c, want)
	}
	if *c.Cause != (Cause{Code: "INVALID_EMAIL", Text: "An invalid e-mail address", Words: "Email address … is invalid"}) {
		t.Errorf("the cause is %+v", *c.Cause)
	}
	if *c.Field != (Field{Key: "email", Label: "Email", Aloware: "email", HubSpot: "email"}) {
		t.Errorf("the field is %+v", *c.Field)
	}
	if *c.Contact != (Person{Key: "hubspot:501", HubSpot: "501", Aloware: "48", Link: "https://lockstep.example.com/tenants/acme/contacts/hubspot:501"}) {
		t.Errorf("the contact is %+v", *c.Contact)
	}
	if strings.Contains(string(m.body), "nowhere") || strings.Contains(string(m.body), "private") {
		t.Errorf("a contact's value is told: %s", m.body)
	}

	again := e.room(local) // after a restart, or another console
	for range 5 {
		if n := e.after(again, time.Hour); n != 0 {
			t.Errorf("it is told %d times more", n)
		}
		e.send(again)
	}
	e.problems(keys[:1]) // one of three is over: the state is the same
	if n := e.after(again, time.Minute); n != 0 {
		t.Errorf("%d alerts while two contacts are left", n)
	}
	e.problems(keys)
	e.after(again, 0)
	if n := e.after(again, 31*time.Second); n != 1 {
		t.Errorf("%d alerts when all is well, want 1", n)
	}
	e.send(again)
	if got = r.take(); len(got) != 1 || len(got[0].Changes) != 1 || got[0].Changes[0].State != "resolved" || got[0].Changes[0].Key != c.Key || got[0].ID == m.ID {
		t.Errorf("after the end the webhook got %+v", got)
	}
	told, err := a.Recent(t.Context(), acme, 0, 10)
	if err != nil || len(told) != 2 || len(told[1].Deliveries) != 1 || told[1].Deliveries[0].State != postgres.AlertDelivered || !strings.HasPrefix(told[1].Deliveries[0].Answer, "200 OK in ") {
		t.Errorf("the list has %+v, %v", told, err)
	}
}

// TestEachKindIsTold: a connection, a lane, a mapping, a conflict and a
// question, each when it begins and when it ends.
func TestEachKindIsTold(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	set := &mapping.Set{Mappings: []mapping.Mapping{
		{Key: "email", Aloware: "email", HubSpot: "email", Type: contact.Email, Direction: contact.Both},
		{Key: "city", Aloware: "city", HubSpot: "city", Type: contact.Text, Direction: contact.Both},
	}}
	e.maps(set)
	a, r := e.room(local), newReceiver(t)
	e.webhook(a, r, TargetChange{})
	schema := func(names ...string) {
		t.Helper()
		var properties []mapping.Property
		for _, name := range names {
			properties = append(properties, mapping.Property{System: contact.HubSpot, Name: name, Label: name, Type: map[string]contact.Type{"email": contact.Email, "city": contact.Text}[name]})
		}
		if _, err := e.db.SaveProperties(t.Context(), acme, contact.HubSpot, properties); err != nil {
			t.Fatal(err)
		}
		if err := e.roster.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pause := func(until time.Duration) {
		t.Helper()
		if err := e.db.SavePause(t.Context(), postgres.Pause{Tenant: acme, System: contact.HubSpot, Until: time.Now().Add(until), Class: "transient", Reason: "503"}); err != nil {
			t.Fatal(err)
		}
	}
	state := func(of tenant.State) {
		t.Helper()
		changed := e.tenant()
		changed.Aloware.State = of
		e.save(changed)
	}
	conflict := postgres.ProblemRow{Contact: "hubspot:7", System: contact.Aloware, Kind: contact.ProblemConflict, Class: "permanent", Reason: "SEVERAL_CONTACTS", Message: "several: 1, 2"}
	second := conflict
	second.Contact = "hubspot:8"
	review := postgres.ProblemRow{Contact: "hubspot:9", Field: "city", System: contact.Aloware, Kind: contact.ProblemReview, Class: "permanent", Reason: "REVIEW", Message: `HubSpot holds "Rome"`}

	schema("email")
	pause(time.Hour)
	state(tenant.Unauthorized)
	e.problems([]contact.Key{"hubspot:7", "hubspot:8", "hubspot:9"}, conflict, second, review)
	told := func(what string, want ...string) {
		t.Helper()
		e.send(a)
		var got []string
		for _, m := range r.take() {
			for _, c := range m.Changes {
				got = append(got, c.State+" "+c.Text)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: told\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	e.after(a, 0)
	e.after(a, 31*time.Second)
	stopped, _ := e.roster.Tenant(acme)
	told("what lasts for half a minute",
		"open Aloware refuses the credentials: nothing is written or read there until somebody connects it again",
		"open The mapping of City rests: "+stopped.Mapping.ByKey("city").Stopped,
		"open Several contacts of Aloware could be this one, and somebody must choose",
		"open Several contacts of Aloware could be this one, and somebody must choose",
		"open City of a contact differs between HubSpot and Aloware, and somebody must say which value stands",
	)
	e.after(a, 5*time.Minute)
	e.send(a)
	lane := r.take()
	if len(lane) != 1 || len(lane[0].Changes) != 1 || !strings.HasPrefix(lane[0].Changes[0].Text, "Nothing was written to HubSpot for a while: it does not answer as it should (503). ") {
		t.Errorf("after five minutes it tells %+v", lane)
	}

	schema("email", "city")
	pause(-time.Second)
	state(tenant.Connected)
	e.problems([]contact.Key{"hubspot:8", "hubspot:9"})
	e.after(a, time.Minute)
	e.after(a, 31*time.Second)
	told("what is over, but for one of two conflicts",
		"resolved Aloware is connected again, and goes on where it was",
		"resolved Writing to HubSpot goes on",
		"resolved The mapping of City is at work again",
		"resolved Who this contact is in Aloware is settled",
		"resolved City: no more difference to decide",
	)
}

// TestManyAtOnceAreOneMessage, which is not too long for anybody; and a target
// is told of the kinds that it wants.
func TestManyAtOnceAreOneMessage(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r, picky := e.room(local), newReceiver(t), newReceiver(t)
	e.webhook(a, r, TargetChange{})
	e.webhook(a, picky, TargetChange{Kinds: []Kind{Connection, Lane}})
	var rows []postgres.ProblemRow
	for i := range 300 {
		row := refused("hubspot:1")
		row.Field = fmt.Sprintf("field_%03d", i)
		rows = append(rows, row)
	}
	e.problems([]contact.Key{"hubspot:1"}, rows...)
	e.after(a, 0)
	if n := e.after(a, 31*time.Second); n != 1 {
		t.Fatalf("300 groups are %d alerts, want 1", n)
	}
	e.send(a)
	got := r.take()
	if len(got) != 1 || len(got[0].Changes) != mostInWebhook || got[0].More != 300-mostInWebhook || !strings.HasPrefix(got[0].Text, "Acme: 300 things need a look, such as: ") {
		t.Errorf("%d messages came, the first with %d changes and %d more", len(got), len(got[0].Changes), got[0].More)
	}
	if got := picky.take(); len(got) != 0 {
		t.Errorf("who wants to hear of connections alone was told %d messages", len(got))
	}
	open, err := a.Open(t.Context(), acme)
	if err != nil || len(open) != 100 {
		t.Errorf("%d are shown as open, %v", len(open), err)
	}
}

// TestTwoConsolesTellOnce: while both look and deliver all the time, and
// one of them ends and begins again, each change is told once.
func TestTwoConsolesTellOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	quick := local
	quick.Hold = 100 * time.Millisecond
	console := func(ctx context.Context, running *sync.WaitGroup) {
		a := e.room(quick)
		a.every = 20 * time.Millisecond
		running.Go(func() {
			if err := a.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	r := newReceiver(t)
	e.webhook(e.room(quick), r, TargetChange{})
	ctx, cancel := context.WithCancel(t.Context())
	var running, passing sync.WaitGroup
	defer running.Wait()
	defer cancel()
	console(ctx, &running)
	const many = 30
	for i := range many {
		row := refused(contact.Key(fmt.Sprintf("hubspot:%d", i)))
		row.Reason = fmt.Sprintf("REASON_%02d", i)
		e.problems([]contact.Key{row.Contact}, row)
		if i%10 == 0 { // another one, which ends soon
			short, end := context.WithTimeout(ctx, time.Second)
			defer end()
			console(short, &passing)
		}
	}
	passing.Wait()
	told, ids := make(map[string]int), make(map[string]int)
	deadline := time.Now().Add(20 * time.Second)
	for len(told) < many && time.Now().Before(deadline) {
		for _, m := range r.take() {
			ids[m.ID]++
			for _, c := range m.Changes {
				told[c.State+" "+c.Key]++
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("the message %s came %d times", id, n)
		}
	}
	for key, n := range told {
		if n != 1 {
			t.Errorf("%s was told %d times", key, n)
		}
	}
	if len(told) != many {
		t.Errorf("%d changes were told, want %d", len(told), many)
	}
}

// TestErasedPeopleAreInNoAlert: neither in what was told nor in what waits, and
// what is over later does not name them.
func TestErasedPeopleAreInNoAlert(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r := e.room(local), newReceiver(t)
	e.webhook(a, r, TargetChange{Words: true})
	e.problems([]contact.Key{"hubspot:1"}, refused("hubspot:1"))
	e.after(a, 0)
	e.after(a, 31*time.Second)
	err := e.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		return tx.ChangeRefs(t.Context(), []postgres.RefChange{{Ref: contact.ErasedKey(acme, "hubspot:1")}})
	})
	if err != nil {
		t.Fatal(err)
	}
	named := func(when string) {
		t.Helper()
		told, err := a.Recent(t.Context(), acme, 0, 10)
		if err != nil || len(told) == 0 {
			t.Fatalf("%s: %+v, %v", when, told, err)
		}
		for _, one := range told {
			for _, c := range one.Changes {
				if c.Contact != "" || c.Detail.Words != "" {
					t.Errorf("%s the list still has %+v", when, c)
				}
			}
		}
	}
	named("at once")
	e.send(a)
	e.problems([]contact.Key{"hubspot:1"})
	e.after(a, 0)
	e.after(a, time.Minute)
	e.send(a)
	got := r.take()
	if len(got) != 2 {
		t.Fatalf("%d messages came, want two", len(got))
	}
	for _, m := range got {
		if strings.Contains(string(m.body), "hubspot:1") || m.Changes[0].Cause.Words != "" {
			t.Errorf("the erased person is in %s", m.body)
		}
	}
	named("afterwards")
}

// TestWhatSomebodyDismissedIsOver, and a dismissed problem is none to be told.
func TestWhatSomebodyDismissedIsOver(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r := e.room(local), newReceiver(t)
	e.webhook(a, r, TargetChange{})
	e.problems([]contact.Key{"hubspot:1"}, refused("hubspot:1"))
	e.after(a, 0)
	e.after(a, 31*time.Second)
	if _, err := e.db.Dismiss(t.Context(), postgres.ProblemFilter{Tenant: acme}, "ada", time.Now()); err != nil {
		t.Fatal(err)
	}
	e.after(a, 30*time.Second)
	e.after(a, 31*time.Second)
	e.send(a) // of one recipient, one after the other
	e.send(a)
	got := r.take()
	if len(got) != 2 || got[1].Changes[0].State != "resolved" || got[1].Changes[0].Ended != "dismissed" || !strings.Contains(got[1].Text, "dismissed by somebody") {
		t.Errorf("told %+v", got)
	}
	e.after(a, time.Hour)
	if n := e.after(a, time.Hour); n != 0 {
		t.Error("it is told again")
	}
}

// TestABurstIsTold while it waits for an answer, and no longer.
func TestABurstIsTold(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r := e.room(local), newReceiver(t)
	e.webhook(a, r, TargetChange{})
	if err := e.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		return tx.SaveHolds(t.Context(), []postgres.Hold{{Tenant: acme, ID: "h1", Field: "city", Into: contact.Aloware, Source: "IMPORT", Since: time.Now(), Passed: 20, Threshold: 20}})
	}); err != nil {
		t.Fatal(err)
	}
	told := func(what, want string) {
		t.Helper()
		e.after(a, 0)
		e.after(a, time.Minute+31*time.Second)
		e.send(a)
		messages := r.take()
		if len(messages) != 1 || len(messages[0].Changes) != 1 || !strings.HasPrefix(messages[0].Changes[0].State+" "+messages[0].Changes[0].Text, want) {
			t.Errorf("%s: told %+v, want %q", what, messages, want)
		}
	}
	told("it is held", "open City suddenly changes far more contacts than usual: it is held and not written in Aloware")
	if err := e.db.AnswerHold(t.Context(), acme, "h1", contact.AnswerDrop, "ann"); err != nil {
		t.Fatal(err)
	}
	told("it is answered", "resolved The burst of changes of City")
}

// TestAJobThatStopsIsTold when it has not got on for long, once more in no other
// words when it fails, and as over when another one of its kind was begun.
func TestAJobThatStopsIsTold(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r := e.room(local), newReceiver(t)
	e.webhook(a, r, TargetChange{})
	queue := func(id string, kind postgres.SyncKind) {
		t.Helper()
		if err := e.db.QueueSync(t.Context(), postgres.Sync{ID: id, Tenant: acme, Kind: kind, AskedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	step := func(id string, state postgres.SyncState, failures int, reason string) {
		t.Helper()
		claimed, err := e.db.ClaimSyncs(t.Context(), "test", time.Minute, 1)
		if err != nil || len(claimed) != 1 || claimed[0].ID != id {
			t.Fatalf("%v claimed, %v; want %s", claimed, err, id)
		}
		job := claimed[0]
		job.State, job.Failures, job.Error = state, failures, reason
		if _, _, err := e.db.SaveSync(t.Context(), "test", &job, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	told := func(what string, wait time.Duration, want ...string) {
		t.Helper()
		e.after(a, 0)
		e.after(a, wait)
		e.send(a)
		var got []string
		for _, m := range r.take() {
			for _, c := range m.Changes {
				got = append(got, c.State+" "+c.Text+" "+c.Link)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: told %q, want %q", what, got, want)
		}
	}
	queue("one", postgres.Reconcile)
	step("one", postgres.SyncRunning, 3, "ada@example.com is not there correlation 01a21880")
	told("it has tried in vain for a minute", time.Minute)
	told("it has tried in vain for long", 5*time.Minute,
		"open Reconciliation: the job has not got on for a while: … is not there. It is tried again by itself https://lockstep.example.com/tenants/acme/syncs/one")
	step("one", postgres.SyncFailed, 4, "no such tenant")
	told("it fails", 5*time.Minute)
	queue("two", postgres.FirstSync)
	step("two", postgres.SyncFailed, 1, "Aloware cannot list contacts")
	told("another one fails at once", 2*time.Minute, "open First sync: the job failed: Aloware cannot list contacts https://lockstep.example.com/tenants/acme/syncs/two")
	queue("three", postgres.Reconcile)
	step("three", postgres.SyncDone, 0, "")
	told("the next reconciliation works", 2*time.Minute,
		"resolved Reconciliation: the job goes on, has ended, or another one was begun https://lockstep.example.com/tenants/acme/syncs/one")
}
