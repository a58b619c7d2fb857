package simulation

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// operations are what the lines of a script do.
var operations map[string]func(*world, Step)

func init() {
	operations = map[string]func(*world, Step){
		// Settings.
		"skew":       func(w *world, s Step) { w.skew[index(s.System)] = contact.Millis(s.n(0)) },
		"documented": func(w *world, _ Step) { w.documented, w.rules.Archive = true, "" }, // a deletion in Aloware cannot be told
		"anonymous":  func(w *world, _ Step) { w.anonymous = true },
		"creation":   func(w *world, s Step) { w.rules.Creation = resolve.Flow(s.Name) },
		"share":      (*world).share,
		"updates":    func(w *world, s Step) { w.rules.Updates = resolve.Flow(s.Name) },
		"archive": func(w *world, s Step) {
			if !w.documented {
				w.rules.Archive = resolve.Flow(s.Name)
			}
		},
		// The mapping.
		"both":       func(w *world, s Step) { w.direct(s.Name, contact.Both) },
		"to_aloware": func(w *world, s Step) { w.direct(s.Name, contact.ToAloware) },
		"to_hubspot": func(w *world, s Step) { w.direct(s.Name, contact.ToHubSpot) },
		"property":   func(w *world, s Step) { w.remap(fieldNamed(s.Name)) },
		"policy":     func(w *world, s Step) { w.term(s.Name, func(t *terms) { t.policy = policies[s.n(0)%len(policies)] }) },
		"blanks":     func(w *world, s Step) { w.term(s.Name, func(t *terms) { t.blanks = !t.blanks }) },
		"stop":       func(w *world, s Step) { w.term(s.Name, func(t *terms) { t.atRest = !t.atRest }) },
		"filter":     (*world).filter,
		"unmap":      func(w *world, s Step) { w.unmap(fieldNamed(s.Name)) },
		"spare":      (*world).editSpare,
		// People.
		"wait":           func(w *world, s Step) { w.pass(contact.Millis(s.n(0))) },
		"robot":          (*world).engage,
		"create":         (*world).create,
		"edit":           (*world).edit,
		"tie":            (*world).tie,
		"merge":          (*world).merge,
		"delete":         (*world).remove,
		"restore":        (*world).restore,
		"erase":          (*world).erase,
		"talk":           (*world).talk,
		"refuse":         func(w *world, s Step) { w.refuse(s) },
		"accept":         func(w *world, s Step) { delete(w.refuses[index(s.System)], fieldNamed(s.Name)) },
		"refuse-contact": func(w *world, s Step) { w.refusesPerson[index(s.System)][s.n(0)], w.gone = true, true },
		// The way to us.
		"deliver": (*world).deliver,
		"poll":    func(w *world, s Step) { w.poll(s.System, s.n(0)%2) },
		// What people ask of us.
		"retry":   (*world).retry,
		"pull":    (*world).pull,
		"choose":  (*world).choose,
		"answer":  (*world).answer,
		"recheck": (*world).recheck,
		"burst":   (*world).burst,
		"go":      answerHold(contact.AnswerGo),
		"drop":    answerHold(contact.AnswerDrop),
		"undo":    answerHold(contact.AnswerUndo),
		// The mapper.
		"map":     func(w *world, s Step) { w.handle(s.n(0)%2, 1+s.n(1)) },
		"crash":   (*world).crash,
		"replace": (*world).replaceMapper,
		"late":    (*world).publishLate,
		// The writers.
		"read": func(w *world, s Step) { w.read(&w.writers[index(s.System)], s.n(0)%2, 1+s.n(1)) },
		"call": func(w *world, s Step) {
			if c := w.send(s); c != nil {
				w.end(&w.writers[index(s.System)], c, s.n(1)%endings)
			}
		},
		"send":     func(w *world, s Step) { w.send(s) },
		"land":     (*world).land,
		"withdraw": (*world).withdraw,
		"handover": func(w *world, s Step) { w.replace(&w.writers[index(s.System)]) },
		"throttle": (*world).throttle,
		// All of it, until nothing is to be done.
		"settle": func(w *world, _ Step) { w.rest() },
	}
}

func fieldNamed(name string) int { return max(slices.Index(fieldKeys, name), 0) }

// direct changes the mapping in flight: a new version of the set.
func (w *world) direct(name string, direction contact.Direction) {
	field := fieldNamed(name)
	if field <= email || field >= firstComputed || w.directions[field] == direction {
		return
	}
	if len(w.records[0])+len(w.records[1]) > 0 {
		w.remapped = true
	}
	w.directions[field] = direction
	w.publishSet()
}

// free reports whether a person can be made in a system by hand.
func (w *world) free(system contact.System, person int) bool {
	person = w.same(person)
	if system == contact.Aloware && len(w.withValues(system, phone, w.valueOf(person, phone, 0))) > 0 {
		return false // it holds a number once
	}
	return len(w.living(system, person)) == 0 && !w.deleted[person] && !w.erasedOf[person]
}

// create system person value style: somebody makes the contact by hand.
func (w *world) create(s Step) {
	person := w.same(s.n(0) % mostPeople)
	if s.System == 0 || !w.free(s.System, person) {
		return
	}
	w.moment++
	r := w.add(s.System, person, false)
	var changes []*change
	for field := range firstComputed {
		n := 1 + (s.n(1)+field)%6
		if field > firstName && (s.n(1)+field)%3 == 0 {
			n = 0
		}
		if field == phone {
			n = 0
		}
		text := typed(field, w.valueOf(person, field, n), s.n(2)+field)
		if text == "" || w.taken(r, field, canonical(field, text)) {
			continue
		}
		changes = append(changes, w.set(r, field, text, nil))
		w.stats.Edits++
	}
	w.report(r, changes, true)
}

