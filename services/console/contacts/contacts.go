// Package contacts lets people look at single contacts: find them, see what
// both systems hold and how each field stands, why, settle conflicts, and
// erase a person.
//
// What is known of a contact belongs to the mapper, which is asked over the
// bus; this room decides nothing.
package contacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/command"
	"lockstep.internal/services/console/mappings"
)

// Config is what the room stands on.
type Config struct {
	Bus    *bus.Bus
	DB     *postgres.DB
	Roster *roster.Roster
	// Mappings tell what agents may pick.
	Mappings *mappings.Mappings
	Portal   func(*tenant.Tenant) Portal
}

// Contacts is the room. It is safe for concurrent use.
type Contacts struct {
	Config
	commands command.Sender
}

// New makes the room.
func New(config Config) *Contacts {
	return &Contacts{Config: config, commands: command.Sender{Bus: config.Bus, Now: time.Now}}
}

// Error is a refusal by a rule, which the caller can do something about.
type Error struct{ Rule, Subject, Message string }

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Refusal gives the rule's stable word, what it is about, and the message.
func (e *Error) Refusal() (rule, subject, message string) { return e.Rule, e.Subject, e.Message }

// ask gives the cards of contacts, by key. Keys that are not known are missing.
func (c *Contacts) ask(ctx context.Context, id contact.Tenant, keys []contact.Key, brief bool) (map[contact.Key]*contact.Card, error) {
	const atOnce, longest = 100, 10 * time.Second
	cards := make(map[contact.Key]*contact.Card, len(keys))
	for len(keys) > 0 {
		n := min(atOnce, len(keys))
		question, err := json.Marshal(contact.CardQuestion{Tenant: id, Keys: keys[:n], Brief: brief})
		if err != nil {
			return nil, fmt.Errorf("ask for %d contacts: %w", n, err)
		}
		asking, cancel := context.WithTimeout(ctx, longest)
		err = c.Bus.Ask(asking, contact.CardTopic, question, func(part []byte) error {
			card := &contact.Card{}
			if err := json.Unmarshal(part, card); err != nil {
				return err
			}
			cards[card.Key] = card
			return nil
		})
		cancel()
		switch {
		case errors.Is(err, bus.ErrNobody):
			return nil, &Error{"unavailable", "mapper", "no mapper answers just now: contacts are shown when one runs again"}
		case err != nil:
			return nil, fmt.Errorf("ask for %d contacts: %w", n, err)
		}
		keys = keys[n:]
	}
	return cards, nil
}

func (c *Contacts) tenant(id contact.Tenant) (*tenant.Tenant, error) {
	t, ok := c.Roster.Tenant(id)
	if !ok {
		return nil, &Error{"not_found", "tenant", fmt.Sprintf("there is no tenant %q", id)}
	}
	return t, nil
}

// Card gives one contact with its fields, by anything that finds it alone.
func (c *Contacts) Card(ctx context.Context, id contact.Tenant, name string) (*contact.Card, error) {
	key, err := c.resolve(ctx, id, name)
	if err != nil {
		return nil, err
	}
	cards, err := c.ask(ctx, id, []contact.Key{key}, false)
	if err != nil {
		return nil, err
	}
	card := cards[key]
	if card == nil {
		return nil, unknown(name)
	}
	return card, nil
}

// Names gives what contacts are called, by key. Those without a name are missing.
func (c *Contacts) Names(ctx context.Context, id contact.Tenant, keys []contact.Key) (map[contact.Key]string, error) {
	return c.DB.ContactNames(ctx, id, keys)
}

// Briefs gives the contacts behind ids of a system, by id. Ids that are not
// known are missing.
func (c *Contacts) Briefs(ctx context.Context, id contact.Tenant, system contact.System, ids []string) (map[string]*contact.Card, error) {
	refs := make([]postgres.Ref, len(ids))
	for i, text := range ids {
		refs[i] = postgres.Ref{Tenant: id, Kind: refKind(system), Value: text}
	}
	found, err := c.DB.ContactKeys(ctx, refs)
	if err != nil {
		return nil, err
	}
	var keys []contact.Key
	for _, some := range found {
		keys = append(keys, some...)
	}
	cards, err := c.ask(ctx, id, keys, true)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*contact.Card)
	for ref, some := range found {
		for _, key := range some {
			if card := cards[key]; card != nil {
				out[ref.Value] = card
			}
		}
	}
	return out, nil
}

func refKind(system contact.System) postgres.RefKind {
	if system == contact.HubSpot {
		return postgres.RefHubSpot
	}
	return postgres.RefAloware
}

func unknown(name string) error {
	return &Error{"not_found", "contact", fmt.Sprintf("no contact is known as %q", name)}
}

// Explain gives the decisions about a contact, the newest first: of a field ("" for all) and before a number (0 for
// the newest).
func (c *Contacts) Explain(ctx context.Context, id contact.Tenant, name, field string, before int64, limit int) ([]postgres.HistoryRow, error) {
	t, err := c.tenant(id)
	if err != nil {
		return nil, err
	}
	key, err := c.resolve(ctx, id, name)
	if err != nil {
		return nil, err
	}
	history, err := c.DB.History(ctx, id, key, field, before, limit)
	if err == nil && len(history) == 0 && field != "" && t.Mapping.ByKey(field) == nil {
		return nil, &Error{"not_found", "field", fmt.Sprintf("no mapping has the key %q; see the contact's card for the keys", field)}
	}
	return history, err
}
