package mapper

import (
	"context"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/mapper/resolve"
)

// judged is one message under judgement.
type judged struct {
	*handling
	tenant      contact.Tenant
	rules       *resolve.Rules
	context     context.Context
	traceparent string

	judges map[*entry]*resolve.Judge
	order  []*entry          // contacts in the order in which they were touched
	events map[*entry]string // id of each contact's newest event, for history
}

// judge gives the judge of a contact, the same for all events of the message.
func (j *judged) judge(e *entry, eventID string) *resolve.Judge {
	j.events[e] = eventID
	if judge := j.judges[e]; judge != nil {
		return judge
	}
	judge := resolve.NewJudge(j.rules, e.key, e.state, resolve.Decision{
		Version: j.version, Now: j.now, EventID: eventID, Traceparent: j.traceparent,
	})
	e.changed = true
	j.judges[e] = judge
	j.order = append(j.order, e)
	return judge
}

func (j *judged) incoming(ctx context.Context, in *contact.Incoming) error {
	switch {
	case in.Change != nil:
		j.change(in.Change)
	case in.Communication != nil:
		j.communication(in.Communication)
	case in.Outcome != nil:
		j.outcome(in.Outcome)
	case in.Directory != nil:
		return j.directory(ctx, in.Directory)
	case in.Command != nil:
		j.command(in.Command)
	}
	return nil
}

// command does what somebody asked for with one contact. One about a contact
// that is not known is about nothing.
func (j *judged) command(c *contact.Command) {
	var e *entry
	if c.Contact != "" {
		e = j.batch.byKey(j.tenant, c.Contact)
	} else {
		e = j.batch.byID(j.tenant, c.System, c.ID)
	}
	if e == nil {
		j.stale++
		return
	}
	if c.Kind == contact.Choose {
		j.choose(e, c)
		return
	}
	j.judge(e, c.EventID).Command(c)
}

func (j *judged) change(c *contact.Change) {
	if c.Event == contact.Merged && j.batch.forgotten(j.tenant, c.System, c.ID) {
		// Who was erased under the id that the merge leads to is erased under
		// the others too, also when the merge is heard last.
		for _, id := range c.MergedIDs {
			erased := *c
			erased.Event, erased.ID, erased.MergedIDs, erased.EventID = contact.Erased, id, nil, c.EventID+"/"+id
			j.change(&erased)
		}
		return
	}
	e := j.batch.byID(j.tenant, c.System, c.ID)
	if c.Event == contact.Merged {
		e = j.gather(e, c)
	}
	if e == nil {
		switch {
		case c.Event == contact.Deleted || c.Event == contact.Erased && j.batch.forgotten(j.tenant, c.System, c.ID):
			return // nothing is stored, nothing can be lost
		case j.batch.forgotten(j.tenant, c.System, c.ID):
			j.stale++
			return
		case c.Event != contact.Erased && j.madeOfErased(c):
			j.stale++
			return
		}
		e = j.batch.create(j.tenant, c.System, c.ID)
	}
	j.judge(e, c.EventID).Observe(c)
	j.batch.index(e)
}

// gather finds the contacts that a merge makes one, and joins them: the first
// that has a counterpart on the other side keeps it.
func (j *judged) gather(survivor *entry, c *contact.Change) *entry {
	for _, id := range c.MergedIDs {
		lost := j.batch.byID(j.tenant, c.System, id)
		switch {
		case lost == nil || lost == survivor:
		case survivor == nil:
			survivor = lost
		default:
			j.judge(survivor, c.EventID).Absorb(lost.state, lost.key, c.System)
			j.replace(survivor, lost)
		}
	}
	return survivor
}

// join makes two contacts one. The other's key stays known as a former one.
func (j *judged) join(into, from *entry, eventID string) {
	j.judge(into, eventID).Join(from.state, from.key)
	j.replace(into, from)
}

// replace lets a contact stand for another one that was taken into it.
func (j *judged) replace(into, from *entry) {
	from.deleted = true
	delete(j.judges, from)
	j.order = slices.DeleteFunc(j.order, func(e *entry) bool { return e == from })
	from.joined = into
	former := postgres.Ref{Tenant: from.tenant, Kind: postgres.RefKey, Value: string(from.key)}
	j.batch.refs[former] = appendOnce(j.batch.refs[former], into)
	into.stored[former] = true
	for ref := range from.stored {
		if ref.Kind == postgres.RefKey {
			j.batch.refs[ref] = appendOnce(j.batch.refs[ref], into)
			into.stored[ref] = true
		}
	}
	j.batch.index(into)
}

