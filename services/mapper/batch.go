package mapper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/mapper/resolve"
)

// name is a contact within the process: its tenant and key.
type name struct {
	tenant contact.Tenant
	key    contact.Key
}

// entry is one contact of a batch.
type entry struct {
	name
	state    *resolve.State
	revision int64
	stored   map[postgres.Ref]bool // references in the database
	problems []resolve.Problem     // in the database
	deleted  bool                  // joined into another contact, or erased
	erased   bool
	former   []contact.Key // of an erased one
	joined   *entry        // into which this one was joined
	changed  bool
}

// batch is the working set of one call of Handle: the contacts that its events
// are about, found and loaded with a few queries for all of them.
type batch struct {
	db       *postgres.DB
	contacts map[name]*entry
	refs     map[postgres.Ref][]*entry // what loaded contacts are found by now
	asked    map[postgres.Ref]bool     // references that were looked up
	erased   map[postgres.Ref]bool     // what people who were forgotten were known by, hashed
	late     []postgres.RefChange      // of erased, what was learnt after the erasure
	counted  map[postgres.CommunicationID]bool
}

func newBatch(db *postgres.DB) *batch {
	return &batch{
		db: db, contacts: make(map[name]*entry), refs: make(map[postgres.Ref][]*entry),
		asked: make(map[postgres.Ref]bool), erased: make(map[postgres.Ref]bool),
		counted: make(map[postgres.CommunicationID]bool),
	}
}

