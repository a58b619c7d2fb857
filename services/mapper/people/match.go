package people

import (
	"context"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// Named are the references that an event names its contact by.
func Named(tenant contact.Tenant, in *contact.Incoming) []contact.Ref {
	switch {
	case in.Change != nil:
		refs := []contact.Ref{contact.IDRef(tenant, in.Change.System, in.Change.ID)}
		for _, id := range in.Change.MergedIDs {
			refs = append(refs, contact.IDRef(tenant, in.Change.System, id))
		}
		return refs
	case in.Communication != nil:
		return []contact.Ref{contact.IDRef(tenant, contact.Aloware, in.Communication.ContactID)}
	case in.Outcome != nil:
		refs := []contact.Ref{contact.KeyRef(tenant, in.Outcome.Contact)}
		if in.Outcome.TargetID != "" {
			refs = append(refs, contact.IDRef(tenant, in.Outcome.System, in.Outcome.TargetID))
		}
		for _, id := range in.Outcome.MergedIDs {
			refs = append(refs, contact.IDRef(tenant, in.Outcome.System, id))
		}
		return refs
	case in.Command != nil:
		var refs []contact.Ref
		if in.Command.Contact != "" {
			refs = append(refs, contact.KeyRef(tenant, in.Command.Contact))
		}
		if in.Command.System != 0 && in.Command.ID != "" {
			refs = append(refs, contact.IDRef(tenant, in.Command.System, in.Command.ID))
		}
		return refs
	}
	return nil
}

// candidates are the match keys of an event about a contact that is not linked
// yet, and the tombstones of one that is not known.
func (b *Batch) candidates(tenant contact.Tenant, rules *resolve.Rules, in *contact.Incoming) []contact.Ref {
	var values []contact.Value
	var system contact.System
	var known *Entry
	switch {
	case in.Change != nil:
		system, values = in.Change.System, in.Change.Values
		known = b.byID(tenant, system, in.Change.ID)
	case in.Outcome != nil:
		system, values = in.Outcome.System, in.Outcome.Holds
		known = b.ByKey(tenant, in.Outcome.Contact)
	case in.Communication != nil:
		system = contact.Aloware
		known = b.byID(tenant, system, in.Communication.ContactID)
	default:
		return nil
	}
	var refs []contact.Ref
	if known == nil {
		for _, ref := range Named(tenant, in) {
			if ref.Kind == contact.RefHubSpot || ref.Kind == contact.RefAloware {
				refs = append(refs, contact.ErasedRef(tenant, system, ref.Value))
			}
		}
		if in.Outcome != nil {
			refs = append(refs, contact.ErasedKey(tenant, in.Outcome.Contact))
		}
	} else if known.State.Side(contact.HubSpot).ID != "" && known.State.Side(contact.Aloware).ID != "" {
		return nil
	} else {
		refs = append(refs, known.matchRefs()...)
	}
	matches := matchValues(tenant, rules, system, values)
	if known == nil && in.Change != nil && system == contact.Aloware {
		for _, ref := range matches {
			refs = append(refs, contact.ErasedSearch(tenant, ref.Value))
		}
	}
	return append(refs, matches...)
}

// matchAll looks for the counterparts of contacts that are read on one side
// and unknown on the other.
func (j *Message) matchAll(ctx context.Context) error {
	var refs []contact.Ref
	for _, e := range j.order {
		missing, wants := e.State.WantsMatch()
		if !wants {
			continue
		}
		for _, ref := range e.matchRefs() {
			if refs = append(refs, ref); missing == contact.HubSpot {
				refs = append(refs, contact.ErasedMatch(j.tenant, ref.Value))
			}
		}
	}
	if err := j.Load(ctx, refs); err != nil {
		return err
	}
	for _, e := range slices.Clone(j.order) {
		if missing, wants := e.State.WantsMatch(); wants && !e.Deleted {
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
func (j *Message) match(e *Entry, missing contact.System) {
	var free []*Entry
	var taken []string
	for _, kind := range []contact.RefKind{contact.RefPhone, contact.RefEmail} {
		for _, ref := range e.matchRefs() {
			if ref.Kind != kind {
				continue
			}
			for _, other := range j.refs[ref] {
				side := other.State.Side(missing)
				if other == e || other.Deleted || !side.Linked() || !other.holds(missing, ref) || resolve.Apart(e.State, other.State) {
					continue
				}
				// Somebody else's e-mail counts only where the phone leads to
				// another one: people share addresses.
				if other.State.Side(missing.Other()).ID == "" {
					free = appendOnce(free, other)
				} else if (kind == contact.RefPhone || len(free) > 0) && !slices.Contains(taken, side.ID) {
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
			candidates = append(candidates, other.State.Side(missing).ID)
		}
		slices.Sort(candidates)
		j.judges[e].Conflict(missing, candidates)
	}
}
