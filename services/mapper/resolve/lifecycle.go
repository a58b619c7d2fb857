package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
)

// answerWithin is how long the answer to a creation of ours is awaited before what
// it made is taken for somebody new; creationWithin is how long the event of a
// creation is, behind those of the values that the contact was made with.
const (
	answerWithin   contact.Millis = 600_000
	creationWithin contact.Millis = 1_500
)

// lifecycle judges what happened to the contact as a whole. It reports whether
// the values of the event are to be judged too.
func (j *Judge) lifecycle(change *contact.Change, side *Side) bool {
	switch change.Event {
	case contact.Deleted:
		if change.ID == side.ID && !side.Gone {
			side.Gone = true
			j.abandon(change.System)
			j.leave(change.System)
			j.step(Step{Side: change.System, Rule: "deleted", At: change.OccurredAt, Reason: change.Cause})
		}
		return false
	case contact.Erased:
		if side.ID == "" {
			j.link(change.System, change.ID) // so that what comes late is known by it
		}
		side.alias(change.ID)
		j.verdict.Erased = true
		return false
	case contact.Merged:
		j.merged(change, side)
		return true
	case contact.Restored:
		j.link(change.System, change.ID)
		side.Gone, side.Read = false, false
		j.step(Step{Side: change.System, Rule: "restored", At: change.OccurredAt, Reason: change.Cause})
		return true
	}
	switch {
	case side.ID == "":
		j.link(change.System, change.ID)
		if change.Event == contact.Changed && change.System == contact.HubSpot {
			// HubSpot tells of a creation in any order: who made it comes next.
			j.fetch(change.System, j.decision.Now+creationWithin)
		}
	case change.ID != side.ID && slices.Contains(change.MergedIDs, side.ID):
		j.merged(change, side) // a merge that no event told of yet
	}
	if change.Event == contact.Created && side.Gone {
		side.Gone = false
	}
	if change.Event == contact.Created && change.Origin == contact.Ours && !side.Read {
		// The answer of the call that made it tells whose it is. It is read only
		// if that does not come; what others set meanwhile is kept.
		j.fetch(change.System, j.decision.Now+answerWithin)
	}
	if change.Event == contact.Snapshot && side.Gone && change.ID == side.ID {
		// It was read: the restoration came before the deletion, or this is
		// from before it. A read tells.
		side.Gone, side.Read = false, false
	}
	// What is told of a former id is not what the contact holds now. What is told
	// of one that is deleted was set before that, or after it was restored, which
	// is heard later: either counts.
	return change.ID == side.ID
}

// merged moves the link to the surviving record, which may be a new one; moved
// values fire no events, so the survivor is read again.
func (j *Judge) merged(change *contact.Change, side *Side) {
	j.link(change.System, change.ID)
	for _, id := range change.MergedIDs {
		side.alias(id)
	}
	side.Gone, side.Read = false, false
	j.step(Step{Side: change.System, Rule: "merged", At: change.OccurredAt, Reason: change.Cause})
}

// Absorb joins the contact of a record that was merged into this one's, in one
// system. The other record's edits there are forgotten: the system has chosen
// which values survive, and not by their age. What was moved to the surviving
// record is found by reading it. key is the name of the other.
func (j *Judge) Absorb(other *State, key contact.Key, system contact.System) {
	if ours, theirs := j.state.Side(system), other.Side(system); ours.Linked() && theirs.ID != "" && theirs.ID != ours.ID {
		for _, f := range other.Fields {
			f.Edits[index(system)], f.Former[index(system)] = Edit{}, Edit{}
		}
	}
	j.Join(other, key)
}

// unsee lets whatever is observed next of a side count as newer than what is
// believed of it: the link went to another contact.
func (j *Judge) unsee(system contact.System) {
	for _, f := range j.state.Fields {
		fs := &f.Sides[index(system)]
		fs.Since, fs.Seen, fs.Past = 0, Span{}, nil
	}
}

