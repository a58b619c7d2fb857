package simulation

import (
	"context"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
)

// tenant is the only one of a schedule.
const tenant contact.Tenant = "t"

// entry is a contact's stored state.
type entry struct {
	key      contact.Key
	state    *resolve.State
	revision int64
}

// store is what the mapper keeps, as package postgres keeps it.
type store struct {
	contacts []*entry
	refs     map[contact.Ref][]contact.Key // what contacts are found by
	counted  map[contact.CommunicationID]contact.Key
}

func newStore() *store {
	return &store{refs: make(map[contact.Ref][]contact.Key), counted: make(map[contact.CommunicationID]contact.Key)}
}

func (s *store) contact(key contact.Key) *entry {
	for _, e := range s.contacts {
		if e.key == key {
			return e
		}
	}
	return nil
}

// Find implements people.Store.
func (s *store) Find(_ context.Context, refs []contact.Ref) (found map[contact.Ref][]contact.Key, list []*people.Entry, err error) {
	found = make(map[contact.Ref][]contact.Key, len(refs))
	loaded := make(map[people.Name]bool)
	load := func(n people.Name) {
		if e := s.contact(n.Key); e != nil && !loaded[n] {
			loaded[n] = true
			list = append(list, &people.Entry{Name: n, State: clone(e.state), Revision: e.revision})
		}
	}
	for _, ref := range refs {
		keys, known := s.refs[ref]
		if known {
			found[ref] = keys
		}
		for _, key := range keys {
			load(people.Name{Tenant: ref.Tenant, Key: key})
		}
		if ref.Kind == contact.RefKey && !known {
			load(people.Name{Tenant: ref.Tenant, Key: contact.Key(ref.Value)})
		}
	}
	return found, list, nil
}

// FormerKeys implements people.Store.
func (s *store) FormerKeys(_ context.Context, n people.Name) (keys []contact.Key, err error) {
	for ref, of := range s.refs {
		if ref.Kind == contact.RefKey && slices.Contains(of, n.Key) && s.contact(contact.Key(ref.Value)) == nil {
			keys = append(keys, contact.Key(ref.Value))
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Counted implements people.Store.
func (s *store) Counted(_ context.Context, ids []contact.CommunicationID) (map[contact.CommunicationID]bool, error) {
	counted := make(map[contact.CommunicationID]bool, len(ids))
	for _, id := range ids {
		if _, ok := s.counted[id]; ok {
			counted[id] = true
		}
	}
	return counted, nil
}

// link makes a contact findable by a reference; "" for one that is erased.
func (s *store) link(ref contact.Ref, key contact.Key) {
	if keys := s.refs[ref]; !slices.Contains(keys, key) {
		s.refs[ref] = append(slices.Clone(keys), key)
		slices.Sort(s.refs[ref])
	}
}

func (s *store) unlink(ref contact.Ref, key contact.Key) {
	keys := slices.DeleteFunc(slices.Clone(s.refs[ref]), func(k contact.Key) bool { return k == key })
	if s.refs[ref] = keys; len(keys) == 0 {
		delete(s.refs, ref)
	}
}

// remove takes a contact out, with all that it is found by.
func (s *store) remove(key contact.Key) {
	s.contacts = slices.DeleteFunc(s.contacts, func(e *entry) bool { return e.key == key })
	for ref := range s.refs {
		s.unlink(ref, key)
	}
}

// commit stores a batch, in the order in which package postgres does.
func (s *store) commit(b *people.Batch) {
	for _, e := range b.Entries() {
		if into := e.Into(); into != nil {
			for ref, keys := range s.refs {
				if ref.Kind == contact.RefKey && slices.Contains(keys, e.Key) {
					s.link(ref, into.Key)
				}
			}
		}
	}
	for _, e := range b.Entries() {
		if e.Deleted {
			for _, key := range e.Keys() {
				s.remove(key)
				for id, of := range s.counted {
					if e.Erased && of == key {
						delete(s.counted, id)
					}
				}
			}
		}
	}
	buried, met := b.Tombstones()
	for _, ref := range buried {
		s.link(ref, "")
	}
	for _, ref := range met {
		s.unlink(ref, "")
	}
	for _, e := range b.Entries() {
		if !e.Deleted && e.Changed {
			if stored := s.contact(e.Key); stored != nil {
				stored.state, stored.revision = e.State, e.Revision+1
			} else {
				s.contacts = append(s.contacts, &entry{e.Key, e.State, e.Revision + 1})
			}
			add, remove := e.Changes()
			for _, ref := range add {
				s.link(ref, e.Key)
			}
			for _, ref := range remove {
				s.unlink(ref, e.Key)
			}
		}
	}
	ids, keys := b.Communications()
	for i, id := range ids {
		s.counted[id] = keys[i]
	}
}

// erased reports whether an id is known to be of somebody who was erased.
func (s *store) erased(system contact.System, id string) bool {
	_, ok := s.refs[contact.ErasedRef(tenant, system, id)]
	return ok
}

// remains reports whether anything is stored that holds a text.
func (s *store) remains(text string) bool {
	for _, e := range s.contacts {
		if strings.Contains(dump(e.state), text) {
			return true
		}
	}
	for ref := range s.refs {
		if strings.Contains(ref.Value, text) {
			return true
		}
	}
	return false
}
