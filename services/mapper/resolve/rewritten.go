package resolve

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// A round is a value of ours that a side has taken and that an edit there
// replaced within roundsWithin: a workflow that sets a property back, another
// app, two automations that answer each other through us. After mostRounds of
// them in which a value came back that had been there before, or mostNewRounds
// whatever the values, all within roundsWithin by our clock, the field of that
// contact rests: nothing more is written to either side, what both hold is
// followed all the same, and a problem names who does it.
//
// Somebody who edits a field often is never stopped by it: each round takes a
// write of ours in between, so that somebody must edit the other side in turn.
//
// The rest ends with a retry, with "Sync with HubSpot" (whose value then stands),
// with a change of the mapping, or with an edit to a third value that answers no
// write of ours; a computed total is no such edit. Where both sides have come to
// hold the same, it is no problem any more, and is over when roundsWithin have
// passed. Then rounds begin at none.
const (
	mostRounds                   = 5
	mostNewRounds                = 10
	roundsWithin  contact.Millis = 3_600_000
)

// Tug is what is known of a field that somebody else keeps rewriting.
type Tug struct {
	Sides [2]Rewriting
	Rest  *Rest // nil while values are written
}

// Rewriting are the rounds of one side.
type Rewriting struct {
	Rounds []Round
	Last   string // value by which ours was replaced last
	By     string // who set the present value, in the system's words; "" where it does not tell
}

// Round is one value of ours that was replaced.
type Round struct {
	At   contact.Millis // when we learnt of it, by our clock
	Back bool           // by a value that had been there before
}

// Rest is a field that is left alone.
type Rest struct {
	Side   contact.System // where our values were rewritten
	Rounds int
	Took   contact.Millis // from the first of the rounds to the last
	Last   contact.Millis // when the last round was counted, by our clock
	By     string         // who rewrote last, in the system's words; "" where it does not tell
	Ours   string         // our value that was replaced last
	// Values are what both sides mean by now. Another one ends the rest.
	Values [2]string
	Apart  bool   // the sides hold different values
	Form   uint64 // of the mapping
}

// rests reports whether nothing is to be written to the field.
func (f *Field) rests() bool { return f.Tug != nil && f.Tug.Rest != nil }

// heardFrom notes who has set the present value of a side, where it may be over
// a value of ours.
func (f *Field) heardFrom(system contact.System, value, by string) {
	at := index(system)
	over := func(w Write) bool { return !w.Replaced && !w.Sought && w.Value != value }
	if fs := &f.Sides[at]; !fs.Known || fs.Value != value || !slices.ContainsFunc(fs.Writes, over) {
		return
	}
	if f.Tug == nil {
		if by == "" {
			return
		}
		f.Tug = &Tug{}
	}
	f.Tug.Sides[at].By = by
}

// tugs counts rounds, and lets fields rest or go on. It looks at what is stored
// only, so that it does not matter in which order an edit and the answer to the
// write that it replaced were heard.
func (j *Judge) tugs() {
	for i := range j.rules.Set.Mappings {
		m := &j.rules.Set.Mappings[i]
		f := j.state.Fields[m.Key]
		if f == nil || m.Stopped != "" {
			continue
		}
		if !j.state.Sides[0].Linked() || !j.state.Sides[1].Linked() {
			f.Tug = nil // who is not on both sides is in nobody's way
			continue
		}
		for _, system := range contact.Systems {
			j.round(m, f, system)
		}
		if f.Tug != nil {
			j.tug(m, f)
		}
	}
}

// tug lets a field rest that was rewritten too often, or a resting one go on.
func (j *Judge) tug(m *mapping.Mapping, f *Field) {
	if rest := f.Tug.Rest; rest != nil {
		switch rest.Apart = !same(m, f); {
		case rest.Form != form(m):
			j.resume(m, f, "its mapping was changed")
		case !m.Category.Computed() && j.third(m, f):
			j.resume(m, f, "somebody set another value")
		case !rest.Apart && rest.Last+roundsWithin < j.decision.Now:
			j.resume(m, f, "both sides hold the same since")
		}
		return
	}
	kept := false
	for at, system := range contact.Systems {
		side := &f.Tug.Sides[at]
		side.Rounds = slices.DeleteFunc(side.Rounds, func(r Round) bool { return r.At+roundsWithin < j.decision.Now })
		kept = kept || len(side.Rounds) > 0
		back := 0
		for _, r := range side.Rounds {
			if r.Back {
				back++
			}
		}
		if f.Tug.Rest == nil && (back >= mostRounds || len(side.Rounds) >= mostNewRounds) {
			j.stop(m, f, system)
		}
	}
	if !kept {
		f.Tug = nil
	}
}

// round counts a value of ours that the newest edit of a side replaced.
func (j *Judge) round(m *mapping.Mapping, f *Field, system contact.System) {
	at := index(system)
	fs, edit := &f.Sides[at], f.Edits[at]
	if edit.Side == 0 || edit.At <= baselineAt || Unresolved(edit.Value) {
		return
	}
	value := m.Out(system, edit.Value)
	var over *Write
	for i := range fs.Writes {
		if w := &fs.Writes[i]; !w.Replaced && fs.replaced(w, value, edit, j.state.Sides[at].Doubt != 0) {
			w.Replaced, over = true, w
		}
	}
	if over == nil || over.Applied+roundsWithin < edit.At {
		return
	}
	if f.Tug == nil {
		f.Tug = &Tug{}
	}
	side := &f.Tug.Sides[at]
	back := len(side.Rounds) > 0 && side.Last == value || fs.heldBefore(value, over)
	side.Rounds, side.Last = append(side.Rounds, Round{j.decision.Now, back}), value
	if rest := f.Tug.Rest; rest != nil {
		// An answer to what was under way when the field came to rest.
		side.Rounds = side.Rounds[:0]
		rest.Values[at], rest.Last = edit.Value, j.decision.Now
		return
	}
	j.step(Step{Field: m.Key, Side: system, Rule: "rewritten", Value: edit.Value, At: edit.At, Version: over.Version, Reason: fmt.Sprintf(
		"%q that was written there was replaced%s; round %d within an hour", over.Value, by(side.By), len(side.Rounds))})
}

