package mapper_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
)

func text(id, body string) contact.Incoming {
	return contact.Incoming{Communication: &contact.Communication{
		ID: id, ContactID: "9", Text: true, Inbound: true, Body: body, StartedAt: 2500, UpdatedAt: 2500, Finished: true, Counters: contact.UnknownCounters,
	}}
}

// TestAnErasedPersonLeavesNothing: not under a former key, not in the dead
// letters, and no late event brings anything back.
func TestAnErasedPersonLeavesNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "Zebulon", "email", "z@example.com", "phone", number))
	e.say(snapshot(contact.Aloware, "9", 2000, "first_name", "Zeb", "phone_number", number)) // joined: one key is a former one
	e.say(text("1", "xylophone"), snapshot(contact.HubSpot, "600", 2000, "firstname", "Other", "phone", other))
	survivor := contact.Key("aloware:9")
	former := contact.Key("hubspot:501")
	if e.card(survivor) == nil {
		survivor, former = former, survivor
	}
	if got := e.mustCard(survivor); got.Sides[0].ID != "501" || got.Sides[1].ID != "9" {
		t.Fatalf("the card is %+v", got.Sides)
	}
	e.deadLetter(bus.Changes)
	e.deadLetter(bus.Patches)

	e.say(contact.Incoming{Change: &contact.Change{System: contact.HubSpot, ID: "501", Event: contact.Erased, Channel: contact.Webhook, OccurredAt: 9000}})
	nothing := func(when string) {
		t.Helper()
		if e.card(survivor) != nil || e.card(former) != nil {
			t.Errorf("%s there is a card", when)
		}
		for _, key := range []contact.Key{survivor, former} {
			if history, err := e.db.History(t.Context(), acme, key, "", 0, 10); err != nil || len(history) > 0 {
				t.Errorf("%s %s has the history %+v, %v", when, key, history, err)
			}
		}
		refs := []postgres.Ref{
			{Tenant: acme, Kind: postgres.RefHubSpot, Value: "501"}, {Tenant: acme, Kind: postgres.RefAloware, Value: "9"},
			{Tenant: acme, Kind: postgres.RefPhone, Value: number}, {Tenant: acme, Kind: postgres.RefEmail, Value: "z@example.com"},
			{Tenant: acme, Kind: postgres.RefKey, Value: string(former)},
		}
		if found, err := e.db.ContactKeys(t.Context(), refs); err != nil || len(found) > 0 {
			t.Errorf("%s references are %v, %v", when, found, err)
		}
		if counted, err := e.db.CountedCommunications(t.Context(), []postgres.CommunicationID{{Tenant: acme, ID: "1"}}); err != nil || len(counted) > 0 {
			t.Errorf("%s the text is still counted: %v, %v", when, counted, err)
		}
		if named, err := e.db.ContactsNamed(t.Context(), acme, "ze", 10); err != nil || len(named) > 0 {
			t.Errorf("%s the name finds %v, %v", when, named, err)
		}
	}
	nothing("after the erasure")
	others := 0
	letters, err := e.bus.DeadLetters(t.Context(), bus.LetterFilter{Tenant: acme}, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		for i := range l.Delivery.Incoming {
			if m := l.Delivery.Incoming[i].Mention(); slices.Contains(m.IDs, contact.ID{System: contact.HubSpot, ID: "600"}) {
				others++
			} else {
				t.Errorf("a dead letter is about %+v", m)
			}
		}
		for i := range l.Delivery.Patches {
			if key := l.Delivery.Patches[i].Contact; key == survivor || key == former {
				t.Errorf("a dead letter holds a patch of %s", key)
			}
		}
	}
	if others != 1 {
		t.Errorf("the dead letters hold %d events of the other contact, want 1", others)
	}
	for _, system := range contact.Systems {
		for _, key := range []contact.Key{survivor, former} {
			patches := of(e.patches(system), key)
			if n := len(patches); n == 0 || !patches[n-1].Forget {
				t.Errorf("the last patch of %s for %s is not to forget it: %+v", key, system, patches)
			}
		}
	}
	e.say(
		snapshot(contact.HubSpot, "501", 9500, "firstname", "Zebulon", "phone", number),
		snapshot(contact.Aloware, "9", 9500, "first_name", "Zeb", "phone_number", number),
		text("2", "late"),
		made(contact.Patch{System: contact.HubSpot, Contact: survivor, Version: 1, Properties: []contact.Property{{Name: "firstname", Value: "Zebulon", Version: 1}}}, contact.Written, "501", 9600),
		contact.Incoming{Change: &contact.Change{System: contact.HubSpot, ID: "501", Event: contact.Erased, Channel: contact.Webhook, OccurredAt: 9700}},
	)
	nothing("after late events")
	if e.card("hubspot:600") == nil {
		t.Error("the other contact is gone too")
	}
}

