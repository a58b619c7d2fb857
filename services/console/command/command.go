// Package command sends what people ask for to the mapper, as events in the
// order of everything else that happens to a contact.
//
// It waits until the events are stored. What comes of them shows in the
// contact's history.
package command

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
)

// few is how many commands go with the live events; more of them go with bulk
// work, so that they delay nobody.
const few = 100

// Sender sends commands. It is safe for concurrent use.
type Sender struct {
	Bus *bus.Bus
	// Now is our clock.
	Now func() time.Time
}

// Send sends commands of one tenant, asked for by an author, and gives each a
// name and a time.
func (s *Sender) Send(ctx context.Context, tenant contact.Tenant, author string, commands ...contact.Command) error {
	if len(commands) == 0 {
		return nil
	}
	stream := bus.Changes
	if len(commands) > few {
		stream = bus.ChangesBulk
	}
	events := make([]contact.Incoming, len(commands))
	for i := range commands {
		c := commands[i]
		c.EventID, c.Author, c.AskedAt = "command/"+rand.Text(), author, contact.Millis(s.Now().UnixMilli())
		events[i].Command = &c
	}
	return s.publish(ctx, stream, tenant, events)
}

// Erase says that a person asked to be forgotten, as a system would.
func (s *Sender) Erase(ctx context.Context, tenant contact.Tenant, author string, id contact.ID) error {
	now := contact.Millis(s.Now().UnixMilli())
	return s.publish(ctx, bus.Changes, tenant, []contact.Incoming{{Change: &contact.Change{
		System: id.System, ID: id.ID, EventID: "erase/" + rand.Text(), Event: contact.Erased, OccurredAt: now, ReceivedAt: now,
		Channel: contact.Read, Origin: contact.Others, Cause: "asked for by " + author,
	}}})
}

// Edited says that a person has set a value in a system by way of us, at a time of
// that system's clock; 0 is now.
func (s *Sender) Edited(ctx context.Context, tenant contact.Tenant, author string, id contact.ID, value contact.Value, at contact.Millis) error {
	now := contact.Millis(s.Now().UnixMilli())
	if at == 0 {
		at = now
	}
	return s.publish(ctx, bus.Changes, tenant, []contact.Incoming{{Change: &contact.Change{
		System: id.System, ID: id.ID, EventID: "edited/" + rand.Text(), Event: contact.Changed, OccurredAt: at, ReceivedAt: now,
		Channel: contact.Read, Origin: contact.Others, Cause: "picked by " + author, Values: []contact.Value{value},
	}}})
}

func (s *Sender) publish(ctx context.Context, stream bus.Stream, tenant contact.Tenant, events []contact.Incoming) error {
	message := bus.Message{Tenant: tenant, Incoming: events, ID: "command/" + rand.Text(), Context: ctx}
	if err := s.Bus.Publisher(stream, s.Bus.PartitionOf(tenant)).Publish(ctx, message); err != nil {
		return fmt.Errorf("send %d commands: %w", len(events), err)
	}
	return nil
}
