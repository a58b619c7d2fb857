package people

import (
	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// tombstones are all that remains of an erased person: hashes of the ids and
// keys, by which what comes late is known; of the numbers and e-mails, with
// which nobody is made in HubSpot again; and of the numbers under which a
// search in Aloware was under way, which may have made the person there.
func (e *Entry) tombstones() (refs []contact.Ref) {
	add := func(ref contact.Ref) { refs = append(refs, ref) }
	for _, key := range e.Keys() {
		add(contact.ErasedKey(e.Tenant, key))
	}
	for _, system := range contact.Systems {
		side := e.State.Side(system)
		for _, id := range append([]string{side.ID}, side.Aliases...) {
			if id != "" {
				add(contact.ErasedRef(e.Tenant, system, id))
			}
		}
	}
	for _, ref := range e.matchRefs() {
		add(contact.ErasedMatch(e.Tenant, ref.Value))
	}
	if there := e.State.Side(contact.Aloware); there.ID == "" && there.Creating != 0 {
		for _, phone := range e.State.Side(contact.HubSpot).Phones() {
			add(contact.ErasedSearch(e.Tenant, phone))
		}
	}
	return refs
}

// bury adds to what people who were erased were known by.
func (b *Batch) bury(ref contact.Ref) {
	if !b.erased[ref] {
		b.erased[ref] = true
		b.buried = append(b.buried, ref)
	}
}

// afterErasure takes an answer about somebody who was erased while the call was
// under way: the record that it made or found is the person's too. It reports
// whether the answer is about such a person.
func (j *Message) afterErasure(o *contact.Outcome) bool {
	if !j.erased[contact.ErasedKey(j.tenant, o.Contact)] {
		return false
	}
	for _, id := range append([]string{o.TargetID}, o.MergedIDs...) {
		if id == "" || j.forgotten(j.tenant, o.System, id) {
			continue
		}
		e := j.byID(j.tenant, o.System, id)
		switch {
		case e == nil:
			j.bury(contact.ErasedRef(j.tenant, o.System, id))
		case e.State.Side(o.System.Other()).ID == "":
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
func (j *Message) madeOfErased(c *contact.Change) bool {
	if c.System != contact.Aloware {
		return false
	}
	for _, ref := range matchValues(j.tenant, j.rules, c.System, c.Values) {
		search := contact.ErasedSearch(j.tenant, ref.Value)
		if ref.Kind != contact.RefPhone || !j.erased[search] {
			continue
		}
		delete(j.erased, search)
		j.met = append(j.met, search)
		j.bury(contact.ErasedRef(j.tenant, c.System, c.ID))
		return true
	}
	return false
}

// matchValues are the numbers and e-mails among the values of an event.
func matchValues(tenant contact.Tenant, rules *resolve.Rules, system contact.System, values []contact.Value) []contact.Ref {
	var refs []contact.Ref
	phone, email := rules.Set.ByKey("phone_number"), rules.Set.ByKey("email")
	for _, value := range values {
		kind, t := contact.RefPhone, contact.Phone
		switch {
		case email != nil && value.Name == email.Property(system):
			kind, t = contact.RefEmail, contact.Email
		case phone != nil && value.Name == phone.Property(system):
		case system == contact.HubSpot && value.Name == resolve.MobilePhone:
		default:
			continue
		}
		if text, err := contact.Canonical(t, value.Text, rules.Region); err == nil && text != "" {
			refs = append(refs, contact.Ref{Tenant: tenant, Kind: kind, Value: text})
		}
	}
	return refs
}

// bar keeps those from being made in HubSpot who bear the number or the e-mail
// of somebody who was erased: only people bring the person back there.
func (j *Message) bar(e *Entry) {
	for _, ref := range e.matchRefs() {
		if j.erased[contact.ErasedMatch(j.tenant, ref.Value)] {
			j.judges[e].Bar()
			return
		}
	}
}