// TestSomebodyUnknownIsErasedAhead of the first event that tells of them.
func TestSomebodyUnknownIsErasedAhead(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.say(contact.Incoming{Change: &contact.Change{System: contact.HubSpot, ID: "501", Event: contact.Erased, Channel: contact.Read, OccurredAt: 1}})
	e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "Zebulon", "phone", number))
	if e.card("hubspot:501") != nil || len(e.patches(contact.Aloware)) != len(of(e.patches(contact.Aloware), "hubspot:501")) || len(of(e.patches(contact.Aloware), "hubspot:501")) != 1 {
		t.Errorf("somebody erased ahead came in: %+v", e.patches(contact.Aloware))
	}
}

// deadLetter puts everything that a stream holds to the dead letters.
func (e *env) deadLetter(stream bus.Stream) {
	e.t.Helper()
	ctx := e.t.Context()
	last, _, err := e.bus.Last(ctx, stream, 0)
	if err != nil {
		e.t.Fatal(err)
	}
	reader, err := e.bus.Read(ctx, stream, 0, "test", 0)
	if err != nil {
		e.t.Fatal(err)
	}
	defer reader.Close()
	for seq := uint64(0); seq < last; {
		d, err := reader.Next(ctx)
		if err != nil {
			e.t.Fatal(err)
		}
		seq = d.Seq
		if err := e.bus.DeadLetter(ctx, "mapper", d, fault.New(fault.Refusal{Class: fault.Permanent, Reason: "TEST"})); err != nil {
			e.t.Fatal(err)
		}
	}
}

// TestWhatWaitedForAnOptionIsWritten when the option is there, and its problem
// goes by itself.
func TestWhatWaitedForAnOptionIsWritten(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	options := func(system contact.System, values ...string) contact.Incoming {
		list := contact.OptionList("hs_lead_status")
		if system == contact.Aloware {
			list = contact.OptionList("disposition_status_id")
		}
		d := &contact.Directory{System: system, List: list, ReadAt: contact.Millis(time.Now().UnixMilli())}
		for _, value := range values {
			d.Entries = append(d.Entries, contact.DirectoryEntry{Value: value, Match: value, Label: value, Active: true})
		}
		return contact.Incoming{Directory: d}
	}
	e.say(options(contact.HubSpot, "NEW", "WON"), options(contact.Aloware, "NEW"))
	e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "Ada", "phone", number))
	e.say(made(e.newest(contact.Aloware, "hubspot:501"), contact.Made, "9", 1500))
	e.say(contact.Incoming{Change: &contact.Change{
		System: contact.HubSpot, ID: "501", Event: contact.Changed, Channel: contact.Webhook, OccurredAt: 3000, Origin: contact.Others,
		Values: []contact.Value{{Name: "hs_lead_status", Text: "WON"}},
	}})
	problems := e.problems()
	if len(problems) != 1 || problems[0].Reason != "UNKNOWN_OPTION" || problems[0].Field != "contact_disposition_status" || !strings.Contains(problems[0].Message, "WON") {
		t.Fatalf("problems are %+v, want the unknown option", problems)
	}
	e.say(options(contact.Aloware, "NEW", "WON"))
	patch := e.newest(contact.Aloware, "hubspot:501")
	if len(patch.Properties) != 1 || patch.Properties[0].Value != "WON" {
		t.Errorf("the patch is %+v, want the option", patch)
	}
	if problems := e.problems(); len(problems) > 0 {
		t.Errorf("problems are %+v after the option came", problems)
	}
}

// TestARetrySendsAgainAndWakes what the writer has put off.
func TestARetrySendsAgainAndWakes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "Ada", "phone", number))
	first := e.newest(contact.Aloware, "hubspot:501")
	refused := made(first, contact.Made, "9", 1500)
	for i := range refused.Outcome.Properties {
		if refused.Outcome.Properties[i].Name == "first_name" {
			refused.Outcome.Properties[i].Refusal = &fault.Refusal{Class: fault.Permanent, Reason: "TOO_SHORT", Message: "three letters are no name"}
		}
	}
	e.say(refused)
	if problems := e.problems(); len(problems) != 1 || problems[0].Message != "three letters are no name" || problems[0].Value != "Ada" {
		t.Fatalf("problems are %+v", problems)
	}
	e.say(contact.Incoming{Command: &contact.Command{Kind: contact.Retry, Contact: "hubspot:501", Fields: []string{"first_name"}, Author: "ada"}})
	patch := e.newest(contact.Aloware, "hubspot:501")
	if value, has := property(patch, "first_name"); !has || value != "Ada" || patch.Version <= first.Version {
		t.Errorf("after the retry the newest patch is %+v", patch)
	}
	if !slices.ContainsFunc(of(e.patches(contact.Aloware), "hubspot:501"), func(p contact.Patch) bool { return p.Wake }) {
		t.Error("the writer's row is not woken")
	}
	history, err := e.db.History(t.Context(), acme, "hubspot:501", "first_name", 0, 10)
	if err != nil || len(history) < 3 || history[0].Rule != "write" || history[1].Rule != "retried" || history[1].Reason != "ada" || history[2].Rule != "refused" {
		t.Errorf("the history is %+v, %v", history, err)
	}
}
