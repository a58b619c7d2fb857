package mapping

import (
	"fmt"
	"regexp"
	"slices"

	"lockstep.internal/pkg/contact"
)

// Edit is one change of a set that somebody asks for.
type Edit interface {
	apply(s *Set, schema Schema) *Refusal
}

// Apply makes the set that edits lead to, or says which rule forbids one. The
// set itself is not changed; the new one has no version yet, and must be saved
// as the next one after this set's. All edits are done or none.
func (s *Set) Apply(schema Schema, edits ...Edit) (*Set, error) {
	next := s.clone()
	for _, e := range edits {
		if refused := e.apply(next, schema); refused != nil {
			return nil, refused
		}
		next.Index()
	}
	if refused := next.Check(); refused != nil {
		return nil, refused
	}
	next.date(s)
	return next, nil
}

// date tells since which version the mappings are bound as they are. The set
// before decides alone: one that was restored or added back was away meanwhile.
func (s *Set) date(before *Set) {
	version := before.Version + 1
	for i := range s.Mappings {
		m, old := &s.Mappings[i], before.ByKey(s.Mappings[i].Key)
		if old == nil {
			m.Binding = Binding{Since: [2]int64{version, version}, Formed: version}
			continue
		}
		m.Binding = Binding{Since: old.Binding.Since, Formed: old.Binding.Formed}
		for side, system := range contact.Systems {
			if m.Type != old.Type || m.Property(system) != old.Property(system) {
				m.Binding.Since[side] = version
			}
		}
		if !slices.Equal(m.Transforms, old.Transforms) || !slices.Equal(m.Options, old.Options) {
			m.Binding.Formed = version
		}
	}
}

// clone copies deep enough for edits.
func (s *Set) clone() *Set {
	next := &Set{Mappings: slices.Clone(s.Mappings)}
	if s.Filter != nil {
		f := *s.Filter
		f.Conditions = slices.Clone(f.Conditions)
		next.Filter = &f
	}
	for i := range next.Mappings {
		next.Mappings[i].Stopped, next.Mappings[i].Binding.Renewed = "", 0
	}
	return next.Index()
}

// Set fields of one mapping; nil leaves a field as it is.
type SetFields struct {
	Key         string
	HubSpot     *string
	Aloware     *string // of user-defined mappings alone
	Direction   *contact.Direction
	Policy      *Policy
	IgnoreBlank *bool
	Transforms  *[]Transform
	Options     *[]Pair
}

func (e SetFields) apply(s *Set, schema Schema) *Refusal {
	m := s.ByKey(e.Key)
	if m == nil {
		return refuse(RuleNotFound, e.Key, "there is no such mapping; it may have been removed meanwhile")
	}
	if m.Category == Locked && e != (SetFields{Key: e.Key}) {
		return refuse(RuleLocked, e.Key, "phone number and e-mail are locked: contacts are recognised by them, always in both directions")
	}
	moved := e.HubSpot != nil && *e.HubSpot != m.HubSpot || e.Aloware != nil && *e.Aloware != m.Aloware
	if e.HubSpot != nil && *e.HubSpot != m.HubSpot {
		if refused := m.mayUse(*e.HubSpot); refused != nil {
			return refused
		}
		m.HubSpot = *e.HubSpot
	}
	if e.Aloware != nil && *e.Aloware != m.Aloware {
		if m.Category != Custom {
			return refuse(RuleProperty, e.Key, "the Aloware field of a built-in mapping is fixed; add a mapping of your own for another field")
		}
		m.Aloware = *e.Aloware
	}
	if moved {
		s.Index()
		if refused := s.fit(m, schema); refused != nil {
			return refused
		}
	}
	if e.Direction != nil && *e.Direction != m.Direction {
		if !slices.Contains(m.Allowed(), *e.Direction) {
			return refuse(RuleDirection, e.Key, "%s is not possible here: this mapping may be %s", *e.Direction, words(m.Allowed()))
		}
		m.Direction = *e.Direction
	}
	if e.Direction != nil || moved {
		if refused := m.checkReadOnly(schema); refused != nil {
			return refused
		}
	}
	if e.Policy != nil {
		m.Policy = *e.Policy
		if m.Policy == Newest {
			m.Policy = ""
		}
	}
	if e.IgnoreBlank != nil {
		m.IgnoreBlank = *e.IgnoreBlank
	}
	if e.Transforms != nil {
		m.Transforms = slices.Clone(*e.Transforms)
	}
	if e.Options != nil {
		m.Options = slices.Clone(*e.Options)
	}
	if e.Transforms != nil || moved {
		if refused := m.checkForms(schema); refused != nil {
			return refused
		}
	}
	if e.Options != nil || moved {
		return m.checkOptions(schema)
	}
	return nil
}

