package simulation

import (
	"cmp"
	"maps"
	"strconv"

	"lockstep.internal/pkg/contact"
)

// merge primary secondary form order: somebody merges two contacts in HubSpot.
// form 0 makes a new contact of them, 1 keeps the primary one; order 1 sends
// the deletion before the merge. Values that move tell nobody.
func (w *world) merge(s Step) {
	one, two := w.same(s.n(0)%mostPeople), w.same(s.n(1)%mostPeople)
	if one == two || w.deleted[one] || w.deleted[two] || w.erasedOf[one] || w.erasedOf[two] {
		return
	}
	primary, secondary := w.living(contact.HubSpot, one), w.living(contact.HubSpot, two)
	if len(primary) != 1 || len(secondary) != 1 {
		return
	}
	first, second := primary[0], secondary[0]
	w.merged[two] = one
	for c, list := range w.writes {
		if c.person == two {
			c.person = one
			w.writes[c] = append(w.writes[c], list...)
		}
	}
	survivor := first
	absorbed := []*record{second}
	if s.n(2)%2 == 0 {
		survivor = w.add(contact.HubSpot, one, false)
		absorbed = []*record{first, second}
		first.into = survivor
	}
	second.into = survivor
	survivor.modified = w.clock(contact.HubSpot)
	survivor.mixed = true
	for field := range slots {
		from := first.cells[field]
		if from == nil || from.value == "" {
			from = second.cells[field]
		}
		if from == nil || from == survivor.cells[field] {
			continue
		}
		moved := *from
		moved.record, moved.shown, moved.doubt = survivor, 0, ""
		moved.moved, moved.latest = true, survivor.modified // who merged them chose it over what was there
		survivor.cells[field] = &moved
		survivor.past[field] = append(survivor.past[field], &moved)
	}
	for _, records := range w.records {
		for _, r := range records {
			if w.personOf(r) == one {
				r.blur("merged")
			}
		}
	}
	var ids []string
	for _, r := range absorbed {
		ids = append(ids, r.id)
	}
	if s.n(3)%2 == 0 {
		w.lifecycle(survivor, contact.Merged, ids)
	}
	for _, r := range absorbed {
		w.lifecycle(r, contact.Deleted, nil)
	}
	if s.n(3)%2 == 1 {
		w.lifecycle(survivor, contact.Merged, ids)
	}
}

// blur makes all that a record held so far uncertain to an observer.
func (r *record) blur(why string) {
	r.mixed = true
	for field := range r.past {
		for _, c := range r.past[field] {
			c.doubt, c.first = why, true
		}
	}
}

// remove person: somebody deletes the contact in HubSpot.
func (w *world) remove(s Step) {
	person := w.same(s.n(0) % mostPeople)
	for _, r := range w.living(contact.HubSpot, person) {
		w.cutOff(person)
		r.gone = true
		w.deleted[person], w.gone = true, true
		w.lifecycle(r, contact.Deleted, nil)
	}
}

// cutOff notes whose counterparts in Aloware lose theirs in HubSpot.
func (w *world) cutOff(person int) {
	if !w.linked(person) {
		return
	}
	for _, e := range w.mapper.contacts {
		if w.ownerOf(e.key) == person && e.state.Sides[0].Linked() && e.state.Sides[1].Linked() {
			for _, id := range append([]string{e.state.Sides[1].ID}, e.state.Sides[1].Aliases...) {
				w.cut[id] = person
			}
		}
	}
}

// putAway archives a contact for us, as Aloware could not: nobody may be put
// away whose counterpart was not deleted.
func (w *world) putAway(r *record, key contact.Key) {
	if e := w.mapper.contact(key); e != nil {
		other := w.find(r.system.Other(), e.state.Side(r.system.Other()).ID)
		if other != nil && other.survivor().alive() && !w.restored[w.personOf(other)] {
			w.fail("archived", "person %d is archived in %s and was deleted nowhere", w.personOf(r), r.system)
		}
	}
	r.gone, w.gone = true, true
	w.archived[w.personOf(r)] = true
	if r.system == contact.HubSpot {
		w.lifecycle(r, contact.Deleted, nil)
	}
}

