package simulation

import (
	"fmt"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// The fields of a simulated contact, by their place in its values. Those from
// firstComputed on are in HubSpot only.
const (
	phone = iota
	email
	firstName
	lastName
	company
	city
	leadSource
	firstComputed
)

// fieldKeys are the mappings' keys in the same order.
var fieldKeys = []string{
	"phone_number", "email", "first_name", "last_name", "company_name", "city", "lead_source",
	"total_inbound_calls", "total_outbound_calls", "total_inbound_text_messages", "total_outbound_text_messages",
	"first_inbound_call_datetime", "last_outbound_call_datetime", "last_call_disposition",
}

const (
	fields = 14
	// Beyond the fields are properties of HubSpot that are not mapped: the city
	// and the company can be mapped to them, see remap.
	spareCity    = fields
	spareCompany = fields + 1
	slots        = fields + 2
)

// spares are the fields that can be mapped to another property.
var spares = map[int]int{city: spareCity, company: spareCompany}

// fieldSet is what fields may be mapped how; made anew for each version.
func (w *world) fieldSet(version int64) *mapping.Set {
	set := &mapping.Set{Version: version, Mappings: make([]mapping.Mapping, 0, fields)}
	for i, m := range w.catalogue[:fields] {
		if w.removed[i] {
			continue
		}
		if w.directions[i] != 0 {
			m.Direction = w.directions[i]
		}
		m.Policy, m.IgnoreBlank = w.terms[i].policy, m.IgnoreBlank || w.terms[i].blanks
		if w.terms[i].atRest {
			m.Stopped = "away"
		}
		set.Mappings = append(set.Mappings, m)
	}
	set.Filter = w.filtered
	return set.Index()
}

// catalogue are the built-in mappings of the fields, and the spare properties.
var catalogue = func() (list [slots]mapping.Mapping) {
	set := mapping.Default(nil)
	for i, key := range fieldKeys {
		list[i] = *set.ByKey(key)
	}
	for field, spare := range spares {
		list[spare] = list[field]
		list[spare].HubSpot = "other_" + list[field].HubSpot
	}
	return list
}()

// fieldOf finds a field by its property in a system; -1 for none.
func (w *world) fieldOf(system contact.System, property string) int {
	for i := range w.catalogue {
		if w.catalogue[i].Property(system) == property {
			return i
		}
	}
	return -1
}

// valueOf is the n-th value that a person's field can be given; 0 is blank, or
// the number by which he is known in both systems. It
// carries the person, so that what remains of him can be found anywhere.
func valueOf(person, field, n int) string {
	switch {
	case field == phone:
		return fmt.Sprintf("+1202555%04d", 100+10*person+n)
	case n == 0:
		return ""
	case field == email:
		return fmt.Sprintf("p%dv%d@example.com", person, n)
	}
	return fmt.Sprintf("p%dv%d", person, n)
}

// canonical is the form in which values are compared. It leans on package
// contact and not on the rules, which are under test.
func canonical(field int, text string) string {
	value, err := contact.Canonical(catalogue[field].Type, text, "US")
	if err != nil {
		return text
	}
	return value
}
