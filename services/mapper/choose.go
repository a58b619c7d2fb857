package mapper

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// choose settles a conflict as somebody chose. The chosen contact is joined
// where it is nobody's counterpart; else its link moves here, and the other is
// left without one.
func (j *judged) choose(e *entry, c *contact.Command) {
	taken := ""
	if c.ID == "" {
		taken = j.cannotBeMade(e, c.System)
	}
	judge := j.judge(e, c.EventID)
	if !judge.Chooses(c) {
		return
	}
	if c.ID == "" {
		judge.Anew(c.System, taken)
		return
	}
	other := j.batch.byID(j.tenant, c.System, c.ID)
	mine := e.state.Side(c.System)
	switch {
	case other == nil:
		judge.Take(c.System, c.ID, nil)
	case other == e:
		// The link that was in question stands.
	case mine.ID == "" && other.state.Side(c.System.Other()).ID == "":
		j.join(e, other, c.EventID)
	default:
		activity := j.judge(other, c.EventID).Unlink(c.System)
		j.judge(e, c.EventID).Take(c.System, c.ID, activity)
	}
	j.batch.index(e)
}

// cannotBeMade is why a system takes no new contact besides the candidates; ""
// when it does. Aloware holds a number once.
func (j *judged) cannotBeMade(e *entry, system contact.System) string {
	if system != contact.Aloware {
		return ""
	}
	const why = "Aloware holds a number once, and another contact there has it: change the number of one of the two"
	phones := e.state.Side(contact.HubSpot).Phones()
	for _, id := range e.state.Side(system).Candidates {
		other := j.batch.byID(j.tenant, system, id)
		if other == nil {
			return why // it was found by the number
		}
		for _, phone := range other.state.Side(system).Phones() {
			if slices.Contains(phones, phone) {
				return why
			}
		}
	}
	return ""
}

// somebodyElse settles that the writer found a contact of which a person said
// that it is another one.
func (j *judged) somebodyElse(e *entry, o *contact.Outcome) {
	j.judge(e, o.EventID).Settle(&contact.Outcome{
		System: o.System, Contact: o.Contact, Version: o.Version, Result: contact.Rejected, Refusal: resolve.SomebodyElse(o.System),
	})
}
