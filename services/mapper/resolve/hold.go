package resolve

import (
	"cmp"
	"fmt"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// Held is an edit of a burst that counts and is not written: somebody is asked
// about it.
type Held struct {
	Hold   string
	Edit   Edit   // it is held while it is the desired value
	Text   string // what would be written
	Former string // what its own side had before the burst
}

// note is an edit as it was heard in this judgement.
type note struct {
	edit   Edit
	source string
	former string // the value that its side had before
	counts bool   // as one change of one contact
}

// heard tells which event is judged next.
func (j *Judge) heard(c *contact.Change) {
	j.source = SourceOf(c)
	j.sudden = c.Event != contact.Created && contact.JobBehind(c.EventID) == ""
}

// note keeps an edit that a side tells of, with what the side had before.
func (j *Judge) note(m *mapping.Mapping, edit Edit, former string) {
	if j.rules.Watch == nil || !j.state.Side(edit.Side).Read {
		return
	}
	if j.notes == nil {
		j.notes = make(map[string]*[2]note)
	}
	if j.notes[m.Key] == nil {
		j.notes[m.Key] = new([2]note)
	}
	n := &j.notes[m.Key][index(edit.Side)]
	if former = in(m, edit.Side, former); n.edit.Side != 0 {
		former = n.former
	}
	*n = note{edit: edit, source: j.source, former: former, counts: j.sudden}
}

// holds reports whether what is wanted belongs to a burst, and marks its field
// then. It counts as a change where a write is due, and is marked all the same
// where the side has the value already, or may have it: whatever is heard of that
// side later must not bring the burst there.
func (j *Judge) holds(m *mapping.Mapping, f *Field, system contact.System, want Edit, text string, due bool) bool {
	if f.Held != nil {
		return f.Held.Edit.Side != system
	}
	notes := j.notes[m.Key]
	if notes == nil || want.Side == system || !j.state.Side(system).Linked() {
		return false
	}
	n := notes[index(want.Side)]
	if n.edit.Side == 0 || n.edit.Value != want.Value {
		return false
	}
	counts := due && n.counts && want.At-f.Counted >= 2*slot // a contact counts once in a window
	if counts && j.rules.Watch != nil {
		f.Counted = want.At
	}
	hold := j.rules.Watch.change(FieldSource{FieldInto{m.Key, system}, n.source}, want.At, j.decision.Now, counts, j.next())
	if hold == nil {
		return false
	}
	f.Held = &Held{Hold: hold.ID, Edit: want, Text: text, Former: n.former}
	if !due {
		return true
	}
	j.step(Step{Field: m.Key, Side: want.Side, Rule: "held", Value: want.Value, At: want.At, Reason: hold.reason()})
	return true
}

func (h *Hold) reason() string {
	from := ""
	if h.Source != "" {
		from = " from " + h.Source
	}
	return fmt.Sprintf("part of a burst of changes%s: hold %s waits for an answer", from, h.ID)
}

// marks takes away what does not hold any more: marks of another edit than the
// desired one, or of a hold that is over. What was left as it is counts anew
// when somebody edits it later.
func (j *Judge) marks() {
	for key, f := range j.state.Fields {
		if f.Held == nil && f.LetBe.Side == 0 && f.Undone.Side == 0 {
			continue
		}
		m := j.rules.Set.ByKey(key)
		if m == nil {
			continue
		}
		desired := j.desired(m, f)
		if h := f.Held; h != nil && (!h.Edit.is(desired) || j.rules.Watch.Hold(h.Hold) == nil) {
			if notes := j.notes[key]; notes != nil {
				notes[index(h.Edit.Side)].former = h.Former // the burst goes on
			}
			f.Held = nil
		}
		if !f.LetBe.is(desired) {
			f.LetBe = Edit{}
		}
		if side := f.Undone.Side; side != 0 {
			fs, edit := &f.Sides[index(side)], f.Edits[index(side)]
			if !f.Undone.is(edit) && fs.Known && fs.outstanding() == nil && fs.Value == m.Out(side, edit.Value) {
				f.Undone = Edit{} // somebody has edited it since, and it stands
			}
		}
	}
}

// is reports whether another edit is this one, and no later one.
func (e Edit) is(other Edit) bool {
	return e.Side != 0 && e.Side == other.Side && e.Value == other.Value && other.At <= e.At
}

// taken is what the side of a burst that was undone should hold: the former
// value, or what was edited there meanwhile, in either direction of the field;
// ok is false where the usual rules tell.
func (f *Field) taken(system contact.System, desired Edit) (Edit, bool) {
	if f.Undone.Side != system || desired.Side == system.Other() {
		return Edit{}, false
	}
	return f.Edits[index(system)], true
}

// letBe reports whether somebody decided that a side keeps what it has.
func (f *Field) letBe(system contact.System, desired Edit) bool {
	return f.LetBe.Side == system.Other() && f.LetBe.is(desired)
}

// releaseHeld carries out the answer about a hold for this contact.
func (j *Judge) releaseHeld(c *contact.Command) {
	for _, key := range j.heldBy(c.Hold) {
		m, f := j.rules.Set.ByKey(key), j.state.Fields[key]
		held := f.Held
		f.Held = nil
		from, into := held.Edit.Side, held.Edit.Side.Other()
		switch c.Answer {
		case contact.AnswerGo:
			j.step(Step{Field: key, Side: into, Rule: "released", Value: held.Edit.Value, At: held.Edit.At, Reason: c.Author})
		case contact.AnswerDrop:
			f.LetBe = held.Edit
			j.step(Step{Field: key, Side: into, Rule: "let_be", Value: held.Edit.Value, At: held.Edit.At, Reason: c.Author})
		case contact.AnswerUndo:
			// Any edit that came after the burst is later than this one.
			undone := Edit{Value: held.Former, At: held.Edit.At + 1, Side: from}
			f.Edits[index(from)], f.Undone = undone, undone
			f.Sides[index(from)].Rejected = nil
			if will, known := f.Sides[index(into)].will(); known && m != nil && !j.flows(m, from) && will != m.Out(into, undone.Value) {
				f.LetBe = undone // the target has its own
			}
			j.step(Step{Field: key, Side: from, Rule: "undone", Value: undone.Value, At: undone.At, Reason: c.Author})
		}
	}
}

// heldBy are the fields that a hold keeps from being written, in order.
func (j *Judge) heldBy(hold string) (keys []string) {
	for key, f := range j.state.Fields {
		if f.Held != nil && f.Held.Hold == hold {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// joinHold takes over what waits of another state of the same person.
func (f *Field) joinHold(theirs *Field) {
	if f.Held == nil {
		f.Held = theirs.Held
	}
	if f.LetBe.Side == 0 {
		f.LetBe = theirs.LetBe
	}
	if f.Undone.Side == 0 {
		f.Undone = theirs.Undone
	}
}

// reformHold follows an edit of transforms or options.
func (f *Field) reformHold(m *mapping.Mapping) {
	if h := f.Held; h != nil {
		h.Edit.Value = f.Edits[index(h.Edit.Side)].Value
		h.Text = m.Out(h.Edit.Side.Other(), h.Edit.Value)
	}
	for _, edit := range []*Edit{&f.LetBe, &f.Undone} {
		if edit.Side != 0 {
			edit.Value = f.Edits[index(edit.Side)].Value
		}
	}
}

// waiting is the value that waits for an answer, and what its target has; ok is
// false where that is the same.
func (f *Field) waiting() (before, after string, ok bool) {
	if f.Held == nil {
		return "", "", false
	}
	before, _ = f.Sides[index(f.Held.Edit.Side.Other())].will()
	return before, f.Held.Text, before != f.Held.Text
}

// HeldValue is a value that is not written, for people.
type HeldValue struct {
	Field, Hold   string
	Into          contact.System
	Before, After string // what the side has, and what would be written
	At            contact.Millis
}

// HeldValues are the values of the contact that wait for an answer, sorted; nil
// for none.
func (s *State) HeldValues() []HeldValue {
	var values []HeldValue
	for key, f := range s.Fields {
		if before, after, ok := f.waiting(); ok {
			values = append(values, HeldValue{Field: key, Hold: f.Held.Hold, Into: f.Held.Edit.Side.Other(), Before: Shown(before), After: Shown(after), At: f.Held.Edit.At})
		}
	}
	slices.SortFunc(values, func(a, b HeldValue) int { return cmp.Compare(a.Field, b.Field) })
	return values
}
