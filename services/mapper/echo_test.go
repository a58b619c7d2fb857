package mapper_test

import (
	"context"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/stage"
)

// TestWhatAnEchoAsksToReadIsBulk: HubSpot's word of a record that we made can come
// before our call's answer, and nobody waits for that record to be read.
func TestWhatAnEchoAsksToReadIsBulk(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	at := contact.Millis(time.Now().UnixMilli())
	heard := contact.Change{System: contact.HubSpot, ID: "7", EventID: "echo", Event: contact.Created, Channel: contact.Webhook, Origin: contact.Ours, OccurredAt: at, ReceivedAt: at}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.bus.Publisher(bus.ChangesEcho, 0).Publish(ctx, bus.Message{Tenant: acme, Incoming: []contact.Incoming{{Change: &heard}}}); err != nil {
		t.Fatal(err)
	}
	reader, err := e.bus.Read(ctx, bus.PatchesBulk, 0, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	d, err := reader.Next(ctx)
	if err != nil {
		t.Fatalf("nothing came on the bulk stream, but %+v on the live one: %v", e.patches(contact.HubSpot), err)
	}
	if len(d.Patches) != 1 || d.Patches[0].Fetch == nil || d.Patches[0].TargetID != "7" {
		t.Errorf("got %+v, want a read of the record", d.Patches)
	}
	if live := e.patches(contact.HubSpot); len(live) != 0 {
		t.Errorf("live patches are %+v", live)
	}
}

// TestAnEchoThatTellsNothingNewStoresNothing: HubSpot tells a dozen things of each contact
// that we make, and the answer of the call told all of them.
func TestAnEchoThatTellsNothingNewStoresNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	at := contact.Millis(time.Now().UnixMilli())
	e.say(snapshot(contact.Aloware, "2", at, "phone_number", "+12025550142", "first_name", "Ann"))
	e.say(made(e.newest(contact.HubSpot, "aloware:2"), contact.Made, "1", at+1000))
	m := e.mapper()
	for _, c := range []struct {
		name   string
		stores bool
	}{{"Ann", false}, {"Eve", true}} {
		heard := contact.Change{
			System: contact.HubSpot, ID: "1", EventID: "echo of " + c.name, Event: contact.Changed, Channel: contact.Webhook, Origin: contact.Ours,
			OccurredAt: at + 1000, ReceivedAt: at + 1100, Values: []contact.Value{{Name: "firstname", Text: c.name}},
		}
		result, err := m.Handle(t.Context(), stage.Batch{Stream: bus.ChangesEcho, Epoch: 1, Deliveries: []bus.Delivery{
			{Stream: bus.ChangesEcho, Tenant: acme, Incoming: []contact.Incoming{{Change: &heard}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := result.Commit != nil; got != c.stores {
			t.Errorf("an echo with the name %s stores something: %v, want %v", c.name, got, c.stores)
		}
	}
}