// link sets the contact's id in a system and keeps the old one as an alias.
func (j *Judge) link(system contact.System, id string) {
	side := j.state.Side(system)
	if id == "" || side.ID == id {
		return
	}
	former := side.ID
	side.ID = id
	side.Aliases = slices.DeleteFunc(side.Aliases, func(alias string) bool { return alias == id })
	if former != "" {
		side.alias(former)
	}
	side.Refused, side.Candidates = nil, nil
	j.step(Step{Side: system, Rule: "linked", Reason: id})
}

func (s *Side) alias(id string) {
	if id != s.ID && !slices.Contains(s.Aliases, id) {
		s.Aliases = append(s.Aliases, id)
	}
}

// abandon counts no longer on what is under way into a side that is told to be gone. It
// may still come there: a contact that was merged away is told to be deleted too, and
// what is written to it goes to the one that is left.
func (j *Judge) abandon(system contact.System) {
	j.nothingAsked(system)
	for _, f := range j.state.Fields {
		f.Sides[index(system)].abandon()
	}
}

func (j *Judge) nothingAsked(system contact.System) {
	side := j.state.Side(system)
	side.Creating, side.Fetching, side.Archiving = 0, 0, 0
}

// release forgets what was under way into a side that answered that it is gone.
func (j *Judge) release(system contact.System) {
	j.nothingAsked(system)
	for _, f := range j.state.Fields {
		fs := &f.Sides[index(system)]
		fs.drop(j.state.Version)
	}
}

// Erases reports whether the person asked to be forgotten, by what was observed
// so far.
func (j *Judge) Erases() bool { return j.verdict.Erased }

// Erase forgets a contact that turned out to be one with somebody who asked for
// it.
func (j *Judge) Erase() { j.verdict.Erased = true }

// WantsMatch reports whether the contact is fully read on one side and unknown
// on the other, so that a counterpart should be looked for there.
func (s *State) WantsMatch() (missing contact.System, wants bool) {
	for _, system := range contact.Systems {
		have, lack := s.Side(system.Other()), s.Side(system)
		if have.Linked() && have.Read && lack.ID == "" && !lack.Gone {
			return system, true
		}
	}
	return 0, false
}

// Conflict records that several contacts could be the counterpart; a person
// must choose.
func (j *Judge) Conflict(system contact.System, candidates []string) {
	side := j.state.Side(system)
	if slices.Equal(side.Candidates, candidates) {
		return
	}
	side.Candidates = candidates
	side.Creating = 0
	j.step(Step{Side: system, Rule: "conflict", Reason: "several contacts of " + system.Name() + " fit"})
}

// Join takes over all that is known of another state, which has turned out to
// be the same person: its links, its values, and its writes under way. key is
// the name that the writer knows the other by.
func (j *Judge) Join(other *State, key contact.Key) {
	for i, system := range contact.Systems {
		if theirs := &other.Sides[i]; theirs.Fetching != 0 && theirs.Creating == 0 && theirs.Doubt == 0 && !other.writes(i) {
			// What it would tell is asked for again where it is not known. A writer
			// that does not know how to take it back reads at once.
			j.verdict.Patches = append(j.verdict.Patches, contact.Patch{Contact: key, System: system, Version: j.next(), Unfetch: true, Wake: true})
			theirs.Fetching = 0
		}
		if ours := &j.state.Sides[i]; !ours.Linked() && ours.Creating != 0 {
			j.searches = append(j.searches, search{system, j.key})
		}
		if theirs := &other.Sides[i]; !theirs.Linked() && theirs.Creating != 0 {
			j.searches = append(j.searches, search{system, key})
		}
	}
	j.bind(other)
	j.state.Version = max(j.state.Version, other.Version)
	var apart [2]bool // two contacts of one system: what one holds says nothing of the other
	for i := range j.state.Sides {
		ours, theirs := &j.state.Sides[i], &other.Sides[i]
		apart[i] = ours.Linked() && theirs.ID != "" && theirs.ID != ours.ID
		joinSide(ours, theirs)
	}
	for key, theirs := range other.Fields {
		m := j.rules.Set.ByKey(key)
		ours := j.field(m)
		for i := range contact.Systems {
			if apart[i] {
				ours.Sides[i].joinWrites(&theirs.Sides[i]) // they may land where the link leads now
				if !j.flows(m, contact.HubSpot) || !j.flows(m, contact.Aloware) {
					continue // where one side follows alone, an edit of another contact is none of this one
				}
			}
			if theirs.Former[i].Side != 0 {
				ours.meant(theirs.Former[i], false)
			}
			if theirs.Edits[i].Side != 0 {
				ours.meant(theirs.Edits[i], theirs.Guessed[i])
			}
			if !apart[i] {
				joinFieldSide(&ours.Sides[i], &theirs.Sides[i])
			}
		}
		if ours.Tug == nil {
			ours.Tug = theirs.Tug
		}
		ours.joinHold(theirs)
		if theirs.Approved.later(ours.Approved) {
			ours.Approved = theirs.Approved
		}
	}
	if j.state.Activity == nil {
		j.state.Activity = other.Activity
	} else if other.Activity != nil {
		j.state.Activity.join(other.Activity)
		j.publish(&contact.Communication{}) // the sums are new without a new communication
	}
	j.state.Seen = append(j.state.Seen, other.Seen...)
	j.step(Step{Rule: "joined", Reason: "the same person was seen on both sides"})
}

