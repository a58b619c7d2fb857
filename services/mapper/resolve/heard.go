package resolve

import (
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// Heard reports whether a change tells of nothing but writes of ours that their
// answers have told of already: judging it would change nothing that is known.
// A first sync brings a dozen of them for each contact that it makes.
func Heard(rules *Rules, s *State, c *contact.Change) bool {
	side := s.Side(c.System)
	if c.Event != contact.Changed || c.ID != side.ID || side.Gone || c.Counters != nil || len(c.MergedIDs) > 0 {
		return false
	}
	r := reading{occurred: c.OccurredAt, precision: c.Precision, received: c.ReceivedAt}
	return !slices.ContainsFunc(c.Values, func(v contact.Value) bool {
		if v.Origin != contact.Ours && (v.Origin != contact.Unknown || c.Origin != contact.Ours) {
			return true
		}
		m := rules.Set.ByProperty(c.System, v.Name)
		if m == nil || m.Category.Computed() {
			return v.Name == MobilePhone
		}
		f := s.Fields[m.Key]
		return f == nil || f.Binding != m.Binding || !f.heard(m, c.System, v.Text, r.span(v))
	})
}

// heard reports whether a value that a side is known to hold is that of an
// answered write of ours, and a time in its span is known already.
func (f *Field) heard(m *mapping.Mapping, system contact.System, text string, when Span) bool {
	side, edit := &f.Sides[index(system)], &f.Edits[index(system)]
	native := side.Native
	if native == "" {
		native = side.Value
	}
	return side.Known && strings.TrimSpace(text) == native && side.Since <= when.From && side.Seen.At >= when.At && side.Seen.To >= when.To &&
		(edit.Side == 0 || edit.At <= when.To) && slices.ContainsFunc(side.Writes, func(w Write) bool {
		return w.Value == side.Value && w.Applied != 0 && w.After <= when.To && w.Applied >= when.From
	})
}
