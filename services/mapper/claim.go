package mapper

import (
	"context"
	"errors"
	"maps"
	"slices"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/services/mapper/people"
)

// What a batch claims besides the people that it is about.
const (
	// communicated is a communication, which is counted once, whoever it is with.
	communicated contact.RefKind = "communication"
	// counted are the counts by which bursts of a tenant are recognised.
	counted contact.RefKind = "counts"
)

// errStale tells that a batch had to wait for what it claimed, so that what it has read
// may be out of date.
var errStale = errors.New("a batch had to wait for others again and again")

// take claims references.
func take(ctx context.Context, claim *stage.Claim, refs []contact.Ref) error {
	stale, err := claim.Take(ctx, refs...)
	if err == nil && stale {
		err = errStale
	}
	return err
}

// claimNamed claims all that the messages name, before anything is read. Of a tenant
// whose user or option list comes it is everything: whoever waits for the list is judged
// again.
func (h *handling) claimNamed(ctx context.Context, deliveries []bus.Delivery) error {
	var refs []contact.Ref
	tenants := make(map[contact.Tenant]bool)
	for i := range deliveries {
		d := &deliveries[i]
		tenants[d.Tenant] = true
		for k := range d.Incoming {
			in := &d.Incoming[k]
			if in.Directory != nil {
				refs = append(refs, contact.Ref{Tenant: d.Tenant})
			}
			if in.Communication != nil {
				refs = append(refs, contact.Ref{Tenant: d.Tenant, Kind: communicated, Value: in.Communication.ID})
			}
			refs = append(append(refs, people.Named(d.Tenant, in)...), mayMake(d.Tenant, in)...)
		}
	}
	h.counts = true
	for tenant := range tenants {
		if counts := (contact.Ref{Tenant: tenant, Kind: counted}); h.live && !h.echo {
			refs = append(refs, counts)
		} else {
			h.counts = h.counts && h.claim.Has(counts)
		}
	}
	_, err := h.claim.Take(ctx, refs...)
	return err
}

// mayMake is the key of the contact that an event may make. The answer to what is sent for
// it may come before the contact is stored.
func mayMake(tenant contact.Tenant, in *contact.Incoming) []contact.Ref {
	switch {
	case in.Change != nil:
		return []contact.Ref{contact.KeyRef(tenant, contact.NewKey(in.Change.System, in.Change.ID))}
	case in.Communication != nil:
		return []contact.Ref{contact.KeyRef(tenant, contact.NewKey(contact.Aloware, in.Communication.ContactID))}
	}
	return nil
}

// claimCounts claims the counts of changes where something came of an echo that changes
// them, which is seldom: then they are read once more.
func (h *handling) claimCounts(ctx context.Context) error {
	if h.counts || !h.watched.any() {
		return nil
	}
	for _, tenant := range slices.Sorted(maps.Keys(h.rulesOf)) {
		if _, err := h.claim.Take(ctx, contact.Ref{Tenant: tenant, Kind: counted}); err != nil {
			return err
		}
	}
	return errStale
}
