package alerts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// How alerts are delivered.
const (
	attemptDeadline = 10 * time.Second
	claimFor        = time.Minute // whoever claimed a delivery and is gone by then does not end it
	dueEvery        = 2 * time.Second
	mostAtOnce      = 16 // in this process,
	mostOfTenant    = 4  // and of one tenant, whose receivers may hang
	firstWait       = 5 * time.Second
	longestWait     = 15 * time.Minute
	// giveUpAfter is the age at which an alert is news no more.
	giveUpAfter = 24 * time.Hour
)

// deliver delivers what is due until ctx ends, and waits for what is under way
// then.
func (a *Alerts) deliver(ctx context.Context) error {
	ticker := time.NewTicker(dueEvery)
	defer ticker.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	for failing := false; ; {
		err := a.send(ctx, &running)
		if err != nil && ctx.Err() == nil && !failing {
			a.config.Logger.WarnContext(ctx, "alerts could not be delivered; they are tried again", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-a.nudged:
		case <-ticker.C:
		}
	}
}

// send begins what is due, as far as there is room.
func (a *Alerts) send(ctx context.Context, running *sync.WaitGroup) error {
	free, full := a.room()
	if free == 0 {
		return nil // whoever ends nudges
	}
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	claimed, err := a.config.DB.ClaimAlerts(asking, claimFor, full, mostOfTenant, free)
	if err != nil {
		return err
	}
	for _, d := range claimed {
		a.occupy(d.Tenant, +1)
		running.Go(func() {
			defer a.nudge()
			defer a.occupy(d.Tenant, -1)
			a.attempt(ctx, d)
		})
	}
	return nil
}

// room is how many more deliveries may begin, and the tenants that have as many
// as one may.
func (a *Alerts) room() (free int, full []contact.Tenant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	free = mostAtOnce
	for id, n := range a.busy {
		if free -= n; n >= mostOfTenant {
			full = append(full, id)
		}
	}
	return max(free, 0), full
}

func (a *Alerts) occupy(id contact.Tenant, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy[id] += n; a.busy[id] == 0 {
		delete(a.busy, id)
	}
}

// attempt makes one attempt and stores what came of it. What was begun is
// finished also when ctx ends, lest it be sent twice.
func (a *Alerts) attempt(ctx context.Context, d postgres.AlertDelivery) {
	ctx = context.WithoutCancel(ctx)
	trying, cancel := context.WithTimeout(ctx, attemptDeadline)
	out, age, err := a.try(trying, d)
	cancel()
	log := a.config.Logger.With("tenant", d.Tenant, "alert", d.Number, "target", d.Target)
	if err != nil {
		log.WarnContext(ctx, "an alert could not be made ready; it is tried again", "error", err)
		out = outcome{answer: "it could not be made ready; the console's log says why"}
	}
	wait := time.Duration(0)
	switch d.Answer = out.answer; {
	case out.done:
		d.State = postgres.AlertDelivered
	case out.never || age > giveUpAfter:
		d.State = postgres.AlertUndeliverable
		log.WarnContext(ctx, "an alert could not be delivered", "attempts", d.Attempts, "answer", d.Answer)
	default:
		wait = max(waitAfter(a.first, d.Attempts), out.wait)
	}
	storing, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := a.config.DB.EndAlert(storing, &d, wait); err != nil {
		log.WarnContext(ctx, "what came of an alert was not stored; it is sent again under the same id", "error", err)
	}
}

// waitAfter is how long to wait after some attempts, longer each time.
func waitAfter(first time.Duration, attempts int) time.Duration {
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(first), backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0.2),
		backoff.WithMaxInterval(longestWait), backoff.WithMaxElapsedTime(0))
	wait := waits.NextBackOff()
	for range min(attempts-1, 10) {
		wait = waits.NextBackOff()
	}
	return wait
}

// try sends a delivery, and gives the age of its alert.
func (a *Alerts) try(ctx context.Context, d postgres.AlertDelivery) (outcome, time.Duration, error) {
	target, err := a.config.DB.AlertTarget(ctx, d.Tenant, d.Target, a.config.Seal)
	if errors.Is(err, postgres.ErrTargetAbsent) {
		return outcome{never: true, answer: "the target was removed"}, 0, nil
	} else if err != nil {
		return outcome{}, 0, err
	}
	alert, err := a.config.DB.Alert(ctx, d.Tenant, d.Number)
	if err != nil || alert == nil {
		return outcome{never: alert == nil && err == nil, answer: "the alert is gone"}, 0, err
	}
	age := a.clock(time.Now()).Sub(alert.At)
	t, ok := a.config.Roster.Tenant(d.Tenant)
	if !ok {
		return outcome{}, age, fmt.Errorf("tenant %s is not known yet", d.Tenant)
	}
	m, err := a.message(ctx, t, alert, target)
	if err != nil {
		return outcome{}, age, err
	}
	if m == nil {
		return outcome{done: true, answer: "the target does not want this kind any more"}, age, nil
	}
	return a.transmit(ctx, target, d.Recipient, m), age, nil
}

// transmit sends a message to one recipient of a target.
func (a *Alerts) transmit(ctx context.Context, target *postgres.AlertTarget, recipient string, m *Message) outcome {
	if target.Kind == postgres.AlertMail {
		return a.mail(ctx, recipient, m)
	}
	return a.post(ctx, target, m)
}
