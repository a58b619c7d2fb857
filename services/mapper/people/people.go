// Package people tells whom events are about: it finds the contacts of a batch
// of messages, joins those that turn out to be one person, matches new ones
// with their counterparts, lets the rules judge each of them in order, and
// knows what an erased person leaves to be forgotten.
//
// It is pure but for the Store that it is lent: no clock, no goroutine, no
// randomness. The mapper and the simulation run the same batches.
package people

import (
	"context"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// Store is where contacts are kept between batches.
type Store interface {
	// Find gives the keys of contacts that are found by references, in order;
	// references that find none are missing, and one to an erased person is there
	// without a contact. With them come those contacts, and the ones whose own key a
	// reference of kind RefKey is that finds none, each to be changed freely.
	Find(ctx context.Context, refs []contact.Ref) (map[contact.Ref][]contact.Key, []*Entry, error)
	// FormerKeys are those of contacts that were joined into one, but for those
	// that another contact bears by now.
	FormerKeys(ctx context.Context, name Name) ([]contact.Key, error)
	// Counted are the communications that were counted before.
	Counted(ctx context.Context, ids []contact.CommunicationID) (map[contact.CommunicationID]bool, error)
}

// Batch is the working set of some messages: the contacts that their events are
// about, found and loaded with a few questions for all of them, and what
// becomes of them. Nothing of it reaches the store.
type Batch struct {
	store    Store
	entries  []*Entry // in the order in which they were met
	contacts map[Name]*Entry
	refs     map[contact.Ref][]*Entry // what contacts are found by now
	asked    map[contact.Ref]bool     // references that were looked up
	erased   map[contact.Ref]bool     // what people who were forgotten were known by
	buried   []contact.Ref            // of erased, what came in this batch
	met      []contact.Ref            // of erased, what was met and is done with
	counted  map[contact.CommunicationID]bool
	fresh    []contact.CommunicationID // counted in this batch
	heard    []contact.Key             // the contact of each
}

// NewBatch makes an empty batch over a store.
func NewBatch(store Store) *Batch {
	return &Batch{
		store: store, contacts: make(map[Name]*Entry), refs: make(map[contact.Ref][]*Entry),
		asked: make(map[contact.Ref]bool), erased: make(map[contact.Ref]bool), counted: make(map[contact.CommunicationID]bool),
	}
}

// Entries are the contacts of the batch, loaded and new.
func (b *Batch) Entries() []*Entry { return b.entries }

// Communications are those that the batch counted for the first time, each with
// its contact.
func (b *Batch) Communications() ([]contact.CommunicationID, []contact.Key) { return b.fresh, b.heard }

// Tombstones are what remains of people who were forgotten: what the batch adds,
// and what it has met and is done with.
func (b *Batch) Tombstones() (add, remove []contact.Ref) {
	return slices.DeleteFunc(slices.Clone(b.buried), func(ref contact.Ref) bool { return !b.erased[ref] }), b.met
}

// Delivery is one message's events, with the rules in force for their tenant.
type Delivery struct {
	Tenant   contact.Tenant
	Rules    *resolve.Rules
	Incoming []contact.Incoming
}

// Prepare loads all contacts that the events of the batch name, and in a second
// step those that new contacts may turn out to be.
func (b *Batch) Prepare(ctx context.Context, deliveries []Delivery) error {
	var refs []contact.Ref
	var heard []contact.CommunicationID
	for _, d := range deliveries {
		for i := range d.Incoming {
			in := &d.Incoming[i]
			refs = append(refs, Named(d.Tenant, in)...)
			if in.Communication != nil {
				heard = append(heard, contact.CommunicationID{Tenant: d.Tenant, ID: in.Communication.ID})
			}
		}
	}
	if err := b.Load(ctx, refs); err != nil {
		return err
	}
	counted, err := b.store.Counted(ctx, heard)
	if err != nil {
		return err
	}
	b.counted = counted
	refs = refs[:0]
	for _, d := range deliveries {
		for i := range d.Incoming {
			refs = append(refs, b.candidates(d.Tenant, d.Rules, &d.Incoming[i])...)
		}
	}
	return b.Load(ctx, refs)
}

// Load finds and loads the contacts behind references that were not looked up
// before: one question, whatever their number.
func (b *Batch) Load(ctx context.Context, refs []contact.Ref) error {
	refs = slices.DeleteFunc(refs, func(ref contact.Ref) bool {
		known := b.asked[ref]
		b.asked[ref] = true
		return known
	})
	if len(refs) == 0 {
		return nil
	}
	found, stored, err := b.store.Find(ctx, refs)
	if err != nil {
		return err
	}
	for _, e := range stored {
		if b.contacts[e.Name] != nil {
			continue // it is loaded by another reference, and may be changed by now
		}
		b.add(e)
		e.Stored = make(map[contact.Ref]bool)
		for _, ref := range e.Refs() {
			e.Stored[ref] = true
		}
		b.index(e)
	}
	for _, ref := range refs {
		if _, known := found[ref]; known && ref.Kind == contact.RefErased {
			b.erased[ref] = true
		}
		if ref.Kind != contact.RefKey {
			continue
		}
		for _, key := range found[ref] {
			if e := b.contacts[Name{ref.Tenant, key}]; e != nil {
				e.Stored[ref] = true
				b.refs[ref] = appendOnce(b.refs[ref], e)
			}
		}
	}
	return nil
}

func (b *Batch) add(e *Entry) {
	b.contacts[e.Name] = e
	b.entries = append(b.entries, e)
}

// index makes a contact findable within the batch by what it holds now.
func (b *Batch) index(e *Entry) {
	for _, ref := range e.Refs() {
		b.refs[ref] = appendOnce(b.refs[ref], e)
	}
}

func appendOnce(entries []*Entry, e *Entry) []*Entry {
	if slices.Contains(entries, e) {
		return entries
	}
	return append(entries, e)
}

// byID finds the contact of an id of a system; nil when it is unknown. One
// that has the id now comes before one that it was told to lead to by a merge
// whose event is still on its way.
func (b *Batch) byID(tenant contact.Tenant, system contact.System, id string) *Entry {
	var former *Entry
	for _, e := range b.refs[contact.IDRef(tenant, system, id)] {
		side := e.State.Side(system)
		switch {
		case e.Deleted:
		case side.ID == id:
			return e
		case former == nil && slices.Contains(side.Aliases, id):
			former = e
		}
	}
	return former
}

// ByKey finds a contact by its key or a former one.
func (b *Batch) ByKey(tenant contact.Tenant, key contact.Key) *Entry {
	if e := b.contacts[Name{tenant, key}]; e != nil && !e.Deleted {
		return e
	}
	for _, e := range b.refs[contact.KeyRef(tenant, key)] {
		if !e.Deleted {
			return e
		}
	}
	return nil
}

// create makes a contact that is seen for the first time. The key of a contact
// that was deleted in this batch is not given twice.
func (b *Batch) create(tenant contact.Tenant, system contact.System, id string) *Entry {
	n := Name{tenant, contact.NewKey(system, id)}
	if old := b.contacts[n]; old != nil && old.Deleted {
		old.joined, old.Former = nil, nil
		old.Deleted, old.Erased, old.State, old.Changed = false, false, &resolve.State{Version: old.State.Version}, true
		return old
	}
	e := &Entry{Name: n, State: &resolve.State{}, Stored: make(map[contact.Ref]bool)}
	b.add(e)
	return e
}

// forgotten reports whether an id belongs to a person who was erased.
func (b *Batch) forgotten(tenant contact.Tenant, system contact.System, id string) bool {
	return b.erased[contact.ErasedRef(tenant, system, id)]
}
