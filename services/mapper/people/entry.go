package people

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// Name is a contact among all tenants.
type Name struct {
	Tenant contact.Tenant
	Key    contact.Key
}

// Entry is one contact of a batch.
type Entry struct {
	Name
	State    *resolve.State
	Revision int64                   // as it was loaded; 0 for a new one
	Problems []resolve.Problem       // as they were loaded
	Held     []resolve.HeldValue     // as they were loaded
	Seen     resolve.SeenDisposition // as it was loaded
	Stored   map[contact.Ref]bool    // what it is found by in the store
	Changed  bool
	Deleted  bool          // joined into another contact, or erased
	Erased   bool          // its person asked to be forgotten
	Former   []contact.Key // of an erased one: keys that it was known by
	joined   *Entry        // into which this one was joined
}

// Into is the contact that one has become by being joined; nil for one that is
// erased or still itself.
func (e *Entry) Into() *Entry {
	if e.joined == nil || e.Erased || !e.Deleted {
		return nil
	}
	for e.joined != nil && e.Deleted {
		e = e.joined
	}
	return e
}

// Keys are all that a contact is known by: the present one first.
func (e *Entry) Keys() []contact.Key { return append([]contact.Key{e.Key}, e.Former...) }

// gone reports whether a contact is not there any more; nil never was.
func (e *Entry) gone() bool { return e == nil || e.Deleted }

// Changes are the differences between what a contact is found by in the store
// and what it should be found by.
func (e *Entry) Changes() (add, remove []contact.Ref) {
	want := make(map[contact.Ref]bool)
	for _, ref := range e.Refs() {
		if !e.Stored[ref] && !want[ref] {
			add = append(add, ref)
		}
		want[ref] = true
	}
	for ref := range e.Stored {
		switch {
		case ref.Kind == contact.RefKey: // also one that it was just given
			add = append(add, ref)
		case !want[ref]:
			remove = append(remove, ref)
		}
	}
	return add, remove
}

// Refs are what the contact is found by as it is now.
func (e *Entry) Refs() []contact.Ref {
	var refs []contact.Ref
	for _, system := range contact.Systems {
		side := e.State.Side(system)
		for _, id := range append([]string{side.ID}, side.Aliases...) {
			if id != "" {
				refs = append(refs, contact.IDRef(e.Tenant, system, id))
			}
		}
		refs = append(refs, e.keys(side)...)
	}
	return refs
}

// keys are what a side of the contact is matched by.
func (e *Entry) keys(side *resolve.Side) (refs []contact.Ref) {
	for _, phone := range side.Phones() {
		refs = append(refs, contact.Ref{Tenant: e.Tenant, Kind: contact.RefPhone, Value: phone})
	}
	if side.Email != "" {
		refs = append(refs, contact.Ref{Tenant: e.Tenant, Kind: contact.RefEmail, Value: side.Email})
	}
	return refs
}

// matchRefs are what the counterpart of a contact is found by.
func (e *Entry) matchRefs() []contact.Ref {
	return append(e.keys(&e.State.Sides[0]), e.keys(&e.State.Sides[1])...)
}

// holds reports whether a side of the contact itself has a match key now.
func (e *Entry) holds(system contact.System, ref contact.Ref) bool {
	side := e.State.Side(system)
	if ref.Kind == contact.RefEmail {
		return side.Email == ref.Value
	}
	return slices.Contains(side.Phones(), ref.Value)
}

// Forget are the patches by which the writers forget an erased contact, under
// each key that it was known by.
func (e *Entry) Forget(version contact.Version) []contact.Patch {
	var patches []contact.Patch
	for _, system := range contact.Systems {
		for _, key := range e.Keys() {
			patches = append(patches, contact.Patch{Contact: key, System: system, Version: max(e.State.Version+1, version), Forget: true})
		}
	}
	return patches
}
