package contacts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// Conflict is a contact that several others could be the counterpart of.
type Conflict struct {
	Problem    postgres.ProblemRow
	Contact    *contact.Card
	Candidates []Candidate
}

// Candidate is one of the contacts to choose from.
type Candidate struct {
	ID      string
	Contact *contact.Card // nil for one that is not known here
}

// Conflicts gives conflicts to settle, behind one (its problem).
func (c *Contacts) Conflicts(ctx context.Context, id contact.Tenant, after postgres.ProblemRow, limit int) ([]Conflict, error) {
	return c.conflicts(ctx, postgres.ProblemFilter{Tenant: id, Kind: contact.ProblemConflict, Dismissed: true}, after, limit)
}

// ConflictsOf gives the conflicts of one contact: in each system there may be
// one.
func (c *Contacts) ConflictsOf(ctx context.Context, id contact.Tenant, key contact.Key) ([]Conflict, error) {
	f := postgres.ProblemFilter{Tenant: id, Kind: contact.ProblemConflict, Contact: key, Dismissed: true}
	return c.conflicts(ctx, f, postgres.ProblemRow{}, len(contact.Systems))
}

func (c *Contacts) conflicts(ctx context.Context, f postgres.ProblemFilter, after postgres.ProblemRow, limit int) ([]Conflict, error) {
	id := f.Tenant
	problems, err := c.DB.Problems(ctx, f, after, limit)
	if err != nil || len(problems) == 0 {
		return nil, err
	}
	var keys []contact.Key
	for _, p := range problems {
		keys = append(keys, p.Contact)
	}
	cards, err := c.ask(ctx, id, keys, true)
	if err != nil {
		return nil, err
	}
	wanted := make(map[contact.System][]string)
	for _, p := range problems {
		if card := cards[p.Contact]; card != nil {
			wanted[p.System] = append(wanted[p.System], side(card, p.System).Candidates...)
		}
	}
	known := make(map[contact.System]map[string]*contact.Card)
	for system, ids := range wanted {
		if known[system], err = c.Briefs(ctx, id, system, ids); err != nil {
			return nil, err
		}
	}
	conflicts := make([]Conflict, 0, len(problems))
	for _, p := range problems {
		conflict := Conflict{Problem: p, Contact: cards[p.Contact]}
		if conflict.Contact == nil {
			conflict.Contact = &contact.Card{Key: p.Contact} // it went meanwhile
		}
		for _, candidate := range side(conflict.Contact, p.System).Candidates {
			conflict.Candidates = append(conflict.Candidates, Candidate{candidate, known[p.System][candidate]})
		}
		conflicts = append(conflicts, conflict)
	}
	return conflicts, nil
}

// side is the contact in one system.
func side(card *contact.Card, system contact.System) *contact.CardSide {
	if system == contact.HubSpot {
		return &card.Sides[0]
	}
	return &card.Sides[1]
}

// Choose settles a conflict: id is one of the candidates, or "" for a new
// contact.
func (c *Contacts) Choose(ctx context.Context, id contact.Tenant, name string, system contact.System, chosen, author string) error {
	card, err := c.Card(ctx, id, name)
	if err != nil {
		return err
	}
	candidates := side(card, system).Candidates
	switch {
	case len(candidates) == 0:
		return &Error{"stale", "contact", "there is no conflict to settle: it may have been settled meanwhile"}
	case chosen != "" && !slices.Contains(candidates, chosen):
		return &Error{"invalid", "id", fmt.Sprintf("%s is none of the candidates: choose one of %s", chosen, strings.Join(candidates, ", "))}
	}
	return c.commands.Send(ctx, id, author, contact.Command{Kind: contact.Choose, Contact: card.Key, System: system, ID: chosen})
}

// Answer says that one side's values stand, of the fields that a question is
// open about; none means all of them. It gives the fields that were answered.
func (c *Contacts) Answer(ctx context.Context, id contact.Tenant, name string, system contact.System, fields []string, author string) ([]string, error) {
	card, err := c.Card(ctx, id, name)
	if err != nil {
		return nil, err
	}
	var open []string
	for i := range card.Fields {
		if f := &card.Fields[i]; f.State == contact.FieldReview && (len(fields) == 0 || slices.Contains(fields, f.Key)) {
			open = append(open, f.Key)
		}
	}
	if len(open) == 0 || len(open) < len(fields) {
		return nil, &Error{"stale", "fields", "no question is open about this: it may have been answered meanwhile"}
	}
	return open, c.commands.Send(ctx, id, author, contact.Command{Kind: contact.Answer, Contact: card.Key, System: system, Fields: open})
}

// Erase forgets a person, named by key, or by an id in a system, which need
// not be known here.
func (c *Contacts) Erase(ctx context.Context, id contact.Tenant, name string, whom contact.ID, author string) error {
	if whom.ID == "" {
		if name == "" {
			return &Error{"invalid", "contact", "name the contact by its key, or by an id in a system"}
		}
		card, err := c.Card(ctx, id, name)
		if err != nil {
			return err
		}
		whom = contact.ID{System: contact.HubSpot, ID: card.Sides[0].ID}
		if whom.ID == "" {
			whom = contact.ID{System: contact.Aloware, ID: cmp.Or(card.Sides[1].ID, first(card.Sides[1].Aliases))}
		}
		if whom.ID == "" {
			whom = contact.ID{System: contact.HubSpot, ID: first(card.Sides[0].Aliases)}
		}
		if whom.ID == "" {
			return &Error{"invalid", "contact", "the contact has no id in either system"}
		}
	} else if _, err := c.tenant(id); err != nil {
		return err
	}
	return c.commands.Erase(ctx, id, author, whom)
}

func first(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}
