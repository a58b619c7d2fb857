package mappings

import (
	"context"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// Options are the options of both sides of a mapping, in the order of
// contact.Systems; nil where a system does not tell them.
func (s *Mappings) Options(ctx context.Context, id contact.Tenant, m *mapping.Mapping) (options [2][]contact.DirectoryEntry, err error) {
	if _, err := s.tenant(id); err != nil {
		return options, err
	}
	lists, err := s.config.DB.Lists(ctx, id)
	if err != nil {
		return options, err
	}
	stored, err := s.config.DB.Properties(ctx, id)
	if err != nil {
		return options, err
	}
	for at, system := range contact.Systems {
		for _, l := range lists {
			if l.System == system && l.List == contact.OptionList(m.Property(system)) {
				options[at] = l.Entries
			}
		}
		if p, ok := stored.Property(system, m.Property(system)); ok && options[at] == nil {
			for _, o := range p.Options {
				options[at] = append(options[at], contact.DirectoryEntry{Value: o.Value, Match: o.Value, Label: o.Label, Active: true})
			}
		}
	}
	return options, nil
}
