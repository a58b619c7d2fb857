package simulation

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/writer/row"
)

// lane is a writer's row with what the service keeps beside it.
type lane struct {
	key      contact.Key
	patch    contact.Patch
	revision int
	next     contact.Millis
	busy     bool // a call of the present owner is under way
	bulk     bool // all of it came on the bulk stream: a job's
	tried    bool // a call may have been carried out
}

// writer stands for the service around the rows of one system: rows are
// durable, what was sent last is remembered by the process only. What a row
// becomes, package row decides.
type writer struct {
	system   contact.System
	position [2]int
	lanes    []*lane
	sent     map[contact.Key]row.Delivered
	calls    []*call // sent and not answered, of this owner or a former one
	// pause is until when the system wants no calls; pauseKept outlives an owner.
	pause     contact.Millis
	pauseKept bool
}

// putOff is the pause of a row whose call did not reach the system.
const putOff = 700

// call is one call to the system that is under way.
type call struct {
	lane     *lane
	key      contact.Key
	revision int
	sent     contact.Patch
	whole    bool
	former   bool // its owner was replaced meanwhile
}

func (wr *writer) lane(key contact.Key) *lane {
	for _, l := range wr.lanes {
		if l.key == key {
			return l
		}
	}
	return nil
}

// read merges patches of a stream into rows.
func (w *world) read(wr *writer, stream, count int) {
	until := min(wr.position[stream]+count, len(w.patches[stream]))
	for _, p := range w.patches[stream][wr.position[stream]:until] {
		if p.System != wr.system {
			continue
		}
		l := wr.lane(p.Contact)
		switch {
		case p.Forget:
			delete(wr.sent, p.Contact)
			wr.drop(l)
			continue
		case l == nil && (p.Wake || p.Unfetch && row.Empty(p)):
			continue
		}
		taken := p.Unfetch
		if l == nil {
			l = &lane{key: p.Contact, patch: p, bulk: true}
			wr.lanes = append(wr.lanes, l)
		} else {
			l.patch = row.Merge(l.patch, p)
		}
		l.patch.Wake, l.patch.Unfetch = false, false
		if taken && row.Empty(l.patch) {
			wr.drop(l)
			continue
		}
		l.bulk = l.bulk && stream == bulk
		w.keep(l, l.patch)
	}
	wr.position[stream] = until
	w.forgotten(wr)
}

// keep stores a row, due now or at its read's time.
func (w *world) keep(l *lane, patch contact.Patch) {
	l.patch, l.next = patch, 0
	w.revision++
	l.revision = w.revision
	if _, ok := row.Ready(patch, w.now); !ok {
		l.next = patch.Fetch.NotBefore
	}
}

// due are the rows that may be called for now.
func (w *world) due(wr *writer) (list []*lane) {
	for _, l := range wr.lanes {
		if !l.busy && max(l.next, wr.pause) <= w.now {
			list = append(list, l)
		}
	}
	return list
}

// begin takes a row and sends its call; nil when there is nothing to send.
func (w *world) begin(wr *writer, l *lane) *call {
	fresh, step := row.Next(l.patch, w.now, wr.sent[l.key])
	switch step {
	case row.Wait:
		l.next = l.patch.Fetch.NotBefore
		return nil
	case row.Overtaken:
		wr.drop(l)
		return nil
	}
	known := wr.sent[l.key]
	if known == nil {
		known = make(row.Delivered, len(fresh.Properties))
		wr.sent[l.key] = known
	}
	for _, p := range fresh.Properties {
		known[p.Name] = max(known[p.Name], p.Version)
	}
	l.busy = true
	c := &call{lane: l, key: l.key, revision: l.revision, sent: fresh, whole: l.patch.Fetch == nil || fresh.Fetch != nil}
	wr.calls = append(wr.calls, c)
	return c
}

func (wr *writer) drop(l *lane) {
	wr.lanes = slices.DeleteFunc(wr.lanes, func(other *lane) bool { return other == l })
}

// How a call ends.
const (
	answered   = iota // all goes well
	unsent            // the system was not reached: the row stays
	unanswered        // it was carried out, and nobody knows
	unfinished        // its outcome is reported, and the row stays
	endings
)

// end carries a call out and settles its row.
func (w *world) end(wr *writer, c *call, how int) {
	wr.calls = slices.DeleteFunc(wr.calls, func(other *call) bool { return other == c })
	if !c.former {
		c.lane.busy = false
	}
	if how == unsent || how == unanswered {
		c.lane.tried = c.lane.tried || !c.former // who ended with the call has not stored it
	}
	if how == unsent {
		if !c.former {
			c.lane.next = w.now + putOff
		}
		return
	}
	e := w.carryOut(wr.system, c.sent)
	if w.tracing {
		w.trace("  %s carries out %v of %s: %s %s", wr.system, c.sent.Properties, c.key, resultName(e.in.Outcome), outcomeText(e.in.Outcome))
	}
	if how == unanswered {
		return
	}
	o := e.in.Outcome
	l := wr.lane(c.key)
	if row.Misled(c.sent, *o) {
		if l != nil {
			left, _ := row.Remainder(l.patch, c.sent, *o)
			w.keep(l, left)
		}
		return
	}
	o.AnsweredAt, e.received = w.now, w.now
	o.ClockAt = w.clock(wr.system) / 1000 * 1000
	stream := live // else the stream of echoes, which the services read beside both
	if l != nil && l.bulk && wr.system == contact.HubSpot {
		stream = bulk
	}
	w.changes[stream] = append(w.changes[stream], message{e})
	if how == unfinished || l == nil {
		return
	}
	if c.whole && l.revision == c.revision {
		wr.drop(l)
		return
	}
	left, done := row.Remainder(l.patch, c.sent, *o)
	if done {
		wr.drop(l)
		return
	}
	w.keep(l, left)
}

// withdraw system: a job is cancelled. Its rows are withdrawn, but for those that
// were tried, and what is read or archived.
func (w *world) withdraw(s Step) {
	if s.System == 0 || w.documented {
		return // what it would have written is not heard of again under that profile
	}
	wr := &w.writers[index(s.System)]
	for _, l := range slices.Clone(wr.lanes) {
		p := l.patch
		if !l.bulk || l.busy || l.tried || p.Archive || p.TargetID != "" && p.Fetch != nil {
			continue
		}
		o := &contact.Outcome{System: p.System, Contact: p.Contact, Version: p.Version, TargetID: p.TargetID, Result: contact.Dropped, AnsweredAt: w.now, EventID: w.id("o")}
		for _, property := range p.Properties {
			o.Properties = append(o.Properties, contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value})
		}
		w.trace("  %s withdraws %v of %s", wr.system, p.Properties, p.Contact)
		w.changes[bulk] = append(w.changes[bulk], message{&event{in: contact.Incoming{Outcome: o}, received: w.now}})
		w.disturbed = true
		wr.drop(l)
	}
}

// replace gives the lanes to a new owner: what was sent last is forgotten, and
// calls of the former one may still land.
func (w *world) replace(wr *writer) {
	wr.sent = make(map[contact.Key]row.Delivered)
	for _, c := range wr.calls {
		c.former = true
	}
	for _, l := range wr.lanes {
		l.busy = false
	}
	if !wr.pauseKept {
		wr.pause = 0
	}
	w.handovers, w.disturbed = w.handovers+1, true
}
