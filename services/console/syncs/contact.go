package syncs

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// Change is a value that one side gets by the sync of a contact.
type Change struct {
	Field   string
	System  contact.System
	Value   string
	Outcome string // "written", "refused" or "pending"
	Reason  string
	version contact.Version
}

// How long a sync of one contact is waited for, and how long nothing more may
// have been decided for it to count as settled: both sides are read meanwhile.
const longestWait, restful = 15 * time.Second, 1500 * time.Millisecond

// Contact reads a contact now on both sides, takes over what HubSpot holds,
// and gives what was decided by it. True tells that all of it was settled.
// The contact is named by key, or by a system and its id there.
func (s *Syncs) Contact(ctx context.Context, id contact.Tenant, key contact.Key, system contact.System, systemID, author string) ([]Change, bool, error) {
	if _, err := s.tenant(id); err != nil {
		return nil, false, err
	}
	key, err := s.find(ctx, id, key, system, systemID)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, longestWait+5*time.Second)
	defer cancel()
	command := contact.Command{
		EventID: "sync-contact/" + rand.Text(), Contact: key, Kind: contact.Pull, Author: author, AskedAt: contact.Millis(time.Now().UnixMilli()),
	}
	err = s.config.Bus.Publisher(bus.Changes, s.config.Bus.PartitionOf(id)).Publish(ctx, bus.Message{
		Tenant: id, Incoming: []contact.Incoming{{Command: &command}}, ID: command.EventID, Context: ctx,
	})
	if err != nil {
		return nil, false, fmt.Errorf("ask for the sync of a contact: %w", err)
	}
	return s.follow(ctx, id, key, command.EventID)
}

func (s *Syncs) find(ctx context.Context, id contact.Tenant, key contact.Key, system contact.System, systemID string) (contact.Key, error) {
	ref := postgres.Ref{Tenant: id, Kind: postgres.RefKey, Value: string(key)}
	switch {
	case key != "":
		stored, err := s.config.DB.Contacts(ctx, []contact.Tenant{id}, []contact.Key{key})
		if err != nil {
			return "", err
		}
		if len(stored) == 1 {
			return key, nil
		}
	case system == contact.HubSpot:
		ref.Kind, ref.Value = postgres.RefHubSpot, systemID
	case system == contact.Aloware:
		ref.Kind, ref.Value = postgres.RefAloware, systemID
	default:
		return "", refuse("invalid", "contact", "name the contact: by its key, or by a system and its id there")
	}
	found, err := s.config.DB.ContactKeys(ctx, []postgres.Ref{ref})
	if err != nil {
		return "", err
	}
	if len(found[ref]) == 0 {
		return "", refuse("not_found", "contact", "Lockstep has not heard of this contact yet: it becomes known by its next change, or by a sync of all contacts")
	}
	return found[ref][0], nil
}

// follow reads what is decided about a contact from a command on, until it is
// settled or took too long.
func (s *Syncs) follow(ctx context.Context, id contact.Tenant, key contact.Key, eventID string) ([]Change, bool, error) {
	const look, most = 100 * time.Millisecond, 500
	deadline := time.Now().Add(longestWait)
	var rested time.Time
	count := -1
	for {
		history, err := s.config.DB.History(ctx, id, key, "", 0, most)
		if err != nil {
			return nil, false, err
		}
		changes, rows, heard := since(history, eventID)
		if rows != count {
			count, rested = rows, time.Now()
		}
		open := false
		for _, c := range changes {
			open = open || c.Outcome == "pending"
		}
		now := time.Now()
		if heard && !open && now.Sub(rested) >= restful {
			return changes, true, nil
		}
		if now.After(deadline) {
			return changes, false, nil
		}
		select {
		case <-ctx.Done():
			return changes, false, ctx.Err()
		case <-time.After(look):
		}
	}
}

// since takes the writes out of the newest decisions, down to a command's own,
// and says what became of each.
func since(history []postgres.HistoryRow, eventID string) (changes []Change, rows int, heard bool) {
	var began time.Time
	for _, h := range history {
		if h.EventID == eventID {
			heard, began = true, h.At
		}
	}
	if !heard {
		return nil, 0, false
	}
	at := make(map[string]int)
	for i := len(history) - 1; i >= 0; i-- {
		h := history[i]
		if h.At.Before(began) || h.Field == "" {
			continue
		}
		rows++
		side := h.Field + "/" + h.System.String()
		k, known := at[side]
		switch {
		case h.Rule == "write" && !known:
			at[side] = len(changes)
			changes = append(changes, Change{Field: h.Field, System: h.System, Value: h.Value, Outcome: "pending", version: h.Version})
		case h.Rule == "write" && h.Version > changes[k].version:
			changes[k].Value, changes[k].Outcome, changes[k].Reason, changes[k].version = h.Value, "pending", "", h.Version
		case known && h.Rule == "settled" && h.Version >= changes[k].version:
			changes[k].Outcome, changes[k].Reason = "written", ""
		case known && h.Rule == "refused" && h.Version >= changes[k].version:
			changes[k].Outcome, changes[k].Reason = "refused", h.Reason
		}
	}
	return changes, rows, true
}
