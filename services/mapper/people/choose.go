package people

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// choose settles a conflict as somebody chose. The chosen contact is joined
// where it is nobody's counterpart; else its link moves here, and the other is
// left without one.
func (j *Message) choose(e *Entry, c *contact.Command) {
	taken := ""
	if c.ID == "" {
		taken = j.cannotBeMade(e, c.System)
	}
	judge := j.Judge(e, c.EventID)
	if !judge.Chooses(c) {
		return
	}
	if c.ID == "" {
		judge.Anew(c.System, taken)
		return
	}
	other := j.byID(j.tenant, c.System, c.ID)
	mine := e.State.Side(c.System)
	switch {
	case other == nil:
		judge.Take(c.System, c.ID, nil)
	case other == e:
		// The link that was in question stands.
	case mine.ID == "" && other.State.Side(c.System.Other()).ID == "":
		j.join(e, other, c.EventID)
	default:
		activity := j.Judge(other, c.EventID).Unlink(c.System, c.ID)
		j.Judge(e, c.EventID).Take(c.System, c.ID, activity)
	}
	j.index(e)
}

// cannotBeMade is why a system takes no new contact besides the candidates; ""
// when it does. Aloware holds a number once.
func (j *Message) cannotBeMade(e *Entry, system contact.System) string {
	if system != contact.Aloware {
		return ""
	}
	const why = "Aloware holds a number once, and another contact there has it: change the number of one of the two"
	phones := e.State.Side(contact.HubSpot).Phones()
	for _, id := range e.State.Side(system).Candidates {
		other := j.byID(j.tenant, system, id)
		if other == nil {
			return why // it was found by the number
		}
		for _, phone := range other.State.Side(system).Phones() {
			if slices.Contains(phones, phone) {
				return why
			}
		}
	}
	return ""
}

// somebodyElse settles that the writer found a contact of which a person said
// that it is another one.
func (j *Message) somebodyElse(e *Entry, o *contact.Outcome) {
	j.Judge(e, o.EventID).Settle(&contact.Outcome{
		System: o.System, Contact: o.Contact, Version: o.Version, Result: contact.Rejected, Refusal: resolve.SomebodyElse(o.System),
	})
}
