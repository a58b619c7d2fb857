package simulation

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
)

// share number|e-mail person person: the second has the first one's from the
// beginning. Who of them is whose counterpart nobody can know then: what must
// hold is that who is linked is in step, and that who is not says why.
func (w *world) share(s Step) {
	one, other := s.n(0)%mostPeople, s.n(1)%mostPeople
	if field := fieldNamed(s.Name); field <= email && one != other && len(w.records[0])+len(w.records[1]) == 0 {
		w.identities[field][other] = w.identities[field][one]
		w.shared = true
	}
}

// valueOf is the n-th value that a person's field can be given.
func (w *world) valueOf(person, field, n int) string {
	if field <= email {
		person = w.identities[field][person]
	}
	return valueOf(person, field, n)
}

// crossed reports whether somebody can be linked with another one's record.
func (w *world) crossed(person int) bool {
	if !w.shared {
		return false
	}
	for _, identities := range w.identities {
		for a := range identities {
			for b := range identities {
				if a != b && (identities[a] == identities[b] || identities[a] == b) && (w.same(a) == w.same(person) || w.same(b) == w.same(person)) {
					return true
				}
			}
		}
	}
	return false
}

// taken reports whether a system holds a value that it holds once already, in
// another record: a number in Aloware, an e-mail in HubSpot.
func (w *world) taken(r *record, field int, value string) bool {
	once := r.system == contact.Aloware && field == phone || r.system == contact.HubSpot && field == email
	return once && slices.ContainsFunc(w.withValues(r.system, field, value), func(other *record) bool { return other != r })
}

// ask sends a command about a contact.
func (w *world) ask(c contact.Command) {
	w.asked = true
	c.EventID, c.AskedAt, c.Author = w.id("q"), w.now, "somebody"
	w.changes[live] = append(w.changes[live], message{&event{in: contact.Incoming{Command: &c}}})
}

// retry person: somebody asks that what was refused is tried again.
func (w *world) retry(s Step) { w.askAbout(s, contact.Retry) }

// pull person: somebody asks that a contact is taken over from HubSpot.
func (w *world) pull(s Step) { w.askAbout(s, contact.Pull) }

func (w *world) askAbout(s Step, kind contact.CommandKind) {
	for _, e := range w.mapper.contacts {
		if w.ownerOf(e.key) == w.same(s.n(0)%mostPeople) {
			w.ask(contact.Command{Contact: e.key, Kind: kind})
		}
	}
}

// choose conflict candidate: somebody settles a conflict, by a candidate or by a
// new contact.
func (w *world) choose(s Step) {
	type conflict struct {
		*entry
		system contact.System
	}
	var conflicts []conflict
	for _, e := range w.mapper.contacts {
		for _, system := range contact.Systems {
			if len(e.state.Side(system).Candidates) > 0 && w.crossed(w.ownerOf(e.key)) {
				conflicts = append(conflicts, conflict{e, system})
			}
		}
	}
	if len(conflicts) == 0 {
		return
	}
	c := conflicts[s.n(0)%len(conflicts)]
	ids := append(slices.Clone(c.state.Side(c.system).Candidates), "")
	id := ids[s.n(1)%len(ids)]
	w.ask(contact.Command{Contact: c.key, System: c.system, ID: id, Kind: contact.Choose})
	pair := func(own, other string) [2]string {
		if c.system == contact.HubSpot {
			return [2]string{other, own}
		}
		return [2]string{own, other}
	}
	own := c.state.Side(c.system.Other()).ID
	var choice choice
	for _, other := range ids[:len(ids)-1] {
		if other != id {
			choice.apart = append(choice.apart, pair(own, other))
		}
	}
	if id != "" {
		choice.together = pair(own, id)
		for _, e := range w.mapper.contacts {
			if e != c.entry && e.state.Side(c.system).ID == id {
				choice.apart = append(choice.apart, pair(e.state.Side(c.system.Other()).ID, id))
			}
		}
	}
	w.choices[w.changes[live][len(w.changes[live])-1][0].in.Command.EventID] = choice
}

// choice is what somebody said of who is who, by ids in HubSpot and Aloware.
type choice struct {
	apart    [][2]string
	together [2]string
}

// chosen takes a choice for made once it was taken for one.
func (w *world) chosen(eventID string) {
	made := w.choices[eventID]
	for _, pair := range made.apart {
		w.apart[pair] = true
	}
	delete(w.apart, made.together)
}