// edit system field person value style: somebody changes a value.
func (w *world) edit(s Step) {
	person, field := w.same(s.n(0)%mostPeople), fieldNamed(s.Name)
	if s.System == 0 || field >= firstComputed || field == phone && (!w.linked(person) || w.documented && s.System == contact.Aloware) {
		return // with another number he might not be known for the same
	}
	records := w.living(s.System, person)
	if len(records) == 0 {
		return
	}
	w.moment++
	r := records[s.n(1)%len(records)]
	text := typed(field, w.valueOf(person, field, s.n(1)%7), s.n(2))
	if w.taken(r, field, canonical(field, text)) {
		return
	}
	if c := w.set(r, field, text, nil); c != nil {
		w.stats.Edits++
		w.report(r, []*change{c}, false)
	}
}

// tie field person value value: both sides change a value at the same moment,
// as far as Aloware's clock can tell.
func (w *world) tie(s Step) {
	if w.skew != [2]contact.Millis{} {
		return
	}
	w.now = (w.now + tick - 1) / tick * tick
	for i, system := range contact.Systems {
		w.edit(Step{System: system, Name: s.Name, N: []int{s.n(0), s.n(1 + i), 1}})
	}
}

// linked reports whether the mapper knows a person in both systems, and nobody
// looks for him by a number any more.
func (w *world) linked(person int) bool {
	sought := func(p contact.Patch) bool {
		return p.TargetID == "" && p.Create != nil && w.ownerOf(p.Contact) == person
	}
	for i := range w.writers {
		wr := &w.writers[i]
		for _, l := range wr.lanes {
			if sought(l.patch) {
				return false
			}
		}
		for _, c := range wr.calls {
			if sought(c.sent) {
				return false
			}
		}
		for stream, position := range wr.position {
			if slices.ContainsFunc(w.patches[stream][position:], sought) {
				return false
			}
		}
	}
	for _, b := range w.lateBatches {
		if slices.ContainsFunc(b.patches, sought) {
			return false
		}
	}
	for _, e := range w.mapper.contacts {
		if e.state.Sides[0].Linked() && e.state.Sides[1].Linked() && w.ownerOf(e.key) == person {
			return true
		}
	}
	return false
}

// deliver count pick how: events on their way arrive in one message. how 1
// lets the first of them come again later, 2 loses what is sent at most once.
func (w *world) deliver(s Step) {
	var events []*event
	for range 1 + s.n(0) {
		if len(w.transit) == 0 {
			break
		}
		at := s.n(1) % len(w.transit)
		e := w.transit[at]
		switch {
		case s.n(2) == 1 && len(events) == 0:
		default:
			w.transit = slices.Delete(w.transit, at, at+1)
		}
		if s.n(2) == 2 && e.lossy {
			if c := e.in.Communication; c != nil { // and whatever else would tell of it
				w.transit = slices.DeleteFunc(w.transit, func(other *event) bool {
					return other.in.Communication != nil && other.in.Communication.ID == c.ID
				})
			}
			continue
		}
		events = append(events, e)
	}
	if len(events) > 0 {
		w.arrive(live, events...)
	}
}

// crash stream count published: the mapper decides, publishes some of it, and
// ends before it stores anything.
func (w *world) crash(s Step) {
	b := w.judgeMessages(s.n(0)%2, 1+s.n(1))
	b.publish(s.n(2))
	w.disturbed = true
}

// replace stream count: an owner of the mapper's partition decides, and is
// replaced before it publishes; see late.
func (w *world) replaceMapper(s Step) {
	stream := s.n(0) % 2
	b := w.judgeMessages(stream, 1+s.n(1))
	b.former = true
	w.lateBatches = append(w.lateBatches, b)
	w.mapper.epoch[stream]++
	w.mapper.attempts[stream] = 0
	w.disturbed = true
}

// late: a former owner's decisions are published after all; it cannot store.
func (w *world) publishLate(s Step) {
	if len(w.lateBatches) == 0 {
		return
	}
	at := s.n(0) % len(w.lateBatches)
	b := w.lateBatches[at]
	w.lateBatches = slices.Delete(w.lateBatches, at, at+1)
	w.forgetting = nil // it can come behind
	b.publish(len(b.patches))
}

// send system pick: a row is called for.
func (w *world) send(s Step) *call {
	if s.System == 0 {
		return nil
	}
	wr := &w.writers[index(s.System)]
	due := w.due(wr)
	if len(due) == 0 {
		return nil
	}
	return w.begin(wr, due[s.n(0)%len(due)])
}

// land system pick how: a call that was sent is carried out and ends.
func (w *world) land(s Step) {
	if s.System == 0 {
		return
	}
	wr := &w.writers[index(s.System)]
	if len(wr.calls) > 0 {
		w.end(wr, wr.calls[s.n(0)%len(wr.calls)], s.n(1)%endings)
	}
}

// throttle system ms kept: the system asks for a pause. Calls under way are
// refused by it, and none begins before its end; 1 keeps the pause when the
// lanes get another owner.
func (w *world) throttle(s Step) {
	if s.System == 0 {
		return
	}
	wr := &w.writers[index(s.System)]
	wr.pause, wr.pauseKept = w.now+contact.Millis(s.n(0)), s.n(1)%2 == 1
	for len(wr.calls) > 0 {
		w.end(wr, wr.calls[0], unsent)
	}
}

// refuse system field person value: from now on that value is refused.
func (w *world) refuse(s Step) {
	if field := fieldNamed(s.Name); s.System != 0 && field > email && field < firstComputed {
		w.refuses[index(s.System)][field] = valueOf(s.n(0)%mostPeople, field, 1+s.n(1)%6)
	}
}
