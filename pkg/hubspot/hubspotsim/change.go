package hubspotsim

import (
	"slices"
	"strings"
)

// commit journals a change, applies it and queues its webhook events. The
// caller holds the store's lock through edit.
func (s *Sim) commit(r *record) {
	if s.hooks.enabled() && r.Event == 0 && r.Op != opLoad {
		r.Event = s.store.nextEv
	}
	s.store.journal.add(r)
	s.store.outbox = append(s.store.outbox, s.store.apply(r)...)
}

// edit runs f under the lock and hands journal and events over before it
// returns, so that nothing is answered that a kill could lose.
func (s *Sim) edit(f func(st *store)) {
	st := s.store
	st.mu.Lock()
	defer st.mu.Unlock()
	f(st)
	if err := st.journal.flush(); err != nil {
		s.cfg.Logger.Error("writing the simulator's journal", "path", s.cfg.Journal, "error", err)
	}
	s.hooks.queue(st.outbox)
	st.outbox = nil
}

// nowMS is the simulator's time in epoch milliseconds.
func (s *Sim) nowMS() int64 { return s.cfg.Now().UnixMilli() }

// apply makes the change that a record describes and gives its events.
func (st *store) apply(r *record) []event {
	var by source
	if r.By != nil {
		by = *r.By
	}
	e := emitter{st: st, r: r, by: by}
	switch r.Op {
	case opCreate:
		c := &contact{id: r.ID, created: r.At, updated: r.At, creator: st.intern(by)}
		st.index.note(c, nil)
		st.add(c)
		e.contact("contact.creation", c.id, "CREATED")
		st.write(c, r, &e)
		st.enter(c)
		st.index.changed(st, c, r.At)
	case opSet:
		c := st.byID[r.ID]
		st.touch(c)
		st.leaveSome(c, r)
		st.write(c, r, &e)
		st.enter(c)
		c.updated = max(r.At, c.updated)
		st.index.changed(st, c, r.At)
	case opDelete:
		c := st.byID[r.ID]
		st.touch(c)
		st.leave(c)
		c.state, c.archived, c.updated = archived, r.At, r.At
		e.contact("contact.deletion", c.id, "DELETED")
		st.index.changed(st, c, r.At)
	case opRestore:
		c := st.byID[r.ID]
		st.touch(c)
		c.state, c.archived, c.updated = active, 0, r.At
		st.enter(c)
		e.contact("contact.restore", c.id, "RESTORED")
		st.index.changed(st, c, r.At)
	case opMerge:
		st.merge(r, &e)
	case opPrivacy:
		c := st.byID[r.ID]
		st.touch(c)
		st.leave(c)
		st.erase(c)
		e.contact("contact.privacyDeletion", c.id, "DELETED")
		e.contact("contact.deletion", c.id, "DELETED")
		st.index.changed(st, c, r.At)
	case opBlock:
		st.blocked[r.Email] = true
	case opProperty:
		d := *r.Def
		p := st.schema.put(&d)
		if d.HasUniqueValue && st.uniques[p] == nil {
			st.uniques[p] = map[string]int64{}
		}
	case opGroup:
		g := *r.Group
		st.schema.groups[g.Name] = &g
	case opLoad:
		st.load(*r.Load, &e)
	case opContact:
		st.restoreFull(r.Full)
	case opAlias:
		st.aliases[r.ID] = r.Other
	case opState:
		st.nextID, st.nextEv = max(st.nextID, r.ID), max(st.nextEv, r.Event)
	}
	return e.events
}

// touch prepares an existing contact for a change.
func (st *store) touch(c *contact) {
	st.index.note(c, c)
	c.pristine = false
}

// leaveSome takes the contact out of the indexes of the values that change.
func (st *store) leaveSome(c *contact, r *record) {
	for _, list := range [][]pair{r.Values, r.Derived} {
		for _, v := range list {
			p, ok := st.schema.ids[v[0]]
			if !ok {
				continue
			}
			old := c.get(p)
			if p == st.schema.email && st.emails[old] == c.id {
				delete(st.emails, old)
			}
			if m := st.uniques[p]; m != nil && m[old] == c.id {
				delete(m, old)
			}
		}
	}
}

