package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/services/console/inbox"
)

const acme contact.Tenant = "acme"

// env is the room with a bus and a database of its own.
type env struct {
	*inbox.Inbox
	t   *testing.T
	bus *bus.Bus
	db  *postgres.DB
}

func newEnv(t *testing.T) *env {
	e := &env{t: t, bus: bustest.New(t, bustest.Partitions(1)), db: dbtest.Open(t)}
	e.Inbox = inbox.New(inbox.Config{Bus: e.bus, DB: e.db})
	return e
}

// inTx stores what other services would have stored.
func (e *env) inTx(f func(ctx context.Context, tx *postgres.Tx) error) {
	e.t.Helper()
	if err := e.db.InTx(e.t.Context(), func(tx *postgres.Tx) error { return f(e.t.Context(), tx) }); err != nil {
		e.t.Fatal(err)
	}
}

// read gives what a stream holds, decoded.
func (e *env) read(stream bus.Stream) []bus.Delivery {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	last, _, err := e.bus.Last(ctx, stream, 0)
	if err != nil {
		e.t.Fatal(err)
	}
	if last == 0 {
		return nil
	}
	reader, err := e.bus.Read(ctx, stream, 0, "test", 0)
	if err != nil {
		e.t.Fatal(err)
	}
	defer reader.Close()
	var all []bus.Delivery
	for len(all) == 0 || all[len(all)-1].Seq < last {
		d, err := reader.Next(ctx)
		if err != nil {
			e.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func problem(key contact.Key, field, reason string) postgres.ProblemRow {
	return postgres.ProblemRow{
		Tenant: acme, Contact: key, Field: field, System: contact.HubSpot, Kind: contact.ProblemRefused, Class: "permanent", Reason: reason,
		Message: "words about " + string(key), Since: time.Now(),
	}
}

// TestARetryAsksForExactlyWhatWasChosen: one field, a group, or all, with what
// waits; a conflict is nobody's to try again. Every page is taken.
func TestARetryAsksForExactlyWhatWasChosen(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var rows []postgres.ProblemRow
	var tenants []contact.Tenant
	var keys []contact.Key
	for i := range 1200 {
		key := contact.Key(fmt.Sprintf("hubspot:%04d", i))
		tenants, keys = append(tenants, acme), append(keys, key)
		rows = append(rows, problem(key, "city", "TOO_LONG"))
		if i == 7 {
			rows = append(rows, problem(key, "email", "INVALID_EMAIL"), problem(key, "first_name", "TOO_LONG"))
			conflict := problem(key, "", "SEVERAL_CONTACTS")
			conflict.Kind = contact.ProblemConflict
			rows = append(rows, conflict)
		}
	}
	e.inTx(func(ctx context.Context, tx *postgres.Tx) error { return tx.SaveProblems(ctx, tenants, keys, rows) })
	e.inTx(func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AddLaneRows(ctx, contact.Aloware, []postgres.LaneRow{
			{Tenant: acme, Contact: "hubspot:waits", Attempts: 3, NextAt: time.Now().Add(time.Hour), Error: "transient 503", Patch: []byte{}},
			{Tenant: acme, Contact: "hubspot:due", Patch: []byte{}},
		})
	})
	groups, err := e.Groups(t.Context(), postgres.ProblemFilter{Tenant: acme})
	if err != nil || len(groups) != 5 || groups[0].Reason != "TOO_LONG" || groups[0].Field != "city" || groups[0].Contacts != 1200 || !strings.HasPrefix(groups[0].Example, "words about") {
		t.Fatalf("groups are %+v, %v", groups, err)
	}
	retry := func(f postgres.ProblemFilter) int {
		t.Helper()
		f.Tenant = acme
		n, err := e.Retry(t.Context(), f, "ada")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	commands := func(stream bus.Stream) (all []contact.Command) {
		for _, d := range e.read(stream) {
			for _, in := range d.Incoming {
				all = append(all, *in.Command)
			}
		}
		return all
	}
	if n := retry(postgres.ProblemFilter{Reason: "INVALID_EMAIL"}); n != 1 {
		t.Errorf("%d contacts are tried again, want 1", n)
	}
	got := commands(bus.Changes)
	if len(got) != 1 || got[0].Kind != contact.Retry || got[0].Contact != "hubspot:0007" || strings.Join(got[0].Fields, " ") != "email" || got[0].Author != "ada" || got[0].System != contact.HubSpot {
		t.Fatalf("commands are %+v", got)
	}
	if n := retry(postgres.ProblemFilter{Kind: inbox.Waiting}); n != 1 || commands(bus.Changes)[1].Contact != "hubspot:waits" {
		t.Errorf("%d waiting contacts are woken", n)
	}
	if n := retry(postgres.ProblemFilter{}); n != 1201 {
		t.Errorf("%d contacts are tried again, want all 1201", n)
	}
	seen := map[contact.Key]int{}
	for _, c := range append(commands(bus.ChangesBulk), commands(bus.Changes)[2:]...) {
		seen[c.Contact]++
		if c.Contact == "hubspot:0007" && strings.Join(c.Fields, " ") != "city email first_name" {
			t.Errorf("the fields of one contact are %v", c.Fields)
		}
	}
	if len(seen) != 1201 || seen["hubspot:0007"] != 1 {
		t.Errorf("commands are for %d contacts", len(seen))
	}
	var refused *inbox.Error
	if _, err := e.Retry(t.Context(), postgres.ProblemFilter{Tenant: acme, Kind: contact.ProblemConflict}, "ada"); !errors.As(err, &refused) {
		t.Errorf("trying a conflict again gave %v", err)
	}
}

// TestProblemsArePagedThroughToWhatWaits.
func TestProblemsArePagedThroughToWhatWaits(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.inTx(func(ctx context.Context, tx *postgres.Tx) error {
		return tx.SaveProblems(ctx, []contact.Tenant{acme}, []contact.Key{"hubspot:1"}, []postgres.ProblemRow{problem("hubspot:1", "city", "A"), problem("hubspot:1", "email", "B"), problem("hubspot:1", "zip", "C")})
	})
	e.inTx(func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AddLaneRows(ctx, contact.HubSpot, []postgres.LaneRow{
			{Tenant: acme, Contact: "hubspot:0", Attempts: 1, Error: "transient 503", Patch: []byte{}}, {Tenant: acme, Contact: "hubspot:2", Attempts: 1, Error: "transient 503", Patch: []byte{}},
		})
	})
	var names []string
	var after postgres.ProblemRow
	for {
		page, err := e.Problems(t.Context(), postgres.ProblemFilter{Tenant: acme}, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page {
			names = append(names, string(p.Contact)+p.Field)
		}
		if len(page) < 2 {
			break
		}
		after = page[1].ProblemRow
	}
	if got := strings.Join(names, " "); got != "hubspot:1city hubspot:1email hubspot:1zip hubspot:0 hubspot:2" {
		t.Errorf("the pages hold %q", got)
	}
}

func change(id, name string) contact.Incoming {
	return contact.Incoming{Change: &contact.Change{
		System: contact.HubSpot, ID: id, EventID: "e" + id, Event: contact.Changed, Channel: contact.Webhook, OccurredAt: 1,
		Values: []contact.Value{{Name: "firstname", Text: name}},
	}}
}

// TestDeadLettersWithoutErasedPeople: they are neither shown nor put back.
func TestDeadLettersWithoutErasedPeople(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, run := range [][]contact.Incoming{{change("1", "Ada"), change("2", "Ben")}, {change("1", "Ada")}, {change("3", "Cy")}} {
		if err := e.bus.Publisher(bus.Changes, 0).Publish(t.Context(), bus.Message{Tenant: acme, Incoming: run}); err != nil {
			t.Fatal(err)
		}
	}
	before := e.read(bus.Changes)
	for i, d := range before {
		why := fault.Refusal{Class: fault.Permanent, Reason: "UNKNOWN_TENANT"}
		if i == 2 {
			why.Reason = "OTHER"
		}
		if err := e.bus.DeadLetter(t.Context(), "mapper", d, fault.New(why)); err != nil {
			t.Fatal(err)
		}
	}
	e.inTx(func(ctx context.Context, tx *postgres.Tx) error {
		return tx.ChangeRefs(ctx, []postgres.RefChange{{Ref: contact.ErasedRef(acme, contact.HubSpot, "1")}})
	})
	letters, next, err := e.Letters(t.Context(), bus.LetterFilter{Tenant: acme}, 0, 10)
	if err != nil || next != 0 || len(letters) != 2 {
		t.Fatalf("%d letters are shown, next %d, %v; want the two that are not about the erased person alone", len(letters), next, err)
	}
	if got := letters[0].Delivery.Incoming; len(got) != 1 || got[0].Change.ID != "2" {
		t.Errorf("the first shows %+v, want 2 alone", got)
	}
	var refused *inbox.Error
	if _, err := e.Replay(t.Context(), inbox.Selection{Tenant: acme}); !errors.As(err, &refused) {
		t.Errorf("replaying nothing in particular gave %v", err)
	}
	if _, err := e.Discard(t.Context(), inbox.Selection{Tenant: acme, Numbers: []uint64{99}}); !errors.As(err, &refused) || refused.Rule != "not_found" {
		t.Errorf("discarding what is not there gave %v", err)
	}
	if n, err := e.Replay(t.Context(), inbox.Selection{Tenant: acme, Kind: "permanent", Reason: letters[0].Reason}); err != nil || n != 1 {
		t.Fatalf("put back %d, %v", n, err)
	}
	after := e.read(bus.Changes)[len(before):]
	if len(after) != 1 || len(after[0].Incoming) != 1 || after[0].Incoming[0].Change.ID != "2" || after[0].Err != nil {
		t.Fatalf("put back are %+v, want the event of 2 alone", after)
	}
	if n, err := e.Discard(t.Context(), inbox.Selection{Tenant: acme, Numbers: []uint64{letters[1].Seq}}); err != nil || n != 1 {
		t.Errorf("discarded %d, %v", n, err)
	}
	if left, _, err := e.Letters(t.Context(), bus.LetterFilter{Tenant: acme}, 0, 10); err != nil || len(left) != 0 {
		t.Errorf("left are %+v, %v", left, err)
	}
}
