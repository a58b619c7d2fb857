package mappings

import (
	"context"
	"time"

	"lockstep.internal/pkg/contact"
)

// Words tell the values of a tenant's mapped fields as people read them: an
// option by its label, a checkbox as yes or no. The zero value leaves all as
// they are.
type Words map[string]fieldWords // by mapping key

type fieldWords struct {
	kind   contact.Type
	labels map[string]string // of options, by value
}

// Words are those of a tenant, by the mapping in force and the lists that were
// read last.
func (s *Mappings) Words(ctx context.Context, id contact.Tenant) (Words, error) {
	t, err := s.tenant(id)
	if err != nil {
		return nil, err
	}
	lists, err := s.config.DB.Lists(ctx, id)
	if err != nil {
		return nil, err
	}
	labels := make(map[contact.System]map[string][]contact.DirectoryEntry)
	for _, system := range contact.Systems {
		labels[system] = make(map[string][]contact.DirectoryEntry)
	}
	for _, l := range lists {
		labels[l.System][l.List] = l.Entries
	}
	words := make(Words)
	for i := range t.Mapping.Mappings {
		m := &t.Mapping.Mappings[i]
		w := fieldWords{kind: m.Type}
		if m.Type == contact.Option {
			w.labels = make(map[string]string)
			for _, system := range []contact.System{contact.Aloware, contact.HubSpot} { // HubSpot's words, where both have some
				for _, e := range labels[system][contact.OptionList(m.Property(system))] {
					w.labels[e.Value] = e.Label
				}
			}
		}
		words[m.Key] = w
	}
	return words, nil
}

// Of is a field's value as people read it.
func (w Words) Of(field, value string) string {
	known := w[field]
	switch known.kind {
	case contact.Option:
		if label := known.labels[value]; label != "" {
			return label
		}
	case contact.Checkbox:
		switch value {
		case "true":
			return "yes"
		case "false":
			return "no"
		}
	case contact.Datetime:
		if at, err := time.Parse(time.RFC3339, value); err == nil {
			return at.UTC().Format("2006-01-02 15:04:05") + " UTC"
		}
	}
	return value
}
