// Package holds is what people do with bursts of changes that are held: look,
// and answer the one question whether to go on, to drop them, or to undo them.
//
// It promises that a hold is answered once, whoever asks at the same time. It
// recognises and writes nothing itself: the mapper holds, and a job of ingest
// carries the answer out.
package holds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/services/console/mappings"
)

// Config is what the room stands on.
type Config struct {
	DB     *postgres.DB
	Roster *roster.Roster
	Logger *slog.Logger
}

// Holds is the room.
type Holds struct {
	config Config
	open   atomic.Int64 // holds of all tenants that wait for an answer
}

// New makes the room.
func New(config Config) *Holds { return &Holds{config: config} }

// Waiting is how many holds of all tenants waited for an answer when Run counted
// them last.
func (s *Holds) Waiting() int64 { return s.open.Load() }

// Run counts the open holds from time to time, until ctx ends.
func (s *Holds) Run(ctx context.Context) error {
	const every = 10 * time.Second
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, every)
		n, err := s.config.DB.CountOpenHolds(asking)
		cancel()
		if err == nil {
			s.open.Store(n)
		} else if ctx.Err() == nil {
			s.config.Logger.WarnContext(ctx, "open holds could not be counted; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Refused is a request that a rule refused.
type Refused struct{ Rule, Subject, Message string }

// Error says what is wrong and what to do.
func (r *Refused) Error() string { return r.Message }

// Refusal gives the rule, what it is about, and the message.
func (r *Refused) Refusal() (rule, subject, message string) { return r.Rule, r.Subject, r.Message }

func refuse(rule, subject, format string, args ...any) error {
	return &Refused{rule, subject, fmt.Sprintf(format, args...)}
}

// State is how a hold stands.
type State string

// The states of a hold.
const (
	Open      State = "open"      // it waits for an answer
	Releasing State = "releasing" // the answer is being carried out
	Released  State = "released"
	Lapsed    State = "lapsed" // its mapping was changed or removed
)

// Hold is a burst that is or was held.
type Hold struct {
	postgres.Hold
	State State
	// Cost is what the answers take: writing what is held, and giving the former
	// values back.
	Go, Undo mappings.Cost
}

// Done and Total are the contacts that the answer was carried out for, and all.
func (h *Hold) Done() int64  { return h.JobCounts.Written() }
func (h *Hold) Total() int64 { return max(h.JobCounts.ContactTotal, h.JobCounts.Published) }

// Examples bounds what Get shows.
const Examples = 10

// List gives a tenant's holds, the newest first; with all also those that are
// over.
func (s *Holds) List(ctx context.Context, id contact.Tenant, all bool) ([]Hold, error) {
	const most = 200
	return s.find(ctx, id, "", all, most)
}

// Get gives one hold, with some of the values that it keeps.
func (s *Holds) Get(ctx context.Context, id contact.Tenant, hold string, examples int) (Hold, []postgres.HeldValue, error) {
	if examples <= 0 || examples > 100 {
		examples = Examples
	}
	found, err := s.find(ctx, id, hold, true, 1)
	switch {
	case err != nil:
		return Hold{}, nil, err
	case hold == "" || len(found) == 0:
		return Hold{}, nil, refuse("not_found", hold, "there is no hold %q of this tenant; see the list of holds", hold)
	}
	values, err := s.config.DB.HeldValues(ctx, id, hold, examples)
	return found[0], values, err
}

func (s *Holds) find(ctx context.Context, id contact.Tenant, hold string, all bool, limit int) ([]Hold, error) {
	t, known := s.config.Roster.Tenant(id)
	if !known {
		return nil, refuse("not_found", string(id), "there is no tenant %q", id)
	}
	stored, err := s.config.DB.Holds(ctx, id, hold, all, limit)
	if err != nil {
		return nil, err
	}
	list := make([]Hold, 0, len(stored))
	for _, h := range stored {
		out := Hold{Hold: h, State: stateOf(&h)}
		if !all && (out.State == Released || out.State == Lapsed) {
			continue
		}
		into, from := 0, 1
		if h.Into == contact.Aloware {
			into, from = 1, 0
		}
		var tally mapping.Tally
		tally.Written[into], tally.Written[from] = h.Contacts, h.Contacts
		cost := mappings.Costs(t, &tally)
		out.Go, out.Undo = cost[into], cost[from]
		list = append(list, out)
	}
	return list, nil
}

func stateOf(h *postgres.Hold) State {
	switch {
	case h.Lapsed:
		return Lapsed
	case h.JobState == postgres.SyncDone || !h.EndedAt.IsZero():
		return Released
	case h.Answer != "":
		return Releasing
	}
	return Open
}

// Answer says what becomes of a hold. The same answer again changes nothing.
func (s *Holds) Answer(ctx context.Context, id contact.Tenant, hold string, answer contact.HoldAnswer, author string) (Hold, error) {
	if !answer.Known() {
		return Hold{}, refuse("invalid", "answer", "answer %q: want go to write what is held, drop to leave the other side as it is, or undo to give the former values back", answer)
	}
	now, _, err := s.Get(ctx, id, hold, 1)
	if err != nil {
		return Hold{}, err
	}
	if now.State == Lapsed {
		return Hold{}, refuse("stale", hold, "the mapping was changed or removed meanwhile, and nothing is held any more")
	}
	err = s.config.DB.AnswerHold(ctx, id, hold, answer, author)
	if err != nil && !errors.Is(err, postgres.ErrHoldAnswered) {
		return Hold{}, err
	}
	now, _, again := s.Get(ctx, id, hold, 1)
	if again != nil {
		return Hold{}, again
	}
	if err != nil {
		if now.Answer == "" {
			return Hold{}, refuse("stale", hold, "the mapping was changed or removed meanwhile, and nothing is held any more")
		}
		return Hold{}, refuse("stale", hold, "%s answered %q already: a hold is answered once", now.AnsweredBy, now.Answer)
	}
	return now, nil
}
