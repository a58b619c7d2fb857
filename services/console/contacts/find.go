package contacts

import (
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
// exactly first, then those whose names begin
// with it, or, where there is nobody else, hold it.
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
	if err == nil && len(named) == 0 && len(keys) == 1 {
		named, err = c.DB.ContactsNamedLike(ctx, t.ID, query, most) // nothing else fits
	}
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

// Key gives the key of the one contact that a name, or an id in a system, means,
// as far as it is known here; "" for none and for several. Unlike Card it asks
// nobody, so that it answers while no mapper runs.
func (c *Contacts) Key(ctx context.Context, id contact.Tenant, name string, whom contact.ID) contact.Key {
	t, err := c.tenant(id)
	if err != nil || name == "" && whom.ID == "" {
		return ""
	}
	if whom.ID != "" {
		ref := postgres.Ref{Tenant: id, Kind: refKind(whom.System), Value: whom.ID}
		found, err := c.DB.ContactKeys(ctx, []postgres.Ref{ref})
		if err != nil || len(found[ref]) != 1 {
			return contact.NewKey(whom.System, whom.ID) // it would be its key
		}
		return found[ref][0]
	}
	stored, err := c.DB.Contacts(ctx, []contact.Tenant{id}, []contact.Key{contact.Key(name)})
	if err == nil && len(stored) == 1 {
		return contact.Key(name)
	}
	keys, err := c.keys(ctx, t, name)
	if err != nil || len(keys) != 2 { // the first is the name itself
		return ""
	}
	return keys[1]
}

// resolve gives the key of the one contact that a name means.
func (c *Contacts) resolve(ctx context.Context, id contact.Tenant, name string) (contact.Key, error) {
	// A key is the usual name, and needs no search.
	stored, err := c.DB.Contacts(ctx, []contact.Tenant{id}, []contact.Key{contact.Key(name)})
	if err != nil {
		return "", err
	}
	if len(stored) == 1 {
		return stored[0].Key, nil
	}
	cards, err := c.Find(ctx, id, name)
	if err != nil {
		return "", err
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
