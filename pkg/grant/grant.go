// Package grant lets all processes call a system within one tenant's quota: the
// owner of the tenant's lane gives out calls, and the others ask it for each.
//
// Who asks gets a call when no live write wants it, and takes turns with bulk ones;
// the owner counts it until the answer is told, or is taken as told after a while.
// Only while there is no owner, and none was for as long as its calls can still
// count, the asker has a small part of the limits for itself. An owner that is
// slow, or that cannot be reached, is waited for.
package grant

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
)

const (
	// patience is how long one asking waits, and then the own part.
	patience = 3 * time.Second
	// again is the time between two askings where there is nobody.
	again = 500 * time.Millisecond
	// quiet is for how long there must have been no owner: a window of HubSpot's
	// limit, and what was on its way.
	quiet = 12 * time.Second
	// longest is how long a call that was granted may take; then it is taken as
	// answered.
	longest = time.Minute
	// atOnce is how many askings of one partition are answered at once.
	atOnce = 64
	// Late is how long after its grant a call may begin at most: a new owner
	// counts an earlier one's calls until then.
	Late = 2 * time.Second
)

// question asks for a call, or tells what the answer of one was.
type question struct {
	Tenant contact.Tenant `json:"tenant"`
	Pool   quota.Pool     `json:"pool"`
	Done   string         `json:"done,omitempty"` // ticket that is over
	Answer quota.Answer   `json:"answer"`
}

// reply is a ticket, or why there is none.
type reply struct {
	Ticket string        `json:"ticket,omitempty"`
	Wait   time.Duration `json:"wait,omitempty"` // the budget is closed for so long
	Scope  string        `json:"scope,omitempty"`
}

func topic(system contact.System, partition int) string {
	return fmt.Sprintf("quota.%s.%d", system, partition)
}

// ErrNone tells that an owner has no budget to give of.
var ErrNone = errors.New("no budget for this tenant here")

// Serve answers askings for the tenants of a partition, until stop is called.
// budget gives a tenant's budget; an error sends the asker to its own part.
func Serve(b *bus.Bus, system contact.System, partition int, budget func(context.Context, contact.Tenant) (quota.Budget, error)) (stop func(), err error) {
	o := &owner{budget: budget, open: make(map[string]quota.Ticket)}
	return b.Serve(topic(system, partition), atOnce, o.answer)
}

// owner is the side that gives.
type owner struct {
	budget func(context.Context, contact.Tenant) (quota.Budget, error)

	mu   sync.Mutex
	open map[string]quota.Ticket
}

func (o *owner) answer(ctx context.Context, raw []byte, say func([]byte) error) error {
	var q question
	if err := json.Unmarshal(raw, &q); err != nil {
		return fmt.Errorf("read an asking for quota: %w", err)
	}
	if q.Done != "" {
		o.close(q.Done, q.Answer)
		return nil
	}
	budget, err := o.budget(ctx, q.Tenant)
	if err != nil {
		return err
	}
	var r reply
	ticket, err := budget.Take(quota.Reading(ctx), q.Pool) // live writes go first
	switch {
	case err == nil:
		r.Ticket = rand.Text()
		o.mu.Lock()
		o.open[r.Ticket] = ticket
		o.mu.Unlock()
		time.AfterFunc(longest, func() { o.close(r.Ticket, quota.Answer{}) })
	case fault.Is(err, fault.Throttled):
		f := fault.As(err)
		r.Wait, r.Scope = f.Wait, f.Scope
	default:
		return err
	}
	raw, err = json.Marshal(r)
	if err == nil {
		err = say(raw)
	}
	return err // a ticket that was not heard of is over after a while
}

// close ends a ticket, once.
func (o *owner) close(id string, a quota.Answer) {
	o.mu.Lock()
	ticket := o.open[id]
	delete(o.open, id)
	o.mu.Unlock()
	if ticket != nil {
		ticket.Done(a)
	}
}

// Budget asks the owner of a tenant's quota for each call. It must last, as it
// remembers when there was an owner.
type Budget struct {
	Bus    *bus.Bus
	Tenant contact.Tenant
	System contact.System
	// Own is the part of the limits for the times without an owner.
	Own quota.Budget
	// Quiet is for how long there must have been none; 0 means 12 s.
	Quiet time.Duration

	mu   sync.Mutex
	seen time.Time // when an owner answered last
}

// Take waits for a call: of the owner's, or of the own part while there is no
// owner. Where the system has closed the budget, it gives a fault of class
// Throttled with the wait.
func (b *Budget) Take(ctx context.Context, pool quota.Pool) (quota.Ticket, error) {
	for {
		ticket, err := b.ask(ctx, pool)
		nobody := errors.Is(err, bus.ErrNobody) || errors.Is(err, ErrNone)
		switch {
		case err == nil || fault.Is(err, fault.Throttled) && fault.As(err).Reason == closed:
			b.answered()
			return ticket, err
		case ctx.Err() != nil:
			return nil, fmt.Errorf("wait for the quota: %w", ctx.Err())
		case nobody && b.quiet():
			own, cancel := context.WithTimeout(ctx, patience)
			ticket, err = b.Own.Take(own, pool)
			cancel()
			if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
				return ticket, err
			}
		default:
			timer := time.NewTimer(again)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// answered notes that there is an owner.
func (b *Budget) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = time.Now()
}

// quiet reports whether what an owner gave out counts no more.
func (b *Budget) quiet() bool {
	long := b.Quiet
	if long == 0 {
		long = quiet
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.seen) >= long
}

// closed is the reason of a fault that the owner told.
const closed = "BUDGET_CLOSED"

func (b *Budget) ask(ctx context.Context, pool quota.Pool) (quota.Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var r reply
	err := b.put(ctx, question{Tenant: b.Tenant, Pool: pool}, &r)
	switch {
	case err != nil:
		return nil, err
	case r.Wait > 0:
		f := fault.New(fault.Refusal{Class: fault.Throttled, Reason: closed, Message: "the budget is closed for a while"})
		f.Wait, f.Scope = r.Wait, r.Scope
		return nil, f
	case r.Ticket == "":
		return nil, ErrNone
	}
	return &loan{b, r.Ticket}, nil
}

func (b *Budget) put(ctx context.Context, q question, r *reply) error {
	raw, err := json.Marshal(q)
	if err != nil {
		return err
	}
	return b.Bus.Ask(ctx, topic(b.System, b.Bus.PartitionOf(b.Tenant)), raw, func(part []byte) error { return json.Unmarshal(part, r) })
}

// loan is a call of the owner's.
type loan struct {
	budget *Budget
	id     string
}

// Done tells the owner what the answer told. Where it cannot be told, the owner
// takes the call as answered after a while.
func (l *loan) Done(a quota.Answer) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var r reply
	_ = l.budget.put(ctx, question{Tenant: l.budget.Tenant, Done: l.id, Answer: a}, &r)
}
