package writer

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/writer/row"
)

// settle publishes the outcomes, then removes what is done, and puts off what
// failed.
func (l *lane) settle(ctx context.Context, rows []postgres.LaneRow, patches []contact.Patch, answers []contact.Delivery) {
	config := l.lanes.config
	outcomes := make(map[contact.Key]contact.Outcome)
	sent := make(map[contact.Key]contact.Patch)
	events := [2][]contact.Incoming{} // live and bulk
	var failed []postgres.LaneRow
	var worst *fault.Fault
	for i := range patches {
		outcome := answers[i].Outcome
		if err := answers[i].Err; err != nil {
			f := fault.As(err)
			if f.Class != fault.Permanent && f.Class != fault.Gone {
				failed = append(failed, rows[i])
				if worst == nil || graver(f, worst) {
					worst = f
				}
				config.Observer.Delivered(ctx, config.System, f.Class.String(), 1)
				continue
			}
			outcome = refused(&patches[i], f)
		}
		outcome.Attempts += rows[i].Attempts
		outcome.EditedAt, outcome.ReceivedAt = patches[i].EditedAt, patches[i].ReceivedAt
		config.Observer.Delivered(ctx, config.System, resultName(outcome.Result), 1)
		outcomes[rows[i].Contact], sent[rows[i].Contact] = outcome, patches[i]
		lane := 0
		if rows[i].Bulk {
			lane = 1
		}
		events[lane] = append(events[lane], contact.Incoming{Outcome: &outcome})
	}
	if err := l.report(ctx, events); err != nil {
		if ctx.Err() == nil {
			config.Logger.WarnContext(ctx, "outcomes could not be published; the calls are repeated", "tenant", l.tenant, "error", err)
		}
		for _, r := range rows {
			if _, ok := outcomes[r.Contact]; ok {
				failed = append(failed, r)
			}
		}
		worst = fault.As(err)
		clear(outcomes)
	}
	if err := l.remove(ctx, outcomes, sent); err != nil && ctx.Err() == nil {
		config.Logger.WarnContext(ctx, "done rows could not be removed; their calls are repeated", "tenant", l.tenant, "error", err)
		l.pause(ctx, fault.As(err), time.Second)
	}
	l.react(ctx, failed, worst, len(outcomes) > 0)
}

// graver orders the classes by how much of the lane they stop.
func graver(a, b *fault.Fault) bool {
	rank := map[fault.Class]int{fault.Unauthorized: 3, fault.Throttled: 2, fault.Unknown: 1, fault.Transient: 1}
	return rank[a.Class] > rank[b.Class] || rank[a.Class] == rank[b.Class] && a.Wait > b.Wait
}

// react puts failed rows off and rests the lane where the fault asks for it.
func (l *lane) react(ctx context.Context, failed []postgres.LaneRow, worst *fault.Fault, someDone bool) {
	l.mu.Lock()
	if someDone {
		l.failures = 0
		l.breaker.Reset()
	}
	l.mu.Unlock()
	if worst == nil {
		return
	}
	switch worst.Class {
	case fault.Throttled:
		l.pause(ctx, worst, max(worst.Wait, time.Second)) // the rows are due as before
		return
	case fault.Unauthorized:
		l.pause(ctx, worst, time.Minute)
		return
	}
	l.later(ctx, failed, worst)
	const breaksAfter = 5
	l.mu.Lock()
	wait := time.Duration(0)
	if l.failures++; l.failures >= breaksAfter && !someDone {
		wait = l.breaker.NextBackOff()
	}
	l.mu.Unlock()
	if wait = max(wait, worst.Wait); wait > 0 {
		l.pause(ctx, worst, wait)
	}
}

// later puts rows off, each by its own number of attempts.
func (l *lane) later(ctx context.Context, rows []postgres.LaneRow, why *fault.Fault) {
	config := l.lanes.config
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := config.DB.InTx(storing, func(tx *postgres.Tx) error {
		stored, err := l.lock(storing, tx, rows)
		if err != nil {
			return err
		}
		for i := range stored {
			r := &stored[i]
			r.Attempts++
			r.Error = why.Class.String() + " " + why.Reason
			r.NextAt = time.Now().Add(putOff(r.Attempts))
		}
		return tx.SaveLaneRows(storing, config.System, stored)
	})
	if err != nil {
		config.Logger.WarnContext(ctx, "failed rows could not be put off; they are tried again at once", "tenant", l.tenant, "error", err)
		l.pause(ctx, why, time.Second)
	}
}

