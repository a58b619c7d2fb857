package mappings

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
)

// statusKey is the mapping of the contact disposition status.
const statusKey = "contact_disposition_status"

// SeenDisposition is an id of Aloware that contacts have and that is not paired
// yet.
type SeenDisposition struct {
	ID       string
	Contacts int64
	SeenAt   time.Time // when the number changed last
	// Suggested is what HubSpot has of most of these contacts, and Agreeing of
	// how many; the zero value where nothing suggests itself.
	Suggested contact.DirectoryEntry
	Agreeing  int64
}

// SeenDispositions are the ids to pair, of an account that does not list its
// contact dispositions; none of one that does. Nothing is paired by itself:
// that many contacts have both is no proof that they mean the same.
func (s *Mappings) SeenDispositions(ctx context.Context, id contact.Tenant) ([]SeenDisposition, error) {
	t, err := s.tenant(id)
	if err != nil {
		return nil, err
	}
	m := t.Mapping.ByKey(statusKey)
	if m == nil {
		return nil, nil
	}
	lists, err := s.config.DB.Lists(ctx, id)
	if err != nil {
		return nil, err
	}
	var options []contact.DirectoryEntry
	for _, l := range lists {
		switch {
		case l.System == contact.Aloware && l.List == contact.OptionList(aloware.DispositionProperty):
			return nil, nil
		case l.System == contact.HubSpot && l.List == contact.OptionList(m.HubSpot):
			options = l.Entries
		}
	}
	counts, err := s.config.DB.SeenDispositions(ctx, id)
	if err != nil {
		return nil, err
	}
	var seen []SeenDisposition
	for _, c := range counts { // by id, those of most contacts first
		if _, paired := m.Paired(contact.Aloware, c.ID); paired {
			continue
		}
		if len(seen) == 0 || seen[len(seen)-1].ID != c.ID {
			seen = append(seen, SeenDisposition{ID: c.ID})
		}
		last := &seen[len(seen)-1]
		last.Contacts += c.Contacts
		if c.SeenAt.After(last.SeenAt) {
			last.SeenAt = c.SeenAt
		}
		at := slices.IndexFunc(options, func(e contact.DirectoryEntry) bool { return e.Active && e.Match == c.Value && c.Value != "" })
		if at < 0 || last.Agreeing > 0 {
			continue
		}
		if _, paired := m.Paired(contact.HubSpot, options[at].Value); !paired {
			last.Suggested, last.Agreeing = options[at], c.Contacts
		}
	}
	return seen, nil
}

// PairDisposition adds one pair to the option map of the contact disposition.
func (s *Mappings) PairDisposition(ctx context.Context, id contact.Tenant, aloware, hubspot, author string) (postgres.MappingVersion, error) {
	now, err := s.Get(ctx, id, 0)
	if err != nil {
		return postgres.MappingVersion{}, err
	}
	m := now.Set.ByKey(statusKey)
	if m == nil {
		return postgres.MappingVersion{}, refuse(mapping.RuleNotFound, statusKey, "there is no mapping of the contact disposition status")
	}
	pairs := append(slices.Clone(m.Options), mapping.Pair{Aloware: aloware, HubSpot: hubspot})
	edit := Edit{Edit: mapping.SetFields{Key: statusKey, Options: &pairs}}
	saved, _, err := s.Save(ctx, id, now.Version, []Edit{edit}, author, fmt.Sprintf("paired Aloware's disposition %s with %s", aloware, hubspot))
	return saved, err
}
