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
// now: the same as a Recheck command does. told is what the reads find that
// follow; without it, it is not known what they lead to. The state is changed
// and must not be used afterwards.
func Preview(rules *Rules, key contact.Key, state *State, now contact.Millis, told ...contact.Change) Effect {
	var effect Effect
	j := NewJudge(rules, key, state, Decision{Version: state.Version + 1, Now: now, EventID: "preview"})
	before := state.values()
	j.recheck(&contact.Command{})
	effect.add(rules, before, j.Conclude().Patches)
	if len(told) == 0 {
		return effect
	}
	j = NewJudge(rules, key, state, Decision{Version: state.Version + 1, Now: now, EventID: "preview/read"})
	for i := range told {
		read := &told[i]
		j.Settle(&contact.Outcome{
			System: read.System, Contact: key, Version: state.Side(read.System).Fetching, TargetID: read.ID, Result: contact.Fetched,
			AppliedAt: read.OccurredAt, Precision: read.Precision, AnsweredAt: read.ReceivedAt, Holds: read.Values, MergedIDs: read.MergedIDs,
		})
	}
	before = state.values()
	effect.add(rules, before, j.Conclude().Patches)
	return effect
}

// values are what the sides hold of each field once our writes have landed.
func (s *State) values() map[string][2]string {
	values := make(map[string][2]string, len(s.Fields))
	for field, f := range s.Fields {
		var both [2]string
		for i := range both {
			both[i], _ = f.Sides[i].will()
		}
		values[field] = both
	}
	return values
}

func (e *Effect) add(rules *Rules, before map[string][2]string, patches []contact.Patch) {
	for _, p := range patches {
		if p.Fetch != nil && p.TargetID != "" && !slices.Contains(e.Reads, p.System) {
			e.Reads = append(e.Reads, p.System)
		}
		if p.TargetID == "" && p.Create != nil && p.Create.MayCreate {
			e.Creates = p.System
		}
		for _, property := range p.Properties {
			m := rules.Set.ByProperty(p.System, property.Name)
			e.Writes = append(e.Writes, EffectWrite{
				Field: m.Key, System: p.System, Before: Shown(before[m.Key][index(p.System)]), After: property.Value,
			})
		}
	}
}
