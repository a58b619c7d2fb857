package mapper_test

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestEventsInFlightAreJudgedByTheVersionInForce when the mapper takes them,
// and not by the one that was in force when they happened.
func TestEventsInFlightAreJudgedByTheVersionInForce(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const at contact.Millis = 1_700_000_000_000
	e.say(snapshot(contact.HubSpot, "1", at, "phone", "+12025550142", "city", "Austin", "firstname", "Ann"))
	e.say(made(e.newest(contact.Aloware, "hubspot:1"), contact.Made, "2", at+1000))
	e.say(snapshot(contact.Aloware, "2", at+2000, "phone_number", "+12025550142", "city", "Austin", "first_name", "Ann"))
	e.stop()

	// In version 1 the city leads to Aloware, and the event would change nothing.
	e.publish(snapshot(contact.Aloware, "2", at+60_000, "phone_number", "+12025550142", "city", "Reno", "first_name", "Ann"))
	lead := contact.ToHubSpot
	next, err := e.set.Apply(mapping.Schema{}, mapping.SetFields{Key: "city", Direction: &lead})
	if err != nil {
		t.Fatal(err)
	}
	next.Version = e.set.Version + 1
	e.set = next
	e.start()
	e.applied()
	patch := e.newest(contact.HubSpot, "hubspot:1")
	if city, ok := property(patch, "city"); !ok || city != "Reno" || patch.MappingVersion != next.Version {
		t.Errorf("HubSpot gets %+v, want the city by version %d", patch, next.Version)
	}
	rows, err := e.db.History(t.Context(), acme, "hubspot:1", "city", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.Value == "Reno" && row.MappingVersion != next.Version {
			t.Errorf("the history has %+v, want version %d", row, next.Version)
		}
	}

	// What is under way to a property that is not mapped any more, when its
	// answer comes, tells nothing of the one that is mapped now.
	e.stop()
	other := "jobtitle"
	if next, err = e.set.Apply(mapping.Schema{}, mapping.SetFields{Key: "city", HubSpot: &other}); err != nil {
		t.Fatal(err)
	}
	next.Version = e.set.Version + 1
	e.set = next
	e.publish(made(patch, contact.Written, "1", at+61_000))
	e.start()
	e.applied()
	for _, f := range e.mustCard("hubspot:1").Fields {
		if f.Key == "city" && (f.Sides[0].Known || f.Sides[0].Property != other || f.Sides[1].Value != "Reno") {
			t.Errorf("the card says of the city %+v", f)
		}
	}
	if patches := of(e.patches(contact.HubSpot), "hubspot:1"); patches[len(patches)-1].Fetch == nil {
		t.Errorf("the last patch is %+v, want the other property read", patches[len(patches)-1])
	}
}