// mayUse reports whether the category lets the mapping use another HubSpot
// property.
func (m *Mapping) mayUse(property string) *Refusal {
	switch {
	case m.Category == Locked:
		return refuse(RuleLocked, m.Key, "phone number and e-mail are locked: contacts are recognised by them")
	case m.Key == "contact_disposition_status":
		return refuse(RuleProperty, m.Key, "the contact disposition status is always HubSpot's lead status")
	case m.Key == "lifecycle_stage":
		return refuse(RuleProperty, m.Key, "the lifecycle stage is always HubSpot's own")
	}
	return nil
}

// Add adds a user-defined mapping.
type Add struct {
	Aloware, HubSpot string
	Direction        contact.Direction
	Policy           Policy
	IgnoreBlank      bool
	Transforms       []Transform
	Options          []Pair
}

var notKey = regexp.MustCompile(`[^a-z0-9]+`)

// mostMappings bounds a set.
const mostMappings = 500

func (e Add) apply(s *Set, schema Schema) *Refusal {
	if len(s.Mappings) >= mostMappings {
		return refuse(RuleInvalid, "", "a set has at most %d mappings; remove one first", mostMappings)
	}
	if e.Aloware == "" || e.HubSpot == "" {
		return refuse(RuleInvalid, "", "a mapping needs a field of Aloware and a property of HubSpot")
	}
	if e.Direction.String() == "none" {
		return refuse(RuleDirection, "", "choose a direction: both, to_aloware or to_hubspot")
	}
	for _, row := range catalogue {
		if row.Aloware == e.Aloware && s.ByKey(row.Key) == nil {
			return refuse(RuleExists, row.Key, "%q is a built-in field of Aloware: add its built-in mapping back instead", row.AlowareLabel)
		}
	}
	m := Mapping{
		Key: s.freeKey(e.Aloware), Category: Custom, Aloware: e.Aloware, HubSpot: e.HubSpot, Direction: e.Direction,
		Policy: e.Policy, IgnoreBlank: e.IgnoreBlank, Transforms: slices.Clone(e.Transforms), Options: slices.Clone(e.Options),
	}
	if m.Policy == Newest {
		m.Policy = ""
	}
	s.Mappings = append(s.Mappings, m)
	s.Index()
	added := s.ByKey(m.Key)
	if refused := s.fit(added, schema); refused != nil {
		return refused
	}
	if refused := added.checkReadOnly(schema); refused != nil {
		return refused
	}
	if refused := added.checkForms(schema); refused != nil {
		return refused
	}
	return added.checkOptions(schema)
}

// freeKey makes a key of an Aloware field's name.
func (s *Set) freeKey(field string) string {
	base := "custom_" + notKey.ReplaceAllString(lower(field), "_")
	key := base
	for n := 2; s.ByKey(key) != nil; n++ {
		key = fmt.Sprintf("%s_%d", base, n)
	}
	return key
}

// AddBuiltIn adds a built-in mapping that was removed back, as it is by
// default. HubSpot is the property to use; "" for the row's own.
type AddBuiltIn struct{ Key, HubSpot string }

