package simulation

import (
	"context"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
)

// The two streams from and to the mapper.
const (
	live = iota
	bulk
)

// mapper stands for the service around the decisions: it reads messages in
// order, publishes what was decided over some of them, and then stores it
// together with its position. Who an event is about and what follows, packages
// people and resolve decide.
type mapper struct {
	*store
	position [2]int // in the streams of changes
	epoch    [2]int64
	attempts [2]int64
}

// batch is one handling of some messages, stored or not.
type batch struct {
	*world
	contacts *people.Batch
	inForce  *resolve.Rules // when it was judged
	former   bool           // its owner was replaced meanwhile
	stream   int
	until    int
	patches  []contact.Patch
	wants    []want
	answers  []answer // of the outcomes in it
	judged   []judgedEvent
	joined   map[*people.Entry]bool // looked at already
}

// judgedEvent is an event's id with the contact that it was judged for.
type judgedEvent struct {
	id  string
	key contact.Key
}

// answer is an outcome with the contact that it turned out to be about.
type answer struct {
	*contact.Outcome
	key contact.Key
}

// answered reports whether the batch has an answer after which a write of a
// contact may be repeated.
func (b *batch) answered(key contact.Key, system contact.System, property string, version contact.Version) bool {
	return slices.ContainsFunc(b.answers, func(a answer) bool {
		if key != a.key && key != a.Contact || system != a.System {
			return false
		}
		whole := a.Result != contact.Written || len(a.Holds) > 0
		return whole || slices.ContainsFunc(a.Properties, func(p contact.PropertyOutcome) bool { return p.Name == property && p.Version >= version })
	})
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
	version := contact.NewVersion(m.epoch[stream], stream, m.attempts[stream])
	b := &batch{world: w, joined: make(map[*people.Entry]bool), contacts: people.NewBatch(m.store), inForce: w.rules, stream: stream}
	b.until = min(m.position[stream]+count, len(w.changes[stream]))
	messages := w.changes[stream][m.position[stream]:b.until]
	deliveries := make([]people.Delivery, len(messages))
	for i, message := range messages {
		deliveries[i] = people.Delivery{Tenant: tenant, Rules: w.rules, Incoming: message.incoming()}
	}
	// The store of the simulation knows no errors.
	_ = b.contacts.Prepare(context.Background(), deliveries)
	for _, d := range deliveries {
		b.judgeMessage(d, version)
	}
	return b
}

// judgeMessage decides over one message.
func (b *batch) judgeMessage(d people.Delivery, version contact.Version) {
	message := b.contacts.Message(tenant, d.Rules, resolve.Decision{Version: version, Now: b.now})
	repeats := make(map[*people.Entry]int)
	for i := range d.Incoming {
		in := &d.Incoming[i]
		heard := message.Echoes
		if in.Change != nil && b.tracing {
			b.trace("  heard: %s", changeText(in.Change))
		}
		e := message.Take(in)
		switch {
		case e == nil:
		case message.Echoes > heard: // it changed nothing, and would not again
		case in.Outcome != nil:
			b.answers = append(b.answers, answer{in.Outcome, e.Key})
		case in.Change != nil:
			if b.repeated(e, d.Rules.RememberedAs(in.Change)) {
				repeats[e]++
			}
		}
	}
	judgements, _ := message.Conclude(context.Background())
	b.checkMatch(d, judgements)
	for _, decided := range judgements {
		if decided.Verdict.Erased {
			keys := decided.Keys()
			b.patches = slices.DeleteFunc(b.patches, func(p contact.Patch) bool { return slices.Contains(keys, p.Contact) })
			b.patches = append(b.patches, decided.Forget(version)...)
			continue
		}
		if decided.Verdict.Stale < repeats[decided.Entry] {
			b.fail("repeat", "%d events of %s were judged before, and %d were taken so", repeats[decided.Entry], decided.Key, decided.Verdict.Stale)
		}
		b.patches = append(b.patches, decided.Patches...)
		for _, s := range decided.Steps {
			if s.Rule == "resumed" && s.Reason == "the contact was synced by hand" {
				b.wentOn[spot{b.ownerOf(decided.Key), fieldNamed(s.Field)}] = true
			}
			if s.Rule == "chosen" {
				b.chosen(decided.EventID)
			}
			if s.Rule == "answered" && s.Value == "" {
				b.world.blanked[cell{0, b.ownerOf(decided.Key), fieldNamed(s.Field)}] = true
			}
			if s.Rule == "write" {
				b.wants = append(b.wants, want{decided.Key, s.Version, s.Side, s.Field, s.At})
			}
			if b.tracing {
				b.trace("  %s: %s %s %s %q @%d v%d %s", decided.Key, s.Rule, s.Field, s.Side, s.Value, s.At, s.Version, s.Reason)
			}
		}
	}
}

