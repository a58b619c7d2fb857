package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
)

// Effect is what a mapping would do to one contact, as far as it is known.
type Effect struct {
	Writes []EffectWrite
	// Reads are the systems that must be read first: a property is mapped that
	// was never read. What is found there may lead to further writes.
	Reads []contact.System
	// Creates is the system where the contact would be created; 0 for none.
	Creates contact.System
}

// EffectWrite is one value that would be written.
type EffectWrite struct {
	Field         string
	System        contact.System
	Before, After string
}

// Preview is what these rules would do to a contact if they were applied to it
// now: the same as a Recheck command does. The state is changed and must not be
// used afterwards.
func Preview(rules *Rules, key contact.Key, state *State, now contact.Millis) Effect {
	j := NewJudge(rules, key, state, Decision{Version: state.Version + 1, Now: now, EventID: "preview"})
	before := make(map[string][2]string, len(state.Fields))
	for field, f := range state.Fields {
		var values [2]string
		for i := range values {
			values[i], _ = f.Sides[i].will()
		}
		before[field] = values
	}
	j.recheck(&contact.Command{})
	var effect Effect
	for _, p := range j.Conclude().Patches {
		if p.Fetch != nil && p.TargetID != "" && !slices.Contains(effect.Reads, p.System) {
			effect.Reads = append(effect.Reads, p.System)
		}
		if p.TargetID == "" && p.Create != nil && p.Create.MayCreate {
			effect.Creates = p.System
		}
		for _, property := range p.Properties {
			m := rules.Set.ByProperty(p.System, property.Name)
			effect.Writes = append(effect.Writes, EffectWrite{
				Field: m.Key, System: p.System, Before: before[m.Key][index(p.System)], After: property.Value,
			})
		}
	}
	return effect
}
