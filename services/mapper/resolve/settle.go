package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// Settle judges the writer's answer (rule 7).
func (j *Judge) Settle(o *contact.Outcome) {
	side := j.state.Side(o.System)
	j.follows(contact.Bulk(o.EventID))
	// A write that was published and whose decision was never stored can have a
	// higher version than any that is stored. What follows must outrank it.
	j.state.Version = max(j.state.Version, o.Version)
	again, archiving := side.looksAgain(o), side.Archiving != 0 && o.Version >= side.Archiving
	if archiving {
		side.Archiving = 0
	}
	if o.Version >= side.Creating {
		if o.Result == contact.Made && contact.Bulk(o.EventID) {
			side.Made = o.AppliedAt
		}
		side.Creating = 0
	}
	j.searches = slices.DeleteFunc(j.searches, func(s search) bool { // this is its answer
		return s.system == o.System && s.key == o.Contact && o.TargetID != ""
	})
	if o.Version >= side.Fetching {
		j.answered[index(o.System)] = j.answered[index(o.System)] || side.Fetching != 0
		side.Fetching = 0
	}
	j.received = 0
	if slices.Contains(side.Aliases, o.TargetID) && !slices.Contains(o.MergedIDs, side.ID) {
		j.former(o)
		if side.Doubt != 0 && side.Fetching == 0 && side.Linked() {
			j.fetch(o.System, side.Doubt) // the read that was to tell was of that one
		}
		return
	}
	if again && j.lookedAgain(o) || (archiving || o.Result == contact.Archived) && j.archived(o) {
		return
	}
	switch o.Result {
	case contact.Written, contact.Made, contact.Fetched:
		j.accepted(o, side)
		return
	case contact.Dropped:
		j.dropped(o, side)
		return
	}
	if o.TargetID == "" && side.Linked() {
		// A search from before the contact was found in another way.
		j.refused(o, nil)
		return
	}
	switch o.Result {
	case contact.Absent:
		j.refused(o, refusal(absent, "there is no such contact in "+o.System.Name()+", and none may be created"))
	case contact.Gone:
		j.gone(o, side)
	case contact.Conflict:
		j.refused(o, nil)
		j.Conflict(o.System, o.Candidates)
	default:
		j.refused(o, o.Refusal)
	}
}

// dropped takes back what was withdrawn before it was sent. It is not sent again
// now: whatever is heard of the contact next leads to it.
func (j *Judge) dropped(o *contact.Outcome, side *Side) {
	for _, p := range o.Properties {
		if m := j.rules.Set.ByProperty(o.System, p.Name); m != nil {
			f := j.field(m)
			if f.Sides[index(o.System)].withdraw(p.Version); f.Edits[0].At <= baselineAt && f.Edits[1].At <= baselineAt {
				f.stands(m, o.System) // the mapping joins something else since it was decided: it held this all along
				if f.Edits[index(o.System)].Side == 0 {
					f.stands(m, o.System.Other()) // it got there what was never written here
				}
			}
		}
	}
	if !side.Linked() {
		side.Sought = ""
	}
	j.rests[index(o.System)] = true
	j.step(Step{Side: o.System, Rule: "dropped", Version: o.Version, Reason: "the job that led to it was cancelled"})
}

// accepted takes over ids, settles the writes, and observes what was read.
func (j *Judge) accepted(o *contact.Outcome, side *Side) {
	if o.TargetID != "" && o.TargetID != side.ID {
		if side.ID != "" {
			side.Read = false
			j.unsee(o.System)
		}
		j.link(o.System, o.TargetID)
		side.Gone = false
	}
	for _, id := range o.MergedIDs {
		side.alias(id)
	}
	side.Refused, side.Candidates = nil, nil
	when := reading{occurred: o.AppliedAt, precision: o.Precision, received: o.AnsweredAt}.span(contact.Value{})
	for _, f := range j.state.Fields {
		f.Sides[index(o.System)].ended(o.Version, when.To)
	}
	for i := range o.Properties {
		j.settled(o, &o.Properties[i], when)
	}
	whole := o.Result != contact.Written || readWith(o)
	if whole && o.Result != contact.Made {
		j.told[index(o.System)] = j.answered[index(o.System)]
	}
	if len(o.Holds) > 0 {
		j.values(o.System, o.Holds, reading{
			occurred: o.AppliedAt, precision: o.Precision, received: o.AnsweredAt, whole: whole, created: o.Result == contact.Made,
			final: whole && o.Result != contact.Made && readAfter(o, side),
		})
		side.Read = side.Read || whole
	}
	if whole && o.Result != contact.Made && side.Doubt != 0 {
		if o.AnsweredAt >= side.Doubt {
			side.Doubt = 0
		} else if side.Fetching == 0 {
			j.fetch(o.System, side.Doubt)
		}
	}
	if o.Result == contact.Fetched && side.Pull != 0 && o.AnsweredAt >= side.Pull {
		j.pulled(o.System, side.Pull)
		j.step(Step{Side: o.System, Rule: "pull_answered"})
		side.Pull = 0
	}
	if o.Result == contact.Made {
		side.Read = side.Read || o.System == contact.HubSpot // what HubSpot adds by itself comes as events
	}
}