// checkMatch checks that a contact was matched with the only one that fits.
func (b *batch) checkMatch(message people.Delivery, judgements []people.Judgement) {
	matched := true // else joined for another reason
	for _, in := range message.Incoming {
		matched = matched && in.Change != nil && in.Change.Event != contact.Merged && len(in.Change.MergedIDs) == 0
	}
	for _, e := range b.contacts.Entries() {
		into := e.Into()
		if into == nil || !slices.ContainsFunc(judgements, func(j people.Judgement) bool { return j.Entry == into && !b.joined[e] }) {
			continue
		}
		b.joined[e] = true
		if !matched {
			continue
		}
		for _, system := range contact.Systems {
			if !e.State.Side(system).Linked() || e.State.Side(system.Other()).ID != "" {
				continue
			}
			phones := into.State.Side(system.Other()).Phones()
			for _, other := range b.contacts.Entries() {
				side := other.State.Side(system)
				if other != e && other != into && !other.Deleted && side.Linked() && side.Phone != "" && slices.Contains(phones, side.Phone) &&
					!resolve.Apart(into.State, other.State) {
					b.fail("match", "%s was joined with %s, and %s fits as well", into.Key, e.Key, other.Key)
				}
			}
		}
	}
}

// checkCrossed checks those who have a number or an e-mail in common.
func (w *world) checkCrossed() {
	for _, records := range w.records {
		for _, r := range records {
			if !r.alive() || !w.crossed(w.personOf(r)) || w.mapper.erased(r.system, r.id) || !r.told && (w.documented || w.erasedOf[r.person]) {
				continue // or nothing that arrived tells of it
			}
			var held []*entry
			left := false // beside the one that is linked, after a merge
			for _, e := range w.mapper.contacts {
				side := e.state.Side(r.system)
				if side.ID == r.id {
					held = append(held, e)
				}
				there := w.find(r.system.Other(), e.state.Side(r.system.Other()).ID)
				left = left || slices.Contains(side.Aliases, r.id) && (w.several(w.personOf(r)) || there != nil && there.mixed)
			}
			switch {
			case len(held) == 1:
				w.checkLinked(r, held[0])
			case len(held) > 1 || !left:
				w.fail("link", "%s %s is the side of %d contacts", r.system, r.id, len(held))
			}
		}
	}
}

// several reports whether somebody was merged with somebody.
func (w *world) several(person int) bool {
	for other := range mostPeople {
		if other != w.same(person) && w.same(other) == w.same(person) {
			return true
		}
	}
	return false
}

// checkLinked checks that a record is in step with what it is linked with, or
// that its contact says why there is nothing.
func (w *world) checkLinked(r *record, e *entry) {
	if e.state.Outside {
		return
	}
	there := r.system.Other()
	side := e.state.Side(there)
	if !side.Linked() {
		if !side.Gone && w.rules.Creation.Into(there) && len(e.state.Problems()) == 0 {
			w.fail("unexplained", "%s %s is alone and nothing says why", r.system, r.id)
		}
		for _, id := range side.Candidates {
			if pair := [2]string{r.id, id}; w.apart[pair] || w.apart[[2]string{id, r.id}] {
				w.fail("apart", "%s is asked about again, though somebody chose", e.key)
			}
		}
		return
	}
	for i := range e.state.Sides {
		if side := &e.state.Sides[i]; slices.Contains(side.Candidates, side.ID) {
			return // it is found as somebody else, and somebody is asked
		}
	}
	other := w.find(there, side.ID)
	if other == nil || !other.alive() {
		return
	}
	pair := [2]*record{r, other}
	if r.system == contact.Aloware {
		pair = [2]*record{other, r}
	}
	for field := range firstComputed {
		values := [2]string{pair[0].value(field), pair[1].value(field)}
		if !w.loose[field] && !w.dropped[field] && !w.untold(pair[1], field) && w.directionOf(field) == contact.Both && values[0] != values[1] && !w.refusedEver(field, values) {
			w.fail("agreement", "%s of %s is %q in HubSpot and %q in Aloware", fieldKeys[field], e.key, values[0], values[1])
		}
	}
	if w.apart[[2]string{pair[0].id, pair[1].id}] && !pair[0].mixed { // else a merge has said otherwise
		w.fail("apart", "%s is linked with somebody else, as somebody chose", e.key)
	}
}

// refusedEver reports whether one side refused what the other holds, for
// anybody.
func (w *world) refusedEver(field int, values [2]string) bool {
	for refused := range w.refused {
		if refused.field == field && refused.value == values[1-index(refused.system)] {
			return true
		}
	}
	return false
}
