package resolve

import (
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// Card tells what is known of a contact, and how each field stands by the
// rules in force. Brief leaves the fields out.
func Card(rules *Rules, key contact.Key, s *State, brief bool) contact.Card {
	card := contact.Card{Key: key, Name: s.Name(), Outside: s.Outside}
	for at := range contact.Systems {
		side := &s.Sides[at]
		card.Sides[at] = contact.CardSide{
			ID: side.ID, Aliases: side.Aliases, Gone: side.Gone, Read: side.Read, Seeking: side.Creating != 0,
			Phones: side.Phones(), Email: side.Email, Candidates: side.Candidates, Refused: cardRefusal(side.Refused),
		}
	}
	if s.Activity != nil {
		card.Missing = s.Activity.missing()
	}
	if brief {
		return card
	}
	j := NewJudge(rules, key, s, Decision{})
	for i := range rules.Set.Mappings {
		card.Fields = append(card.Fields, j.cardField(&rules.Set.Mappings[i]))
	}
	return card
}

func (j *Judge) cardField(m *mapping.Mapping) contact.CardField {
	out := contact.CardField{Key: m.Key, Direction: m.Direction, Type: m.Type, Stopped: m.Stopped}
	f := j.state.Fields[m.Key]
	if f == nil {
		f = &Field{}
	}
	for at, system := range contact.Systems {
		fs := &f.Sides[at]
		v := contact.CardValue{Property: m.Property(system), Known: fs.Known, Value: Shown(fs.Value), Since: fs.Since, SeenAt: fs.Seen.At}
		if w := fs.outstanding(); w != nil {
			v.Waiting, v.Writing = true, Shown(w.Value)
		}
		if fs.Rejected != nil {
			v.Refused, v.Rejected = cardRefusal(&fs.Rejected.Refusal), Shown(fs.Rejected.Value)
		}
		out.Sides[at] = v
	}
	if out.State = j.fieldState(m, f); out.State == contact.FieldRewritten {
		out.Stopped = f.Tug.Rest.words()
	}
	return out
}

// fieldState is how a field stands: the state that asks for most attention.
func (j *Judge) fieldState(m *mapping.Mapping, f *Field) contact.FieldState {
	a, b := &f.Sides[0], &f.Sides[1]
	switch {
	case m.Stopped != "":
		return contact.FieldStopped
	case f.rests() && f.Tug.Rest.Apart:
		return contact.FieldRewritten
	case a.Rejected != nil || b.Rejected != nil:
		return contact.FieldRefused
	case f.Asked:
		return contact.FieldReview
	case j.waitsForAnswer(f):
		return contact.FieldHeld
	case a.outstanding() != nil || b.outstanding() != nil:
		return contact.FieldWaiting
	case a.Known && b.Known && (a.Value == b.Value || in(m, contact.HubSpot, a.Value) == in(m, contact.Aloware, b.Value)):
		return contact.FieldInStep
	}
	desired := j.desired(m, f)
	for at, system := range contact.Systems {
		if desired.Side == system.Other() && !j.flows(m, system.Other()) && f.Edits[at].later(desired) {
			return contact.FieldOwn
		}
	}
	switch {
	case !a.Known && !b.Known, !a.Known && b.Value == "", !b.Known && a.Value == "":
		if j.state.Sides[0].Read && j.state.Sides[1].Read {
			return contact.FieldInStep // both are blank
		}
		return contact.FieldUnread
	case !a.Known || !b.Known:
		return contact.FieldUnread
	}
	return contact.FieldDiffers
}

// waitsForAnswer reports whether a hold keeps a value of a field from its target.
func (j *Judge) waitsForAnswer(f *Field) bool {
	_, _, waits := f.waiting()
	return waits && j.rules.Watch.Hold(f.Held.Hold) != nil
}

func cardRefusal(r *fault.Refusal) *contact.CardRefusal {
	if r == nil {
		return nil
	}
	return &contact.CardRefusal{Class: r.Class.String(), Reason: r.Reason, Message: r.Message}
}
