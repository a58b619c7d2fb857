package contacts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// most is how many contacts a search gives.
const most = 50

// Find gives the contacts that fit what somebody knows of them: name, phone in
// any form, e-mail, id in either system, or key.
func (c *Contacts) Find(ctx context.Context, id contact.Tenant, query string) ([]*contact.Card, error) {
	query = strings.TrimSpace(query)
	if query == "" {
		return nil, &Error{"invalid", "query", "say what to look for: a name, phone, e-mail, id or key"}
	}
	t, err := c.tenant(id)
	if err != nil {
		return nil, err
	}
	keys, err := c.keys(ctx, t, query)
	if err != nil {
		return nil, err
	}
	cards, err := c.ask(ctx, id, keys, true)
	if err != nil {
		return nil, err
	}
	var found []*contact.Card
	for _, key := range keys {
		if card := cards[key]; card != nil {
			found = append(found, card)
		}
	}
	return found, nil
}

// keys are the keys of the contacts that fit a query: those that it names
// exactly first, then those whose names hold it.
func (c *Contacts) keys(ctx context.Context, t *tenant.Tenant, query string) ([]contact.Key, error) {
	refs := refs(t, query)
	found, err := c.DB.ContactKeys(ctx, refs)
	if err != nil {
		return nil, err
	}
	keys := []contact.Key{contact.Key(query)} // asked for whether it is one or not
	add := func(key contact.Key) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, ref := range refs {
		for _, key := range found[ref] {
			add(key)
		}
	}
	named, err := c.DB.ContactsNamed(ctx, t.ID, query, most)
	if err != nil {
		return nil, err
	}
	for _, key := range named {
		add(key)
	}
	return keys[:min(most, len(keys))], nil
}

// refs are all the references that a query may be.
func refs(t *tenant.Tenant, query string) []postgres.Ref {
	var refs []postgres.Ref
	add := func(kind postgres.RefKind, value string) {
		if value != "" {
			refs = append(refs, postgres.Ref{Tenant: t.ID, Kind: kind, Value: value})
		}
	}
	add(postgres.RefKey, query)
	if system, id, ok := strings.Cut(query, ":"); ok {
		if s, err := contact.ParseSystem(system); err == nil {
			add(refKind(s), id)
		}
	}
	add(postgres.RefHubSpot, query)
	add(postgres.RefAloware, query)
	if strings.Contains(query, "@") {
		email, _ := contact.Canonical(contact.Email, query, t.Region)
		add(postgres.RefEmail, email)
	}
	if phone, err := contact.Canonical(contact.Phone, query, t.Region); err == nil {
		add(postgres.RefPhone, phone)
	}
	return refs
}

// resolve gives the key of the one contact that a name means.
func (c *Contacts) resolve(ctx context.Context, id contact.Tenant, name string) (contact.Key, error) {
	cards, err := c.Find(ctx, id, name)
	if err != nil {
		return "", err
	}
	for _, card := range cards {
		if card.Key == contact.Key(name) {
			return card.Key, nil
		}
	}
	switch len(cards) {
	case 0:
		return "", unknown(name)
	case 1:
		return cards[0].Key, nil
	}
	var some []string
	for _, card := range cards[:min(5, len(cards))] {
		some = append(some, string(card.Key))
	}
	return "", &Error{"invalid", "contact", fmt.Sprintf("%d contacts fit; name one by its key: %s", len(cards), strings.Join(some, ", "))}
}

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
	problems, err := c.DB.Problems(ctx, postgres.ProblemFilter{Tenant: id, Kind: contact.ProblemConflict, Dismissed: true}, after, limit)
	if err != nil {
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
