package simulation

import (
	"fmt"
	"slices"
	"strings"

	"lockstep.internal/services/mapper/resolve"
)

// clone copies a state, as storing and loading it does.
func clone(s *resolve.State) *resolve.State {
	c := *s
	c.Seen = slices.Clone(s.Seen)
	for i := range c.Sides {
		side := &c.Sides[i]
		side.Aliases, side.Candidates = slices.Clone(side.Aliases), slices.Clone(side.Candidates)
		if side.Refused != nil {
			refused := *side.Refused
			side.Refused = &refused
		}
	}
	if s.Fields != nil {
		c.Fields = make(map[string]*resolve.Field, len(s.Fields))
		fields := make([]resolve.Field, 0, len(s.Fields))
		for key, f := range s.Fields {
			fields = append(fields, *f)
			mine := &fields[len(fields)-1]
			if f.Held != nil {
				held := *f.Held
				mine.Held = &held
			}
			for i := range mine.Sides {
				side := &mine.Sides[i]
				side.Past, side.Writes = slices.Clone(side.Past), slices.Clone(side.Writes)
				if side.Rejected != nil {
					rejected := *side.Rejected
					side.Rejected = &rejected
				}
			}
			mine.Tug = cloneTug(mine.Tug)
			c.Fields[key] = mine
		}
	}
	if s.Activity != nil {
		activity := *s.Activity
		c.Activity = &activity
		for _, line := range []*resolve.Line{&activity.InboundCalls, &activity.OutboundCalls, &activity.InboundTexts, &activity.OutboundTexts} {
			line.Open = slices.Clone(line.Open)
		}
	}
	return &c
}

func cloneTug(t *resolve.Tug) *resolve.Tug {
	if t == nil {
		return nil
	}
	c := *t
	c.Values = slices.Clone(t.Values)
	for i := range c.Sides {
		c.Sides[i].Rounds = slices.Clone(c.Sides[i].Rounds)
	}
	if c.Rest != nil {
		rest := *c.Rest
		c.Rest = &rest
	}
	return &c
}

// dump is all that a state says, as text.
func dump(s *resolve.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v %+v", s.Sides, s.Activity)
	for key, f := range s.Fields {
		fmt.Fprintf(&b, "\n%s %+v", key, *f)
	}
	return b.String()
}