// load finds and loads the contacts behind references that were not looked up
// before: two queries, whatever their number.
func (b *batch) load(ctx context.Context, refs []postgres.Ref) error {
	refs = slices.DeleteFunc(refs, func(ref postgres.Ref) bool {
		known := b.asked[ref]
		b.asked[ref] = true
		return known
	})
	if len(refs) == 0 {
		return nil
	}
	found, err := b.db.ContactKeys(ctx, refs)
	if err != nil {
		return err
	}
	var tenants []contact.Tenant
	var keys []contact.Key
	wanted := make(map[name]bool)
	want := func(tenant contact.Tenant, key contact.Key) {
		n := name{tenant, key}
		if !wanted[n] && b.contacts[n] == nil {
			wanted[n] = true
			tenants, keys = append(tenants, tenant), append(keys, key)
		}
	}
	for ref, contacts := range found {
		if ref.Kind == postgres.RefErased {
			b.erased[ref] = true
			continue
		}
		for _, key := range contacts {
			want(ref.Tenant, key)
		}
	}
	for _, ref := range refs {
		if ref.Kind == postgres.RefKey && found[ref] == nil {
			want(ref.Tenant, contact.Key(ref.Value))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	stored, err := b.db.Contacts(ctx, tenants, keys)
	if err != nil {
		return err
	}
	for _, s := range stored {
		state, err := decodeState(s.State)
		if err != nil {
			return fmt.Errorf("contact %s of %s: %w", s.Key, s.Tenant, err)
		}
		e := &entry{name: name{s.Tenant, s.Key}, state: state, revision: s.Revision, problems: state.Problems(), stored: make(map[postgres.Ref]bool)}
		b.contacts[e.name] = e
		for _, ref := range e.refs() {
			e.stored[ref] = true
		}
		b.index(e)
	}
	for ref, contacts := range found {
		if ref.Kind != postgres.RefKey {
			continue
		}
		for _, key := range contacts {
			if e := b.contacts[name{ref.Tenant, key}]; e != nil {
				e.stored[ref] = true
				b.refs[ref] = appendOnce(b.refs[ref], e)
			}
		}
	}
	return nil
}

// refs are what the contact should be found by.
func (e *entry) refs() []postgres.Ref {
	var refs []postgres.Ref
	add := func(kind postgres.RefKind, value string) {
		if value != "" {
			refs = append(refs, postgres.Ref{Tenant: e.tenant, Kind: kind, Value: value})
		}
	}
	for _, system := range contact.Systems {
		side := e.state.Side(system)
		add(systemRef(system), side.ID)
		for _, alias := range side.Aliases {
			add(systemRef(system), alias)
		}
		for _, phone := range side.Phones() {
			add(postgres.RefPhone, phone)
		}
		add(postgres.RefEmail, side.Email)
	}
	return refs
}

func systemRef(system contact.System) postgres.RefKind {
	if system == contact.HubSpot {
		return postgres.RefHubSpot
	}
	return postgres.RefAloware
}

// index makes a contact findable within the batch by what it holds now.
func (b *batch) index(e *entry) {
	for _, ref := range e.refs() {
		b.refs[ref] = appendOnce(b.refs[ref], e)
	}
}

func appendOnce(entries []*entry, e *entry) []*entry {
	if slices.Contains(entries, e) {
		return entries
	}
	return append(entries, e)
}

// byID finds the contact of an id of a system; nil when it is unknown. One
// that has the id now comes before one that it was told to lead to by a merge
// whose event is still on its way.
func (b *batch) byID(tenant contact.Tenant, system contact.System, id string) *entry {
	var former *entry
	for _, e := range b.refs[postgres.Ref{Tenant: tenant, Kind: systemRef(system), Value: id}] {
		side := e.state.Side(system)
		switch {
		case e.deleted:
		case side.ID == id:
			return e
		case former == nil && slices.Contains(side.Aliases, id):
			former = e
		}
	}
	return former
}

// byKey finds a contact by its key or a former one.
func (b *batch) byKey(tenant contact.Tenant, key contact.Key) *entry {
	if e := b.contacts[name{tenant, key}]; e != nil && !e.deleted {
		return e
	}
	for _, e := range b.refs[postgres.Ref{Tenant: tenant, Kind: postgres.RefKey, Value: string(key)}] {
		if !e.deleted {
			return e
		}
	}
	return nil
}

// create makes a contact that is seen for the first time. The key of a contact
// that was deleted in this batch is not given twice.
func (b *batch) create(tenant contact.Tenant, system contact.System, id string) *entry {
	n := name{tenant, contact.NewKey(system, id)}
	if old := b.contacts[n]; old != nil && old.deleted {
		old.joined, old.former = nil, nil
		old.deleted, old.erased, old.state, old.changed = false, false, &resolve.State{Version: old.state.Version}, true
		return old
	}
	e := &entry{name: n, state: &resolve.State{}, stored: make(map[postgres.Ref]bool)}
	b.contacts[n] = e
	return e
}

// forgotten reports whether an id belongs to a person who was erased.
func (b *batch) forgotten(tenant contact.Tenant, system contact.System, id string) bool {
	return b.erased[postgres.ErasedRef(tenant, system, id)]
}

// commit stores everything that changed.
func (b *batch) commit(ctx context.Context, tx *postgres.Tx, now time.Time) error {
	var save []postgres.StoredContact
	var refs []postgres.RefChange
	var gone, erased [2][]string
	var moved [3][]string
	refs = append(refs, b.late...)
	for _, e := range b.contacts {
		switch {
		case e.deleted:
			into := &gone
			if e.erased {
				into = &erased
				for _, change := range e.tombstones() {
					if b.erased[change.Ref] { // else it was met and is done with
						refs = append(refs, change)
					}
				}
			} else if e.joined != nil {
				moved[0], moved[1], moved[2] = append(moved[0], string(e.tenant)), append(moved[1], string(e.key)), append(moved[2], string(e.final().key))
			}
			for _, key := range append([]contact.Key{e.key}, e.former...) {
				into[0], into[1] = append(into[0], string(e.tenant)), append(into[1], string(key))
			}
		case e.changed:
			raw, err := encodeState(e.state)
			if err != nil {
				return err
			}
			save = append(save, postgres.StoredContact{
				Tenant: e.tenant, Key: e.key, Revision: e.revision, Version: e.state.Version,
				WaitsList: e.state.WaitsForList(), Name: e.state.Name(), State: raw,
			})
			refs = append(refs, e.refChanges()...)
		}
	}
	slices.SortFunc(save, func(a, b postgres.StoredContact) int {
		if a.Tenant != b.Tenant {
			return compare(a.Tenant, b.Tenant)
		}
		return compare(a.Key, b.Key)
	})
	if err := tx.MoveKeys(ctx, as[contact.Tenant](moved[0]), as[contact.Key](moved[1]), as[contact.Key](moved[2])); err != nil {
		return err
	}
	if err := tx.DeleteContacts(ctx, as[contact.Tenant](gone[0]), as[contact.Key](gone[1]), false); err != nil {
		return err
	}
	if err := tx.DeleteContacts(ctx, as[contact.Tenant](erased[0]), as[contact.Key](erased[1]), true); err != nil {
		return err
	}
	if err := tx.SaveContacts(ctx, save); err != nil {
		return err
	}
	if err := tx.ChangeRefs(ctx, refs); err != nil {
		return err
	}
	return b.commitProblems(ctx, tx, now)
}

// commitProblems stores the problems of the contacts whose problems changed.
func (b *batch) commitProblems(ctx context.Context, tx *postgres.Tx, now time.Time) error {
	var tenants []contact.Tenant
	var contacts []contact.Key
	var rows []postgres.ProblemRow
	for _, e := range b.contacts {
		if e.deleted || !e.changed {
			continue
		}
		problems := e.state.Problems()
		if slices.Equal(problems, e.problems) {
			continue
		}
		tenants, contacts = append(tenants, e.tenant), append(contacts, e.key)
		for _, p := range problems {
			rows = append(rows, postgres.ProblemRow{
				Tenant: e.tenant, Contact: e.key, Field: p.Field, System: p.System, Kind: p.Kind, Class: p.Refusal.Class.String(),
				Reason: p.Refusal.Reason, Message: p.Refusal.Message, Value: p.Value, Version: p.Version, Since: now,
			})
		}
	}
	return tx.SaveProblems(ctx, tenants, contacts, rows)
}

// final is the contact that one has become by being joined.
func (e *entry) final() *entry {
	for e.joined != nil && e.deleted {
		e = e.joined
	}
	return e
}

func compare[T ~string](a, b T) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

func as[T ~string](in []string) []T {
	out := make([]T, len(in))
	for i, text := range in {
		out[i] = T(text)
	}
	return out
}

// refChanges are the differences between what a contact is found by in the
// database and what it should be found by.
func (e *entry) refChanges() []postgres.RefChange {
	var changes []postgres.RefChange
	want := make(map[postgres.Ref]bool)
	for _, ref := range e.refs() {
		want[ref] = true
		if !e.stored[ref] {
			changes = append(changes, postgres.RefChange{Ref: ref, Contact: e.key})
			e.stored[ref] = true
		}
	}
	for ref := range e.stored {
		if !want[ref] && ref.Kind != postgres.RefKey {
			changes = append(changes, postgres.RefChange{Ref: ref, Contact: e.key, Remove: true})
		}
	}
	for ref := range e.stored {
		if ref.Kind == postgres.RefKey {
			changes = append(changes, postgres.RefChange{Ref: ref, Contact: e.key})
		}
	}
	return changes
}