// readWith reports whether a contact was read with a write: it holds more than
// what was written.
func readWith(o *contact.Outcome) bool {
	return slices.ContainsFunc(o.Holds, func(v contact.Value) bool {
		return !slices.ContainsFunc(o.Properties, func(p contact.PropertyOutcome) bool { return p.Name == v.Name })
	})
}

// readAfter reports whether an answer was surely given after the tick of its system's
// clock that it tells of, so that nothing in that tick is newer. Our own clock does not
// tell that: it may be ahead of the other one.
func readAfter(o *contact.Outcome, side *Side) bool {
	return o.ClockAt > o.AppliedAt+o.Precision || side.Doubt != 0 && o.AnsweredAt >= side.Doubt
}

// former takes an answer for a contact that was merged away, or that was found
// to be another of the same person: it tells nothing of the one that is linked.
func (j *Judge) former(o *contact.Outcome) {
	for _, p := range o.Properties {
		if m := j.rules.Set.ByProperty(o.System, p.Name); m != nil {
			fs := &j.field(m).Sides[index(o.System)]
			if _, ours := fs.written(p.Version, ""); ours {
				fs.drop(p.Version)
			}
		}
	}
	if o.Result != contact.Written {
		// A search's answer: what was to be written with it was, or never will be.
		for _, f := range j.state.Fields {
			f.Sides[index(o.System)].unseek(o.Version)
		}
	}
	j.step(Step{Side: o.System, Rule: "stale", Version: o.Version, Reason: "an answer for a former id"})
}

// settled settles the writes of one property.
func (j *Judge) settled(o *contact.Outcome, p *contact.PropertyOutcome, when Span) {
	m := j.rules.Set.ByProperty(o.System, p.Name)
	if m == nil {
		return
	}
	f := j.field(m)
	fs := &f.Sides[index(o.System)]
	now, refused := j.rules.canonical(m, o.System, m.Read(o.System, p.Value))
	value, ours := fs.written(p.Version, now)
	if !ours || m.Type == contact.Option && refused == nil {
		value = now // options can be paired otherwise since it was written
	}
	if p.Refusal != nil {
		fs.drop(p.Version)
		fs.Rejected = j.rejection(o.System, value, p.Version, p.Refusal)
		j.step(Step{Field: m.Key, Side: o.System, Rule: "refused", Value: value, Version: p.Version, At: when.At, Reason: p.Refusal.Reason + ": " + p.Refusal.Message})
		return
	}
	before := fs.applied(p.Version)
	if !ours {
		fs.recall(Write{Version: p.Version, Value: value, After: when.From})
		before = when.From - 1
	}
	fs.settle(p.Version, value, when.To)
	// A write whose decision was never stored led from somebody's edit, which may as well
	// be the one that is seen there.
	if before != 0 && before < when.To && (ours || f.holds(o.System.Other(), in(m, o.System, value))) {
		j.retract(m, f, o.System, value, before, when.To)
	}
	// The system answered for this value: where another one is believed to be
	// newer, a read must tell before anything is written again.
	if fs.observe(value, when, o.ClockAt > when.To); fs.Value != value {
		j.confirm(o.System, when)
		again, ok := fs.setAfter(when)
		edit := Edit{Value: in(m, o.System, again.Value), At: again.At, Side: o.System}
		if known := f.Edits[index(o.System)]; ok && (known.Value != edit.Value || known.At < fs.Since) {
			j.intend(m, f, edit, true, nil, o.AnsweredAt)
		}
	}
	fs.named(m, o.System, value, p.Value)
	if fs.Rejected != nil && fs.Rejected.Version <= p.Version {
		fs.Rejected = nil
	}
	j.keepMatchKey(o.System, p.Name, value)
	j.step(Step{Field: m.Key, Side: o.System, Rule: "settled", Value: value, Version: p.Version, At: when.At})
}

