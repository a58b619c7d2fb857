package mapping

import (
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
)

func lower(text string) string { return strings.ToLower(text) }

func builtIn(key string) (Row, bool) {
	for i := range catalogue {
		if catalogue[i].Key == key {
			return catalogue[i], true
		}
	}
	return Row{}, false
}

// Label is the mapping's name for people.
func (m *Mapping) Label() string {
	if row, ok := builtIn(m.Key); ok {
		return row.AlowareLabel
	}
	return m.Aloware
}

// Allowed are the directions that people may choose for the mapping.
func (m *Mapping) Allowed() []contact.Direction {
	if row, ok := builtIn(m.Key); ok {
		return row.Allowed
	}
	return []contact.Direction{contact.Both, contact.ToHubSpot, contact.ToAloware}
}

// MayChangeProperty reports whether people may choose another HubSpot property.
func (m *Mapping) MayChangeProperty() bool { return m.mayUse("") == nil }

// Removable reports whether people may remove the mapping.
func (m *Mapping) Removable() bool { return m.Category != Locked && m.Category != Special }

// Check says what is wrong with a set as a whole: what no sequence of edits may
// ever lead to. nil means that it is sound.
func (s *Set) Check() *Refusal {
	if len(s.Mappings) > mostMappings {
		return refuse(RuleInvalid, "", "a set has at most %d mappings", mostMappings)
	}
	keys := make(map[string]bool)
	used := [2]map[string]*Mapping{{}, {}}
	for i := range s.Mappings {
		m := &s.Mappings[i]
		if m.Key == "" || keys[m.Key] {
			return refuse(RuleInvalid, m.Key, "the key is empty or used twice")
		}
		keys[m.Key] = true
		for k, system := range contact.Systems {
			name := m.Property(system)
			if name == "" || Reserved(system, name) {
				return refuse(RuleReserved, m.Key, "%q cannot be mapped in %s", name, system.Name())
			}
			if other := used[k][name]; other != nil {
				return refuse(RuleTaken, m.Key, "%s of %s is already mapped by %q; a property is in one mapping only", name, system.Name(), other.Label())
			}
			used[k][name] = m
		}
		if refused := m.check(); refused != nil {
			return refused
		}
	}
	for _, row := range catalogue {
		if !row.Removable() && !keys[row.Key] {
			return refuse(RuleMissing, row.Key, "this mapping must be there")
		}
	}
	s.Index()
	return s.checkFilter()
}

// check says what is wrong with one mapping by itself.
func (m *Mapping) check() *Refusal {
	if m.Type.String() == "none" {
		return refuse(RuleIncompatible, m.Key, "the mapping has no type")
	}
	row, built := builtIn(m.Key)
	switch {
	case built && (m.Category != row.Category || m.Aloware != row.Aloware || !row.mayHold(m.Type)):
		return refuse(RuleProperty, m.Key, "a built-in mapping keeps its category, type and Aloware field")
	case !built && m.Category != Custom:
		return refuse(RuleInvalid, m.Key, "only built-in mappings have the category %s", m.Category)
	case !slices.Contains(m.Allowed(), m.Direction):
		return refuse(RuleDirection, m.Key, "%s is not possible here: this mapping may be %s", m.Direction, words(m.Allowed()))
	case m.Policy != "" && !slices.Contains(Policies, m.Policy):
		return refuse(RulePolicy, m.Key, "policy %q: want newest, only_if_empty, only_on_create or review", m.Policy)
	case m.Category == Locked && (m.Policy != "" || m.IgnoreBlank || len(m.Transforms)+len(m.Options) > 0):
		return refuse(RuleLocked, m.Key, "phone number and e-mail are locked")
	case m.Category.Computed() && m.Policy != "":
		return refuse(RulePolicy, m.Key, "a computed value is always the newest")
	case m.Manual() && m.Policy == Review:
		return refuse(RulePolicy, m.Key, "an owner on a text property is taken over by hand already")
	}
	if len(m.Options) > 1000 {
		return refuse(RuleOptions, m.Key, "an option map has at most 1000 pairs")
	}
	seen := make(map[string]bool)
	for _, pair := range m.Options {
		if pair.Aloware == "" || pair.HubSpot == "" || seen[pair.Aloware] {
			return refuse(RuleOptions, m.Key, "each option of Aloware is paired once, and neither side is empty")
		}
		seen[pair.Aloware] = true
	}
	if m.Direction == contact.Both {
		back := make(map[string]bool)
		for _, pair := range m.Options {
			if back[pair.HubSpot] {
				return refuse(RuleOptions, m.Key, "in both directions each option of HubSpot is paired once; %q is there twice", pair.HubSpot)
			}
			back[pair.HubSpot] = true
		}
	}
	return m.checkTransforms()
}

// Drift says, by key, why mappings must rest: their property is missing,
// archived, of another type or read-only in HubSpot by what is known of it now.
// Nothing is said of a system whose properties are not known.
func (s *Set) Drift(schema Schema) map[string]string {
	if !schema.Known(contact.HubSpot) {
		return nil
	}
	var stopped map[string]string
	for i := range s.Mappings {
		m := &s.Mappings[i]
		why := m.drift(schema)
		if why == "" {
			continue
		}
		if stopped == nil {
			stopped = make(map[string]string)
		}
		stopped[m.Key] = why
	}
	return stopped
}

func (m *Mapping) drift(schema Schema) string {
	p, ok := schema.Property(contact.HubSpot, m.HubSpot)
	if !ok {
		return "HubSpot has no property " + m.HubSpot + " any more: it was archived, or its name is another; bring it back or choose another property"
	}
	if p.Problem != "" {
		return "HubSpot's " + m.HubSpot + " cannot be mapped as it is now: " + p.Problem
	}
	if !m.holds(p.Type) {
		return "HubSpot's " + m.HubSpot + " is a " + people(p.Type) + " now, which does not fit a " + people(m.Type)
	}
	if p.ReadOnly && m.Direction.Into(contact.HubSpot) {
		return "HubSpot's " + m.HubSpot + " takes no values any more; let it lead to Aloware only, or choose another property"
	}
	return ""
}

// holds reports whether a HubSpot property of a type can hold the mapping's
// values.
func (m *Mapping) holds(hubspot contact.Type) bool {
	joined, _ := Compatible(m.Type, hubspot)
	return joined == m.Type || m.Type == contact.Multiline && joined == contact.Text
}

// mayHold reports whether a built-in mapping can be of a type: its own, or the
// stricter one of the property that it was given.
func (r Row) mayHold(t contact.Type) bool {
	joined, _ := Compatible(r.Type, t)
	return joined == t
}

// InForce gives the set as it is with a portal as it is: what the portal cannot
// serve is at rest, and what came back is bound anew. Where nothing of that
// applies it is the set itself.
func (s *Set) InForce(schema Schema) *Set {
	drift := s.Drift(schema)
	renewed := func(m *Mapping) int64 {
		p, _ := schema.Property(contact.HubSpot, m.HubSpot)
		return p.Renewed
	}
	if len(drift) == 0 && !slices.ContainsFunc(s.Mappings, func(m Mapping) bool { return renewed(&m) != 0 }) {
		return s
	}
	force := &Set{Version: s.Version, Mappings: slices.Clone(s.Mappings), Filter: s.Filter}
	for i := range force.Mappings {
		m := &force.Mappings[i]
		m.Stopped, m.Binding.Renewed = drift[m.Key], renewed(m)
	}
	return force.Index()
}
