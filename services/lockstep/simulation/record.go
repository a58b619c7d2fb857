package simulation

import (
	"strings"

	"lockstep.internal/pkg/contact"
)

// tick is the width of Aloware's clock: its times are seconds.
const tick = 1000

// record is one contact as a system holds it.
type record struct {
	system contact.System
	id     string
	person int
	cells  [slots]*change   // what is there now; nil was never set
	past   [slots][]*change // everything that ever was, the present one last
	heard  [slots]bool      // the mapper was told something of this value
	blank  [slots]bool      // a blank of ours landed where nothing was ever set

	created, modified contact.Millis // by its own system's clock
	gone, erased      bool
	told              bool    // the mapper has heard of it
	into              *record // where a merge brought it
	key               contact.Key
	ours              bool                    // we created it
	moments           map[contact.Millis]int  // by tick: the first moment of a change in it
	busy              map[contact.Millis]bool // ticks with changes at several moments
	mixed             bool                    // merged or restored: what it held before is uncertain
}

// change is one change of one value, as it really happened.
type change struct {
	record *record
	field  int
	value  string         // canonical
	text   string         // as the system gives it
	clock  contact.Millis // by its own system's clock, exact
	real   contact.Millis
	ours   bool
	write  *write // of ours, where it is ours
	moved  bool   // a merge has brought it here
	robot  bool   // a robot made it
	kept   bool   // a write of ours of the same value landed on it

	shown  contact.Millis // when the mapper was first told of it, real time; 0 never
	upTo   contact.Millis // latest time by its own clock that it can be taken for
	latest contact.Millis // latest time at which it was told
	first  bool           // told as part of what was there when we first looked
	doubt  string         // why an observer cannot be sure of it; "" he can
}

func (r *record) survivor() *record {
	for r.into != nil {
		r = r.into
	}
	return r
}

func (r *record) alive() bool { return !r.gone && r.into == nil }

func (r *record) value(field int) string {
	if c := r.cells[field]; c != nil {
		return c.value
	}
	return ""
}

// set changes a value; nil when it was there already.
func (w *world) set(r *record, field int, text string, by *write) *change {
	value := canonical(field, text)
	if r.value(field) == value {
		return nil
	}
	c := &change{record: r, field: field, value: value, clock: w.clock(r.system), real: w.now, ours: by != nil, write: by}
	c.text = present(r.system, field, text)
	at := w.tickOf(r.system, c.clock)
	if first, ok := r.moments[at]; !ok {
		r.moments[at] = w.moment
	} else if first != w.moment {
		r.busy[at] = true
	}
	if last := r.cells[field]; last != nil && w.tickOf(r.system, last.clock) == w.tickOf(r.system, c.clock) {
		// Nobody can tell which of the two came first.
		last.doubt, c.doubt = "same tick", "same tick"
	}
	if r.cells[field] == nil && r.created != c.clock && w.tickOf(r.system, r.created) == w.tickOf(r.system, c.clock) {
		c.doubt = "same tick" // it was made blank in it
	}
	r.cells[field], r.past[field] = c, append(r.past[field], c)
	r.modified = c.clock
	return c
}

// present is how a system gives a value: HubSpot much as it was typed, Aloware
// in its own form.
func present(system contact.System, field int, text string) string {
	switch {
	case text == "":
	case field == email:
		return strings.ToLower(strings.TrimSpace(text))
	case field == phone && system == contact.Aloware:
		return strings.TrimPrefix(canonical(field, text), "+")
	case system == contact.Aloware:
		return strings.TrimSpace(text)
	}
	return text
}

// typed is how a person types a value.
func typed(field int, value string, style int) string {
	switch {
	case value == "" || style%3 != 0:
		return value
	case field == email:
		return strings.ToUpper(value)
	case field == phone:
		return "(" + value[2:5] + ") " + value[5:8] + "-" + value[8:]
	}
	return value + " "
}

func (w *world) clock(system contact.System) contact.Millis {
	return w.now + w.skew[index(system)]
}

// tickOf is the time that a system tells for one of its clock.
func (w *world) tickOf(system contact.System, at contact.Millis) contact.Millis {
	if system == contact.Aloware {
		return at / tick * tick
	}
	return at
}

func precision(system contact.System) contact.Millis {
	if system == contact.Aloware {
		return tick - 1
	}
	return 0
}

func index(s contact.System) int { return int(s) - 1 }

// find gives a record by its id, also one that is merged away or deleted.
func (w *world) find(system contact.System, id string) *record {
	for _, r := range w.records[index(system)] {
		if r.id == id {
			return r
		}
	}
	return nil
}

// living are the records of a person in a system.
func (w *world) living(system contact.System, person int) []*record {
	var list []*record
	for _, r := range w.records[index(system)] {
		if r.alive() && w.personOf(r) == w.same(person) {
			list = append(list, r)
		}
	}
	return list
}

func (w *world) personOf(r *record) int { return w.same(r.person) }

// same is the person that somebody turned out to be after merges.
func (w *world) same(person int) int {
	for w.merged[person] != person {
		person = w.merged[person]
	}
	return person
}

// withValues are the living records of a system that hold one of the values.
func (w *world) withValues(system contact.System, field int, values ...string) []*record {
	var list []*record
	for _, r := range w.records[index(system)] {
		if !r.alive() {
			continue
		}
		for _, value := range values {
			if value != "" && r.value(field) == value {
				list = append(list, r)
				break
			}
		}
	}
	return list
}