func (j *judged) communication(c *contact.Communication) {
	e := j.batch.byID(j.tenant, contact.Aloware, c.ContactID)
	if e == nil {
		if j.batch.forgotten(j.tenant, contact.Aloware, c.ContactID) {
			j.stale++
			return
		}
		e = j.batch.create(j.tenant, contact.Aloware, c.ContactID)
	}
	id := postgres.CommunicationID{Tenant: j.tenant, ID: c.ID}
	first := !j.batch.counted[id]
	if first {
		j.batch.counted[id] = true
		j.counted = append(j.counted, id)
		j.heard = append(j.heard, e.key)
	}
	j.judge(e, c.EventID).Count(c, first)
	j.batch.index(e)
}

func (j *judged) outcome(o *contact.Outcome) {
	e := j.batch.byKey(j.tenant, o.Contact)
	if e == nil {
		if !j.afterErasure(o) {
			j.stale++
		}
		return
	}
	if o.TargetID != "" {
		if other := j.batch.byID(j.tenant, o.System, o.TargetID); other != nil && other != e {
			if !j.adopt(e, other, o) {
				return
			}
		} else if other == nil && slices.Contains(e.state.Side(o.System).Apart, o.TargetID) {
			j.somebodyElse(e, o)
			return
		}
	}
	j.absorb(e, o)
	j.judge(e, o.EventID).Settle(o)
	j.batch.index(e)
	if o.Result == contact.Written || o.Result == contact.Made {
		j.written = append(j.written, o)
	}
}

// absorb joins the contacts that the writer found merged into this one, before
// an event tells of it: their ids would lead here from now on, and they would
// be left behind. One with a counterpart of its own is left to that event.
func (j *judged) absorb(e *entry, o *contact.Outcome) {
	for _, id := range o.MergedIDs {
		other := j.batch.byID(j.tenant, o.System, id)
		if other == nil || other == e {
			continue
		}
		ours, theirs := e.state.Side(o.System.Other()).ID, other.state.Side(o.System.Other()).ID
		if ours == "" || theirs == "" || ours == theirs {
			j.join(e, other, o.EventID)
		}
	}
}

// adopt settles that the writer found a counterpart that we know as another
// contact: the two are one person, unless the other has a counterpart of its
// own; then a person must choose. Where the system says that the contact's id
// leads there now, somebody has chosen by merging them.
func (j *judged) adopt(e, other *entry, o *contact.Outcome) bool {
	if resolve.Apart(e.state, other.state) {
		j.somebodyElse(e, o)
		return false
	}
	merged := slices.Contains(o.MergedIDs, e.state.Side(o.System).ID)
	if theirs := other.state.Side(o.System.Other()); !merged && theirs.ID != "" && theirs.ID != e.state.Side(o.System.Other()).ID {
		judge := j.judge(e, o.EventID)
		judge.Settle(&contact.Outcome{System: o.System, Contact: o.Contact, Version: o.Version, Result: contact.Conflict, Candidates: []string{o.TargetID}})
		return false
	}
	j.join(e, other, o.EventID)
	return true
}

// directory takes over a list and judges again what waited for it.
func (j *judged) directory(ctx context.Context, d *contact.Directory) error {
	j.lists = append(j.lists, listing{j.tenant, *d})
	key := resolve.ListKey{System: d.System, List: d.List}
	if known, ok := j.rules.Lists[key]; ok && slices.Equal(known, d.Entries) {
		return nil // nothing can have been waiting for what was known
	}
	lists := make(resolve.Lists, len(j.rules.Lists)+1)
	for other, entries := range j.rules.Lists {
		lists[other] = entries
	}
	lists[key] = d.Entries
	fresh := *j.rules
	fresh.Lists = lists
	*j.rules = fresh
	// Bounded in memory: who waits beyond that is taken up by his next event.
	const most = 20_000
	waiting, err := j.config.DB.ContactsWaiting(ctx, j.tenant, "", most)
	if err != nil {
		return err
	}
	refs := make([]postgres.Ref, len(waiting))
	for i, name := range waiting {
		refs[i] = postgres.Ref{Tenant: j.tenant, Kind: postgres.RefKey, Value: string(name)}
	}
	if err := j.batch.load(ctx, refs); err != nil {
		return err
	}
	for _, name := range waiting {
		if e := j.batch.byKey(j.tenant, name); e != nil {
			j.judge(e, "list/"+d.System.String()+"/"+d.List).Refresh()
		}
	}
	return nil
}

