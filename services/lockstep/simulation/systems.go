package simulation

import (
	"slices"
	"strconv"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// event is something on its way to the mapper, with what it truly shows.
type event struct {
	in       contact.Incoming
	shows    []*change
	whole    bool // of a whole record
	occurred contact.Millis
	received contact.Millis // by our clock
	record   *record
	lossy    bool // sent at most once
}

// message is a run of events that arrive together.
type message []*event

// incoming is what the mapper is told by it.
func (m message) incoming() []contact.Incoming {
	list := make([]contact.Incoming, len(m))
	for i, e := range m {
		list[i] = e.in
	}
	return list
}

func (w *world) id(prefix string) string {
	w.number++
	return prefix + strconv.Itoa(w.number)
}

// add makes a record.
func (w *world) add(system contact.System, person int, ours bool) *record {
	r := &record{system: system, id: w.id(""), person: person, created: w.clock(system), modified: w.clock(system), ours: ours,
		moments: map[contact.Millis]int{}, busy: map[contact.Millis]bool{}}
	w.records[index(system)] = append(w.records[index(system)], r)
	return r
}

// told is the origin that HubSpot tells of a value.
func (w *world) told(c *change) contact.Origin {
	switch {
	case c.record.system == contact.Aloware || w.anonymous:
		return contact.Unknown
	case c.ours:
		return contact.Ours
	}
	return contact.Others
}

// report sends what a system sends by itself of the changes of one moment.
func (w *world) report(r *record, changes []*change, created bool) {
	if r.system == contact.Aloware {
		if len(changes) == 0 && !created {
			return
		}
		e := w.snapshot(r, w.id("a"), contact.Webhook)
		if created {
			e.in.Change.Event = contact.Created
		}
		e.lossy = true
		w.transit = append(w.transit, e)
		return
	}
	if created {
		w.lifecycle(r, contact.Created, nil)
	}
	var own *event // of a write of ours, whose values a delivery may tell together
	for _, c := range changes {
		value := contact.Value{Name: w.catalogue[c.field].HubSpot, Text: c.text}
		if own != nil && w.told(c) == contact.Ours && own.occurred == c.clock && w.number%4 > 0 {
			own.shows, own.in.Change.Values = append(own.shows, c), append(own.in.Change.Values, value)
			continue
		}
		e := &event{record: r, shows: []*change{c}, occurred: c.clock, in: contact.Incoming{Change: &contact.Change{
			System: contact.HubSpot, ID: r.id, EventID: w.id("h"), Event: contact.Changed, OccurredAt: c.clock,
			Channel: contact.Webhook, Origin: w.told(c), Values: []contact.Value{value},
		}}}
		if e.in.Change.Origin == contact.Ours {
			own = e
		}
		w.transit = append(w.transit, e)
	}
}

// lifecycle sends an event of a HubSpot contact as a whole.
func (w *world) lifecycle(r *record, what contact.Event, merged []string) {
	w.transit = append(w.transit, &event{record: r, occurred: w.clock(r.system), in: contact.Incoming{Change: &contact.Change{
		System: r.system, ID: r.id, EventID: w.id("l"), Event: what, OccurredAt: w.clock(r.system), Channel: contact.Webhook,
		MergedIDs: merged,
	}}})
}

// values are all values of a record as a reading gives them; of HubSpot those
// that are asked for, nil for all that are mapped now.
func (w *world) values(r *record, asked []string) (values []contact.Value, shows []*change) {
	last := firstComputed
	if r.system == contact.HubSpot {
		last = slots
	}
	for field := range last {
		if r.system == contact.HubSpot && (asked == nil && field >= fields || asked != nil && !slices.Contains(asked, w.catalogue[field].HubSpot)) {
			continue
		}
		c := r.cells[field]
		value := contact.Value{Name: w.catalogue[field].Property(r.system)}
		if c != nil {
			value.Text = c.text
			shows = append(shows, c)
		}
		if r.system == contact.HubSpot {
			value.OccurredAt = r.created
			if c != nil {
				value.OccurredAt, value.Origin = c.clock, w.told(c)
			}
		}
		values = append(values, value)
	}
	return values, shows
}

// snapshot is a whole contact.
func (w *world) snapshot(r *record, id string, channel contact.Channel) *event {
	e := &event{record: r, whole: true, occurred: w.tickOf(r.system, r.modified)}
	c := &contact.Change{
		System: r.system, ID: r.id, EventID: id, Event: contact.Snapshot, OccurredAt: e.occurred,
		Precision: precision(r.system), Channel: channel,
	}
	c.Values, e.shows = w.values(r, nil)
	if r.system == contact.HubSpot {
		c.MergedIDs = w.mergedInto(r)
	}
	e.in.Change = c
	return e
}

func (w *world) mergedInto(r *record) (ids []string) {
	for _, other := range w.records[index(r.system)] {
		if other.into != nil && other.survivor() == r {
			ids = append(ids, other.id)
		}
	}
	return ids
}

// reading is a snapshot as a poll makes it: equal readings have equal ids.
func (w *world) reading(r *record) *event {
	e := w.snapshot(r, "", contact.Poll)
	id := "read/" + r.id + "/" + strconv.FormatInt(int64(e.occurred), 10)
	for field := range r.cells {
		id += "/" + r.value(field)
	}
	e.in.Change.EventID = id
	return e
}

// carryOut does what a patch asks for in a system, as its adapter would, and
// gives the outcome with what it truly shows.
func (w *world) carryOut(system contact.System, p contact.Patch) *event {
	o := &contact.Outcome{System: system, Contact: p.Contact, Version: p.Version, TargetID: p.TargetID, EventID: w.id("o")}
	e := &event{in: contact.Incoming{Outcome: o}}
	w.moment++
	r, made, final := w.target(system, p, o)
	if final {
		w.gone = true
		if system == contact.Aloware {
			o.AppliedAt, o.Precision = w.tickOf(system, w.clock(system)), precision(system)
		}
		for _, property := range p.Properties {
			o.Properties = append(o.Properties, contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value, Refusal: o.Refusal})
		}
		return e
	}
	e.record = r
	if p.Archive {
		w.putAway(r, p.Contact)
		o.Result, o.AppliedAt, o.Precision = contact.Archived, w.tickOf(system, w.clock(system)), precision(system)
		return e
	}
	if r.id != p.TargetID && p.TargetID != "" {
		o.MergedIDs = append(o.MergedIDs, p.TargetID)
	}
	for _, id := range w.mergedInto(r) {
		if !slices.Contains(o.MergedIDs, id) {
			o.MergedIDs = append(o.MergedIDs, id)
		}
	}
	o.TargetID = r.id
	found := p.TargetID == ""
	if found && !made && p.Fetch != nil {
		p.Properties = nil // it is read instead
	}
	changes := w.apply(r, p, o, made)
	w.provoke(r, changes)
	w.report(r, changes, made)
	o.AppliedAt, o.Precision = w.tickOf(system, r.modified), precision(system)
	e.occurred = o.AppliedAt
	o.Result = contact.Written
	if p.Fetch != nil && !made || system == contact.Aloware && found {
		var asked []string
		if p.Fetch != nil {
			asked = p.Fetch.Properties
		}
		o.Holds, e.shows = w.values(r, asked)
		e.whole = true
	}
	switch {
	case made:
		o.Result = contact.Made
	case p.Fetch != nil && (system == contact.HubSpot || len(p.Properties) == 0), system == contact.Aloware && len(p.Properties) == 0:
		o.Result = contact.Fetched
	}
	return e
}

