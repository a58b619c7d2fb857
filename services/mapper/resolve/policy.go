package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// permits reports whether the mapping's policy lets a side receive the desired
// value. Contacts that Lockstep creates get their first values under every
// policy: there is nothing that could be overwritten.
func (j *Judge) permits(m *mapping.Mapping, f *Field, system contact.System, desired Edit) bool {
	side := j.state.Side(system)
	fs := &f.Sides[index(system)]
	if !side.Linked() {
		return true
	}
	will, known := fs.will()
	switch m.Policy {
	case mapping.OnlyIfEmpty:
		return known && will == "" || !known && side.Read
	case mapping.OnlyOnCreate:
		return false
	case mapping.Review:
		if f.Approved == desired {
			return true
		}
		differs := known && will != m.Out(system, desired.Value) || !known && side.Read && desired.Value != ""
		if differs && !f.Asked {
			f.Asked = true
			if !j.asked[m.Key] {
				j.step(Step{Field: m.Key, Side: system, Rule: "review", Value: desired.Value, At: desired.At})
			}
		}
		return false
	}
	return true
}

// reopen begins the questions of the contact anew: which of them are still
// open, rule 6 finds.
func (j *Judge) reopen() {
	for key, f := range j.state.Fields {
		if f.Asked {
			if j.asked == nil {
				j.asked = make(map[string]bool)
			}
			j.asked[key], f.Asked = true, false
		}
	}
}

// outside reports whether the tenant's filter leaves the contact out: nothing
// is written then, and what happens is noted all the same.
func (j *Judge) outside() bool {
	outside := !j.rules.Set.Admits(j.current)
	if outside != j.state.Outside {
		j.state.Outside = outside
		rule := "entered"
		if outside {
			rule = "left"
		}
		j.step(Step{Rule: rule, Reason: "the tenant's contact filter"})
	}
	if outside {
		// A side that was never read may hold what admits the contact.
		for _, system := range contact.Systems {
			if side := j.state.Side(system); side.Linked() && (!side.Read || j.rebound[index(system)]) && side.Fetching == 0 {
				j.fetch(system, 0)
			}
		}
	}
	return outside
}

// current is the value of a field that a filter looks at: the desired one, else
// what HubSpot holds, else what Aloware holds.
func (j *Judge) current(key string) string {
	m, f := j.rules.Set.ByKey(key), j.state.Fields[key]
	if m == nil || f == nil {
		return ""
	}
	if desired := j.desired(m, f); desired.Side != 0 {
		return desired.Value
	}
	for at, system := range contact.Systems {
		if fs := &f.Sides[at]; fs.Known && fs.Value != "" {
			return in(m, system, fs.Value)
		}
	}
	return ""
}

// defaults are the values that the tenant gives to contacts that are created
// without any.
func (j *Judge) defaults(system contact.System, have []contact.Property) (more []contact.Property) {
	if !j.mayCreate(system) {
		return nil
	}
	for i := range j.rules.Set.Mappings {
		m := &j.rules.Set.Mappings[i]
		value := j.rules.Defaults[m.Key]
		if value == "" || m.Stopped != "" || slices.ContainsFunc(have, func(p contact.Property) bool { return p.Name == m.Property(system) }) {
			continue
		}
		if property, ok := j.write(m, j.field(m), system, Edit{Value: value, At: baselineAt, Side: system.Other()}); ok {
			more = append(more, property)
		}
	}
	return more
}
