package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
)

// Command does what a person or a job asked for. Conclude then writes what
// follows.
func (j *Judge) Command(c *contact.Command) {
	if j.seenBefore(c.EventID) {
		j.verdict.Stale++
		return
	}
	j.follows(contact.JobBehind(c.EventID) != "")
	switch c.Kind {
	case contact.Recheck:
		j.recheck(c)
	case contact.Retry:
		j.retry(c)
	case contact.Pull:
		j.pull(c)
	case contact.Answer:
		j.answer(c)
	case contact.Release:
		j.releaseHeld(c)
	}
}

// recheck reads a side again of which a mapped property is not known: it was
// mapped after the contact was read, or it was away; the named ones are read
// anew, and what was refused of them is sent again; a named side is read anew
// alone. Totals that grew while their mapping was at rest count. What is known and
// differs, rule 6 writes.
func (j *Judge) recheck(c *contact.Command) {
	j.Refresh()
	for _, key := range c.Fields {
		if f := j.state.Fields[key]; f != nil {
			j.resumeAsked(key, f, 0, c.Author)
			f.Sides[0].Rejected, f.Sides[1].Rejected = nil, nil
		}
	}
	for _, f := range j.state.Fields {
		for at := range f.Sides {
			if fs := &f.Sides[at]; fs.Rejected != nil && fs.Rejected.Profile != j.rules.Profiles[at] {
				fs.Rejected = nil // the connection can do something else now
			}
		}
	}
	if j.state.Activity != nil {
		j.publish(&contact.Communication{UpdatedAt: j.decision.Now})
	}
	for _, system := range contact.Systems {
		side := j.state.Side(system)
		named := c.System == system || c.System == 0 && len(c.Fields) > 0
		if side.Linked() && side.Fetching == 0 && side.Archiving == 0 && (named || c.System == 0 && j.unread(system)) {
			j.fetch(system, 0)
		}
	}
}

// pull reads the contact on both sides now; pulled takes over what HubSpot
// then tells.
func (j *Judge) pull(c *contact.Command) {
	for _, system := range contact.Systems {
		side := j.state.Side(system)
		if !side.Linked() || side.Archiving != 0 {
			continue
		}
		j.fetch(system, 0)
		if system == contact.HubSpot {
			side.Pull = max(c.AskedAt, 1)
		}
	}
	j.step(Step{Side: contact.HubSpot, Rule: "pulled", Reason: c.Author})
	if !j.state.Side(contact.HubSpot).Linked() {
		j.step(Step{Side: contact.HubSpot, Rule: "pull_answered", Reason: "the contact is not in HubSpot"})
	}
}

// pulled takes over what HubSpot was just read to hold, as somebody asked:
// where only HubSpot's values flow they replace Aloware's own edits, and a
// field that follows HubSpot by hand follows it now. Fields of both directions
// are in step by the rules already, but for those that rested as somebody kept
// rewriting them.
func (j *Judge) pulled(system contact.System, asked contact.Millis) {
	for i := range j.rules.Set.Mappings {
		m := &j.rules.Set.Mappings[i]
		f := j.state.Fields[m.Key]
		if f == nil || m.Stopped != "" {
			continue
		}
		rested := j.resume(m, f, "the contact was synced by hand")
		if !j.flows(m, contact.Aloware) || j.flows(m, contact.HubSpot) && !m.Manual() && !rested {
			continue
		}
		fs := &f.Sides[index(system)]
		value := in(m, system, fs.Value)
		if blank := f.Edits[0].Side != 0 && f.Edits[0].Value == ""; !fs.Known || value == "" && (m.IgnoreBlank || !blank) {
			continue // a blank that nobody made clears nothing
		}
		if will, known := f.Sides[1].will(); known && will == m.Out(contact.Aloware, value) {
			continue // in step: nobody's edit is to look newer than it is
		}
		f.Edits[0] = Edit{Value: value, At: max(asked, f.Edits[0].At, f.Edits[1].At), Side: contact.HubSpot}
		f.Approved, f.Sides[1].Rejected = f.Edits[0], nil
		j.step(Step{Field: m.Key, Side: contact.HubSpot, Rule: "intent", Value: value, At: f.Edits[0].At, Reason: "taken over by hand"})
	}
}

// answer settles reviews: the values of one side stand.
func (j *Judge) answer(c *contact.Command) {
	for i := range j.rules.Set.Mappings {
		m := &j.rules.Set.Mappings[i]
		f := j.state.Fields[m.Key]
		if f == nil || !f.Asked || len(c.Fields) > 0 && !slices.Contains(c.Fields, m.Key) || c.System == 0 {
			continue
		}
		fs := &f.Sides[index(c.System)]
		edit := Edit{Value: in(m, c.System, fs.Value), At: max(c.AskedAt, f.Edits[0].At, f.Edits[1].At), Side: c.System}
		if edit.Side == contact.Aloware && edit.At == f.Edits[0].At {
			edit.At++ // HubSpot would win the tie
		}
		f.Edits[index(c.System)], f.Approved, f.Asked = edit, edit, false
		j.step(Step{Field: m.Key, Side: c.System, Rule: "answered", Value: edit.Value, At: edit.At, Reason: c.Author})
	}
}

// unread reports whether a property that a side should have told is not known.
func (j *Judge) unread(system contact.System) bool {
	for i := range j.rules.Set.Mappings {
		m := &j.rules.Set.Mappings[i]
		if m.Stopped != "" || m.Category.Computed() {
			continue
		}
		if f := j.state.Fields[m.Key]; f == nil || !f.Sides[index(system)].Known {
			return true
		}
	}
	return false
}

// retry forgets refusals, so that rule 6 sends the values again, and wakes what
// the writers have put off.
func (j *Judge) retry(c *contact.Command) {
	for key, f := range j.state.Fields {
		if len(c.Fields) > 0 && !slices.Contains(c.Fields, key) {
			continue
		}
		j.resumeAsked(key, f, c.System, c.Author)
		for at, system := range contact.Systems {
			if fs := &f.Sides[at]; fs.Rejected != nil && (c.System == 0 || c.System == system) {
				j.step(Step{Field: key, Side: system, Rule: "retried", Value: fs.Rejected.Value, Reason: c.Author})
				fs.Rejected = nil
			}
		}
	}
	for _, system := range contact.Systems {
		side := j.state.Side(system)
		if side.ambiguous() && (c.System == 0 || c.System == system) {
			side.Candidates = nil // it is tried once more
		}
		if side.Refused != nil && (c.System == 0 || c.System == system) && len(c.Fields) == 0 {
			j.step(Step{Side: system, Rule: "retried", Reason: c.Author})
			side.Refused, side.Sought = nil, ""
		}
		if c.System == 0 || c.System == system {
			wake := j.patch(system, nil, 0)
			wake.Wake = true
			j.verdict.Patches = append(j.verdict.Patches, wake)
		}
	}
}
