package people

import (
	"context"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// Message is one message under judgement: first Take for each of its events,
// then Conclude once.
type Message struct {
	*Batch
	tenant   contact.Tenant
	rules    *resolve.Rules
	decision resolve.Decision

	judges map[*Entry]*resolve.Judge
	order  []*Entry          // contacts in the order in which they were touched
	events map[*Entry]string // id of each contact's newest event

	// Stale counts events about what is not known or was forgotten, Echoes those
	// of our own writes that told nothing new.
	Stale, Echoes int
	// Written are the answers that tell of a write.
	Written []*contact.Outcome
}

// Message begins the judgement of one message.
func (b *Batch) Message(tenant contact.Tenant, rules *resolve.Rules, decision resolve.Decision) *Message {
	return &Message{
		Batch: b, tenant: tenant, rules: rules, decision: decision,
		judges: make(map[*Entry]*resolve.Judge, 2), events: make(map[*Entry]string, 2),
	}
}

// Judge gives the judge of a contact, the same for all events of the message.
func (j *Message) Judge(e *Entry, eventID string) *resolve.Judge {
	j.events[e] = eventID
	if judge := j.judges[e]; judge != nil {
		return judge
	}
	decision := j.decision
	decision.EventID = eventID
	judge := resolve.NewJudge(j.rules, e.Key, e.State, decision)
	e.Changed = true
	j.judges[e] = judge
	j.order = append(j.order, e)
	return judge
}

// Take judges one event. It gives the contact that the event turned out to be
// about; nil for none.
func (j *Message) Take(in *contact.Incoming) *Entry {
	switch {
	case in.Change != nil:
		return j.change(in.Change)
	case in.Communication != nil:
		return j.communication(in.Communication)
	case in.Outcome != nil:
		return j.outcome(in.Outcome)
	case in.Command != nil:
		return j.command(in.Command)
	}
	return nil
}

// command does what somebody asked for with one contact. One about a contact
// that is not known is about nothing.
func (j *Message) command(c *contact.Command) *Entry {
	var e *Entry
	if c.Contact != "" {
		e = j.ByKey(j.tenant, c.Contact)
	} else {
		e = j.byID(j.tenant, c.System, c.ID)
	}
	switch {
	case e == nil:
		j.Stale++
	case c.Kind == contact.Choose:
		j.choose(e, c)
	default:
		j.Judge(e, c.EventID).Command(c)
	}
	return e
}

func (j *Message) change(c *contact.Change) *Entry {
	if c.Event == contact.Merged && j.forgotten(j.tenant, c.System, c.ID) {
		// Who was erased under the id that the merge leads to is erased under
		// the others too, also when the merge is heard last.
		for _, id := range c.MergedIDs {
			erased := *c
			erased.Event, erased.ID, erased.MergedIDs, erased.EventID = contact.Erased, id, nil, c.EventID+"/"+id
			j.change(&erased)
		}
		return nil
	}
	e := j.byID(j.tenant, c.System, c.ID)
	if e != nil && resolve.Heard(j.rules, e.State, c) {
		j.Echoes++
		return e
	}
	if c.Event == contact.Merged {
		e = j.gather(e, c)
	}
	if e == nil {
		switch {
		case c.Event == contact.Deleted || c.Event == contact.Erased && j.forgotten(j.tenant, c.System, c.ID):
			return nil // nothing is stored, nothing can be lost
		case j.forgotten(j.tenant, c.System, c.ID):
			j.Stale++
			return nil
		case c.Event != contact.Erased && j.madeOfErased(c):
			j.Stale++
			return nil
		case c.Event == contact.Changed && ours(c):
			// The answer of our call is on its way and tells whose it is.
			j.Stale++
			return nil
		}
		e = j.create(j.tenant, c.System, c.ID)
	}
	j.Judge(e, c.EventID).Observe(c)
	j.index(e)
	return e
}

// ours reports whether a change tells of nothing but writes of our own.
func ours(c *contact.Change) bool {
	if c.Origin != contact.Ours || c.Event != contact.Created && c.Event != contact.Changed {
		return false
	}
	return !slices.ContainsFunc(c.Values, func(v contact.Value) bool { return v.Origin != contact.Unknown && v.Origin != contact.Ours })
}

// gather finds the contacts that a merge makes one, and joins them: the first
// that has a counterpart on the other side keeps it.
func (j *Message) gather(survivor *Entry, c *contact.Change) *Entry {
	for _, id := range c.MergedIDs {
		lost := j.byID(j.tenant, c.System, id)
		switch {
		case lost == nil || lost == survivor:
		case survivor == nil:
			survivor = lost
		default:
			j.merge(survivor, lost, c.System, c.EventID)
		}
	}
	return survivor
}

// merge takes in the contact of a record that its system merged into this one's.
func (j *Message) merge(survivor, lost *Entry, system contact.System, eventID string) {
	j.Judge(survivor, eventID).Absorb(lost.State, lost.Key, system)
	j.replace(survivor, lost)
}

// join makes two contacts one. The other's key stays known as a former one.
func (j *Message) join(into, from *Entry, eventID string) {
	j.Judge(into, eventID).Join(from.State, from.Key)
	j.replace(into, from)
}

// replace lets a contact stand for another one that was taken into it.
func (j *Message) replace(into, from *Entry) {
	if judge := j.judges[from]; judge != nil && judge.Erases() {
		j.judges[into].Erase()
	}
	from.Deleted = true
	delete(j.judges, from)
	j.order = slices.DeleteFunc(j.order, func(e *Entry) bool { return e == from })
	from.joined = into
	former := contact.KeyRef(from.Tenant, from.Key)
	j.refs[former] = appendOnce(j.refs[former], into)
	into.Stored[former] = true
	for ref := range from.Stored {
		if ref.Kind == contact.RefKey {
			j.refs[ref] = appendOnce(j.refs[ref], into)
			into.Stored[ref] = true
		}
	}
	j.index(into)
}

func (j *Message) communication(c *contact.Communication) *Entry {
	e := j.byID(j.tenant, contact.Aloware, c.ContactID)
	if e == nil {
		if j.forgotten(j.tenant, contact.Aloware, c.ContactID) {
			j.Stale++
			return nil
		}
		e = j.create(j.tenant, contact.Aloware, c.ContactID)
	}
	id := contact.CommunicationID{Tenant: j.tenant, ID: c.ID}
	first := !j.counted[id]
	if first {
		j.counted[id] = true
		j.fresh = append(j.fresh, id)
		j.heard = append(j.heard, e.Key)
	}
	j.Judge(e, c.EventID).Count(c, first)
	j.index(e)
	return e
}

func (j *Message) outcome(o *contact.Outcome) *Entry {
	e := j.ByKey(j.tenant, o.Contact)
	if e == nil {
		if !j.afterErasure(o) {
			j.Stale++
		}
		return nil
	}
	if o.TargetID != "" {
		switch other := j.byID(j.tenant, o.System, o.TargetID); {
		case other == e:
		case slices.Contains(e.State.Side(o.System).Apart, o.TargetID):
			j.somebodyElse(e, o)
			return e
		case j.besides(e, o):
			return e
		case other != nil && !j.adopt(e, other, o):
			return e
		}
	}
	j.absorb(e, o)
	j.Judge(e, o.EventID).Settle(o)
	j.index(e)
	if o.Result == contact.Written || o.Result == contact.Made {
		j.Written = append(j.Written, o)
	}
	return e
}

// besides settles that a contact was made for one that was joined meanwhile with somebody
// who has a counterpart: it is one of its own, and its events tell of it.
func (j *Message) besides(e *Entry, o *contact.Outcome) bool {
	mine := e.State.Side(o.System)
	if o.Result != contact.Made || o.Contact == e.Key || !mine.Linked() || mine.ID == o.TargetID || slices.Contains(o.MergedIDs, mine.ID) {
		return false
	}
	j.Judge(e, o.EventID).Settle(&contact.Outcome{System: o.System, Contact: o.Contact, Version: o.Version, Result: contact.Absent})
	return true
}

// absorb joins the contacts that the writer found merged into this one, before
// an event tells of it: their ids would lead here from now on, and they would
// be left behind. One with a counterpart of its own is left to that event.
func (j *Message) absorb(e *Entry, o *contact.Outcome) {
	for _, id := range o.MergedIDs {
		other := j.byID(j.tenant, o.System, id)
		if other == nil || other == e {
			continue
		}
		ours, theirs := e.State.Side(o.System.Other()).ID, other.State.Side(o.System.Other()).ID
		if ours == "" || theirs == "" || ours == theirs {
			j.merge(e, other, o.System, o.EventID)
		}
	}
}

// adopt settles that the writer found a counterpart that we know as another
// contact: the two are one person, unless the other has a counterpart of its
// own; then a person must choose. Where the system says that the contact's id
// leads there now, somebody has chosen by merging them. An answer to a search from
// before the contact was linked with somebody else tells nothing of it.
func (j *Message) adopt(e, other *Entry, o *contact.Outcome) bool {
	if resolve.Apart(e.State, other.State) {
		j.somebodyElse(e, o)
		return false
	}
	mine := e.State.Side(o.System)
	merged := slices.Contains(o.MergedIDs, mine.ID)
	if !merged && mine.Linked() && mine.ID != o.TargetID && o.Result != contact.Made {
		j.Judge(e, o.EventID).Settle(&contact.Outcome{System: o.System, Contact: o.Contact, Version: o.Version, Result: contact.Absent})
		return false
	}
	if theirs := other.State.Side(o.System.Other()); !merged && theirs.ID != "" && theirs.ID != e.State.Side(o.System.Other()).ID {
		judge := j.Judge(e, o.EventID)
		judge.Settle(&contact.Outcome{System: o.System, Contact: o.Contact, Version: o.Version, Result: contact.Conflict, Candidates: []string{o.TargetID}})
		return false
	}
	j.join(e, other, o.EventID)
	return true
}

// Judgement is what was decided about one contact.
type Judgement struct {
	*Entry
	EventID string // the newest event
	resolve.Verdict
}

// Conclude matches new contacts, runs rule 6 for each contact of the message,
// and erases who asked for it.
func (j *Message) Conclude(ctx context.Context) ([]Judgement, error) {
	if err := j.matchAll(ctx); err != nil {
		return nil, err
	}
	list := make([]Judgement, 0, len(j.order))
	for _, e := range j.order {
		verdict := j.judges[e].Conclude()
		if verdict.Erased {
			if err := j.erase(ctx, e); err != nil {
				return nil, err
			}
		}
		list = append(list, Judgement{e, j.events[e], verdict})
	}
	return list, nil
}

// erase forgets a person within the batch, under all keys that he was known by.
func (j *Message) erase(ctx context.Context, e *Entry) error {
	e.Deleted, e.Erased = true, true
	keys := []contact.Key{e.Key}
	for ref := range e.Stored {
		if ref.Kind == contact.RefKey && j.contacts[Name{e.Tenant, contact.Key(ref.Value)}].gone() {
			keys = append(keys, contact.Key(ref.Value))
		}
	}
	slices.Sort(keys[1:])
	for i := 0; i < len(keys); i++ { // those of contacts that were joined in this batch too
		former, err := j.store.FormerKeys(ctx, Name{e.Tenant, keys[i]})
		if err != nil {
			return err
		}
		for _, key := range former {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	e.Former = keys[1:]
	for _, ref := range e.tombstones() {
		j.bury(ref)
	}
	for i := len(j.fresh) - 1; i >= 0; i-- {
		if j.fresh[i].Tenant == e.Tenant && slices.Contains(keys, j.heard[i]) {
			j.fresh, j.heard = slices.Delete(j.fresh, i, i+1), slices.Delete(j.heard, i, i+1)
		}
	}
	return nil
}
