package mapper_test

import (
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

func erased(id string, at contact.Millis) contact.Incoming {
	return contact.Incoming{Change: &contact.Change{System: contact.HubSpot, ID: id, Event: contact.Erased, Channel: contact.Webhook, OccurredAt: at}}
}

// nobody fails where anything is known of an id or a number.
func (e *env) nobody(system contact.System, id, phone string) {
	e.t.Helper()
	if e.card(contact.NewKey(system, id)) != nil {
		e.t.Errorf("there is a card of %s %s", system, id)
	}
	kind := postgres.RefHubSpot
	if system == contact.Aloware {
		kind = postgres.RefAloware
	}
	refs := []postgres.Ref{{Tenant: acme, Kind: kind, Value: id}, {Tenant: acme, Kind: postgres.RefPhone, Value: phone}}
	if found, err := e.db.ContactKeys(e.t.Context(), refs); err != nil || len(found) > 0 {
		e.t.Errorf("references are %v, %v", found, err)
	}
}

// TestARecordMadeDuringTheErasureIsForgotten too, whichever is heard first: our
// call's answer, or what Aloware tells of the contact that it made.
func TestARecordMadeDuringTheErasureIsForgotten(t *testing.T) {
	t.Parallel()
	ofAloware := func() contact.Incoming {
		return snapshot(contact.Aloware, "9", 3000, "first_name", "Zeb", "phone_number", number)
	}
	for name, say := range map[string]func(e *env, answer contact.Incoming){
		"the answer first": func(e *env, answer contact.Incoming) {
			e.say(erased("501", 2000))
			e.say(answer)
			e.say(ofAloware(), text("1", "xylophone"))
		},
		"all in one message": func(e *env, answer contact.Incoming) { e.say(erased("501", 2000), ofAloware(), answer) },
		"Aloware first": func(e *env, answer contact.Incoming) {
			e.say(erased("501", 2000))
			e.say(ofAloware(), text("1", "xylophone"))
			e.nobody(contact.Aloware, "9", number)
			e.say(answer)
		},
		"the answer is lost": func(e *env, _ contact.Incoming) {
			e.say(erased("501", 2000))
			e.say(ofAloware())
			e.say(snapshot(contact.Aloware, "9", 4000, "first_name", "Zeb", "phone_number", other), text("1", "xylophone"))
			e.nobody(contact.Aloware, "9", other)
		},
		"one with another number is found": func(e *env, answer contact.Incoming) {
			e.say(snapshot(contact.Aloware, "9", 1500, "first_name", "Zeb", "phone_number", other))
			e.say(erased("501", 2000))
			e.say(answer)
			e.nobody(contact.Aloware, "9", other)
			e.say(text("1", "xylophone"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "Zebulon", "phone", number))
			say(e, made(e.newest(contact.Aloware, "hubspot:501"), contact.Made, "9", 2500))
			e.nobody(contact.Aloware, "9", number)
			e.nobody(contact.HubSpot, "501", number)
			for _, p := range e.patches(contact.HubSpot) {
				if p.Create != nil && p.Create.MayCreate && len(p.Create.Phones) > 0 && p.Create.Phones[0] == number {
					t.Errorf("somebody erased is to be made in HubSpot: %+v", p)
				}
			}
		})
	}
}

// TestOnlyPeopleBringSomebodyErasedBack into HubSpot: a new contact in Aloware
// with that number is looked for and not made, and linked once it is there.
func TestOnlyPeopleBringSomebodyErasedBack(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "Zebulon", "phone", number))
	e.say(made(e.newest(contact.Aloware, "hubspot:501"), contact.Made, "9", 1500))
	e.say(erased("501", 2000))
	e.say(snapshot(contact.Aloware, "10", 9000, "first_name", "Zeb", "phone_number", number))
	search := e.newest(contact.HubSpot, "aloware:10")
	if search.Create == nil || search.Create.MayCreate {
		t.Fatalf("the patch for HubSpot is %+v, want one that only looks for the contact", search)
	}
	e.say(made(search, contact.Absent, "", 0))
	if p := e.problems(); len(p) != 1 || p[0].Kind != contact.ProblemAbsent || !strings.Contains(p[0].Message, "was erased") {
		t.Errorf("problems are %+v, want that somebody with this number was erased", p)
	}
	e.say(snapshot(contact.HubSpot, "601", 9500, "firstname", "Zebulon", "phone", number))
	card := e.card("aloware:10")
	if card == nil {
		card = e.mustCard("hubspot:601")
	}
	if card.Sides[0].ID != "601" || card.Sides[1].ID != "10" {
		t.Errorf("who was made in HubSpot by hand is not linked: %+v", card.Sides)
	}
	if p := e.problems(); len(p) > 0 {
		t.Errorf("problems are %+v after the person is back", p)
	}
}
