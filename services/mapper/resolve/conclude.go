package resolve

import (
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// Conclude runs rule 6 over the whole contact and gives what was decided. The
// judge must not be used after it.
func (j *Judge) Conclude() Verdict {
	if j.verdict.Erased {
		return j.verdict
	}
	if j.outside() {
		return j.verdict
	}
	j.reopen()
	j.tugs()
	j.marks()
	j.redirect()
	j.explainBar()
	j.carryDeletions()
	for _, system := range contact.Systems {
		side := j.state.Side(system)
		switch {
		case j.rests[index(system)]:
		case side.Linked() && side.Archiving != 0:
		case side.Linked() && side.ambiguous():
			// It would be found as somebody else: a person says who it is.
		case side.Linked():
			j.update(system, side)
			if (!side.Read || j.rebound[index(system)]) && side.Fetching == 0 {
				j.fetch(system, 0)
			}
		case side.Creating == 0 && j.seeks(system, side):
			// While one is under way, another with other keys could make the
			// contact twice: what came meanwhile follows its answer.
			j.create(system, side)
		}
	}
	return j.verdict
}

// update patches a linked contact.
func (j *Judge) update(system contact.System, side *Side) {
	properties, edited := j.due(system, nil, side)
	if len(properties) == 0 {
		return
	}
	patch := j.patch(system, properties, edited)
	patch.Create = j.keys(system, false)
	j.verdict.Patches = append(j.verdict.Patches, patch)
}

// seeks reports whether a missing contact should be looked for (and created)
// now: its counterpart is fully read, nothing speaks against it, and it was
// not looked for with the same keys before.
func (j *Judge) seeks(system contact.System, side *Side) bool {
	other := j.state.Side(system.Other())
	if !other.Linked() || !other.Read || side.Gone || len(side.Candidates) > 0 {
		return false
	}
	return side.Sought != j.sought(system)
}

// sought is what a search by the present keys is remembered by.
func (j *Judge) sought(system contact.System) string {
	keys := j.keys(system, true)
	named := "unnamed"
	if j.named() {
		named = "named"
	}
	may := "find"
	if keys.MayCreate {
		may = "create"
	}
	return strings.Join(append(keys.Phones, keys.Email, named, may), " ")
}

func (j *Judge) named() bool {
	for _, key := range []string{"first_name", "last_name"} {
		if f := j.state.Fields[key]; f != nil && (f.Sides[0].Value != "" || f.Sides[1].Value != "") {
			return true
		}
	}
	return false
}

// keys say how a contact is found in a system: by what the other side holds.
func (j *Judge) keys(system contact.System, creating bool) *contact.Create {
	other, own := j.state.Side(system.Other()), j.state.Side(system)
	create := &contact.Create{Phones: other.Phones(), Email: other.Email}
	if own.Linked() && (own.Read || len(own.Phones()) > 0) {
		// A linked contact is found by what it holds itself, once that is known.
		create.Phones, create.Email = own.Phones(), own.Email
	}
	create.MayCreate = creating && j.mayCreate(system)
	if creating && len(own.Apart) > 0 {
		j.besides(system, create)
	}
	return create
}

// besides leaves out the keys that lead to contacts of which a person said that
// they are somebody else. Aloware holds a number once, so that it can be made
// besides those with the same e-mail only.
func (j *Judge) besides(system contact.System, create *contact.Create) {
	create.Email = ""
	if system == contact.HubSpot {
		create.Phones = nil
	}
}

// create finds or creates the contact, with all that should be there.
func (j *Judge) create(system contact.System, side *Side) {
	sought := j.sought(system)
	fresh := side.Sought != sought
	properties, edited := j.due(system, j.identity(system), side)
	if !fresh && len(properties) == 0 {
		return
	}
	properties = append(properties, j.defaults(system, properties)...)
	patch := j.patch(system, properties, edited)
	patch.Create = j.keys(system, true)
	// What is found has values of its own, of which nothing is known yet: it is
	// read only, and then decided on like any other contact.
	patch.Fetch = &contact.Fetch{Properties: j.rules.readable(system)}
	side.Sought, side.Refused = sought, nil
	side.Creating = patch.Version
	j.verdict.Patches = append(j.verdict.Patches, patch)
	if fresh {
		j.step(Step{Side: system, Rule: "sought", Version: patch.Version})
	}
}

// identity are the fields that a new contact gets whatever their direction:
// without them the system could not hold it or people not recognise it.
func (j *Judge) identity(system contact.System) []string {
	if j.mayCreate(system) {
		return []string{"phone_number", "email", "first_name", "last_name"}
	}
	return nil
}

// due collects the properties of a side that need a write (rule 6). Fields
// named in also are taken from the other side's known value where they have no
// desired one that may flow.
func (j *Judge) due(system contact.System, also []string, side *Side) (properties []contact.Property, edited contact.Millis) {
	for i := range j.rules.Set.Mappings {
		m := &j.rules.Set.Mappings[i]
		f := j.state.Fields[m.Key]
		if f == nil || m.Stopped != "" || f.rests() {
			continue
		}
		if m.Key == "email" && system == contact.HubSpot && !side.Linked() && len(side.Apart) > 0 {
			continue // HubSpot holds an e-mail once, and would take the other for this one: it follows when there is one
		}
		want, flows := j.wanted(m, f, system)
		if !flows && slices.Contains(also, m.Key) {
			other := &f.Sides[index(system.Other())]
			want, flows = Edit{Value: in(m, system.Other(), other.Value), At: other.Seen.At, Side: system.Other()}, other.Known && other.Value != "" && !Unresolved(other.Value)
		}
		if !flows {
			continue
		}
		if property, ok := j.write(m, f, system, want); ok {
			properties = append(properties, property)
			edited = max(edited, want.At)
		}
	}
	return properties, edited
}

// wanted is what a side should hold of a field; ok is false when it is left
// alone.
func (j *Judge) wanted(m *mapping.Mapping, f *Field, system contact.System) (Edit, bool) {
	desired := j.desired(m, f)
	if edit, ok := f.taken(system, desired); ok {
		return edit, true
	}
	if desired.Side == 0 || !j.flows(m, system) {
		return Edit{}, false
	}
	if f.letBe(system, desired) {
		return Edit{}, false
	}
	if j.standing(m, f, system, desired) {
		return Edit{}, false
	}
	if j.waits(m, f, system, desired) {
		return Edit{}, false
	}
	return desired, j.permits(m, f, system, desired)
}

// write issues one write unless the side will hold the value anyway or has
// refused it.
func (j *Judge) write(m *mapping.Mapping, f *Field, system contact.System, want Edit) (contact.Property, bool) {
	fs := &f.Sides[index(system)]
	text := want.Value
	if !Unresolved(text) {
		text = m.Out(system, text)
	}
	will, known := fs.will()
	if known && will == text && !fs.Stale || !known && text == "" {
		j.holds(m, f, system, want, text, false)
		return contact.Property{}, false
	}
	if fs.Rejected != nil && fs.Rejected.Value == text {
		return contact.Property{}, false
	}
	if side := j.state.Side(system); side.Doubt != 0 && (fs.justWrote(text) || side.Fetching != 0 && fs.inDoubt()) {
		j.holds(m, f, system, want, text, false)
		return contact.Property{}, false // it may be there already, or set later than what is known: a read is on its way
	}
	native, refused := j.rules.native(m, system, text)
	if refused != nil {
		fs.Rejected = j.rejection(system, text, 0, refused)
		j.step(Step{Field: m.Key, Side: system, Rule: "refused", Value: want.Value, At: want.At, Reason: refused.Reason + ": " + refused.Message})
		return contact.Property{}, false
	}
	if j.holds(m, f, system, want, text, true) {
		return contact.Property{}, false
	}
	version := j.next()
	fs.issue(version, text, !j.state.Side(system).Linked())
	native, typ := m.Write(system, native)
	if m.Manual() && system == contact.HubSpot {
		typ = contact.Text
	}
	j.step(Step{Field: m.Key, Side: system, Rule: "write", Value: want.Value, At: want.At, Version: version})
	return contact.Property{Name: m.Property(system), Type: typ, Value: native, Version: version}, true
}

// patch makes a patch of this judgement.
func (j *Judge) patch(system contact.System, properties []contact.Property, edited contact.Millis) contact.Patch {
	return contact.Patch{
		Contact: j.key, System: system, Version: j.next(), TargetID: j.state.Side(system).target(),
		Properties: properties, CauseEventID: j.decision.EventID, EditedAt: edited, ReceivedAt: j.received,
		MappingVersion: j.rules.Set.Version, Traceparent: j.decision.Traceparent,
	}
}

func (s *Side) target() string {
	if s.Gone {
		return ""
	}
	return s.ID
}

// fetch asks for a read of the whole contact on a side.
func (j *Judge) fetch(system contact.System, notBefore contact.Millis) {
	patch := j.patch(system, nil, 0)
	patch.Fetch = &contact.Fetch{Properties: j.rules.readable(system), NotBefore: notBefore}
	patch.Create = j.keys(system, false)
	j.state.Side(system).Fetching = patch.Version
	j.verdict.Patches = append(j.verdict.Patches, patch)
}

// readable are the properties that a read of a side asks for.
func (r *Rules) readable(system contact.System) []string {
	names := r.Set.Properties(system)
	if system == contact.HubSpot {
		names = append(names, MobilePhone)
	}
	return names
}
