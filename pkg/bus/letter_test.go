package bus_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

func named(id, text string) contact.Incoming {
	return contact.Incoming{Change: &contact.Change{
		System: contact.HubSpot, ID: id, EventID: "e-" + id + text, Event: contact.Changed, Channel: contact.Webhook, OccurredAt: 1,
		Values: []contact.Value{{Name: "firstname", Text: text}},
	}}
}

// putAside publishes messages and puts them to the dead letters, in reverse.
func putAside(t *testing.T, b *bus.Bus, runs ...[]contact.Incoming) {
	t.Helper()
	for _, run := range runs {
		publish(t, b, bus.Changes, bus.Message{Tenant: "acme", Incoming: run})
	}
	r := read(t, b, bus.Changes, 0)
	defer r.Close()
	var got []bus.Delivery
	for range runs {
		got = append(got, next(t, r))
	}
	slices.Reverse(got)
	for _, d := range got {
		if err := b.DeadLetter(within(t, 20*time.Second), "mapper", d, fault.New(fault.Refusal{Class: fault.Permanent, Reason: "UNKNOWN_TENANT"})); err != nil {
			t.Fatal(err)
		}
	}
}

func letters(t *testing.T, b *bus.Bus) []bus.Letter {
	t.Helper()
	got, err := b.DeadLetters(within(t, 20*time.Second), bus.LetterFilter{Tenant: "acme", Kind: "permanent"}, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestDeadLettersGoBackInOrderAndOnce, also where a first attempt broke off
// between putting one back and taking it out.
func TestDeadLettersGoBackInOrderAndOnce(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	putAside(t, e.Bus, []contact.Incoming{named("1", "a")}, []contact.Incoming{named("2", "b")}, []contact.Incoming{named("3", "c")})
	found := letters(t, e.Bus)
	if len(found) != 3 || found[0].Delivery.Incoming[0].Change.ID != "3" || found[0].Stage != "mapper" || !strings.Contains(found[0].Reason, "UNKNOWN_TENANT") {
		t.Fatalf("dead letters are %+v", found)
	}
	if err := e.Bus.Replay(within(t, 20*time.Second), found...); err != nil {
		t.Fatal(err)
	}
	// The same letters again, as one whose deletion had failed would see them.
	if err := e.Bus.Replay(within(t, 20*time.Second), found...); err != nil {
		t.Fatal(err)
	}
	if left := letters(t, e.Bus); len(left) != 0 {
		t.Errorf("%d dead letters are left", len(left))
	}
	publish(t, e.Bus, bus.Changes, bus.Message{Tenant: "acme", Incoming: []contact.Incoming{named("9", "end")}})
	r := read(t, e.Bus, bus.Changes, 0)
	defer r.Close()
	var order []string
	for len(order) == 0 || order[len(order)-1] != "9" {
		order = append(order, next(t, r).Incoming[0].Change.ID)
	}
	if got := strings.Join(order, ""); got != "1231239" {
		t.Errorf("the stream holds %s, want each put back once and in order: 1231239", got)
	}
}

// TestAPersonIsTakenOutOfTheDeadLetters: the others' events of the same
// message stay.
func TestAPersonIsTakenOutOfTheDeadLetters(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	putAside(t, e.Bus, []contact.Incoming{named("1", "Ada")}, []contact.Incoming{named("1", "Ada"), named("2", "Ben")}, []contact.Incoming{named("3", "Cy")})
	about := func(m contact.Mention) bool {
		return slices.Contains(m.IDs, contact.ID{System: contact.HubSpot, ID: "1"})
	}
	changed, err := e.Bus.RedactDeadLetters(within(t, 20*time.Second), "acme", about, []string{"Ada"})
	if err != nil || changed != 2 {
		t.Fatalf("changed %d letters, %v; want 2", changed, err)
	}
	var ids []string
	for _, l := range letters(t, e.Bus) {
		for _, in := range l.Delivery.Incoming {
			ids = append(ids, in.Change.ID)
		}
	}
	slices.Sort(ids)
	if got := strings.Join(ids, " "); got != "2 3" {
		t.Errorf("the dead letters are about %q, want 2 and 3", got)
	}
	if changed, err := e.Bus.RedactDeadLetters(within(t, 20*time.Second), "acme", about, []string{"Ada"}); err != nil || changed != 0 {
		t.Errorf("a second time changed %d, %v", changed, err)
	}
}
