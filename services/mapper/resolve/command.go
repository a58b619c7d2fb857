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
	switch c.Kind {
	case contact.Recheck:
		j.recheck()
	case contact.Retry:
		j.retry(c)
	}
}

// recheck reads a side again of which a mapped property is not known: it was
// mapped after the contact was read. What is known and differs, rule 6 writes.
func (j *Judge) recheck() {
	j.Refresh()
	for _, system := range contact.Systems {
		side := j.state.Side(system)
		if side.Linked() && side.Fetching == 0 && j.unread(system) {
			j.fetch(system, 0)
		}
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
		for at, system := range contact.Systems {
			if fs := &f.Sides[at]; fs.Rejected != nil && (c.System == 0 || c.System == system) {
				j.step(Step{Field: key, Side: system, Rule: "retried", Value: fs.Rejected.Value, Reason: c.Author})
				fs.Rejected = nil
			}
		}
	}
	for _, system := range contact.Systems {
		side := j.state.Side(system)
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
