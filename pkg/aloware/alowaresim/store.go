package alowaresim

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
)

// firstContact and firstCommunication are where the ids of a new account begin.
const (
	firstContact       = 48210001
	firstCommunication = 940000001
)

// store holds the contacts and communications and finds them.
type store struct {
	contacts []*contact          // in the order of their ids
	byPhone  map[uint64]*contact // also by further numbers
	byEmail  map[uint64]*contact // by the hash of the address in lower case
	sharers  map[uint64][]*contact
	seed     maphash.Seed
	touched  []touch // in the order of time
	latest   int64   // the latest time in touched

	communications []*communication // in the order of their ids
	talks          map[int64][]*communication

	nextContact       int64
	nextCommunication int64
	loads             []loadOrder
}

// touch is a change of a contact. It counts as long as the contact was not
// changed again.
type touch struct {
	at int64
	c  *contact
}

func (t touch) counts() bool { return t.c.updated == t.at && !t.c.is(flagGone) }

func newStore() *store {
	return &store{
		byPhone: map[uint64]*contact{}, byEmail: map[uint64]*contact{}, sharers: map[uint64][]*contact{},
		seed: maphash.MakeSeed(), talks: map[int64][]*communication{},
		nextContact: firstContact, nextCommunication: firstCommunication,
	}
}

// find gives the contact with an id, or nil.
func (st *store) find(id int64) *contact {
	i, ok := slices.BinarySearchFunc(st.contacts, id, func(c *contact, id int64) int { return cmp.Compare(c.id, id) })
	if !ok {
		return nil
	}
	return st.contacts[i]
}

// insert adds a contact with a new id.
func (st *store) insert(c *contact) {
	if n := len(st.contacts); n == 0 || st.contacts[n-1].id < c.id {
		st.contacts = append(st.contacts, c)
	} else {
		i, _ := slices.BinarySearchFunc(st.contacts, c.id, func(c *contact, id int64) int { return cmp.Compare(c.id, id) })
		st.contacts = slices.Insert(st.contacts, i, c)
	}
	st.nextContact = max(st.nextContact, c.id+1)
	st.index(c)
	st.note(c)
}

// remove takes a contact out.
func (st *store) remove(c *contact) {
	st.unindex(c)
	c.mark(flagGone, true)
	if i, ok := slices.BinarySearchFunc(st.contacts, c.id, func(c *contact, id int64) int { return cmp.Compare(c.id, id) }); ok {
		st.contacts = slices.Delete(st.contacts, i, i+1)
	}
}

// index makes a contact known by its numbers and e-mail.
func (st *store) index(c *contact) {
	st.byPhone[c.phone] = c
	for _, n := range c.numbers() {
		st.byPhone[n.Phone] = c
	}
	if key, ok := st.emailKey(c.texts.at(slotEmail)); ok {
		if st.byEmail[key] == nil {
			st.byEmail[key] = c
		} else {
			st.sharers[key] = append(st.sharers[key], c)
		}
	}
}

// unindex forgets what index made known.
func (st *store) unindex(c *contact) {
	forget := func(phone uint64) {
		if st.byPhone[phone] == c {
			delete(st.byPhone, phone)
		}
	}
	forget(c.phone)
	for _, n := range c.numbers() {
		forget(n.Phone)
	}
	key, ok := st.emailKey(c.texts.at(slotEmail))
	if !ok {
		return
	}
	others := slices.DeleteFunc(st.sharers[key], func(o *contact) bool { return o == c })
	if st.byEmail[key] == c {
		delete(st.byEmail, key)
		if len(others) > 0 {
			st.byEmail[key], others = others[0], others[1:]
		}
	}
	if len(others) == 0 {
		delete(st.sharers, key)
	} else {
		st.sharers[key] = others
	}
}

func (st *store) emailKey(email string) (uint64, bool) {
	return maphash.String(st.seed, strings.ToLower(email)), email != ""
}

// withEmail gives the contacts with exactly this e-mail, in the order of ids.
func (st *store) withEmail(email string) []*contact {
	key, ok := st.emailKey(email)
	if !ok || st.byEmail[key] == nil {
		return nil
	}
	found := append([]*contact{st.byEmail[key]}, st.sharers[key]...)
	found = slices.DeleteFunc(found, func(c *contact) bool { return !strings.EqualFold(c.texts.at(slotEmail), email) })
	sortByID(found)
	return found
}

func sortByID(list []*contact) {
	slices.SortFunc(list, func(a, b *contact) int { return cmp.Compare(a.id, b.id) })
}

// touch sets the time of a contact's latest change, which never goes back.
func (st *store) touch(c *contact, now int64) {
	st.latest = max(st.latest, now)
	if c.updated == st.latest {
		return
	}
	c.updated = st.latest
	st.note(c)
}

// note remembers when a contact was changed.
func (st *store) note(c *contact) {
	st.latest = max(st.latest, c.updated)
	if n := len(st.touched); n > 0 && st.touched[n-1].at > c.updated {
		i, _ := slices.BinarySearchFunc(st.touched, c.updated+1, func(t touch, at int64) int { return cmp.Compare(t.at, at) })
		st.touched = slices.Insert(st.touched, i, touch{c.updated, c})
	} else {
		st.touched = append(st.touched, touch{c.updated, c})
	}
	if len(st.touched) > 1000+2*len(st.contacts) {
		st.touched = slices.DeleteFunc(st.touched, func(t touch) bool { return !t.counts() })
	}
}

// since gives the contacts changed at a time or later, in the order of ids.
func (st *store) since(at int64) []*contact {
	i, _ := slices.BinarySearchFunc(st.touched, at, func(t touch, at int64) int { return cmp.Compare(t.at, at) })
	found := make([]*contact, 0, len(st.touched)-i)
	for _, t := range st.touched[i:] {
		if t.counts() {
			found = append(found, t.c)
		}
	}
	sortByID(found)
	return slices.Compact(found)
}

// recent calls yield for contacts, the latest changed first, until it returns
// false.
func (st *store) recent(yield func(*contact) bool) {
	for i := len(st.touched) - 1; i >= 0; i-- {
		if t := st.touched[i]; t.counts() && !yield(t.c) {
			return
		}
	}
}

// settle puts the changes in order after a replay.
func (st *store) settle() {
	st.touched = st.touched[:0]
	for _, c := range st.contacts {
		st.touched = append(st.touched, touch{c.updated, c})
	}
	slices.SortStableFunc(st.touched, func(a, b touch) int { return cmp.Compare(a.at, b.at) })
	if n := len(st.touched); n > 0 {
		st.latest = max(st.latest, st.touched[n-1].at)
	}
}

// talk gives the communication with an id, or nil.
func (st *store) talk(id int64) *communication {
	i, ok := slices.BinarySearchFunc(st.communications, id, func(m *communication, id int64) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return nil
	}
	return st.communications[i]
}

// hold adds a communication with the next id, or one of the journal.
func (st *store) hold(m *communication) {
	st.nextCommunication = max(st.nextCommunication, m.ID+1)
	st.communications = append(st.communications, m)
	st.talks[m.Contact] = append(st.talks[m.Contact], m)
}

// behind gives the contacts behind an id, in the order of ids.
func (st *store) behind(id int64, most int) []*contact {
	i, _ := slices.BinarySearchFunc(st.contacts, id+1, func(c *contact, id int64) int { return cmp.Compare(c.id, id) })
	return st.contacts[i:min(i+most, len(st.contacts))]
}
