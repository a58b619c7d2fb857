// Package syncs is what people do with jobs over all contacts (first sync,
// reconciliation, applying a mapping) and with "Sync with HubSpot" for one.
//
// It orders and shows; ingest runs the jobs, and the mapper decides.
package syncs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/job"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
)

// Config is what the room stands on.
type Config struct {
	DB     *postgres.DB
	Bus    *bus.Bus
	Roster *roster.Roster
}

// Syncs is the room.
type Syncs struct{ config Config }

// New makes the room.
func New(config Config) *Syncs { return &Syncs{config} }

func refuse(rule mapping.Rule, subject, format string, args ...any) error {
	return &mapping.Refusal{Rule: rule, Key: subject, Message: fmt.Sprintf(format, args...)}
}

// Order starts or turns a job.
func (s *Syncs) Order(ctx context.Context, o job.Order) (j job.Job, err error) {
	if _, ok := s.config.Roster.Tenant(o.Job.Tenant); !ok {
		return j, refuse(mapping.RuleNotFound, string(o.Job.Tenant), "there is no such tenant")
	}
	question, err := json.Marshal(o)
	if err != nil {
		return j, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = s.config.Bus.Ask(ctx, job.Topic, question, func(part []byte) error { return json.Unmarshal(part, &j) })
	if fault.Is(err, fault.Permanent) {
		return j, refuse("sync", "", "%s", fault.As(err).Message)
	}
	return j, err
}

// List lists a tenant's jobs, newest first.
func (s *Syncs) List(ctx context.Context, id contact.Tenant, limit int) ([]job.Job, error) {
	if limit <= 0 || limit > 200 {
		limit = 20
	}
	return s.config.DB.Jobs(ctx, id, 0, limit)
}

// Watch tells how far a job is until it is final.
func (s *Syncs) Watch(ctx context.Context, id contact.Tenant, number int64, heard func(job.Job) error) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		jobs, err := s.config.DB.Jobs(ctx, id, number, 1)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			return refuse(mapping.RuleNotFound, "", "there is no job %d", number)
		}
		if err := heard(jobs[0]); err != nil || jobs[0].State.Final() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// pullTime bounds how long a sync of one contact is waited for.
const pullTime = 30 * time.Second

// Contact pulls a contact from HubSpot now and waits for what comes of it: both
// sides read, decided, and what follows written or refused.
func (s *Syncs) Contact(ctx context.Context, id contact.Tenant, system contact.System, contactID, author string) ([]postgres.HistoryRow, error) {
	if _, ok := s.config.Roster.Tenant(id); !ok {
		return nil, refuse(mapping.RuleNotFound, string(id), "there is no such tenant")
	}
	keys, err := s.config.DB.ContactKeys(ctx, []postgres.Ref{{Tenant: id, Kind: postgres.RefKind(system.String()), Value: contactID}})
	if err != nil {
		return nil, err
	}
	var key contact.Key
	for _, found := range keys {
		for _, k := range found {
			key = k
		}
	}
	if key == "" {
		return nil, refuse(mapping.RuleNotFound, contactID, "no contact with this id is known; it becomes known with its next change, or by a first sync")
	}
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	asked := time.Now()
	event := "pull/" + rand.Text()
	publisher := s.config.Bus.Publisher(bus.Changes, s.config.Bus.PartitionOf(id))
	err = publisher.Publish(ctx, bus.Message{Tenant: id, ID: event, Context: ctx, Incoming: []contact.Incoming{{Command: &contact.Command{
		EventID: event, Contact: key, Kind: contact.Pull, Author: author, AskedAt: contact.Millis(asked.UnixMilli()),
	}}}})
	if err != nil {
		return nil, err
	}
	return s.outcome(ctx, id, key, asked)
}

// outcome waits until the pull is answered and nothing that followed is open.
func (s *Syncs) outcome(ctx context.Context, id contact.Tenant, key contact.Key, asked time.Time) ([]postgres.HistoryRow, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		rows, err := s.config.DB.History(ctx, id, key, "", 0, 500)
		if err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(h postgres.HistoryRow) bool { return h.At.Before(asked.Add(-time.Second)) })
		open, answered := make(map[string]bool), false
		var out []postgres.HistoryRow
		for _, h := range slices.Backward(rows) { // oldest first
			name := h.Field + "/" + h.System.String()
			switch h.Rule {
			case "pull_answered":
				answered = true
			case "write":
				open[name] = true
				out = append(out, h)
			case "settled":
				delete(open, name)
			case "refused":
				delete(open, name)
				out = append(out, h)
			}
		}
		if answered && len(open) == 0 {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return out, refuse("slow", "", "the contact is being synced, but not all is written yet; look at its history in a while")
		case <-tick.C:
		}
	}
}