func (e AddBuiltIn) apply(s *Set, schema Schema) *Refusal {
	if s.ByKey(e.Key) != nil {
		return refuse(RuleExists, e.Key, "this mapping is there already")
	}
	for i, row := range catalogue {
		if row.Key != e.Key {
			continue
		}
		m := row.mapping(nil)
		if e.HubSpot != "" {
			m.HubSpot = e.HubSpot
		} else if name := row.resolve(schema); name != "" {
			m.HubSpot = name
		}
		place := 0
		for _, before := range catalogue[:i] {
			if s.ByKey(before.Key) != nil {
				place++
			}
		}
		s.Mappings = slices.Insert(s.Mappings, min(place, len(s.Mappings)), m)
		s.Index()
		added := s.ByKey(m.Key)
		if refused := s.fit(added, schema); refused != nil {
			return refused
		}
		return added.checkReadOnly(schema)
	}
	return refuse(RuleNotFound, e.Key, "there is no such built-in mapping")
}

// Remove removes a mapping. What was written by it stays as it is.
type Remove struct{ Key string }

func (e Remove) apply(s *Set, _ Schema) *Refusal {
	m := s.ByKey(e.Key)
	switch {
	case m == nil:
		return refuse(RuleNotFound, e.Key, "there is no such mapping; it may have been removed already")
	case m.Category == Locked:
		return refuse(RuleLocked, e.Key, "phone number and e-mail are locked and cannot be removed")
	case m.Category == Special:
		return refuse(RuleRemove, e.Key, "this mapping cannot be removed; you can change its direction")
	}
	s.Mappings = slices.DeleteFunc(s.Mappings, func(m Mapping) bool { return m.Key == e.Key })
	return nil
}

// SetFilter replaces the contact filter; nil removes it.
type SetFilter struct{ Filter *Filter }

func (e SetFilter) apply(s *Set, _ Schema) *Refusal {
	s.Filter = e.Filter
	return s.checkFilter()
}

// ResetToDefaults returns the built-in mappings to their defaults; user-defined
// ones stay where they do not stand in the way, and the filter stays.
type ResetToDefaults struct{}

func (ResetToDefaults) apply(s *Set, schema Schema) *Refusal {
	fresh := Resolve(schema)
	taken := func(m Mapping) bool {
		for i := range fresh.Mappings {
			if fresh.Mappings[i].HubSpot == m.HubSpot || fresh.Mappings[i].Aloware == m.Aloware {
				return true
			}
		}
		return false
	}
	for _, m := range s.Mappings {
		if m.Category == Custom && !taken(m) {
			fresh.Mappings = append(fresh.Mappings, m)
		}
	}
	s.Mappings = fresh.Mappings
	s.Index()
	if s.checkFilter() != nil {
		s.Filter = nil // it looked at a mapping that is no more
	}
	return nil
}

// Reconnected is what a disconnect followed by a reconnect resets: the contact
// disposition status and the contact owner lead to Aloware again.
type Reconnected struct{}

func (Reconnected) apply(s *Set, _ Schema) *Refusal {
	for _, key := range []string{"contact_disposition_status", "contact_owner"} {
		if m := s.ByKey(key); m != nil {
			m.Direction = contact.ToAloware
		}
	}
	return nil
}

// Replace puts another set's content in the place of this one: restoring an
// earlier version.
type Replace struct{ With *Set }

func (e Replace) apply(s *Set, _ Schema) *Refusal {
	next := e.With.clone()
	s.Mappings, s.Filter = next.Mappings, next.Filter
	return nil
}

