package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
)

// archiveAfter is how long after a deletion in HubSpot is looked whether the
// contact is really gone: one that was merged away is reported as deleted too,
// and one that was deleted by mistake is restored.
const archiveAfter contact.Millis = 5_000

// leave notes that a contact was deleted on one side, where the tenant wants
// the other side's to be archived then. It is not sure yet: in both systems a
// merge can look the same.
func (j *Judge) leave(system contact.System) {
	if !j.rules.Archive.Into(system.Other()) || !j.state.Side(system.Other()).Linked() {
		return
	}
	side := j.state.Side(system)
	side.Leaving, side.Left = max(j.decision.Now, 1), false
	if system == contact.HubSpot {
		side.Leaving += archiveAfter
	}
}

// carryDeletions goes on with deletions that are to be carried over to the
// other side: first it is looked whether the contact is gone, then the other
// side's is archived. Whatever speaks against it meanwhile ends it.
func (j *Judge) carryDeletions() {
	for _, system := range contact.Systems {
		side, there := j.state.Side(system), j.state.Side(system.Other())
		switch {
		case side.Leaving == 0:
		case !side.Gone || !there.Linked() || !j.rules.Archive.Into(system.Other()):
			j.stay(system)
		case !side.Left:
			if side.Fetching == 0 {
				j.lookAgain(system)
			}
		case there.Archiving == 0 && there.Refused == nil:
			patch := j.patch(system.Other(), nil, 0)
			patch.Archive = true
			there.Archiving = patch.Version
			j.verdict.Patches = append(j.verdict.Patches, patch)
			j.step(Step{Side: system.Other(), Rule: "archiving", Version: patch.Version, Reason: "the contact was deleted in " + system.Name()})
		}
	}
}

// stay ends the carrying over of a deletion. An archiving that is under way is
// taken back by the read that follows, unless it was carried out.
func (j *Judge) stay(system contact.System) {
	side, there := j.state.Side(system), j.state.Side(system.Other())
	if side.Left && there.Refused != nil && there.Linked() {
		there.Refused = nil // of the archiving
	}
	side.Leaving, side.Left = 0, false
	if there.Archiving != 0 {
		there.Archiving, there.Fetching, there.Read = 0, 0, false
	}
}

// lookAgain asks a system whether a contact is really gone. HubSpot leads from
// the id of a record that was merged away to its survivor. Aloware does not: a
// contact that was merged there is found by its number.
func (j *Judge) lookAgain(system contact.System) {
	side, there := j.state.Side(system), j.state.Side(system.Other())
	patch := j.patch(system, nil, 0)
	patch.Fetch = &contact.Fetch{Properties: j.rules.readable(system)}
	patch.Create = &contact.Create{Phones: side.Phones(), Email: there.Email}
	if system == contact.HubSpot {
		patch.TargetID, patch.Fetch.NotBefore = side.ID, side.Leaving
	}
	for _, phone := range there.Phones() {
		if !slices.Contains(patch.Create.Phones, phone) {
			patch.Create.Phones = append(patch.Create.Phones, phone)
		}
	}
	side.Fetching = patch.Version
	j.verdict.Patches = append(j.verdict.Patches, patch)
}

// looksAgain reports whether an outcome answers lookAgain; to be asked before
// the outcome ends what is outstanding.
func (s *Side) looksAgain(o *contact.Outcome) bool {
	return s.Gone && s.Leaving != 0 && !s.Left && s.Fetching != 0 && o.Version >= s.Fetching && o.AnsweredAt >= s.Leaving
}

// lookedAgain takes the answer of lookAgain. It reports whether nothing else is
// to be told by it.
func (j *Judge) lookedAgain(o *contact.Outcome) bool {
	side := j.state.Side(o.System)
	switch {
	case o.Result == contact.Gone && o.System == contact.HubSpot, o.Result == contact.Absent:
		side.Left, side.Refused = true, nil
		j.step(Step{Side: o.System, Rule: "vanished", Version: o.Version, Reason: "the contact is really gone"})
		return true
	case o.Result == contact.Gone:
		return false // by the id that it had: its number is looked for next
	case o.Result == contact.Written || o.Result == contact.Fetched:
		side.Gone = false
		j.step(Step{Side: o.System, Rule: "restored", Version: o.Version, Reason: "the contact is there when it is looked at again"})
	}
	j.stay(o.System)
	return false
}

// archived takes the answer of an archiving: the contact is gone here too, or
// the refusal says why it stays.
func (j *Judge) archived(o *contact.Outcome) bool {
	side := j.state.Side(o.System)
	switch {
	case o.Result == contact.Archived:
		side.Gone = true
		j.release(o.System)
		j.step(Step{Side: o.System, Rule: "archived", Version: o.Version, At: o.AppliedAt})
	case o.Result == contact.Rejected && o.Refusal != nil:
		why := *o.Refusal
		why.Message = "the contact was deleted in " + o.System.Other().Name() + " and is to be archived here: " + why.Message
		j.refused(o, &why)
	default:
		return false
	}
	return true
}
