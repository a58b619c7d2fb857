package alowaresim

import (
	"slices"
)

// create makes a contact of settings, one of which is the phone number.
func (s *Sim) create(settings []setting, by writer, intake string) (*contact, []string) {
	now := s.second()
	c := &contact{id: s.store.nextContact, created: now, lrn: 4}
	s.store.nextContact++
	c.texts = c.texts.with(slotIntake, intake)
	if !s.set.AutoAssign && !slices.ContainsFunc(settings, func(v setting) bool { return v.name == "user_id" }) && len(s.lists.Users) > 0 {
		settings = append(settings, setting{"user_id", idText(s.lists.Users[0].ID)})
	}
	var changed []string
	for _, v := range settings {
		if c.get(v.name) != v.value {
			c.put(v.name, v.value)
			c.stamp(v.name, by.String(), now)
			changed = append(changed, v.name)
		}
	}
	s.derive(c, changed, by, now)
	s.authorize(c, now)
	if c.lrn == 4 {
		c.lrn = int8(1 + c.id%3%2) // Aloware looks it up; the number tells nothing here
	}
	s.store.latest = max(s.store.latest, now)
	c.updated = s.store.latest
	s.store.insert(c)
	s.tx.contact(c)
	if by == byForm {
		s.triggered(c, changed)
	}
	return c, changed
}

// change writes settings to a contact and gives the names of the fields that
// really changed.
func (s *Sim) change(c *contact, settings []setting, by writer) []string {
	var changed []string
	for _, v := range settings {
		if c.get(v.name) == v.value {
			continue
		}
		if changed == nil {
			s.store.unindex(c)
		}
		c.put(v.name, v.value)
		c.stamp(v.name, by.String(), s.second())
		changed = append(changed, v.name)
	}
	if changed == nil {
		return nil
	}
	if slices.Contains(changed, "phone_number") {
		others := slices.DeleteFunc(c.numbers(), func(n secondary) bool { return n.Phone == c.phone })
		c.put("phone_numbers", numbersText(others))
	}
	s.derive(c, changed, by, s.second())
	s.authorize(c, s.second())
	s.store.index(c)
	s.touch(c)
	if by == byForm || by == byUpdate {
		s.triggered(c, changed)
	}
	return changed
}

// derive keeps the name and its parts together.
func (s *Sim) derive(c *contact, changed []string, by writer, now int64) {
	first, last := c.texts.at(slotFirst), c.texts.at(slotLast)
	parts := slices.Contains(changed, "first_name") || slices.Contains(changed, "last_name")
	if name := fullName(first, last); parts && !slices.Contains(changed, "name") && name != c.texts.at(slotName) {
		c.put("name", name)
		c.stamp("name", by.String(), now)
	}
}

// authorize keeps the time of the consent to texts.
func (s *Sim) authorize(c *contact, now int64) {
	switch {
	case !c.is(flagAuthorized):
		c.authorized = 0
	case c.authorized == 0:
		c.authorized = now
	}
}

// touch notes that a contact has changed, for its time and for the journal.
func (s *Sim) touch(c *contact) {
	c.mark(flagPristine, false)
	s.store.touch(c, s.second())
	s.tx.contact(c)
}

// tell sends the contact events for fields that changed: one for each kind.
func (s *Sim) tell(c *contact, changed []string, by writer) {
	if len(changed) == 0 || !s.set.Echo && (by == byForm || by == byUpdate) {
		return
	}
	disposed, dnc := slices.Contains(changed, "disposition_status_id"), slices.Contains(changed, "is_dnc")
	others := len(changed)
	if disposed {
		others--
	}
	if dnc {
		others--
	}
	if others > 0 {
		s.emitContact(c, contactUpdated)
	}
	if disposed {
		s.emitContact(c, contactDisposed)
	}
	if dnc {
		s.emitContact(c, contactDNC)
	}
}

// tellCreated sends the event of a new contact.
func (s *Sim) tellCreated(c *contact, by writer) {
	if s.set.Echo || by == byPerson || by == bySystem {
		s.emitContact(c, contactCreated)
	}
}

// remember keeps notes, which are communications of their own.
func (s *Sim) remember(c *contact, notes string, creator int) {
	if notes == "" {
		return
	}
	s.record(&communication{
		Contact: c.id, Kind: typeNote, Direction: outbound, Text: notes, Owner: ownerOf(c),
		Status: statusCompleted, Disposition: disposedCompleted, Creator: creator,
		Created: s.second(), Updated: s.second(),
	})
}

// split gives settings for the parts of a name when only the whole is set.
func split(settings []setting) []setting {
	whole := ""
	for _, v := range settings {
		switch v.name {
		case "first_name", "last_name":
			return settings
		case "name":
			whole = v.value
		}
	}
	if whole == "" {
		return settings
	}
	first, last := whole, ""
	for i := range whole {
		if whole[i] == ' ' {
			first, last = whole[:i], whole[i+1:]
			break
		}
	}
	return append(settings, setting{"first_name", first}, setting{"last_name", last})
}

// merge gives one contact what another has and takes the other out. Blank
// fields are filled, numbers and talks move, totals add up.
func (s *Sim) merge(into, from *contact) {
	s.store.remove(from)
	s.store.unindex(into)
	numbers := append(into.numbers(), secondary{"merged", from.phone})
	into.put("phone_numbers", numbersText(append(numbers, from.numbers()...)))
	for i := range columns {
		name := columns[i].read
		switch {
		case columns[i].kind == kindPhone || columns[i].kind == kindNumbers || columns[i].kind == kindLineType:
		case columns[i].kind == kindFlag:
			if from.get(name) == "1" {
				into.put(name, "1")
			}
		case into.get(name) == "":
			into.put(name, from.get(name))
		}
	}
	for i := range into.counts {
		into.counts[i] += from.counts[i]
	}
	into.authorized = max(into.authorized, from.authorized)
	into.engaged, into.engagedIn, into.engagedOut = max(into.engaged, from.engaged), max(into.engagedIn, from.engagedIn), max(into.engagedOut, from.engagedOut)
	for _, m := range s.store.talks[from.id] {
		m.Contact = into.id
		s.tx.communication(m)
	}
	s.store.talks[into.id] = append(s.store.talks[into.id], s.store.talks[from.id]...)
	delete(s.store.talks, from.id)
	s.store.index(into)
	s.touch(into)
	s.tx.Gone = append(s.tx.Gone, from.id)
}

// erase takes a contact out. No event tells of it.
func (s *Sim) erase(c *contact) {
	s.store.remove(c)
	s.tx.Gone = append(s.tx.Gone, c.id)
}
