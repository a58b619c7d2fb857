package mappings

import (
	"context"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/tenant"
)

// sampleTime bounds the reading of a sample: who was not read by then is left
// out.
const sampleTime = 15 * time.Second

// estimate tells what would be done to some contacts of which something must be
// read first, by reading them now; nil where they cannot be read.
func (s *Mappings) estimate(ctx context.Context, t *tenant.Tenant, proposal mapping.Proposal, unread []mapping.Unread) (estimate *mapping.Tally) {
	reading, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	if proposal.Sample = s.sample(reading, t, proposal.Set, unread); len(proposal.Sample) == 0 {
		return nil
	}
	err := s.ask(ctx, &proposal, func(tally mapping.Tally) error {
		estimate = &tally
		return nil
	})
	if err != nil {
		s.config.Logger.WarnContext(ctx, "a preview has no estimate", "tenant", t.ID, "error", err)
		return nil
	}
	return estimate
}

// sample reads contacts on the sides where something of them is unread. Only
// those that were read on all of these are given.
func (s *Mappings) sample(ctx context.Context, t *tenant.Tenant, set *mapping.Set, unread []mapping.Unread) (sample []mapping.Sampled) {
	held := s.heldByHubSpot(ctx, t, set, unread)
	account, err := s.config.Account(t)
	if err != nil {
		s.config.Logger.WarnContext(ctx, "a preview's sample is not read in Aloware", "tenant", t.ID, "error", err)
	}
	for _, u := range unread {
		one := mapping.Sampled{Key: u.Key}
		if id := u.IDs[0]; id != "" {
			change, read := held[id]
			if !read {
				continue
			}
			one.Told = append(one.Told, change)
		}
		if id := u.IDs[1]; id != "" {
			if account == nil || u.Phone == "" {
				continue
			}
			found, err := account.ByPhone(ctx, u.Phone)
			if err != nil {
				s.config.Logger.WarnContext(ctx, "a preview's sample is not read to the end", "tenant", t.ID, "error", err)
				return sample
			}
			if len(found) != 1 || found[0].ID != id {
				continue
			}
			one.Told = append(one.Told, found[0])
		}
		sample = append(sample, one)
	}
	return sample
}

// heldByHubSpot reads contacts in HubSpot, by their ids.
func (s *Mappings) heldByHubSpot(ctx context.Context, t *tenant.Tenant, set *mapping.Set, unread []mapping.Unread) map[string]contact.Change {
	var ids []string
	for _, u := range unread {
		if u.IDs[0] != "" {
			ids = append(ids, u.IDs[0])
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := s.config.Portal(t).Contacts(ctx, ids, set.Properties(contact.HubSpot))
	if err != nil {
		s.config.Logger.WarnContext(ctx, "a preview's sample is not read in HubSpot", "tenant", t.ID, "error", err)
	}
	held := make(map[string]contact.Change, len(found))
	for _, change := range found {
		held[change.ID] = change
	}
	return held
}
