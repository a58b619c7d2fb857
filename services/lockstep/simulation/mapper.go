package simulation

import (
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// The two streams from and to the mapper.
const (
	live = iota
	bulk
)

// entry is a contact's stored state.
type entry struct {
	key      contact.Key
	state    *resolve.State
	former   []contact.Key // keys of contacts that were joined into it
	revision int
	deleted  bool
	erased   bool
	changed  bool
}

// mapper stands for the service around the rules: it finds contacts by what
// events name, joins those that are one person, and stores what was decided
// together with the position, all as services/mapper does. The rules
// themselves are the real ones.
type mapper struct {
	store   []*entry
	erased  map[string]bool // what erased people were known by: "hubspot:501", "key:hubspot:501" ...
	counted map[string]bool // ids of communications

	position [2]int // in the streams of changes
	epoch    [2]int64
	attempts [2]int64
}

// batch is one handling of some messages, stored or not.
type batch struct {
	*world
	inForce *resolve.Rules // when it was judged
	stream  int
	version contact.Version
	entries []*entry // copies of what was touched, and new ones
	erased  []string
	met     []string // of erased, what was met and is done with
	counted []string
	patches []contact.Patch
	wants   []want
	judges  map[*entry]*resolve.Judge
	order   []*entry
	until   int
	answers []contact.Key // contacts of the outcomes in it
	judged  []judgedEvent
	repeats map[*entry]int // events of the message that were judged before
}

// judgedEvent is an event's id with the contact that it was judged for.
type judgedEvent struct {
	id  string
	key contact.Key
}

// want is what the rules wanted to write, taken from their explanation.
type want struct {
	key     contact.Key
	version contact.Version
	system  contact.System
	field   string
	at      contact.Millis
}

// judgeMessages decides over the next messages of a stream, and changes
// nothing outside.
func (w *world) judgeMessages(stream, count int) *batch {
	m := &w.mapper
	m.attempts[stream]++
	b := &batch{world: w, inForce: w.rules, stream: stream, version: contact.Version(m.epoch[stream]<<33 | int64(stream)<<32 | m.attempts[stream])}
	b.until = min(m.position[stream]+count, len(w.changes[stream]))
	for _, message := range w.changes[stream][m.position[stream]:b.until] {
		b.judges, b.order, b.repeats = make(map[*entry]*resolve.Judge, 2), b.order[:0], nil
		for _, e := range message {
			b.incoming(e)
		}
		b.conclude()
	}
	return b
}

// all are the contacts as the batch sees them.
func (b *batch) all(visit func(*entry) bool) {
	for _, e := range b.entries {
		if !e.deleted && visit(e) {
			return
		}
	}
	for _, e := range b.mapper.store {
		if !slices.ContainsFunc(b.entries, func(own *entry) bool { return own.key == e.key }) && visit(e) {
			return
		}
	}
}

// own is the batch's copy of a contact.
func (b *batch) own(e *entry) *entry {
	if e == nil || slices.Contains(b.entries, e) {
		return e
	}
	mine := *e
	mine.state = clone(e.state)
	mine.former = slices.Clone(e.former)
	b.entries = append(b.entries, &mine)
	return &mine
}

func (b *batch) byID(system contact.System, id string) (found *entry) {
	b.all(func(e *entry) bool {
		side := e.state.Side(system)
		if id != "" && (side.ID == id || found == nil && slices.Contains(side.Aliases, id)) {
			found = e
		}
		return id == "" || side.ID == id
	})
	return b.own(found)
}

func (b *batch) byKey(key contact.Key) (found *entry) {
	b.all(func(e *entry) bool {
		if e.key == key || slices.Contains(e.former, key) {
			found = e
		}
		return e.key == key
	})
	return b.own(found)
}

func (b *batch) forgotten(system contact.System, id string) bool {
	return b.buried(system.String() + ":" + id)
}

func (b *batch) buried(name string) bool {
	return (b.mapper.erased[name] || slices.Contains(b.erased, name)) && !slices.Contains(b.met, name)
}

// tombstones are what remains of an erased contact.
func (b *batch) tombstones(e *entry) {
	for _, key := range append([]contact.Key{e.key}, e.former...) {
		b.erased = append(b.erased, "key:"+string(key))
	}
	for _, system := range contact.Systems {
		side := e.state.Side(system)
		for _, id := range append([]string{side.ID}, side.Aliases...) {
			if id != "" {
				b.erased = append(b.erased, system.String()+":"+id)
			}
		}
		for _, match := range append(side.Phones(), side.Email) {
			if match != "" {
				b.erased = append(b.erased, "match:"+match)
			}
		}
	}
	if there := e.state.Side(contact.Aloware); there.ID == "" && there.Creating != 0 {
		for _, phone := range e.state.Side(contact.HubSpot).Phones() {
			b.erased = append(b.erased, "search:"+phone)
		}
	}
}

// afterErasure takes an answer about somebody who was erased meanwhile.
func (b *batch) afterErasure(o *contact.Outcome) {
	if !b.buried("key:" + string(o.Contact)) {
		return
	}
	for _, id := range append([]string{o.TargetID}, o.MergedIDs...) {
		if id == "" || b.forgotten(o.System, id) {
			continue
		}
		if e := b.byID(o.System, id); e == nil {
			b.erased = append(b.erased, o.System.String()+":"+id)
		} else if e.state.Side(o.System.Other()).ID == "" {
			b.change(&contact.Change{System: o.System, ID: id, EventID: o.EventID + "/" + id, Event: contact.Erased, OccurredAt: o.AppliedAt})
		}
	}
}

// madeOfErased reports whether an unknown contact of Aloware is one that we made
// for somebody who was erased meanwhile.
func (b *batch) madeOfErased(c *contact.Change) bool {
	if c.System != contact.Aloware || c.Event == contact.Erased {
		return false
	}
	for _, value := range c.Values {
		if name := "search:" + value.Text; value.Name == b.rules.Set.ByKey(fieldKeys[phone]).Property(c.System) && b.buried(name) {
			b.met = append(b.met, name)
			b.erased = append(b.erased, c.System.String()+":"+c.ID)
			return true
		}
	}
	return false
}

// bar keeps a contact from being made in HubSpot that bears the number or the
// e-mail of somebody who was erased.
func (b *batch) bar(e *entry) {
	for _, system := range contact.Systems {
		side := e.state.Side(system)
		for _, match := range append(side.Phones(), side.Email) {
			if match != "" && b.buried("match:"+match) {
				b.judges[e].Bar()
				return
			}
		}
	}
}

func (b *batch) create(system contact.System, id string) *entry {
	key := contact.NewKey(system, id)
	for _, e := range b.entries {
		if e.key == key {
			e.deleted, e.erased, e.former = false, false, nil
			e.state = &resolve.State{Version: e.state.Version}
			return e
		}
	}
	e := &entry{key: key, state: &resolve.State{}}
	b.entries = append(b.entries, e)
	return e
}

func (b *batch) judge(e *entry, eventID string) *resolve.Judge {
	if judge := b.judges[e]; judge != nil {
		return judge
	}
	e.changed = true
	judge := resolve.NewJudge(b.rules, e.key, e.state, resolve.Decision{Version: b.version, Now: b.now, EventID: eventID})
	b.judges[e] = judge
	b.order = append(b.order, e)
	return judge
}

func (b *batch) incoming(e *event) {
	switch {
	case e.in.Change != nil:
		b.change(e.in.Change)
	case e.in.Communication != nil:
		b.communication(e.in.Communication)
	case e.in.Outcome != nil:
		b.outcome(e.in.Outcome)
	}
}

func (b *batch) change(c *contact.Change) {
	if c.Event == contact.Merged && b.forgotten(c.System, c.ID) {
		for _, id := range c.MergedIDs {
			erased := *c
			erased.Event, erased.ID, erased.MergedIDs, erased.EventID = contact.Erased, id, nil, c.EventID+"/"+id
			b.change(&erased)
		}
		return
	}
	e := b.byID(c.System, c.ID)
	if c.Event == contact.Merged {
		e = b.gather(e, c)
	}
	if e == nil {
		switch {
		case c.Event == contact.Deleted || c.Event == contact.Erased && b.forgotten(c.System, c.ID), b.forgotten(c.System, c.ID), b.madeOfErased(c):
			return
		}
		e = b.create(c.System, c.ID)
	}
	b.repeated(e, c.EventID)
	b.judge(e, c.EventID).Observe(c)
}

// repeated notes an event that is judged, and whether it was before. The rules
// remember the newest 64 ids of a contact.
func (b *batch) repeated(e *entry, id string) {
	key, known := b.known[id]
	if known && len(e.state.Seen) < 60 && (key == e.key || slices.Contains(e.former, key)) && len(b.erasedOf) == 0 {
		if b.repeats == nil {
			b.repeats = make(map[*entry]int)
		}
		b.repeats[e]++
	}
	b.judged = append(b.judged, judgedEvent{id, e.key})
}

func (b *batch) gather(survivor *entry, c *contact.Change) *entry {
	for _, id := range c.MergedIDs {
		lost := b.byID(c.System, id)
		switch {
		case lost == nil || lost == survivor:
		case survivor == nil:
			survivor = lost
		default:
			b.judge(survivor, c.EventID).Absorb(lost.state, lost.key, c.System)
			b.replace(survivor, lost)
		}
	}
	return survivor
}

func (b *batch) join(into, from *entry, eventID string) {
	b.judge(into, eventID).Join(from.state, from.key)
	b.replace(into, from)
}

func (b *batch) replace(into, from *entry) {
	from.deleted = true
	delete(b.judges, from)
	b.order = slices.DeleteFunc(b.order, func(e *entry) bool { return e == from })
	into.former = append(append(into.former, from.key), from.former...)
}

func (b *batch) communication(c *contact.Communication) {
	e := b.byID(contact.Aloware, c.ContactID)
	if e == nil {
		if b.forgotten(contact.Aloware, c.ContactID) {
			return
		}
		e = b.create(contact.Aloware, c.ContactID)
	}
	first := !b.mapper.counted[c.ID] && !slices.Contains(b.counted, c.ID)
	if first {
		b.counted = append(b.counted, c.ID)
	}
	b.judge(e, c.EventID).Count(c, first)
}

func (b *batch) outcome(o *contact.Outcome) {
	e := b.byKey(o.Contact)
	if e == nil {
		b.afterErasure(o)
		return
	}
	b.answers = append(b.answers, o.Contact, e.key)
	if other := b.byID(o.System, o.TargetID); other != nil && other != e {
		merge := slices.Contains(o.MergedIDs, e.state.Side(o.System).ID)
		if theirs := other.state.Side(o.System.Other()); !merge && theirs.ID != "" && theirs.ID != e.state.Side(o.System.Other()).ID {
			b.judge(e, o.EventID).Settle(&contact.Outcome{System: o.System, Contact: o.Contact, Version: o.Version, Result: contact.Conflict, Candidates: []string{o.TargetID}})
			return
		}
		b.join(e, other, o.EventID)
	}
	b.judge(e, o.EventID).Settle(o)
}

// conclude matches new contacts and ends the judgement of one message.
func (b *batch) conclude() {
	for _, e := range slices.Clone(b.order) {
		if missing, wants := e.state.WantsMatch(); wants && !e.deleted {
			if missing == contact.HubSpot {
				b.bar(e)
			}
			b.match(e, missing)
		}
	}
	for _, e := range b.order {
		verdict := b.judges[e].Conclude()
		if verdict.Erased {
			e.deleted, e.erased = true, true
			b.tombstones(e)
			b.patches = slices.DeleteFunc(b.patches, func(p contact.Patch) bool { return p.Contact == e.key })
			continue
		}
		if verdict.Stale < b.repeats[e] {
			b.fail("repeat", "%d events of %s were judged before, and %d were taken so", b.repeats[e], e.key, verdict.Stale)
		}
		b.patches = append(b.patches, verdict.Patches...)
		for _, s := range verdict.Steps {
			if s.Rule == "write" {
				b.wants = append(b.wants, want{e.key, s.Version, s.Side, s.Field, s.At})
			}
			if b.tracing {
				b.trace("  %s: %s %s %s %q @%d v%d %s", e.key, s.Rule, s.Field, s.Side, s.Value, s.At, s.Version, s.Reason)
			}
		}
	}
}

func (b *batch) match(e *entry, missing contact.System) {
	var free []*entry
	var taken []string
	have := e.state.Side(missing.Other())
	phones := append(have.Phones(), e.state.Side(missing).Phones()...)
	emails := []string{have.Email, e.state.Side(missing).Email}
	for _, byPhone := range []bool{true, false} {
		b.all(func(other *entry) bool {
			side := other.state.Side(missing)
			if other.key == e.key || !side.Linked() {
				return false
			}
			fits := !byPhone && side.Email != "" && slices.Contains(emails, side.Email)
			for _, phone := range side.Phones() {
				fits = fits || byPhone && slices.Contains(phones, phone)
			}
			switch {
			case !fits:
			case other.state.Side(missing.Other()).ID == "":
				if !slices.Contains(free, other) {
					free = append(free, other)
				}
			case byPhone && !slices.Contains(taken, side.ID):
				taken = append(taken, side.ID)
			}
			return false
		})
	}
	switch {
	case len(free) == 1 && len(taken) == 0:
		b.join(e, b.own(free[0]), "match")
	case len(free)+len(taken) > 0:
		for _, other := range free {
			taken = append(taken, other.state.Side(missing).ID)
		}
		slices.Sort(taken)
		b.judges[e].Conflict(missing, taken)
	}
}

// publish appends the first so many patches of the batch to the streams.
func (b *batch) publish(most int) {
	for i, p := range b.patches {
		if i >= most {
			return
		}
		b.decided(b, p)
		b.world.patches[b.stream] = append(b.world.patches[b.stream], p)
	}
}

// commit stores the batch, unless a contact of it was changed meanwhile.
func (b *batch) commit() bool {
	m := &b.mapper
	for _, e := range b.entries {
		stored := slices.IndexFunc(m.store, func(s *entry) bool { return s.key == e.key })
		if stored >= 0 && m.store[stored].revision != e.revision || stored < 0 && e.revision != 0 {
			return false
		}
	}
	for _, e := range b.entries {
		at := slices.IndexFunc(m.store, func(s *entry) bool { return s.key == e.key })
		switch {
		case e.deleted:
			if at >= 0 {
				m.store = slices.Delete(m.store, at, at+1)
			}
		case !e.changed:
		case at >= 0:
			e.revision++
			m.store[at] = e
		default:
			e.revision++
			m.store = append(m.store, e)
		}
	}
	for _, name := range b.erased {
		m.erased[name] = true
	}
	for _, name := range b.met {
		delete(m.erased, name)
	}
	for _, id := range b.counted {
		m.counted[id] = true
	}
	for _, event := range b.judged {
		b.known[event.id] = event.key
	}
	for _, message := range b.changes[b.stream][m.position[b.stream]:b.until] {
		for _, e := range message {
			b.heard(e)
		}
	}
	m.position[b.stream] = b.until
	return true
}

// handle judges, publishes and stores some messages.
func (w *world) handle(stream, count int) {
	b := w.judgeMessages(stream, count)
	b.publish(len(b.patches))
	b.commit()
}

// remains reports whether the mapper stores anything that holds a text.
func (m *mapper) remains(text string) bool {
	for _, e := range m.store {
		if strings.Contains(dump(e.state), text) {
			return true
		}
	}
	return false
}
