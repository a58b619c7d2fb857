package simulation

import (
	"fmt"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
)

// write is a value that the mapper decided to write.
type write struct {
	key     contact.Key
	version contact.Version
	value   string // canonical
	at      contact.Millis
	decided contact.Millis
	settled contact.Millis // when its outcome was heard, real time; 0 never
	upTo    contact.Millis // latest time by the side's clock that its outcome tells
	sought  bool           // decided before the contact was known to be there
}

// cell names one value of one person in one system.
type cell struct {
	system contact.System
	person int
	field  int
}

// refusedValue is a value that a system refused.
type refusedValue struct {
	system contact.System
	person int
	field  int
	value  string
}

func (c cell) String() string {
	return fmt.Sprintf("%s of person %d in %s", slotName(c.field), c.person, c.system)
}

// fail records the first broken invariant.
func (w *world) fail(invariant, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{Invariant: invariant, Detail: fmt.Sprintf(format, args...)}
		if w.tracing {
			w.trace("FAILED %s: %s", w.failure.Invariant, w.failure.Detail)
		}
	}
}

// ownerOf is the person of a contact's key.
func (w *world) ownerOf(key contact.Key) int {
	name, id, _ := strings.Cut(string(key), ":")
	system, _ := contact.ParseSystem(name)
	if r := w.find(system, id); r != nil {
		return w.personOf(r)
	}
	return -1
}

// decided notes what a published patch will write.
func (w *world) decided(b *batch, p contact.Patch) {
	person := w.ownerOf(p.Contact)
	for _, property := range p.Properties {
		field := w.fieldOf(p.System, property.Name)
		wr := &write{key: p.Contact, version: property.Version, value: canonical(field, property.Value), decided: w.now, sought: p.TargetID == ""}
		for _, want := range b.wants {
			if want.key == p.Contact && want.version == property.Version && want.system == p.System && want.field == keyOf(field) {
				wr.at = want.at
			}
		}
		c := cell{p.System, person, field}
		if n := len(w.writes[c]); n > 0 && w.quiet() && !b.answered(p.Contact, p.System, property.Name, w.writes[c][n-1].version) {
			last := w.writes[c][n-1]
			// What was found is read only: its values are sent once more.
			if found := last.sought && !wr.sought; !found && last.settled == 0 && last.key == p.Contact && last.value == wr.value {
				w.fail("again", "%q was sent to %s again, while it was on its way", wr.value, c)
			}
		}
		w.writes[c] = append(w.writes[c], wr)
		w.checkRead(b, p, field, wr)
		w.checkHeld(b, p, field, wr)
		if m := b.inForce.Set.ByKey(keyOf(field)); !b.inForce.Updates.Into(p.System) || !m.Direction.Into(p.System) {
			if (p.Create == nil || !p.Create.MayCreate || field > lastName) && !w.undone[field] {
				w.fail("direction", "a write of %s was decided, where none may flow", c)
			}
		}
	}
}

// quiet reports whether nothing happened by which a decided write is given up
// or forgotten.
func (w *world) quiet() bool {
	for person := range mostPeople {
		if w.same(person) != person {
			return false
		}
	}
	return !w.disturbed && !w.shared && !w.asked && !w.gone && w.rebound == [fields]bool{}
}

// landing finds what a write that reaches a system was decided as, and counts
// it.
func (w *world) landing(r *record, field int, key contact.Key, property contact.Property) *write {
	w.calls++
	c := cell{r.system, w.personOf(r), field}
	for _, known := range w.writes[c] {
		if known.key == key && known.version == property.Version {
			return known
		}
	}
	return &write{key: key, version: property.Version, value: property.Value}
}

// landed checks a write of ours that changed a value.
func (w *world) landed(r *record, c *change) {
	w.landings++
	w.fights(r, c.field)
	past := r.past[c.field]
	if len(past) < 2 {
		return
	}
	before := past[len(past)-2]
	switch {
	case before.ours:
		if before.write.version > c.write.version && before.write.at > c.write.at && !w.undone[c.field] {
			if w.handovers == 0 && before.write.key == c.write.key {
				w.fail("order", "%s was shown %q after the newer %q", cell{r.system, r.person, c.field}, c.value, before.value)
			}
			w.stats.Regressions++
		}
	case c.field != phone && !w.crossed(w.personOf(r)) && before.shown != 0 && w.oneWayInto(r.system, c.field) && w.knownAt(before) < c.write.decided && w.unsure(before) == "" && c.write.version != 0:
		// Somebody's own edit of the target was known when this was decided.
		if !c.write.sought && c.write.at < w.tickOf(r.system, before.clock) && !w.underWay(c, before) && !before.first && !w.remapped && !w.undone[c.field] && !r.mixed && !r.busy[w.tickOf(r.system, before.clock)] {
			w.fail("own edit", "%s: the target's own edit %q at %d was overwritten with %q of %d", cell{r.system, r.person, c.field}, before.value, before.clock, c.value, c.write.at)
		}
	}
}