// fit checks that the two properties of a mapping are there, free and of
// compatible types, and gives the mapping its type. Of a system whose
// properties are not known, nothing is judged.
func (s *Set) fit(m *Mapping, schema Schema) *Refusal {
	for _, system := range contact.Systems {
		name := m.Property(system)
		if Reserved(system, name) {
			return refuse(RuleReserved, m.Key, "%s is kept by the system itself and cannot be mapped", name)
		}
		for i := range s.Mappings {
			if other := &s.Mappings[i]; other.Key != m.Key && other.Property(system) == name {
				return refuse(RuleTaken, m.Key, "%s of %s is already mapped by %q; a property is in one mapping only", name, system.Name(), other.Label())
			}
		}
	}
	var types [2]contact.Type
	for i, system := range contact.Systems {
		p, ok := schema.Property(system, m.Property(system))
		switch {
		case ok && p.Problem != "":
			return refuse(RuleIncompatible, m.Key, "%s of %s cannot be mapped: %s", p.Name, system.Name(), p.Problem)
		case ok:
			types[i] = p.Type
		case schema.Known(system):
			return refuse(RuleUnknown, m.Key, "%s has no property %q; choose another or create it first", system.Name(), m.Property(system))
		}
	}
	if m.Manual() {
		if p, ok := schema.Property(contact.HubSpot, m.HubSpot); ok && (!p.Custom || p.Type != contact.Text) {
			return refuse(RuleProperty, m.Key, "the contact owner is HubSpot's own owner property or a custom text property; %q is neither", p.Label)
		}
	}
	if row, built := builtIn(m.Key); built {
		types[1] = row.Type // Aloware's side of a built-in mapping is what the catalogue says
	}
	switch {
	case types[0] == 0 && types[1] == 0:
		if m.Type == 0 {
			m.Type = contact.Text
		}
		return nil
	case types[0] == 0:
		m.Type = types[1]
		return nil
	case types[1] == 0:
		m.Type = types[0]
		return nil
	}
	joined, why := Compatible(types[1], types[0])
	if joined == 0 {
		return refuse(RuleIncompatible, m.Key, "%s", why)
	}
	m.Type = joined
	return nil
}

// checkForms holds that a form of one side is for a property that is a text
// there: any other has a form of its own.
func (m *Mapping) checkForms(schema Schema) *Refusal {
	for _, t := range m.Transforms {
		if t.Kind != DateFormat && t.Kind != PhoneFormat {
			continue
		}
		p, ok := schema.Property(t.Side, m.Property(t.Side))
		if ok && p.Type != contact.Text && p.Type != contact.Multiline {
			return refuse(RuleTransform, m.Key, "%s is for a text property; %s is a %s in %s, which has its own form", t.Kind, p.Name, people(p.Type), t.Side.Name())
		}
	}
	return nil
}

// checkReadOnly holds that a property that takes no values is only a source.
func (m *Mapping) checkReadOnly(schema Schema) *Refusal {
	p, ok := schema.Property(contact.HubSpot, m.HubSpot)
	if ok && p.ReadOnly && m.Direction.Into(contact.HubSpot) {
		return refuse(RuleReadOnly, m.Key, "HubSpot's %q takes no values: it can only lead to Aloware", p.Label)
	}
	return nil
}

// checkOptions holds an option map against what both sides have.
func (m *Mapping) checkOptions(schema Schema) *Refusal {
	if len(m.Options) == 0 {
		return nil
	}
	if m.Type != contact.Option && m.Type != contact.Checkbox {
		return refuse(RuleOptions, m.Key, "an option map is for dropdowns, radios and checkboxes; this is a %s", people(m.Type))
	}
	for _, pair := range m.Options {
		for _, system := range contact.Systems {
			value := pair.HubSpot
			if system == contact.Aloware {
				value = pair.Aloware
			}
			p, _ := schema.Property(system, m.Property(system))
			if p.Options != nil && !slices.ContainsFunc(p.Options, func(o Option) bool { return o.Value == value }) {
				return refuse(RuleOptions, m.Key, "%q is no option of %s in %s", value, m.Property(system), system.Name())
			}
		}
	}
	return nil
}

func words(directions []contact.Direction) string {
	text := ""
	for i, d := range directions {
		switch {
		case i > 0 && i == len(directions)-1:
			text += " or "
		case i > 0:
			text += ", "
		}
		text += d.String()
	}
	return text
}
