package simulation

import "lockstep.internal/pkg/contact"

// What a slot of a record is called and mapped by.

func slotName(slot int) string {
	if slot >= fields {
		return "the spare of " + keyOf(slot)
	}
	return keyOf(slot)
}

func keyOf(slot int) string {
	for field, spare := range spares {
		if slot == spare {
			slot = field
		}
	}
	return fieldKeys[slot]
}

// remap maps a field to the property of HubSpot that is spare, and makes its
// own the spare one. What a record holds moves with the names: a field's place
// is always that of the property that is mapped.
func (w *world) remap(field int) {
	spare, ok := spares[field]
	if !ok || w.removed[field] {
		return
	}
	w.catalogue[field].HubSpot, w.catalogue[spare].HubSpot = w.catalogue[spare].HubSpot, w.catalogue[field].HubSpot
	for _, r := range w.records[0] {
		r.cells[field], r.cells[spare] = r.cells[spare], r.cells[field]
		r.past[field], r.past[spare] = r.past[spare], r.past[field]
		r.heard[field], r.heard[spare] = false, false
		for _, slot := range []int{field, spare} {
			for _, c := range r.past[slot] {
				c.field = slot
			}
		}
	}
	for person := range mostPeople {
		one, two := cell{contact.HubSpot, person, field}, cell{contact.HubSpot, person, spare}
		w.writes[one], w.writes[two] = w.writes[two], w.writes[one]
	}
	w.rebind(field, 0)
}

// unmap removes a field's mapping, or adds it back as it was.
func (w *world) unmap(field int) {
	if field <= email || field >= firstComputed {
		return
	}
	if w.removed[field] = !w.removed[field]; w.removed[field] {
		w.remapped, w.rebound[field] = true, true
		w.publishSet()
		return
	}
	w.rebind(field, 0, 1)
}

// anew is the doubt of what was there when its property was mapped.
const anew = "mapped anew"

// rebind makes a version in which a field is bound anew on some sides. What was
// there before is nobody's edit.
func (w *world) rebind(field int, sides ...int) {
	w.remapped, w.rebound[field] = true, true
	for _, at := range sides {
		w.catalogue[field].Binding.Since[at] = w.rules.Set.Version + 1
	}
	for _, records := range w.records {
		for _, r := range records {
			for _, c := range r.past[field] {
				c.doubt, c.first = anew, true
			}
		}
	}
	w.publishSet()
}

// publishSet makes a new version of the set.
func (w *world) publishSet() {
	rules := *w.rules
	rules.Set = w.fieldSet(w.rules.Set.Version + 1)
	w.rules = &rules
}

// editSpare field person value: somebody changes a property that is not mapped.
func (w *world) editSpare(s Step) {
	spare, ok := spares[fieldNamed(s.Name)]
	person := w.same(s.n(0) % mostPeople)
	records := w.living(contact.HubSpot, person)
	if !ok || len(records) == 0 {
		return
	}
	w.moment++
	if c := w.set(records[0], spare, valueOf(person, spare, s.n(1)%7), nil); c != nil {
		w.stats.Edits++
		w.report(records[0], []*change{c}, false)
	}
}

// checkRead checks that nothing of which only is known that it was there is
// written over what somebody set in a property before it was mapped: HubSpot
// leads then, and must have been read.
func (w *world) checkRead(b *batch, p contact.Patch, field int, decided *write) {
	if p.System != contact.HubSpot || decided.at != 1 || field >= firstComputed || !w.rebound[field] {
		return
	}
	m, r := b.inForce.Set.ByKey(keyOf(field)), w.find(p.System, p.TargetID)
	if r == nil || m == nil || m.Direction != contact.Both || m.Binding != w.catalogue[field].Binding || !b.inForce.Updates.Into(contact.Aloware) {
		return
	}
	r = r.survivor()
	if c := r.cells[field]; c != nil && !c.ours && c.value != "" && c.value != decided.value && c.doubt == anew && !r.mixed && r.alive() {
		w.fail("unread", "%q of %s, set before it was mapped, is to be overwritten with %q", c.value, cell{p.System, r.person, field}, decided.value)
	}
}

// checkCleared checks that we cleared nothing that nobody cleared: that a
// property was blank from the beginning clears nothing on the other side,
// however it came to be mapped.
func (w *world) checkCleared(person, field int, pair [2]*record) {
	for _, r := range pair {
		if c := r.cells[field]; c != nil && c.ours && c.value == "" && !w.undone[field] && !w.cleared(person, field) {
			w.fail("cleared", "%s was cleared by us, and by nobody else anywhere", cell{r.system, person, field})
		}
	}
}

// cleared reports whether somebody ever cleared a field of a person.
func (w *world) cleared(person, field int) bool {
	for c := range w.blanked {
		if c.field == field && c.person >= 0 && w.same(c.person) == person {
			return true
		}
	}
	places := []int{field}
	if spare, ok := spares[field]; ok {
		places = append(places, spare)
	}
	for _, records := range w.records {
		for _, r := range records {
			if w.personOf(r) != person {
				continue
			}
			for _, slot := range places {
				for _, c := range r.past[slot] {
					if r.mixed || !c.ours && c.value == "" {
						return true
					}
				}
			}
		}
	}
	return false
}