// repeated notes an event that is judged, and reports whether it was before.
// The rules remember the newest 64 ids of a contact, and nothing of one that was
// given up and came anew.
func (b *batch) repeated(e *people.Entry, id string) bool {
	key, known := b.known[id]
	b.judged = append(b.judged, judgedEvent{id, e.Key})
	return known && e.Revision > 0 && len(e.State.Seen) < 60 && b.contacts.ByKey(tenant, key) == e && len(b.erasedOf) == 0
}

// publish appends the first so many patches of the batch to the streams; what
// the writers are to forget goes to both.
func (b *batch) publish(most int) {
	for i, p := range b.patches {
		if i >= most {
			return
		}
		if p.Forget {
			b.world.patches[live] = append(b.world.patches[live], p)
			b.world.patches[bulk] = append(b.world.patches[bulk], p)
			continue
		}
		b.forgets(p)
		b.decided(b, p)
		b.world.patches[b.stream] = append(b.world.patches[b.stream], p)
	}
}

// forgetting is what a writer must not keep once it has read so far.
type forgetting struct {
	system contact.System
	keys   []contact.Key
	until  [2]int
}

// forgotten checks what a writer has read the forgetting of.
func (w *world) forgotten(wr *writer) {
	w.forgetting = slices.DeleteFunc(w.forgetting, func(f forgetting) bool {
		if f.system != wr.system || wr.position[live] < f.until[live] || wr.position[bulk] < f.until[bulk] {
			return false
		}
		for _, key := range f.keys {
			if wr.lane(key) != nil || wr.sent[key] != nil {
				w.fail("erased", "the writer of %s keeps a row of %s, who was erased", wr.system, key)
			}
		}
		return true
	})
}

// heardOfErased checks that the record which an answer names is forgotten too,
// where its person was erased while the call was under way.
func (w *world) heardOfErased(o *contact.Outcome) {
	if _, ok := w.mapper.refs[contact.ErasedKey(tenant, o.Contact)]; !ok || o.TargetID == "" || w.mapper.erased(o.System, o.TargetID) {
		return
	}
	for _, e := range w.mapper.contacts {
		if side := e.state.Side(o.System); side.ID == o.TargetID || slices.Contains(side.Aliases, o.TargetID) {
			if e.state.Side(o.System.Other()).ID != "" {
				return // somebody else's, who is not erased
			}
		}
	}
	w.fail("erased", "%s %s was made or found for %s, who was erased", o.System, o.TargetID, o.Contact)
}

// forgets checks that nothing goes out about somebody who was erased, and that
// nobody is made in HubSpot again.
func (b *batch) forgets(p contact.Patch) {
	if b.former {
		return // it was decided before
	}
	buried := func(ref contact.Ref) bool {
		_, ok := b.mapper.refs[ref]
		return ok
	}
	if buried(contact.ErasedKey(tenant, p.Contact)) {
		b.fail("erased", "a patch of %s goes out, who was erased", p.Contact)
	}
	if p.System != contact.HubSpot || p.Create == nil || !p.Create.MayCreate {
		return
	}
	for _, match := range append(p.Create.Phones, p.Create.Email) {
		if match != "" && buried(contact.ErasedMatch(tenant, match)) {
			b.fail("erased", "somebody erased is to be made in HubSpot by %s", p.Contact)
		}
	}
}

// commit stores the batch with the position.
func (b *batch) commit() {
	m := &b.mapper
	m.store.commit(b.contacts)
	for _, e := range b.contacts.Entries() {
		if e.Erased {
			w := b.world
			until := [2]int{len(w.patches[live]), len(w.patches[bulk])}
			w.forgetting = append(w.forgetting, forgetting{contact.HubSpot, e.Keys(), until}, forgetting{contact.Aloware, e.Keys(), until})
		}
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
}

// handle judges, publishes and stores some messages.
func (w *world) handle(stream, count int) {
	b := w.judgeMessages(stream, count)
	b.publish(len(b.patches))
	b.commit()
}