// write stores the record's values with their history and events.
func (st *store) write(c *contact, r *record, e *emitter) {
	for _, part := range []struct {
		list []pair
		by   source
	}{{r.Values, e.by}, {r.Derived, source{Kind: "CALCULATED"}}} {
		for _, v := range part.list {
			p, ok := st.schema.ids[v[0]]
			if !ok {
				continue
			}
			c.set(p, entry{at: r.At, text: v[1], source: st.intern(part.by)})
			e.property(c.id, st.schema.defs[p], v[1], part.by)
		}
	}
}

// merge makes the surviving record out of two.
func (st *store) merge(r *record, e *emitter) {
	a, b := st.byID[r.ID], st.byID[r.Other]
	st.touch(a)
	st.touch(b)
	st.leave(a)
	st.leave(b)
	c := &contact{id: r.New, created: min(a.created, b.created), updated: r.At, creator: a.creator, more: &extras{}}
	st.index.note(c, nil)
	for _, v := range a.values {
		c.values = append(c.values, v.copied())
	}
	moved := 0
	for _, v := range b.values {
		if v.text == "" || c.get(v.prop) != "" {
			if v.prop == st.schema.stage && st.schema.defs[v.prop].rank(v.text) > st.schema.defs[v.prop].rank(c.get(v.prop)) {
				c.set(v.prop, entry{at: r.At, text: v.text, source: st.intern(e.by)})
				moved++
			}
			continue
		}
		if i, ok := c.find(v.prop); ok {
			c.values[i] = v.copied()
		} else {
			c.values = slices.Insert(c.values, i, v.copied())
		}
		moved++
	}
	for _, from := range []*contact{a, b} {
		for _, address := range from.addresses(st.schema.email) {
			if address != c.get(st.schema.email) && !slices.Contains(c.more.emails, address) {
				c.more.emails = append(c.more.emails, address)
			}
		}
		if from.more != nil {
			c.more.merged = append(c.more.merged, from.more.merged...)
			c.more.stamps = append(c.more.stamps, from.more.stamps...)
		}
		c.more.merged = append(c.more.merged, from.id)
		c.more.stamps = append(c.more.stamps, r.At)
	}
	st.add(c)
	st.enter(c)
	for _, id := range c.more.merged {
		st.aliases[id] = c.id
	}
	st.erase(a)
	st.erase(b)
	e.merge(a.id, b.id, c.id, moved)
	for _, old := range []*contact{a, b} {
		e.contact("contact.deletion", old.id, "DELETED")
		st.index.changed(st, old, r.At)
	}
	st.index.changed(st, c, r.At)
}

// copied gives the value with a history of its own.
func (v value) copied() value {
	if v.past != nil {
		past := slices.Clone(*v.past)
		v.past = &past
	}
	return v
}

// erase forgets everything of a contact but its id.
func (st *store) erase(c *contact) {
	c.state, c.values, c.more = gone, nil, nil
	delete(st.byID, c.id)
}

// emitter numbers the events of one record.
type emitter struct {
	st     *store
	r      *record
	by     source
	events []event
}

func (e *emitter) add(ev event) {
	if e.r.Event == 0 {
		return
	}
	ev.ID = e.r.Event + int64(len(e.events))
	ev.OccurredAt = e.r.At
	if ev.ChangeSource == "" {
		ev.ChangeSource, ev.SourceID = e.by.Kind, e.by.ID
	}
	e.events = append(e.events, ev)
	e.st.nextEv = max(e.st.nextEv, ev.ID+1)
}

func (e *emitter) contact(kind string, id int64, flag string) {
	e.add(event{Kind: kind, ObjectID: id, Flag: flag})
}

func (e *emitter) property(id int64, d *definition, text string, by source) {
	if !d.subscribable() {
		return
	}
	if text != "" && (d.Type == "date" || d.Type == "datetime") {
		if ms, ok := parseTime(text); ok {
			text = idText(ms)
		}
	}
	if strings.Contains(d.DataSensitivity, "sensitive") && d.DataSensitivity != "non_sensitive" {
		text = "REDACTED"
	}
	e.add(event{Kind: "contact.propertyChange", ObjectID: id, Property: d.Name, Value: text, ChangeSource: by.Kind, SourceID: by.ID})
}

func (e *emitter) merge(primary, secondary, survivor int64, moved int) {
	e.add(event{Kind: "contact.merge", ObjectID: primary, Primary: primary, Merged: secondary, New: survivor, Moved: moved})
}
