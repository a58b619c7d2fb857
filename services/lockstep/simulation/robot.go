package simulation

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// robot is something in a system that rewrites a field of a contact after each
// of our writes: a workflow, another app, an automation.
type robot struct {
	system contact.System
	person int
	field  int
	kind   int
	value  string
	delay  contact.Millis
	left   int // how often it still acts; -1 for ever
}

// What a robot sets.
const (
	fixed   = iota // one value
	growing        // ours with something behind it: a new value each time
	back           // what was there before
	robotKinds
)

// reaction is what a robot is about to do.
type reaction struct {
	*robot
	due    contact.Millis
	record *record
	value  string
}

// mostFought is how many values of ours may land in a field of a person, in both
// systems together, after somebody last had a hand in it: ten rounds on each
// side, with up to three values on their way at once that robots answer.
const mostFought = 64

// field of a person.
type spot struct{ person, field int }

// engage system field person kind value delay times: a robot begins its work;
// times 0 is for ever.
func (w *world) engage(s Step) {
	field := fieldNamed(s.Name)
	if s.System == 0 || field <= email || field >= firstComputed {
		return
	}
	person := s.n(0) % mostPeople
	r := &robot{
		system: s.System, person: person, field: field, kind: s.n(1) % robotKinds, value: w.valueOf(person, field, 1+s.n(2)%6),
		delay: contact.Millis(1 + s.n(3)), left: s.n(4),
	}
	if r.left == 0 {
		r.left = -1
	}
	w.robots = append(w.robots, r)
}

// provoke lets robots react to values of ours that landed.
func (w *world) provoke(r *record, changes []*change) {
	for _, c := range changes {
		for _, each := range w.robots {
			if each.left == 0 || each.system != r.system || each.field != c.field || w.same(each.person) != w.personOf(r) {
				continue
			}
			value := each.value
			switch past := r.past[c.field]; {
			case each.kind == growing:
				value = c.value + "+" + strconv.Itoa(int(each.system))
			case each.kind == back && len(past) > 1:
				value = past[len(past)-2].value
			}
			if value == c.value {
				continue
			}
			each.left = max(each.left-1, -1)
			w.reactions = append(w.reactions, reaction{each, w.now + each.delay, r, value})
		}
	}
}

// pass lets time go by, in which robots act.
func (w *world) pass(time contact.Millis) {
	w.now += time
	due := slices.DeleteFunc(slices.Clone(w.reactions), func(r reaction) bool { return r.due > w.now })
	w.reactions = slices.DeleteFunc(w.reactions, func(r reaction) bool { return r.due <= w.now })
	for _, r := range due {
		if !r.record.alive() {
			continue
		}
		w.moment++
		if c := w.set(r.record, r.field, r.value, nil); c != nil {
			c.robot = true
			w.trace("  a robot sets %s to %q", cell{r.system, r.person, r.field}, r.value)
			w.report(r.record, []*change{c}, false)
		}
	}
}

// fights counts a value of ours that landed since somebody last had a hand in it.
func (w *world) fights(r *record, field int) {
	at := spot{w.personOf(r), field}
	if w.fought[at]++; w.fought[at] > mostFought && len(w.robots) > 0 {
		w.fail("fought", "%d values were written to %s of person %d since somebody last had a hand in it", w.fought[at], fieldKeys[field], at.person)
	}
}

// onItsOwn is what goes on without anybody's hand.
var onItsOwn = []string{"wait", "deliver", "poll", "map", "crash", "replace", "late", "read", "call", "send", "land", "handover", "throttle", "settle"}

// resting is what is known of a field that is left alone as somebody keeps
// rewriting it; nil where it is not.
func (w *world) resting(person, field int) *resolve.Tug {
	for _, e := range w.mapper.contacts {
		if f := e.state.Fields[keyOf(field)]; f != nil && f.Tug != nil && f.Tug.Rest != nil && w.ownerOf(e.key) == person {
			return f.Tug
		}
	}
	return nil
}

// checkResting checks that a field is left alone for a reason: somebody or
// something did replace our values, so often, and nobody has set another value
// since.
func (w *world) checkResting(person, field int, pair [2]*record, tug *resolve.Tug) {
	for _, r := range pair {
		c := r.cells[field]
		if c == nil || c.ours || c.kept || c.robot || w.unsure(c) != "" || w.documented && r.system == contact.Aloware {
			continue
		}
		if m := w.rules.Set.ByKey(keyOf(field)); m.Direction.From(r.system) && w.rules.Updates.Into(r.system.Other()) && !slices.Contains(tug.Values, c.value) {
			w.fail("third", "%s of person %d is left alone, and somebody set %q in %s, which is none of %q", fieldKeys[field], person, c.value, r.system, tug.Values)
		}
	}
	replaced := 0
	for _, records := range w.records {
		most := 0
		for _, r := range records {
			if w.personOf(r) != person {
				continue
			}
			if past := r.past[field]; r.blank[field] && len(past) > 0 && !past[0].ours {
				most++
			}
			for i := 1; i < len(r.past[field]); i++ {
				if before := r.past[field][i-1]; (before.ours || before.kept) && !r.past[field][i].ours {
					most++
				}
			}
		}
		replaced = max(replaced, most)
	}
	if replaced < tug.Rest.Rounds {
		w.fail("stopped", "%s of person %d is left alone for %d rounds, and there were %d", fieldKeys[field], person, tug.Rest.Rounds, replaced)
	}
}

// rests reports whether any field is left alone as somebody keeps rewriting it.
func (w *world) rests() bool {
	return slices.ContainsFunc(w.mapper.contacts, func(e *entry) bool {
		for _, f := range e.state.Fields {
			if f.Tug != nil && f.Tug.Rest != nil {
				return true
			}
		}
		return false
	})
}

// automations is a schedule with robots. It has choices of its own, so that the
// schedules of other seeds stay as they are.
func automations(seed uint64) Script {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x70b07))}
	g.persons = 1 + g.IntN(2)
	g.settings()
	field, person := fieldKeys[lastName+g.IntN(firstComputed-lastName)], g.person()
	if !g.one(4) {
		g.step("both", 0, field)
	}
	for each := range g.persons {
		g.create(g.system(), each)
	}
	g.step("settle", 0, "")
	disorder := g.one(3)
	engage := func(system contact.System) {
		times := 0
		if g.one(2) {
			times = 1 + g.IntN(12)
		}
		g.step("robot", system, field, person, g.IntN(robotKinds), g.IntN(6), g.IntN(3000), times)
	}
	engage(contact.HubSpot)
	if !g.one(3) {
		engage(contact.Aloware)
	}
	if g.one(4) {
		engage(g.system())
	}
	for range 4 + g.IntN(20) {
		g.step("wait", 0, "", 1+g.IntN(waits[g.IntN(len(waits))]))
		switch g.IntN(8) {
		case 0, 1:
			g.step("edit", g.system(), field, person, g.IntN(7), g.IntN(3))
		case 2:
			g.step("settle", 0, "")
		case 3:
			g.edit()
		case 4:
			switch {
			case g.one(3):
				g.asking()
			case g.one(6):
				g.direct(field)
			default:
				g.step("retry", 0, "", person)
			}
		default:
			for range 4 {
				g.deliver()
				g.mapping()
				g.writing()
			}
			if disorder {
				g.disorder()
			}
		}
	}
	return g.script
}
