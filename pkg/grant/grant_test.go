package grant_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/grant"
	"lockstep.internal/pkg/quota"
)

// counted is a budget that counts what is taken of it and answered.
type counted struct {
	quota.Budget
	mu          sync.Mutex
	taken, done int
	last        quota.Answer
}

type countedTicket struct {
	quota.Ticket
	of *counted
}

func (c *counted) Take(ctx context.Context, pool quota.Pool) (quota.Ticket, error) {
	t, err := c.Budget.Take(ctx, pool)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken++
	return &countedTicket{t, c}, nil
}

func (t *countedTicket) Done(a quota.Answer) {
	t.Ticket.Done(a)
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.of.done, t.of.last = t.of.done+1, a
}

func (c *counted) calls() (taken, done int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken, c.done
}

// plenty has had no call for long.
func plenty(most int) *counted {
	return &counted{Budget: quota.NewGateSince(quota.Limits{Window: 10 * time.Second, Max: most}, time.Now().Add(-time.Hour))}
}

// TestCallsAreTakenOfTheOwner: as long as it answers; its own part is touched
// only when no owner gives any, and what an answer told reaches the owner.
func TestCallsAreTakenOfTheOwner(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	partition := b.PartitionOf("demo")
	owners, own := plenty(50), plenty(50)
	serve := func(tenant contact.Tenant) (quota.Budget, error) {
		if tenant != "demo" {
			return nil, grant.ErrNone
		}
		return owners, nil
	}
	stop, err := grant.Serve(b, contact.HubSpot, partition, func(_ context.Context, id contact.Tenant) (quota.Budget, error) { return serve(id) })
	if err != nil {
		t.Fatal(err)
	}
	budget := &grant.Budget{Bus: b, Tenant: "demo", System: contact.HubSpot, Own: own, Quiet: 100 * time.Millisecond}
	take := func(budget quota.Budget) quota.Ticket {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		ticket, err := budget.Take(ctx, quota.General)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	for range 20 {
		take(budget).Done(quota.Answer{HasWindow: true, WindowMax: 77, WindowLeft: 70})
	}
	if taken, done := owners.calls(); taken != 20 || done != 20 || owners.last.WindowMax != 77 {
		t.Errorf("the owner gave %d calls and heard of %d, the last with %+v", taken, done, owners.last)
	}
	if taken, _ := own.calls(); taken != 0 {
		t.Errorf("%d calls of the own part were used beside an owner", taken)
	}
	pending := take(budget)
	stop()
	stopped := time.Now()
	take(budget).Done(quota.Answer{})
	if taken, _ := own.calls(); taken != 1 || time.Since(stopped) < budget.Quiet/2 {
		t.Errorf("%d calls of the own part were used without an owner, %v after its end; want 1, when its calls count no more", taken, time.Since(stopped))
	}
	pending.Done(quota.Answer{}) // nobody hears it, and nobody waits for long
	if taken, done := owners.calls(); taken != 21 || done != 20 {
		t.Errorf("the owner gave %d calls and heard of %d", taken, done)
	}
}

// TestAClosedBudgetIsClosedForReaders: after a 429 nobody calls. Beside an owner
// that is busy the own part is left alone: parts of several readers would add up
// beyond the limit.
func TestAClosedBudgetIsClosedForReaders(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	owners := &counted{Budget: quota.NewGateSince(quota.Limits{Window: 4 * time.Second, Max: 2}, time.Now().Add(-time.Hour))}
	own := plenty(2)
	stop, err := grant.Serve(b, contact.Aloware, b.PartitionOf("demo"), func(context.Context, contact.Tenant) (quota.Budget, error) { return owners, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	budget := &grant.Budget{Bus: b, Tenant: "demo", System: contact.Aloware, Own: own, Quiet: time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := range 3 { // the third in the owner's next window
		ticket, err := budget.Take(ctx, quota.General)
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		ticket.Done(quota.Answer{})
	}
	if taken, _ := own.calls(); taken != 0 {
		t.Errorf("%d calls of the own part were used beside a busy owner", taken)
	}
	owners.Budget = refusing{}
	if _, err := budget.Take(ctx, quota.General); !fault.Is(err, fault.Throttled) || fault.As(err).Wait != time.Minute {
		t.Errorf("a closed budget gives %v", err)
	}
	short, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	if _, err := (&grant.Budget{Bus: b, Tenant: "demo", System: contact.HubSpot, Own: hanging{}}).Take(short, quota.General); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waits too long is told %v", err)
	}
}

// refusing is closed for a minute.
type refusing struct{}

func (refusing) Take(context.Context, quota.Pool) (quota.Ticket, error) {
	f := fault.New(fault.Refusal{Class: fault.Throttled, Reason: "BUDGET_CLOSED", Message: "closed"})
	f.Wait = time.Minute
	return nil, f
}

// hanging never gives anything.
type hanging struct{}

func (hanging) Take(ctx context.Context, _ quota.Pool) (quota.Ticket, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
