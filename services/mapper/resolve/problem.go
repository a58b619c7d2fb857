package resolve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// Problem is one thing that keeps a contact from being in step and that
// somebody may have to look at.
type Problem struct {
	Field   string // mapping key; "" for the contact as a whole
	System  contact.System
	Kind    contact.ProblemKind
	Refusal fault.Refusal
	Value   string // that was refused; "" for the contact as a whole
	Version contact.Version
}

// Problems are the open problems of the contact, sorted; nil when there are
// none.
func (s *State) Problems() []Problem {
	var problems []Problem
	for at, system := range contact.Systems {
		side := &s.Sides[at]
		switch {
		case len(side.Candidates) > 0:
			problems = append(problems, Problem{System: system, Kind: contact.ProblemConflict, Refusal: fault.Refusal{
				Class: fault.Permanent, Reason: "SEVERAL_CONTACTS", Message: "several contacts of " + system.Name() + " fit: " + strings.Join(side.Candidates, ", "),
			}})
		case side.Refused != nil && side.Refused.Reason == absent:
			problems = append(problems, Problem{System: system, Kind: contact.ProblemAbsent, Refusal: *side.Refused})
		case side.Refused != nil:
			problems = append(problems, Problem{System: system, Kind: contact.ProblemRefused, Refusal: *side.Refused})
		}
	}
	for key, f := range s.Fields {
		if f.Asked {
			problems = append(problems, f.question(key))
		}
		if f.rests() && f.Tug.Rest.Apart {
			problems = append(problems, f.Tug.Rest.problem(key, f))
		}
		for at := range f.Sides {
			if r := f.Sides[at].Rejected; r != nil {
				problems = append(problems, Problem{Field: key, System: contact.Systems[at], Kind: contact.ProblemRefused, Refusal: r.Refusal, Value: r.Value, Version: r.Version})
			}
		}
	}
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.System, b.System), cmp.Compare(a.Kind, b.Kind))
	})
	return problems
}

// question is a difference that a person must answer: the later edit is asked
// about, on the side that it would be written to.
func (f *Field) question(key string) Problem {
	latest := f.Edits[0]
	if f.Edits[1].later(latest) {
		latest = f.Edits[1]
	}
	return Problem{Field: key, System: latest.Side.Other(), Kind: contact.ProblemReview, Value: latest.Value, Refusal: fault.Refusal{
		Class: fault.Permanent, Reason: "REVIEW", Message: fmt.Sprintf("HubSpot holds %q, Aloware %q: say which stands", f.Sides[0].Value, f.Sides[1].Value),
	}}
}

// absent is the reason of a contact that is not there and may not be created.
const absent = "ABSENT"

// Name is what people call the contact: HubSpot's names first.
func (s *State) Name() string {
	var parts []string
	for _, key := range []string{"first_name", "last_name"} {
		f := s.Fields[key]
		if f == nil {
			continue
		}
		if value := cmp.Or(f.Sides[0].Value, f.Sides[1].Value); value != "" {
			parts = append(parts, value)
		}
	}
	return strings.Join(parts, " ")
}
