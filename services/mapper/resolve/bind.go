package resolve

import (
	"fmt"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// bind holds what is stored of a contact's fields against what the mappings
// join now. What is known of another property says nothing of the present one:
// a blank there is nobody's edit, and what the property holds must be read
// before anything is written over it.
func (j *Judge) bind(s *State) {
	mapped := 0
	for i := range j.rules.Set.Mappings {
		m := &j.rules.Set.Mappings[i]
		f := s.Fields[m.Key]
		if f == nil {
			continue
		}
		mapped++
		now := m.Binding
		if m.Stopped != "" {
			now.Renewed = f.Binding.Renewed // it counts when the mapping goes on
		}
		if f.Binding != now {
			j.rebind(s, m, f, now)
		}
	}
	if mapped == len(s.Fields) {
		return
	}
	for key := range s.Fields {
		if j.rules.Set.ByKey(key) == nil {
			delete(s.Fields, key) // its mapping was removed, and may come back as another
		}
	}
}

func (j *Judge) rebind(s *State, m *mapping.Mapping, f *Field, now mapping.Binding) {
	before := f.Binding
	f.Binding = now
	if before.Formed != now.Formed {
		j.reform(m, f)
		f.reformHold(m)
	}
	other := [2]bool{before.Since[0] != now.Since[0], before.Since[1] != now.Since[1]}
	for at, system := range contact.Systems {
		switch {
		case other[at]:
			f.Edits[at] = Edit{}
			j.step(Step{Field: m.Key, Side: system, Rule: "rebound", Reason: fmt.Sprintf("mapped to %s of %s since version %d: it is read anew", m.Property(system), system.Name(), now.Since[at])})
		case system == contact.HubSpot && before.Renewed != now.Renewed:
			j.step(Step{Field: m.Key, Side: system, Rule: "rebound", Reason: m.HubSpot + " was away in HubSpot and is back: it is read anew"})
		default:
			continue
		}
		f.Sides[at] = FieldSide{Forgotten: true}
		j.again(s, m, system)
	}
	if other == [2]bool{} {
		return
	}
	f.Asked, f.Approved, f.Former = false, Edit{}, [2]Edit{}
	f.Held, f.LetBe, f.Undone = nil, Edit{}, Edit{}
	for at, system := range contact.Systems {
		// What the other side holds is as at a first sync: it fills a blank, and
		// nobody meant it.
		if fs := &f.Sides[at]; !other[at] {
			fs.Rejected = nil
			f.stands(m, system)
		}
	}
}

// stands makes what a side holds a value that nobody meant, which fills a blank.
func (f *Field) stands(m *mapping.Mapping, system contact.System) {
	f.Edits[index(system)] = Edit{}
	if value, known := f.Sides[index(system)].will(); known && value != "" {
		f.Edits[index(system)] = Edit{Value: in(m, system, value), At: baselineAt, Side: system}
	}
}

// again lets Conclude read a side; a read that is under way does not ask for
// the property.
func (j *Judge) again(s *State, m *mapping.Mapping, system contact.System) {
	if m.Category.Computed() || m.Stopped != "" {
		return
	}
	s.Side(system).Fetching = 0
	j.rebound[index(system)] = true
}

// reform takes over what an edit of transforms or options makes of the values.
// What was refused in the former form is tried again.
func (j *Judge) reform(m *mapping.Mapping, f *Field) {
	f.Former = [2]Edit{}
	for at, system := range contact.Systems {
		fs, edit := &f.Sides[at], &f.Edits[at]
		fs.Rejected = nil
		if fs.Known && m.Type != contact.Option && j.flows(m, system) {
			// It is written in the form of now; that of before is not read by it.
			was, form := fs.Native, ""
			if form, _ = m.Write(system, fs.Value); was == "" {
				was = fs.Value
			}
			fs.Stale = form != was
		} else if fs.Known && fs.Native != "" {
			value, _ := j.rules.canonical(m, system, m.Read(system, fs.Native))
			if edit.Side != 0 && edit.Value == fs.Value {
				edit.Value = value
			}
			fs.Value = value
		}
		if edit.Side == 0 || Unresolved(edit.Value) {
			continue
		}
		if fs.Known && !j.flows(m, system) && !(fs.Value == "" && m.IgnoreBlank) {
			edit.Value = in(m, system, fs.Value) // nothing but its own people's values is there
			continue
		}
		edit.Value = m.Tidy(edit.Value)
	}
}

// field gives a field's state, made on first use for the mapping as it is.
func (j *Judge) field(m *mapping.Mapping) *Field {
	if j.state.Fields == nil {
		j.state.Fields = make(map[string]*Field)
	}
	f := j.state.Fields[m.Key]
	if f == nil {
		f = &Field{Binding: m.Binding}
		j.state.Fields[m.Key] = f
	}
	return f
}

// waits reports whether a side must be read before a value is written there:
// what its property holds was never read, because it was mapped or came back
// after the contact was read. It may count, or be equal: then nothing is
// written. It asks for the read.
func (j *Judge) waits(m *mapping.Mapping, f *Field, system contact.System, desired Edit) bool {
	side, fs := j.state.Side(system), &f.Sides[index(system)]
	if _, known := fs.will(); known || !side.Linked() || desired.Value == "" || m.Category.Computed() {
		return false
	}
	if later := m.Binding.Since != [2]int64{}; !fs.Forgotten && !(later && desired.At == baselineAt) {
		return false
	}
	if j.told[index(system)] && side.Fetching == 0 {
		return false // it was read just now, and has no such property
	}
	if side.Fetching == 0 && !j.answered[index(system)] {
		j.fetch(system, 0)
	}
	return true
}
