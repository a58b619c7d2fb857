package mapper

import (
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/mapper/resolve"
)

// tombstones are all that remains of an erased person: hashes of the ids and
// keys, by which what comes late is known; of the numbers and e-mails, with
// which nobody is made in HubSpot again; and of the numbers under which a
// search in Aloware was under way, which may have made the person there.
func (e *entry) tombstones() []postgres.RefChange {
	var changes []postgres.RefChange
	add := func(ref postgres.Ref) { changes = append(changes, postgres.RefChange{Ref: ref}) }
	for _, key := range append([]contact.Key{e.key}, e.former...) {
		add(postgres.ErasedKey(e.tenant, key))
	}
	for _, system := range contact.Systems {
		side := e.state.Side(system)
		for _, id := range append([]string{side.ID}, side.Aliases...) {
			if id != "" {
				add(postgres.ErasedRef(e.tenant, system, id))
			}
		}
	}
	for _, ref := range matchRefs(e) {
		add(postgres.ErasedMatch(e.tenant, ref.Value))
	}
	if there := e.state.Side(contact.Aloware); there.ID == "" && there.Creating != 0 {
		for _, phone := range e.state.Side(contact.HubSpot).Phones() {
			add(postgres.ErasedSearch(e.tenant, phone))
		}
	}
	return changes
}

// bury adds an id to those of people who were erased.
func (b *batch) bury(tenant contact.Tenant, system contact.System, id string) {
	ref := postgres.ErasedRef(tenant, system, id)
	if b.erased[ref] {
		return
	}
	b.erased[ref] = true
	b.late = append(b.late, postgres.RefChange{Ref: ref})
}

// afterErasure takes an answer about somebody who was erased while the call was
// under way: the record that it made or found is the person's too. It reports
// whether the answer is about such a person.
func (j *judged) afterErasure(o *contact.Outcome) bool {
	if !j.batch.erased[postgres.ErasedKey(j.tenant, o.Contact)] {
		return false
	}
	for _, id := range append([]string{o.TargetID}, o.MergedIDs...) {
		if id == "" || j.batch.forgotten(j.tenant, o.System, id) {
			continue
		}
		e := j.batch.byID(j.tenant, o.System, id)
		switch {
		case e == nil:
			j.batch.bury(j.tenant, o.System, id)
		case e.state.Side(o.System.Other()).ID == "":
			// Its own event came first, and made a contact of it.
			j.change(&contact.Change{
				System: o.System, ID: id, EventID: o.EventID + "/" + id, Event: contact.Erased,
				OccurredAt: o.AppliedAt, ReceivedAt: o.AnsweredAt, Channel: contact.Read,
			})
		}
	}
	return true
}

// madeOfErased reports whether an event of a contact that is not known is of one
// that we made in Aloware for somebody who was erased meanwhile: a search by
// this number was under way then, and Aloware holds a number once. From now on
// it is known by its id.
func (j *judged) madeOfErased(c *contact.Change) bool {
	if c.System != contact.Aloware {
		return false
	}
	for _, ref := range matchValues(j.tenant, j.rules, c.System, c.Values) {
		search := postgres.ErasedSearch(j.tenant, ref.Value)
		if ref.Kind != postgres.RefPhone || !j.batch.erased[search] {
			continue
		}
		delete(j.batch.erased, search)
		j.batch.late = append(j.batch.late, postgres.RefChange{Ref: search, Remove: true})
		j.batch.bury(j.tenant, c.System, c.ID)
		return true
	}
	return false
}

// matchValues are the numbers and e-mails among the values of an event.
func matchValues(tenant contact.Tenant, rules *resolve.Rules, system contact.System, values []contact.Value) []postgres.Ref {
	var refs []postgres.Ref
	phone, email := rules.Set.ByKey("phone_number"), rules.Set.ByKey("email")
	for _, value := range values {
		kind, t := postgres.RefPhone, contact.Phone
		switch {
		case email != nil && value.Name == email.Property(system):
			kind, t = postgres.RefEmail, contact.Email
		case phone != nil && value.Name == phone.Property(system):
		case system == contact.HubSpot && value.Name == resolve.MobilePhone:
		default:
			continue
		}
		if text, err := contact.Canonical(t, value.Text, rules.Region); err == nil && text != "" {
			refs = append(refs, postgres.Ref{Tenant: tenant, Kind: kind, Value: text})
		}
	}
	return refs
}

// bar keeps those from being made in HubSpot who bear the number or the e-mail
// of somebody who was erased: only people bring the person back there.
func (j *judged) bar(e *entry) {
	for _, ref := range matchRefs(e) {
		if j.batch.erased[postgres.ErasedMatch(j.tenant, ref.Value)] {
			j.judges[e].Bar()
			return
		}
	}
}
