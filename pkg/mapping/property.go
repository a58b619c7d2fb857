package mapping

import (
	"maps"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
)

// Property is what a system says of one of its contact properties.
type Property struct {
	System contact.System `json:"system"`
	// Name as it is written in the system, Label as people see it.
	Name  string `json:"name"`
	Label string `json:"label"`
	// Type of its values; 0 for one that Lockstep cannot read, see Problem.
	Type contact.Type `json:"type"`
	// Options of an Option, in the system's order; nil where they are kept
	// elsewhere or not known.
	Options []Option `json:"options,omitempty"`
	// ReadOnly properties take no values: they can only be a source.
	ReadOnly bool `json:"read_only,omitempty"`
	// Custom properties were made in the tenant's own portal.
	Custom bool `json:"custom,omitempty"`
	// Problem says for people why it cannot be mapped at all; "" when it can.
	Problem string `json:"problem,omitempty"`
	// Renewed counts how often the property was away, or of another type, and
	// came back: what it held before may be gone.
	Renewed int64 `json:"-"`
}

// Option is one value that an Option property takes.
type Option struct {
	Value  string `json:"value"`
	Label  string `json:"label"`
	Hidden bool   `json:"hidden,omitempty"`
}

// Schema is what is known of the properties of both systems. A system of which
// nothing is known yet has a nil map: nothing is judged by it then.
type Schema [2]map[string]Property

// NewSchema indexes properties; a system without any counts as known.
func NewSchema(known []contact.System, properties []Property) Schema {
	var s Schema
	for _, system := range known {
		s[at(system)] = make(map[string]Property)
	}
	for _, p := range properties {
		if s[at(p.System)] == nil {
			s[at(p.System)] = make(map[string]Property)
		}
		s[at(p.System)][p.Name] = p
	}
	return s
}

// Known reports whether anything is known of a system's properties.
func (s Schema) Known(system contact.System) bool { return s[at(system)] != nil }

// Property finds a property; ok is false when the system has none of the name.
func (s Schema) Property(system contact.System, name string) (Property, bool) {
	p, ok := s[at(system)][name]
	return p, ok
}

func at(system contact.System) int {
	if system == contact.HubSpot {
		return 0
	}
	return 1
}

// Reserved names belong to Lockstep or to the system itself and are never
// mapped (HubSpot's record id; our own key, see package hubspot).
func Reserved(system contact.System, name string) bool {
	return system == contact.HubSpot && (name == "hs_object_id" || strings.HasPrefix(name, "lockstep_"))
}

// Compatible gives the canonical type under which a property of Aloware and
// one of HubSpot are compared, or says for people why they do not fit.
//
// Of the types, rows Aloware, columns HubSpot (T text, M multi-line, N number,
// C checkbox, D date, S datetime, O option, P phone, E e-mail, U user; "." does
// not fit):
//
//	    T M N C D S O P E U
//	T   T T N C D S O P E .
//	M   T M N C D S O P E .
//	N   N N N . . . . . . .
//	C   C C . C . . O . . .
//	D   D D . . D . . . . .
//	S   S S . . . S . . . .
//	O   O O . O . . O . . .
//	P   P P . . . . . P . .
//	E   E E . . . . . . E .
//	U   U . . . . . . . . U
//
// The stricter type rules: a text that is no value of it is an error of that
// field. A date and a datetime do not fit, because one of them would lose the
// time of day.
func Compatible(aloware, hubspot contact.Type) (contact.Type, string) {
	const types, letters = "TMNCDSOPEU", "TMNCDSOPEU"
	row, column := int(aloware)-1, int(hubspot)-1
	if row < 0 || row >= len(types) || column < 0 || column >= len(types) {
		return 0, "one of them holds values that Lockstep cannot read"
	}
	cell := compatible[row][column]
	if cell == '.' {
		return 0, "a " + people(aloware) + " in Aloware does not fit a " + people(hubspot) + " in HubSpot" + because(aloware, hubspot)
	}
	return contact.Type(strings.IndexByte(letters, cell) + 1), ""
}

var compatible = [10]string{
	"TTNCDSOPE.",
	"TMNCDSOPE.",
	"NNN.......",
	"CC.C..O...",
	"DD..D.....",
	"SS...S....",
	"OO.O..O...",
	"PP.....P..",
	"EE......E.",
	"U........U",
}

func because(a, b contact.Type) string {
	if a == contact.Date && b == contact.Datetime || a == contact.Datetime && b == contact.Date {
		return ": the time of day would be lost"
	}
	return ""
}

// people names a type for people.
func people(t contact.Type) string {
	switch t {
	case contact.Text:
		return "text"
	case contact.Multiline:
		return "multi-line text"
	case contact.Option:
		return "dropdown or radio"
	case contact.Datetime:
		return "date and time"
	case contact.Phone:
		return "phone number"
	case contact.Email:
		return "e-mail address"
	}
	return t.String()
}

// All are a system's properties, by name.
func (s Schema) All(system contact.System) []Property {
	list := make([]Property, 0, len(s[at(system)]))
	for _, name := range slices.Sorted(maps.Keys(s[at(system)])) {
		list = append(list, s[at(system)][name])
	}
	return list
}
