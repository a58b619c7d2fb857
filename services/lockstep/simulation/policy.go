package simulation

import (
	"cmp"
	"fmt"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/mapper/resolve"
)

// terms are what a tenant set of a field besides where it flows.
type terms struct {
	policy mapping.Policy
	blanks bool // a cleared value clears nothing
	atRest bool
}

var policies = []mapping.Policy{mapping.Newest, mapping.OnlyIfEmpty, mapping.OnlyOnCreate, mapping.Review}

// term changes the terms of a field in flight.
func (w *world) term(name string, change func(*terms)) {
	if field := fieldNamed(name); field > lastName && field < firstComputed {
		change(&w.terms[field])
		w.remapped, w.loose[field] = true, true
		w.publishSet()
	}
}

// filter value: contacts with this lead source are kept in step, and no others; 0
// lets all in again.
func (w *world) filter(s Step) {
	w.remapped, w.filtered = true, nil
	if n := s.n(0) % 7; n > 0 {
		w.filtered = &mapping.Filter{Conditions: []mapping.Condition{{Key: fieldKeys[leadSource], Op: mapping.Is}}}
		for person := range mostPeople {
			w.filtered.Conditions[0].Texts = append(w.filtered.Conditions[0].Texts, w.valueOf(person, leadSource, n))
		}
	}
	w.publishSet()
}

// answer person side: somebody says that the values of a side stand.
func (w *world) answer(s Step) {
	for _, e := range w.mapper.contacts {
		if s.System != 0 && w.ownerOf(e.key) == w.same(s.n(0)%mostPeople) {
			w.ask(contact.Command{Contact: e.key, System: s.System, Kind: contact.Answer})
		}
	}
}

// recheck: the mapping is applied to all contacts, which does what a preview
// said.
func (w *world) recheck(Step) {
	w.handle(live, len(w.changes[live]))
	var promised, done []string
	told := make(map[contact.Key]bool)
	for _, e := range w.mapper.contacts {
		if _, wants := e.state.WantsMatch(); wants {
			continue // what it turns out to be, no preview knows
		}
		told[e.key] = true
		for _, write := range resolve.Preview(w.rules, e.key, clone(e.state), w.now).Writes {
			promised = append(promised, fmt.Sprintf("%s of %s in %s", write.Field, e.key, write.System))
		}
		w.ask(contact.Command{Contact: e.key, Kind: contact.Recheck})
	}
	b := w.judgeMessages(live, len(w.changes[live]))
	for _, p := range b.patches {
		for _, property := range p.Properties {
			if !told[p.Contact] {
				continue
			}
			done = append(done, fmt.Sprintf("%s of %s in %s", keyOf(w.fieldOf(p.System, property.Name)), p.Contact, p.System))
		}
	}
	b.publish(len(b.patches))
	b.commit()
	slices.Sort(promised)
	slices.Sort(done)
	if !slices.Equal(promised, done) {
		w.fail("preview", "it told of %q, and %q followed", promised, done)
	}
}

// outside reports whether the tenant's filter leaves somebody out.
func (w *world) outside(person int) bool {
	return slices.ContainsFunc(w.mapper.contacts, func(e *entry) bool { return e.state.Outside && w.ownerOf(e.key) == person })
}

// checkTerms checks a field whose terms were changed: what they still demand.
func (w *world) checkTerms(person, field int, values [2]string) {
	now := w.terms[field]
	switch {
	case values[0] == values[1], now.atRest, now.blanks && (values[0] == "" || values[1] == ""), w.refusedOne(person, field, values):
		return
	case w.directionOf(field) != contact.Both:
		return // the target's own edit may stand
	}
	switch cmp.Or(now.policy, mapping.Newest) {
	case mapping.Newest:
		w.fail("agreement", "%s of person %d is %q in HubSpot and %q in Aloware", fieldKeys[field], person, values[0], values[1])
	case mapping.Review:
		for _, e := range w.mapper.contacts {
			if f := e.state.Fields[fieldKeys[field]]; w.ownerOf(e.key) == person && f != nil && !f.Asked {
				w.fail("review", "%s of person %d is %q in HubSpot and %q in Aloware, and nobody is asked", fieldKeys[field], person, values[0], values[1])
			}
		}
	}
}