// putOff is the pause of a row after a number of attempts: a quarter second at
// first, doubled each time, ten minutes at most, and spread by a quarter.
func putOff(attempts int) time.Duration {
	const first, most = 250 * time.Millisecond, 10 * time.Minute
	wait := most
	if attempts < 12 {
		wait = min(most, first<<max(0, attempts-1))
	}
	return wait - wait/8 + randomUpTo(wait/4)
}

func randomUpTo(d time.Duration) time.Duration { return mathrand.N(d + 1) }

// report publishes outcomes and waits for their acknowledgement.
func (l *lane) report(ctx context.Context, events [2][]contact.Incoming) error {
	for i, stream := range []bus.Stream{bus.Changes, bus.ChangesBulk} {
		if len(events[i]) == 0 {
			continue
		}
		publisher := l.lanes.config.Bus.Publisher(stream, l.partition)
		id := "outcome/" + rand.Text()
		if err := publisher.Publish(ctx, bus.Message{Tenant: l.tenant, Incoming: events[i], ID: id, Context: ctx}); err != nil {
			return fmt.Errorf("publish %d outcomes: %w", len(events[i]), err)
		}
	}
	return nil
}

// remove deletes the rows that are done and keeps what came meanwhile.
func (l *lane) remove(ctx context.Context, outcomes map[contact.Key]contact.Outcome, sent map[contact.Key]contact.Patch) error {
	if len(outcomes) == 0 {
		return nil
	}
	config := l.lanes.config
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return config.DB.InTx(storing, func(tx *postgres.Tx) error {
		var rows []postgres.LaneRow
		for key := range outcomes {
			rows = append(rows, postgres.LaneRow{Tenant: l.tenant, Contact: key})
		}
		stored, err := l.lock(storing, tx, rows)
		if err != nil {
			return err
		}
		var done []contact.Key
		var keep []postgres.LaneRow
		for _, r := range stored {
			patch, err := bus.DecodePatch(r.Patch, config.System)
			if err != nil {
				return err
			}
			left, finished := row.Remainder(patch, sent[r.Contact], outcomes[r.Contact])
			if finished {
				done = append(done, r.Contact)
				continue
			}
			next, err := encodeRow(postgres.LaneRow{FirstAt: r.FirstAt}, name{l.tenant, r.Contact}, r.Partition, r.Bulk, left)
			if err != nil {
				return err
			}
			keep = append(keep, next)
		}
		if err := tx.DeleteLaneRows(storing, l.tenant, config.System, done); err != nil {
			return err
		}
		return tx.SaveLaneRows(storing, config.System, keep)
	})
}

func (l *lane) lock(ctx context.Context, tx *postgres.Tx, rows []postgres.LaneRow) ([]postgres.LaneRow, error) {
	tenants, contacts := make([]contact.Tenant, len(rows)), make([]contact.Key, len(rows))
	for i, r := range rows {
		tenants[i], contacts[i] = l.tenant, r.Contact
	}
	return tx.LockLaneRows(ctx, l.lanes.config.System, tenants, contacts)
}

// refused is the outcome of a patch that the system refuses for good.
func refused(p *contact.Patch, f *fault.Fault) contact.Outcome {
	outcome := contact.Outcome{
		System: p.System, Contact: p.Contact, Version: p.Version, TargetID: p.TargetID, Result: contact.Rejected, Refusal: &f.Refusal,
		AnsweredAt: contact.Millis(time.Now().UnixMilli()), Attempts: 1, EventID: "refused/" + rand.Text(),
	}
	if f.Class == fault.Gone {
		outcome.Result = contact.Gone
	}
	for _, property := range p.Properties {
		outcome.Properties = append(outcome.Properties, contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value, Refusal: &f.Refusal})
	}
	return outcome
}

func resultName(r contact.Result) string {
	switch r {
	case contact.Written:
		return "written"
	case contact.Made:
		return "created"
	case contact.Fetched:
		return "fetched"
	case contact.Absent:
		return "absent"
	case contact.Rejected:
		return "rejected"
	case contact.Gone:
		return "gone"
	case contact.Conflict:
		return "conflict"
	}
	return "unknown"
}