// knownAt is when a change that was told was known to be one: where the value had
// been there before, once something in between was told.
func (w *world) knownAt(c *change) contact.Millis {
	past := c.record.past[c.field]
	at := slices.Index(past, c)
	var between contact.Millis
	for i := at - 1; i >= 0 && past[i].value != c.value; i-- {
		if past[i].shown != 0 && (between == 0 || past[i].shown < between) {
			between = past[i].shown
		}
		if i == 0 && c.value != "" {
			return c.shown // it is there for the first time
		}
	}
	return max(c.shown, between)
}

// underWay reports whether an earlier write was on its way over an own edit
// before it was heard: then the source's value is what the target is to get.
func (w *world) underWay(c, own *change) bool {
	for _, other := range w.writes[cell{c.record.system, w.personOf(c.record), c.field}] {
		if other != c.write && other.decided <= w.knownAt(own) && (other.settled == 0 || other.settled >= w.knownAt(own)) {
			return true
		}
	}
	return false
}

// oneWayInto reports whether a field flows into a system and never back.
func (w *world) oneWayInto(system contact.System, field int) bool {
	d := w.directionOf(field)
	return d.Into(system) && !d.From(system)
}

// directionOf is a field's direction as it is in force for updates.
func (w *world) directionOf(field int) contact.Direction {
	m := w.rules.Set.ByKey(keyOf(field))
	if m == nil || field >= fields {
		return 0
	}
	d := m.Direction
	var into [2]bool
	for i, system := range contact.Systems {
		into[i] = d.Into(system) && w.rules.Updates.Into(system)
	}
	switch into {
	case [2]bool{true, true}:
		return contact.Both
	case [2]bool{true, false}:
		return contact.ToHubSpot
	case [2]bool{false, true}:
		return contact.ToAloware
	}
	return 0
}

// heard notes what the mapper was truly shown by an event that it stored.
func (w *world) heard(e *event) {
	if e.in.Command != nil {
		clear(w.fought)
	}
	if o := e.in.Outcome; o != nil {
		w.heardOfErased(o)
		person := w.ownerOf(o.Contact)
		for _, p := range o.Properties {
			c := cell{o.System, person, w.fieldOf(o.System, p.Name)}
			for _, wr := range w.writes[c] {
				// A withdrawal tells of what is withdrawn alone: an earlier write can be
				// on its way still, or be carried out and not answered.
				over := wr.version == p.Version || wr.version < p.Version && o.Result != contact.Dropped
				switch upTo := o.AppliedAt + o.Precision; {
				case !over || wr.key != o.Contact:
				case wr.settled == 0:
					wr.settled, wr.upTo = w.now, upTo
				case wr.version == p.Version && wr.upTo < upTo:
					w.repeated(c, wr, upTo)
				}
			}
		}
	}
	if e.record == nil {
		return
	}
	e.record.told = true
	for _, c := range e.shows {
		w.show(e, c)
	}
	if e.whole {
		for field := range fields {
			e.record.heard[field] = true
		}
	}
}

// repeated notes the answer of a write that was carried out once more, by who took
// over from one that had reported it and died: it was on its way until then.
func (w *world) repeated(c cell, wr *write, upTo contact.Millis) {
	for _, r := range w.records[index(c.system)] {
		for _, made := range r.past[c.field] {
			if at := w.tickOf(c.system, made.clock); w.guesses(made) && w.personOf(r) == c.person && made.value == wr.value && made.doubt == "" && at > wr.upTo && at <= upTo {
				made.doubt = "our value"
			}
		}
	}
	wr.upTo = upTo
}

// guesses reports whether nothing but times and values tells that a change was
// somebody's.
func (w *world) guesses(c *change) bool {
	return !c.ours && (c.record.system == contact.Aloware || w.anonymous)
}

// unheard reports whether a change is a write of ours that was carried out once
// more, of which no answer ever told: it looks like somebody's edit.
func (w *world) unheard(c *change) bool {
	return c.ours && c.write.settled != 0 && c.write.upTo < c.clock && (c.record.system == contact.Aloware || w.anonymous)
}

func (w *world) show(e *event, c *change) {
	at := max(e.occurred, c.clock)
	if c.record.system == contact.HubSpot {
		at = c.clock
	}
	upTo := at + precision(c.record.system)
	c.latest = max(c.latest, upTo)
	if c.shown != 0 {
		c.upTo = min(c.upTo, upTo)
		return
	}
	if c.record.system == contact.Aloware && e.received > upTo {
		upTo = w.tickOf(c.record.system, at) // held up, it is taken at its tick's beginning
	}
	c.shown, c.upTo = w.now, upTo
	if !c.ours && !c.robot {
		clear(w.fought)
	}
	if !c.record.heard[c.field] {
		c.record.heard[c.field] = true
		for _, earlier := range c.record.past[c.field] {
			earlier.first = true
			if earlier == c {
				break
			}
		}
	}
	if !w.guesses(c) {
		return
	}
	// The very value that we are writing at that moment.
	for _, wr := range w.writes[cell{c.record.system, w.personOf(c.record), c.field}] {
		if wr.value == c.value && (wr.settled == 0 || wr.upTo >= w.tickOf(c.record.system, c.clock)) && c.doubt == "" {
			c.doubt = "our value"
		}
	}
}
