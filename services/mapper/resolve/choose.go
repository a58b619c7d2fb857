package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// Chooses begins to settle a conflict on a side. It reports whether there is
// one that the choice settles: it may be known already, or the conflict may be
// another one by now.
func (j *Judge) Chooses(c *contact.Command) bool {
	if j.seenBefore(c.EventID) {
		j.verdict.Stale++
		return false
	}
	side := j.state.Side(c.System)
	if len(side.Candidates) == 0 || c.ID != "" && !slices.Contains(side.Candidates, c.ID) {
		j.step(Step{Side: c.System, Rule: "stale", Reason: c.Author + " chose, but there is no such choice any more"})
		return false
	}
	j.step(Step{Side: c.System, Rule: "chosen", Reason: c.Author + chose(c.ID)})
	for _, id := range side.Candidates {
		if id != c.ID {
			side.Apart = appendNew(side.Apart, id)
		}
	}
	side.Candidates, side.Refused = nil, nil
	side.Apart = slices.DeleteFunc(side.Apart, func(id string) bool { return id == c.ID })
	return true
}

func chose(id string) string {
	if id == "" {
		return " chose a new contact"
	}
	return " chose " + id
}

// Unlink cuts the link of a side with a contact that belongs to somebody else:
// nothing that was known there is this contact's. What Aloware has besides, since
// HubSpot merged two that were linked, takes its place. It gives the activity that
// goes with Aloware's side.
func (j *Judge) Unlink(system contact.System, id string) *Activity {
	side := j.state.Side(system)
	var besides []string
	if system == contact.Aloware { // it merges nothing: each of them is a contact
		besides = slices.DeleteFunc(slices.Clone(side.Aliases), func(alias string) bool { return alias == id })
		if id != side.ID && slices.Contains(side.Aliases, id) {
			side.Aliases, side.Apart = besides, appendNew(side.Apart, id)
			j.step(Step{Side: system, Rule: "unlinked", Reason: id})
			return nil
		}
	}
	apart := side.Apart
	for _, left := range append([]string{side.ID}, side.Aliases...) {
		if !slices.Contains(besides, left) {
			apart = appendNew(apart, left)
		}
	}
	j.step(Step{Side: system, Rule: "unlinked", Reason: side.ID})
	*side = Side{Apart: apart}
	if len(besides) > 0 {
		j.link(system, besides[0])
		side.Aliases = besides[1:]
	} else {
		side.Refused = refusal(somebodyElse, "its counterpart in "+system.Name()+" was given to another contact, as somebody chose")
		side.Sought = j.sought(system)
	}
	for key, f := range j.state.Fields {
		f.Sides[index(system)], f.Edits[index(system)], f.Former = FieldSide{}, Edit{}, [2]Edit{}
		left, edit := &f.Sides[index(system.Other())], &f.Edits[index(system.Other())]
		if m := j.rules.Set.ByKey(key); m != nil && edit.Side == 0 && left.Known && left.Value != "" {
			// What came from there stands, like anything that was there before.
			*edit = Edit{Value: in(m, system.Other(), left.Value), At: baselineAt, Side: system.Other()}
		}
	}
	if system != contact.Aloware {
		return nil
	}
	activity := j.state.Activity
	j.state.Activity = nil
	return activity
}

// Take links the contact of a side that was chosen, with its activity; nil for
// none that is known. What it holds is read.
func (j *Judge) Take(system contact.System, id string, activity *Activity) {
	side := j.state.Side(system)
	if side.ID != "" && side.ID != id {
		j.Unlink(system, side.ID)
		side.Refused, side.Sought = nil, ""
		side.Apart = slices.DeleteFunc(side.Apart, func(apart string) bool { return apart == id })
	}
	j.link(system, id)
	side.Gone, side.Read = false, false
	if activity != nil {
		j.state.Activity = activity
		j.publish(&contact.Communication{UpdatedAt: j.decision.Now})
	}
}

// Anew settles a conflict by a new contact, which is made whatever the others
// hold. Where the system cannot hold one more, it is refused with the reason.
func (j *Judge) Anew(system contact.System, why string) {
	side := j.state.Side(system)
	side.Sought = ""
	if why != "" {
		side.Refused, side.Sought = refusal(somebodyElse, why), j.sought(system)
		j.step(Step{Side: system, Rule: "refused", Reason: somebodyElse + ": " + why})
	}
}

// somebodyElse is the reason of a contact whose only possible counterpart is
// somebody else.
const somebodyElse = "SOMEBODY_ELSE"

// SomebodyElse is the refusal of a counterpart that is another contact.
func SomebodyElse(system contact.System) *fault.Refusal {
	return refusal(somebodyElse, "the contact that was found in "+system.Name()+" is somebody else, as somebody chose")
}

// Apart reports whether a person said that two contacts are different people.
func Apart(a, b *State) bool {
	for i := range contact.Systems {
		if slices.Contains(a.Sides[i].Apart, b.Sides[i].ID) && b.Sides[i].ID != "" || slices.Contains(b.Sides[i].Apart, a.Sides[i].ID) && a.Sides[i].ID != "" {
			return true
		}
	}
	return false
}

func appendNew(ids []string, id string) []string {
	if id == "" || slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}
