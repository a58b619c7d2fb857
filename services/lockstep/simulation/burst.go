package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// burst system field: from now on, the field's edits on their way into a system
// are part of a burst that is held. When one is recognised, package resolve tests
// by itself.
func (w *world) burst(s Step) {
	field := fieldNamed(s.Name)
	if s.System == 0 || field >= firstComputed || w.holdOf(field) != nil {
		return
	}
	rules := *w.rules
	watch := resolve.Watch{Floor: 1 << 40}
	if rules.Watch != nil {
		watch.Holds = slices.Clone(rules.Watch.Holds)
	}
	watch.Holds = append(watch.Holds, &resolve.Hold{
		ID: w.id("h"), FieldSource: resolve.FieldSource{FieldInto: resolve.FieldInto{Field: fieldKeys[field], Into: s.System}}, Since: w.now,
	})
	rules.Watch = &watch
	w.rules = &rules
}

// holdOf is the hold of a field that waits for its answer.
func (w *world) holdOf(field int) *resolve.Hold {
	if w.rules.Watch == nil {
		return nil
	}
	for _, h := range w.rules.Watch.Holds {
		if h.Field == fieldKeys[field] && !h.Answered {
			return h
		}
	}
	return nil
}

// answerHold field: somebody answers about the burst: whatever is judged from now
// on is not part of it, and each contact is released.
func answerHold(answer contact.HoldAnswer) func(*world, Step) {
	return func(w *world, s Step) {
		field := fieldNamed(s.Name)
		h := w.holdOf(field)
		if h == nil {
			return
		}
		w.answerOf(h, answer)
		switch answer {
		case contact.AnswerDrop:
			w.dropped[field] = true
		case contact.AnswerUndo:
			w.undone[field] = true
			if spare, ok := spares[field]; ok {
				w.undone[spare] = true // a write from before it was mapped otherwise
			}
		}
	}
}

func (w *world) answerOf(h *resolve.Hold, answer contact.HoldAnswer) {
	rules := *w.rules
	watch := *rules.Watch
	watch.Holds = slices.Clone(watch.Holds)
	for i, known := range watch.Holds {
		if known.ID == h.ID {
			over := *known
			over.Answered = true
			watch.Holds[i] = &over
		}
	}
	rules.Watch = &watch
	w.rules = &rules
	for _, e := range w.mapper.contacts {
		w.ask(contact.Command{Contact: e.key, Kind: contact.Release, Hold: h.ID, Answer: answer})
	}
}

// letGo lets all bursts go on that nobody has answered about: then nothing waits.
func (w *world) letGo() {
	for field := range firstComputed {
		if h := w.holdOf(field); h != nil {
			w.answerOf(h, contact.AnswerGo)
		}
	}
}

// checkHeld checks that nothing of a burst is written: an edit that somebody made
// after the burst was recognised, in a HubSpot that tells of each.
func (w *world) checkHeld(b *batch, p contact.Patch, field int, decided *write) {
	if field >= firstComputed || p.TargetID == "" || w.asked || w.anonymous || w.disturbed || w.remapped || w.gone || p.System != contact.Aloware {
		return
	}
	h := w.holdOf(field)
	if h == nil || h.Into != p.System || b.inForce.Watch == nil || b.inForce.Watch.Hold(h.ID) == nil {
		return
	}
	if e := w.mapper.contact(p.Contact); e == nil || !e.state.Sides[0].Linked() || !e.state.Sides[1].Linked() || !e.state.Sides[0].Read {
		return // it was matched with its counterpart just now
	}
	for _, r := range w.living(contact.HubSpot, w.ownerOf(p.Contact)) {
		if c := r.cells[field]; c != nil && !c.ours && !c.first && c.clock == decided.at && c.value == decided.value && c.clock-w.skew[0] > h.Since && !r.mixed {
			w.fail("held", "%q of %s is part of a burst, and is to be written", c.value, cell{p.System, r.person, field})
		}
	}
}

// checkReleased checks that nothing is held any more.
func (w *world) checkReleased() {
	for _, e := range w.mapper.contacts {
		if held := e.state.HeldValues(); len(held) > 0 && !e.state.Outside {
			w.fail("released", "%s still holds %s", e.key, fmt.Sprint(held))
		}
	}
}

// alreadyThere is a burst that sets what its target has already, whose own edit
// from just before is heard after it.
func alreadyThere(r *rand.Rand) Script {
	field, person, value := fieldKeys[firstName+r.IntN(firstComputed-firstName)], r.IntN(2), 1+r.IntN(3)
	into := contact.Systems[min(r.IntN(3), 1)]
	return Script{
		{Op: "burst", System: into, Name: field},
		{Op: "edit", System: into, Name: field, N: []int{person, value, 0}},
		{Op: "settle"},
		{Op: "edit", System: into, Name: field, N: []int{person, value + 1 + r.IntN(2), 0}},
		{Op: "edit", System: into.Other(), Name: field, N: []int{person, value, 0}},
		{Op: "deliver", N: []int{0, 1, 0}},
		{Op: "map", N: []int{live, 9}},
		{Op: "deliver", N: []int{0, 0, 0}},
		{Op: "map", N: []int{live, 9}},
	}
}

// withBursts puts bursts and the answers about them into a schedule.
func withBursts(script Script, seed uint64) Script {
	r := rand.New(rand.NewPCG(seed, 0xb0557))
	if begun := slices.IndexFunc(script, func(s Step) bool { return s.Op == "wait" }); begun >= 0 && r.IntN(2) == 0 {
		script = slices.Insert(script, begun, alreadyThere(r)...)
	}
	for range 1 + r.IntN(3) {
		field := fieldKeys[email+r.IntN(firstComputed-email)]
		from := r.IntN(len(script) + 1)
		script = slices.Insert(script, from, Step{Op: "burst", System: contact.Systems[r.IntN(2)], Name: field})
		if r.IntN(4) > 0 {
			to := from + 1 + r.IntN(len(script)-from)
			script = slices.Insert(script, to, Step{Op: []string{"go", "go", "drop", "undo"}[r.IntN(4)], Name: field})
		}
	}
	return script
}