// conclude matches new contacts, runs rule 6 for each contact of the message,
// and keeps what was decided.
func (j *judged) conclude(ctx context.Context) error {
	if err := j.matchAll(ctx); err != nil {
		return err
	}
	for _, e := range j.order {
		verdict := j.judges[e].Conclude()
		j.echoes += verdict.Echoes
		j.stale += verdict.Stale
		j.lost += verdict.Lost
		if verdict.Erased {
			if err := j.erase(ctx, e); err != nil {
				return err
			}
			continue
		}
		for _, patch := range verdict.Patches {
			j.add(patch)
		}
		j.keep(e, verdict.Steps)
		j.count(e, verdict.Steps)
	}
	return nil
}

// matchAll looks for the counterparts of contacts that are read on one side
// and unknown on the other.
func (j *judged) matchAll(ctx context.Context) error {
	var refs []postgres.Ref
	for _, e := range j.order {
		missing, wants := e.state.WantsMatch()
		if !wants {
			continue
		}
		for _, ref := range matchRefs(e) {
			if refs = append(refs, ref); missing == contact.HubSpot {
				refs = append(refs, postgres.ErasedMatch(j.tenant, ref.Value))
			}
		}
	}
	if err := j.batch.load(ctx, refs); err != nil {
		return err
	}
	for _, e := range slices.Clone(j.order) {
		if missing, wants := e.state.WantsMatch(); wants && !e.deleted {
			if missing == contact.HubSpot {
				j.bar(e)
			}
			j.match(e, missing)
		}
	}
	return nil
}

// match finds the counterpart by phone first, then e-mail. One that is free is
// joined; several, or one that has another counterpart, are a conflict.
func (j *judged) match(e *entry, missing contact.System) {
	var free []*entry
	var taken []string
	for _, kind := range []postgres.RefKind{postgres.RefPhone, postgres.RefEmail} {
		for _, ref := range matchRefs(e) {
			if ref.Kind != kind {
				continue
			}
			for _, other := range j.batch.refs[ref] {
				side := other.state.Side(missing)
				if other == e || other.deleted || !side.Linked() || !other.holds(missing, ref) || resolve.Apart(e.state, other.state) {
					continue
				}
				// Somebody else's e-mail counts only where the phone leads to
				// another one: people share addresses.
				if other.state.Side(missing.Other()).ID == "" {
					free = appendOnce(free, other)
				} else if (kind == postgres.RefPhone || len(free) > 0) && !slices.Contains(taken, side.ID) {
					taken = append(taken, side.ID)
				}
			}
		}
	}
	switch {
	case len(free) == 1 && len(taken) == 0:
		j.join(e, free[0], j.events[e])
	case len(free)+len(taken) > 0:
		candidates := taken
		for _, other := range free {
			candidates = append(candidates, other.state.Side(missing).ID)
		}
		slices.Sort(candidates)
		j.judges[e].Conflict(missing, candidates)
	}
}

// holds reports whether a side of the contact itself has a match key now.
func (e *entry) holds(system contact.System, ref postgres.Ref) bool {
	side := e.state.Side(system)
	if ref.Kind == postgres.RefEmail {
		return side.Email == ref.Value
	}
	return slices.Contains(side.Phones(), ref.Value)
}

// add appends a patch to the run of its system.
func (j *judged) add(patch contact.Patch) {
	j.patches++
	for i := range j.runs {
		if r := &j.runs[i]; r.tenant == j.tenant && r.system == patch.System {
			r.patches = append(r.patches, patch)
			return
		}
	}
	j.runs = append(j.runs, run{tenant: j.tenant, system: patch.System, patches: []contact.Patch{patch}, context: j.context})
}

// keep turns what was decided into history.
func (j *judged) keep(e *entry, steps []resolve.Step) {
	at := time.UnixMilli(int64(j.now))
	for _, s := range steps {
		j.history = append(j.history, postgres.HistoryRow{
			Tenant: j.tenant, Contact: e.key, At: at, Field: s.Field, System: s.Side, Rule: s.Rule, Value: s.Value,
			EditedAt: s.At, Version: s.Version, MappingVersion: j.rules.Set.Version, EventID: j.events[e],
			Reason: s.Reason, Traceparent: j.traceparent,
		})
	}
}