// restore person: somebody takes the contact out of HubSpot's recycle bin.
// What was changed in between is as uncertain as what a merge moved.
func (w *world) restore(s Step) {
	person := w.same(s.n(0) % mostPeople)
	if !w.deleted[person] || w.erasedOf[person] {
		return
	}
	for _, r := range w.records[0] {
		if w.personOf(r) == person && r.gone && r.into == nil {
			r.gone = false
			r.modified = w.clock(contact.HubSpot)
			delete(w.deleted, person)
			maps.DeleteFunc(w.cut, func(_ string, of int) bool { return w.same(of) == person })
			w.restored[person] = true
			w.lifecycle(r, contact.Restored, nil)
			for _, records := range w.records {
				for _, other := range records {
					if w.personOf(other) == person {
						other.blur("restored")
					}
				}
			}
			return
		}
	}
}

// erase person: a privacy deletion in HubSpot.
func (w *world) erase(s Step) {
	person := w.same(s.n(0) % mostPeople)
	for _, r := range w.living(contact.HubSpot, person) {
		r.gone, r.erased = true, true
		w.erasedOf[person], w.gone = true, true
		w.lifecycle(r, contact.Erased, nil)
	}
}

// spoken is one call or text.
type spoken struct {
	id     string
	record *record
	kind   int // 0 inbound call, 1 outbound call, 2 inbound text, 3 outbound text
	at     contact.Millis
	heard  bool
	place  int64 // among those of its kind that ended; 0 for one that did not
	// disposition is the outcome of a call as far as it was heard.
	disposition string
}

// talk person kind states: a call or text in Aloware, told state by state, each
// with the whole contact.
func (w *world) talk(s Step) {
	person := w.same(s.n(0) % mostPeople)
	records := w.living(contact.Aloware, person)
	if len(records) == 0 {
		return
	}
	r := records[0]
	at := w.tickOf(contact.Aloware, w.clock(contact.Aloware))
	w.spoken = append(w.spoken, spoken{id: w.id("c"), record: r, kind: s.n(1) % 4, at: at})
	sp := &w.spoken[len(w.spoken)-1]
	for state := range 1 + s.n(2)%3 {
		if state == 1 {
			w.counters[r] = counted(w.counters[r], sp.kind)
			sp.place = totals(w.counters[r])[sp.kind]
		}
		e := w.snapshot(r, w.id("t"), contact.Webhook)
		w.transit = append(w.transit, e)
		c := &contact.Communication{
			ID: sp.id, ContactID: r.id, EventID: e.in.Change.EventID, Text: sp.kind > 1, Inbound: sp.kind%2 == 0,
			StartedAt: at, UpdatedAt: at + contact.Millis(state)*tick, Finished: state > 0, Counters: w.counters[r],
		}
		if state == 2 {
			c.Disposition = "p" + strconv.Itoa(person) + "v" + strconv.Itoa(len(w.spoken)%3+1)
		}
		w.transit = append(w.transit, &event{record: nil, lossy: true, in: contact.Incoming{Communication: c}})
	}
}

// hear notes that a communication reached us.
func (w *world) hear(c *contact.Communication) {
	for i := range w.spoken {
		if w.spoken[i].id == c.ID {
			r := w.spoken[i].record
			for kind, total := range totals(c.Counters) {
				told := w.toldTotals[r]
				told[kind] = max(told[kind], total)
				w.toldTotals[r] = told
			}
			w.spoken[i].heard = true
			w.spoken[i].disposition = cmp.Or(c.Disposition, w.spoken[i].disposition)
		}
	}
}

// counted adds one of a kind to Aloware's own totals, which have a communication
// from its end on.
func counted(c contact.Counters, kind int) contact.Counters {
	*[]*int64{&c.InboundCalls, &c.OutboundCalls, &c.InboundTexts, &c.OutboundTexts}[kind]++
	return c
}

// totals are counters by kind.
func totals(c contact.Counters) [4]int64 {
	return [4]int64{c.InboundCalls, c.OutboundCalls, c.InboundTexts, c.OutboundTexts}
}