// replaced reports whether a side has taken a write of ours and an edit of
// another value came after it. Within one tick of its clock the edit did so if
// that value is there at the end of the tick, for sure.
func (f *FieldSide) replaced(w *Write, value string, edit Edit, doubt bool) bool {
	if w.Sought || w.Applied == 0 || w.Value == value {
		return false
	}
	return edit.At > w.Applied || !doubt && f.Value == value && f.Seen.To >= w.Applied && edit.At >= w.After && f.outstanding() == nil
}

// heldBefore reports whether a side had a value before it took a write of ours.
func (f *FieldSide) heldBefore(value string, w *Write) bool {
	if f.Known && f.Value == value && f.Since <= w.After {
		return true // the write was never seen there
	}
	return slices.ContainsFunc(f.Past, func(p Past) bool { return p.Value == value && p.Since <= w.Applied })
}

// stop lets a field rest.
func (j *Judge) stop(m *mapping.Mapping, f *Field, system contact.System) {
	at := index(system)
	side := &f.Tug.Sides[at]
	rest := &Rest{Side: system, Rounds: len(side.Rounds), Last: j.decision.Now, By: side.By, Apart: !same(m, f), Form: form(m)}
	rest.Took = rest.Last - side.Rounds[0].At
	for i, other := range contact.Systems {
		rest.Values[i] = in(m, other, f.Sides[i].Value)
		if edit := f.Edits[i]; edit.Side != 0 {
			rest.Values[i] = edit.Value
		}
	}
	for _, w := range f.Sides[at].Writes {
		if w.Replaced {
			rest.Ours = w.Value
		}
	}
	f.Tug.Rest = rest
	for i := range f.Tug.Sides {
		f.Tug.Sides[i].Rounds = nil
	}
	j.step(Step{Field: m.Key, Side: system, Rule: "stopped", Value: side.Last, Reason: rest.words()})
}

// third reports whether somebody meant a value that is not fought over. What an
// edit answers is known when nothing of ours is under way to its side any more.
func (j *Judge) third(m *mapping.Mapping, f *Field) bool {
	for at, system := range contact.Systems {
		edit := f.Edits[at]
		if edit.Side == 0 || !j.flows(m, system.Other()) || slices.Contains(f.Tug.Rest.Values[:], edit.Value) {
			continue
		}
		if f.Sides[at].outstanding() == nil && j.state.Sides[at].Doubt == 0 {
			return true
		}
	}
	return false
}

// resume lets a field that rests go on, with no rounds counted. It reports
// whether it did rest.
func (j *Judge) resume(m *mapping.Mapping, f *Field, why string) bool {
	if !f.rests() {
		return false
	}
	j.step(Step{Field: m.Key, Side: f.Tug.Rest.Side, Rule: "resumed", Reason: why})
	f.Tug = nil
	return true
}

// resumeAsked lets a field go on that somebody wants written again, into a system
// or, where that is 0, into any.
func (j *Judge) resumeAsked(key string, f *Field, system contact.System, author string) {
	if m := j.rules.Set.ByKey(key); m != nil && f.rests() && (system == 0 || system == f.Tug.Rest.Side) {
		j.resume(m, f, "tried again by "+author)
	}
}

// problem is a field that rests as somebody keeps rewriting it.
func (r *Rest) problem(key string, f *Field) Problem {
	ours := f.Sides[index(r.Side.Other())].Value
	return Problem{Field: key, System: r.Side, Kind: contact.ProblemRewritten, Value: ours, Refusal: fault.Refusal{
		Class: fault.Permanent, Reason: rewritten, Message: fmt.Sprintf(
			"%s; now HubSpot holds %q, Aloware %q. Nothing more is written to this field here: switch off what sets it, then retry", r.words(), f.Sides[0].Value, f.Sides[1].Value),
	}}
}

// rewritten is the reason of a field that is left alone as somebody else keeps
// rewriting it.
const rewritten = "REWRITTEN"

// words say who did what, how often and in what time.
func (r *Rest) words() string {
	return fmt.Sprintf("what is written to %s is replaced there again and again: %d times within %s, the last time %q by %q%s",
		r.Side, r.Rounds, r.took(), r.Ours, r.Values[index(r.Side)], by(r.By))
}

// took is the time of the rounds as people say it.
func (r *Rest) took() string {
	switch d := (time.Duration(r.Took) * time.Millisecond).Round(time.Second); {
	case d < 2*time.Second:
		return "two seconds"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds", d/time.Second)
	default:
		return fmt.Sprintf("%d minutes", (d+time.Minute-1)/time.Minute)
	}
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return ", by " + who
}

// same reports whether both sides hold the same.
func same(m *mapping.Mapping, f *Field) bool {
	return f.Sides[0].Known && f.Sides[1].Known && in(m, contact.HubSpot, f.Sides[0].Value) == in(m, contact.Aloware, f.Sides[1].Value)
}

// form is what somebody can change of a mapping, as a number to compare.
func form(m *mapping.Mapping) uint64 {
	hash := fnv.New64a()
	fmt.Fprint(hash, m.Aloware, "\n", m.HubSpot, "\n", m.Type, m.Direction, m.Policy, m.IgnoreBlank, m.Transforms, m.Options, m.Binding)
	return hash.Sum64()
}