// writes reports whether writes into a system are under way.
func (s *State) writes(side int) bool {
	for _, f := range s.Fields {
		if f.Sides[side].outstanding() != nil {
			return true
		}
	}
	return false
}

func joinSide(ours, theirs *Side) {
	apart := slices.Clone(ours.Apart)
	for _, id := range theirs.Apart {
		apart = appendNew(apart, id)
	}
	defer func() { ours.Apart = apart }() // what somebody said of either holds for both
	if theirs.ID != "" {
		if ours.ID == "" || ours.Gone {
			old := ours.ID
			aliases := ours.Aliases
			*ours = *theirs
			for _, id := range append(aliases, old) {
				if id != "" {
					ours.alias(id)
				}
			}
			return
		}
		ours.alias(theirs.ID)
	}
	for _, id := range theirs.Aliases {
		ours.alias(id)
	}
	if theirs.ID == "" && ours.ID == "" && theirs.Creating > ours.Creating {
		ours.Creating, ours.Sought = theirs.Creating, theirs.Sought // one search is enough
	}
}

// redirect tells the writer where a contact is that it still looks for under
// one of its names: else it could make the contact a second time, when it
// looks late and the keys have changed meanwhile. What it would write was
// decided before anything was known of that contact, so it is read instead.
func (j *Judge) redirect() {
	for _, s := range j.searches {
		side := j.state.Side(s.system)
		if !side.Linked() {
			continue
		}
		patch := j.patch(s.system, nil, 0)
		patch.Contact = s.key
		patch.Fetch = &contact.Fetch{Properties: j.rules.readable(s.system)}
		patch.Create = j.keys(s.system, false)
		side.Creating, side.Fetching = 0, patch.Version
		j.verdict.Patches = append(j.verdict.Patches, patch)
	}
}

func joinFieldSide(ours, theirs *FieldSide) {
	if theirs.Known && (!ours.Known || theirs.Seen.At > ours.Seen.At) {
		if ours.Known {
			theirs.Past = append(theirs.Past, Past{Value: ours.Value, Since: ours.Since, Last: ours.Seen.At, Until: ours.Seen.To})
		}
		ours.Known, ours.Value, ours.Since, ours.Seen = true, theirs.Value, theirs.Since, theirs.Seen
		ours.Native, ours.Stale = theirs.Native, theirs.Stale
	}
	ours.Forgotten = !ours.Known && (ours.Forgotten || theirs.Forgotten)
	for _, p := range theirs.Past {
		ours.remember(p)
	}
	ours.joinWrites(theirs)
	if ours.Rejected == nil {
		ours.Rejected = theirs.Rejected
	}
}

func (f *FieldSide) joinWrites(theirs *FieldSide) {
	f.Writes = append(f.Writes, theirs.Writes...)
	slices.SortFunc(f.Writes, func(a, b Write) int { return int(a.Version - b.Version) })
}
