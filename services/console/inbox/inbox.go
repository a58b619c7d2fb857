// Package inbox is the error inbox: what could not be written and why, by
// cause, and the messages that could not be handled at all.
//
// Trying again is asked of the mapper, by command; only dismissals are this
// room's own.
package inbox

import (
	"context"
	"slices"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/command"
)

// Waiting is the kind of what is tried again by itself: a writer's rows whose
// last attempt failed.
const Waiting contact.ProblemKind = "waiting"

// Config is what the room stands on.
type Config struct {
	Bus *bus.Bus
	DB  *postgres.DB
}

// Inbox is the room. It is safe for concurrent use.
type Inbox struct {
	Config
	commands command.Sender
	now      func() time.Time
}

// New makes the room.
func New(config Config) *Inbox {
	return &Inbox{Config: config, commands: command.Sender{Bus: config.Bus, Now: time.Now}, now: time.Now}
}

// Error is a refusal by a rule, which the caller can do something about.
type Error struct{ Rule, Subject, Message string }

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Refusal gives the rule's stable word, what it is about, and the message.
func (e *Error) Refusal() (rule, subject, message string) { return e.Rule, e.Subject, e.Message }

// waits reports whether a filter chooses what is tried again by itself.
func waits(f postgres.ProblemFilter) bool {
	return (f.Kind == "" || f.Kind == Waiting) && (f.Field == nil || *f.Field == "")
}

// Groups gives a tenant's problems by cause, the largest group first.
func (i *Inbox) Groups(ctx context.Context, f postgres.ProblemFilter) ([]postgres.ProblemGroup, error) {
	groups, err := i.DB.ProblemGroups(ctx, f)
	if err != nil || !waits(f) || f.Contact != "" {
		return groups, err
	}
	waiting, err := i.DB.WaitingGroups(ctx, f.Tenant)
	if err != nil {
		return nil, err
	}
	for _, w := range waiting {
		if f.System != 0 && f.System != w.System || f.Reason != "" && f.Reason != w.Error {
			continue
		}
		groups = append(groups, postgres.ProblemGroup{
			Kind: Waiting, Reason: w.Error, System: w.System, Contacts: w.Contacts, Oldest: w.Oldest, Newest: w.Oldest,
			Example: "tried again by itself at " + w.NextAt.UTC().Format(time.DateTime) + " UTC",
		})
	}
	slices.SortStableFunc(groups, func(a, b postgres.ProblemGroup) int { return b.Contacts - a.Contacts })
	return groups, nil
}

// Open gives how many problems of some tenants nobody dismissed, without what is
// tried again by itself. Tenants that have none are left out.
func (i *Inbox) Open(ctx context.Context, tenants ...contact.Tenant) (map[contact.Tenant]int, error) {
	numbers, err := i.DB.ProblemNumbers(ctx, tenants)
	open := make(map[contact.Tenant]int, len(numbers))
	for tenant, fields := range numbers {
		for _, n := range fields {
			open[tenant] += n.Contacts
		}
	}
	return open, err
}

// Problem is one problem of the list.
type Problem struct {
	postgres.ProblemRow
	NextAt time.Time // of what waits: when it is tried again
}

// Problems gives problems behind one of them, in an order of their own: first
// what was refused, then what waits.
func (i *Inbox) Problems(ctx context.Context, f postgres.ProblemFilter, after postgres.ProblemRow, limit int) ([]Problem, error) {
	var problems []Problem
	if after.Kind != Waiting {
		rows, err := i.DB.Problems(ctx, f, after, limit)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			problems = append(problems, Problem{ProblemRow: row})
		}
		after = postgres.ProblemRow{}
	}
	if len(problems) >= limit || !waits(f) {
		return problems, nil
	}
	rows, err := i.DB.WaitingRows(ctx, f.Tenant, f.System, f.Reason, f.Contact, postgres.WaitingRow{Contact: after.Contact, System: after.System}, limit-len(problems))
	if err != nil {
		return nil, err
	}
	for _, w := range rows {
		problems = append(problems, Problem{NextAt: w.NextAt, ProblemRow: postgres.ProblemRow{
			Tenant: f.Tenant, Contact: w.Contact, System: w.System, Kind: Waiting, Reason: w.Error, Since: w.FirstAt, Attempts: w.Attempts,
		}})
	}
	return problems, nil
}

// Retry sends again what the filter chooses, and gives the number of contacts.
// What must be settled by a choice is left out.
func (i *Inbox) Retry(ctx context.Context, f postgres.ProblemFilter, author string) (int, error) {
	const page, most = 1000, 1_000_000
	if f.Kind == contact.ProblemConflict || f.Kind == contact.ProblemReview {
		return 0, &Error{"invalid", "kind", "this is settled by a choice, not by trying again"}
	}
	tried := make(map[contact.Key]bool)
	var after postgres.ProblemRow
	for range most / page {
		problems, err := i.Problems(ctx, f, after, page)
		if err != nil {
			return len(tried), err
		}
		if err := i.commands.Send(ctx, f.Tenant, author, retries(problems, tried)...); err != nil {
			return len(tried), err
		}
		if len(problems) < page {
			break
		}
		after = problems[len(problems)-1].ProblemRow
	}
	return len(tried), nil
}

// retries are the commands for some problems, one for each contact, system and
// field, in order; tried gains the contacts.
func retries(problems []Problem, tried map[contact.Key]bool) []contact.Command {
	var commands []contact.Command
	for _, p := range problems {
		if p.Kind == contact.ProblemConflict || p.Kind == contact.ProblemReview {
			continue
		}
		tried[p.Contact] = true
		c := contact.Command{Kind: contact.Retry, Contact: p.Contact, System: p.System}
		if p.Field != "" {
			c.Fields = []string{p.Field}
			if n := len(commands); n > 0 && commands[n-1].Contact == p.Contact && commands[n-1].System == p.System && len(commands[n-1].Fields) > 0 {
				commands[n-1].Fields = append(commands[n-1].Fields, p.Field)
				continue
			}
		}
		commands = append(commands, c)
	}
	return commands
}

// Dismiss hides the chosen problems until their reason changes, or shows them
// again, and gives their number. What waits cannot be hidden: it goes by
// itself.
func (i *Inbox) Dismiss(ctx context.Context, f postgres.ProblemFilter, undo bool, author string) (int, error) {
	switch {
	case f.Kind == Waiting:
		return 0, &Error{"invalid", "kind", "what waits is tried again by itself and cannot be dismissed"}
	case undo:
		return i.DB.Undismiss(ctx, f)
	}
	return i.DB.Dismiss(ctx, f, author, i.now())
}