// target finds or creates the contact of a patch; final tells that there is
// nothing to write to, and the outcome says why.
func (w *world) target(system contact.System, p contact.Patch, o *contact.Outcome) (r *record, made, final bool) {
	refuse := func(result contact.Result, reason string) (*record, bool, bool) {
		o.Result = result
		o.Refusal = &fault.Refusal{Class: fault.Permanent, Reason: reason, Message: "refused by the model"}
		return nil, false, true
	}
	if p.TargetID != "" {
		if r = w.find(system, p.TargetID); r != nil {
			r = r.survivor()
		}
		if r == nil || r.gone {
			return refuse(contact.Gone, "NOT_FOUND")
		}
		if w.documented && system == contact.Aloware && (p.Create == nil || !slices.Contains(p.Create.Phones, r.value(phone))) {
			return w.outOfReach(p, o, refuse) // it is found by its number only
		}
		return r, false, false
	}
	if p.Create == nil {
		return refuse(contact.Rejected, "NO_TARGET")
	}
	var found []*record
	if system == contact.HubSpot {
		found = w.withValues(system, email, p.Create.Email)
		for _, other := range w.withValues(system, phone, p.Create.Phones...) {
			if !slices.Contains(found, other) {
				found = append(found, other)
			}
		}
		for _, other := range w.records[index(system)] {
			if len(found) == 0 && other.key == p.Contact && other.alive() {
				found = append(found, other)
			}
		}
	} else {
		found = w.withValues(system, phone, p.Create.Phones...)
		named := w.withValues(system, email, p.Create.Email)
		if len(found) == 0 || !slices.ContainsFunc(named, func(r *record) bool { return slices.Contains(found, r) }) {
			for _, other := range named {
				if !slices.Contains(found, other) {
					found = append(found, other)
				}
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], false, false
	case len(found) > 1:
		for _, other := range found {
			o.Candidates = append(o.Candidates, other.id)
		}
		return refuse(contact.Conflict, "SEVERAL_CONTACTS")
	case !p.Create.MayCreate:
		return refuse(contact.Absent, "NOT_FOUND")
	case system == contact.Aloware && len(p.Create.Phones) == 0:
		return refuse(contact.Rejected, "PHONE_REQUIRED")
	}
	person := w.ownerOf(p.Contact)
	if w.refusesPerson[index(system)][person] || system == contact.HubSpot && w.erasedOf[person] {
		// HubSpot takes nobody again who was deleted for privacy.
		return refuse(contact.Rejected, "REFUSED")
	}
	r = w.add(system, person, true)
	r.key = p.Contact
	return r, true, false
}

// outOfReach is the answer where a contact is found by its number only, and is
// not there under those that are known.
func (w *world) outOfReach(p contact.Patch, o *contact.Outcome, refuse func(contact.Result, string) (*record, bool, bool)) (*record, bool, bool) {
	if p.Create == nil || len(p.Create.Phones) == 0 {
		return refuse(contact.Rejected, "NOT_CAPABLE")
	}
	if others := w.withValues(contact.Aloware, phone, p.Create.Phones...); len(others) > 0 {
		o.Candidates = append(o.Candidates, p.TargetID)
		for _, other := range others {
			o.Candidates = append(o.Candidates, other.id)
		}
		return refuse(contact.Conflict, "SEVERAL_CONTACTS")
	}
	return refuse(contact.Gone, "NOT_FOUND")
}

// apply writes the properties of a patch, those that are not refused.
func (w *world) apply(r *record, p contact.Patch, o *contact.Outcome, made bool) (changes []*change) {
	if made && r.system == contact.Aloware {
		// The number is the key by which it is made.
		if c := w.set(r, phone, p.Create.Phones[0], &write{}); c != nil {
			changes = append(changes, c)
		}
	}
	for _, property := range p.Properties {
		field := w.fieldOf(r.system, property.Name)
		outcome := contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value}
		by := w.landing(r, field, p.Contact, property)
		incapable := w.documented && !made && r.system == contact.Aloware && r.value(field) != property.Value && (property.Value == "" || field == phone)
		if incapable || w.taken(r, field, canonical(field, property.Value)) || w.refuses[index(r.system)][field] == property.Value && property.Value != "" {
			outcome.Refusal = &fault.Refusal{Class: fault.Permanent, Reason: "INVALID_VALUE", Message: "refused by the model"}
			w.refused[refusedValue{r.system, w.personOf(r), field, property.Value}]++
		} else if c := w.set(r, field, property.Value, by); c != nil {
			changes = append(changes, c)
			w.landed(r, c)
		} else if c := r.cells[field]; c != nil {
			c.kept = true
		} else {
			r.blank[field] = true
		}
		o.Properties = append(o.Properties, outcome)
	}
	return changes
}