// rejection is a value that a system refuses by its connection as it is.
func (j *Judge) rejection(system contact.System, value string, version contact.Version, why *fault.Refusal) *Rejection {
	return &Rejection{Value: value, Version: version, Refusal: *why, Profile: j.rules.Profiles[index(system)]}
}

// keepMatchKey follows our own writes of phone and e-mail.
func (j *Judge) keepMatchKey(system contact.System, property, value string) {
	j.matchKey(j.state.Side(system), system, contact.Value{Name: property, Text: value})
}

// written is the value that a version wrote: the one that the answer names, where
// contacts that were joined had the same version.
func (f *FieldSide) written(version contact.Version, named string) (value string, ok bool) {
	for _, w := range f.Writes {
		if w.Version == version && (!ok || value != named) {
			value, ok = w.Value, true
		}
	}
	return value, ok
}

// applied is when a version was known to be applied at the latest; 0 for not yet.
func (f *FieldSide) applied(version contact.Version) contact.Millis {
	for i := range f.Writes {
		if f.Writes[i].Version == version {
			return f.Writes[i].Applied
		}
	}
	return 0
}

// refused records that nothing was written.
func (j *Judge) refused(o *contact.Outcome, why *fault.Refusal) {
	side := j.state.Side(o.System)
	if side.Linked() && why != nil {
		for i := range o.Properties {
			p := o.Properties[i]
			if p.Refusal == nil {
				p.Refusal = why
			}
			j.settled(o, &p, Span{})
		}
	} else {
		for _, f := range j.state.Fields {
			f.Sides[index(o.System)].drop(o.Version)
		}
	}
	side.Refused = why
	if why != nil {
		j.step(Step{Side: o.System, Rule: "refused", Version: o.Version, Reason: why.Reason + ": " + why.Message})
	}
}

// gone cuts the link: the system does not know the contact any more.
func (j *Judge) gone(o *contact.Outcome, side *Side) {
	if o.TargetID != "" && o.TargetID != side.ID {
		return // an answer for an id that was left meanwhile
	}
	if !side.Gone {
		j.leave(o.System)
	}
	side.Gone = true
	j.release(o.System)
	j.step(Step{Side: o.System, Rule: "gone", Version: o.Version, Reason: o.System.Name() + " does not know the contact any more"})
}

// Refresh takes up what waited for a user or option list, and what the mapping
// version in force changes. Conclude then writes what follows.
func (j *Judge) Refresh() {
	for i := range j.rules.Set.Mappings {
		m := &j.rules.Set.Mappings[i]
		f := j.state.Fields[m.Key]
		if f == nil || m.Type != contact.User && m.Type != contact.Option {
			continue
		}
		for at, system := range contact.Systems {
			for _, e := range []*Edit{&f.Edits[at], &f.Former[at]} {
				if e.Side != 0 {
					e.Value = j.resolved(m, system, e.Value)
				}
			}
			fs := &f.Sides[at]
			fs.Value = j.resolved(m, system, fs.Value)
			for k := range fs.Past {
				fs.Past[k].Value = j.resolved(m, system, fs.Past[k].Value)
			}
			if fs.Rejected != nil && waitsForList(fs.Rejected.Refusal.Reason) {
				fs.Rejected = nil
			}
		}
		f.reformHold(m)
	}
}

// WaitsForList reports whether some field of the contact was refused for a
// user or option that no list holds.
func (s *State) WaitsForList() bool {
	for _, f := range s.Fields {
		for i := range f.Sides {
			if r := f.Sides[i].Rejected; r != nil && waitsForList(r.Refusal.Reason) {
				return true
			}
		}
	}
	return false
}

func waitsForList(reason string) bool {
	switch reason {
	case "NO_COUNTERPART", "UNKNOWN_USER", "UNKNOWN_OPTION", "INACTIVE_USER", "INVALID_OPTION":
		return true
	}
	return false
}

// resolved is the canonical form of a value that may have been unresolved, or
// that was taken as it is when no list was known.
func (j *Judge) resolved(m *mapping.Mapping, system contact.System, value string) string {
	if !Unresolved(value) {
		if value == "" || m.Type != contact.Option || system != contact.Aloware || j.rules.offers(m, value) {
			return value
		}
		if canonical, refused := j.rules.canonical(m, system, value); refused == nil {
			return canonical
		}
		return value
	}
	native := value[len(unresolved)+len(system.String())+1:]
	canonical, _ := j.rules.canonical(m, system, native)
	return canonical
}
