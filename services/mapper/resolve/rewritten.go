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
// with a change of the mapping, or with an edit to a value that was not fought
// over and that answers no write of ours: what is set within answersWithin of one
// can be a slower answer to it. A computed total is no such edit. Where both sides
// have come to hold the same, it is no problem any more, and is over when
// roundsWithin have passed. Then rounds begin at none.
const (
	mostRounds                   = 5
	mostNewRounds                = 10
	roundsWithin  contact.Millis = 3_600_000
	answersWithin contact.Millis = 30_000
	keepTugged                   = 16
)

// Tug is what is known of a field that somebody else keeps rewriting.
type Tug struct {
	Sides  [2]Rewriting
	Values []string       // that are fought over, oldest first
	Last   contact.Millis // when the last round was counted, by our clock
	Rest   *Rest          // nil while values are written
}

// Rewriting are the rounds of one side.
type Rewriting struct {
	Rounds []Round
	Last   string         // value by which ours was replaced last
	Edited contact.Millis // when, by the side's clock
	By     string         // who set the present value, in the system's words; "" where it does not tell
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
	By     string         // who rewrote last, in the system's words; "" where it does not tell
	Ours   string         // our value that was replaced last
	Theirs string         // by which
	Apart  bool           // the sides hold different values
	Form   uint64         // of the mapping
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
		f.Tug = &Tug{} // until it is known whether that is a round
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
			fought := f.Tug.Values // also those that come once more are no third ones
			j.resume(m, f, "somebody set another value")
			f.Tug = &Tug{Values: fought, Last: j.decision.Now}
		case !rest.Apart && f.Tug.Last+roundsWithin < j.decision.Now:
			j.resume(m, f, "both sides hold the same since")
		}
		return
	}
	if f.Tug.Last+roundsWithin < j.decision.Now {
		f.Tug = nil
		return
	}
	for at, system := range contact.Systems {
		side, edit := &f.Tug.Sides[at], f.Edits[at]
		side.Rounds = slices.DeleteFunc(side.Rounds, func(r Round) bool { return r.At+roundsWithin < j.decision.Now })
		if edit.Side != 0 {
			f.Tug.fought(edit.Value)
		}
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
}

// fought notes a value that is fought over.
func (t *Tug) fought(value string) {
	if slices.Contains(t.Values, value) {
		return
	}
	if t.Values = append(t.Values, value); len(t.Values) > keepTugged {
		t.Values = slices.Delete(t.Values, 0, 1)
	}
}

// round counts a value of ours that somebody replaced on a side.
func (j *Judge) round(m *mapping.Mapping, f *Field, system contact.System) {
	at := index(system)
	fs := &f.Sides[at]
	over, value, when := fs.replaced(m, f.Edits[at], j.state.Sides[at].Doubt != 0)
	if over == nil {
		return
	}
	for i := range fs.Writes { // those before it are over as well
		if w := &fs.Writes[i]; w.Version <= over.Version && w.Applied != 0 {
			w.Replaced = true
		}
	}
	if over.Applied+roundsWithin < when {
		return
	}
	if f.Tug == nil {
		f.Tug = &Tug{}
	}
	side := &f.Tug.Sides[at]
	if side.Edited == when || when == fs.Since && side.Edited >= fs.Since && side.Edited <= fs.Seen.To {
		return // it was counted for another write
	}
	back := len(side.Rounds) > 0 && side.Last == value || fs.heldBefore(value, over)
	f.Tug.Last, side.Edited, side.Last = j.decision.Now, when, value
	meant := in(m, system, value)
	f.Tug.fought(meant)
	if rest := f.Tug.Rest; rest != nil {
		// An answer to what was under way when the field came to rest.
		if system == rest.Side {
			rest.Ours, rest.Theirs = over.Value, value
		}
		return
	}
	side.Rounds = append(side.Rounds, Round{j.decision.Now, back})
	j.step(Step{Field: m.Key, Side: system, Rule: "rewritten", Value: meant, At: when, Version: over.Version, Reason: fmt.Sprintf(
		"%q that was written there was replaced%s; round %d within an hour", over.Value, by(side.By), len(side.Rounds))})
}

// replaced gives the newest write of ours that a side has taken and that another
// value came after, with that value and its time; nil for none that was not
// counted before. The newest edit tells so, or what is there: within one tick of
// the side's clock, and while its clock is behind so that no edit counts.
func (f *FieldSide) replaced(m *mapping.Mapping, edit Edit, doubt bool) (over *Write, value string, when contact.Millis) {
	edited := m.Out(edit.Side, edit.Value)
	told := edit.Side != 0 && edit.At > baselineAt && edit.At <= f.Seen.To && !Unresolved(edit.Value) // later is our clock, by a sync by hand
	there := f.Known && !doubt && f.outstanding() == nil && !Unresolved(f.Value) && !f.mayHaveWritten(f.Value, f.Seen)
	for i := range f.Writes {
		w := &f.Writes[i]
		switch {
		case w.Sought || w.Applied == 0:
		case told && edited != w.Value && edit.At > w.Applied:
			over, value, when = w, edited, edit.At
		case there && f.Value != w.Value && (f.Since > w.Applied || told && edited == f.Value && f.Seen.To >= w.Applied && edit.At >= w.After):
			over, value, when = w, f.Value, f.Since
		}
	}
	if over != nil && over.Replaced {
		return nil, "", 0
	}
	return over, value, when
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
	rest := &Rest{Side: system, Rounds: len(side.Rounds), By: side.By, Theirs: side.Last, Apart: !same(m, f), Form: form(m)}
	rest.Took = j.decision.Now - side.Rounds[0].At
	for i, other := range contact.Systems {
		f.Tug.fought(in(m, other, f.Sides[i].Value))
		if edit := f.Edits[i]; edit.Side != 0 {
			f.Tug.fought(edit.Value)
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
		edit, fs := f.Edits[at], &f.Sides[at]
		if edit.Side == 0 || !j.flows(m, system.Other()) || slices.Contains(f.Tug.Values, edit.Value) || fs.outstanding() != nil || j.state.Sides[at].Doubt != 0 {
			continue
		}
		if slices.ContainsFunc(fs.Writes, func(w Write) bool { return w.Applied < edit.At && edit.At <= w.Applied+answersWithin }) {
			f.Tug.fought(edit.Value)
			continue
		}
		return true
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
		r.Side, r.Rounds, r.took(), r.Ours, r.Theirs, by(r.By))
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
