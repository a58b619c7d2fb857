package writer

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// obey follows what is wished of jobs over all contacts until ctx ends: while
// one is paused nothing that it led to goes out, and when one was cancelled that
// is withdrawn. What people edit meanwhile goes out as ever.
func (l *lanes) obey(ctx context.Context) error {
	const every = time.Second
	for {
		if err := l.lookAtHolds(ctx); err != nil && ctx.Err() == nil {
			l.config.Logger.WarnContext(ctx, "what is wished of jobs could not be read; trying again", "system", l.config.System, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func (l *lanes) lookAtHolds(ctx context.Context) error {
	looking, cancel := context.WithTimeout(ctx, 10*time.Second)
	holds, err := l.config.DB.SyncHolds(looking)
	cancel()
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.holds = holds
	l.mu.Unlock()
	for _, job := range holds.Cancelled {
		if err := l.withdraw(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

// resters are the tenants of which nothing goes out that a job led to.
func (l *lanes) resters() []contact.Tenant {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holds.Paused
}

// withheld reports whether a tenant is one of these.
func (l *lanes) withheld(id contact.Tenant) bool { return slices.Contains(l.resters(), id) }

// standing are the rows without those of cancelled jobs, which are about to be
// withdrawn.
func (l *lanes) standing(id contact.Tenant, rows []postgres.LaneRow) []postgres.LaneRow {
	l.mu.Lock()
	cancelled := l.holds.Cancelled
	l.mu.Unlock()
	if len(cancelled) == 0 {
		return rows
	}
	return slices.DeleteFunc(rows, func(r postgres.LaneRow) bool {
		return r.Job != "" && slices.Contains(cancelled, postgres.CancelledSync{Tenant: id, Job: r.Job})
	})
}

// withdraw takes back what waits of a cancelled job, page by page, and tells the
// mapper, which would count on it else.
func (l *lanes) withdraw(ctx context.Context, job postgres.CancelledSync) error {
	const page = 500
	lane, done := l.enter(job.Tenant)
	if lane == nil {
		return nil // its owner does it
	}
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(lane.partition.begin, cancel)()
	for {
		rows, err := l.config.DB.JobRows(ctx, job.Tenant, l.config.System, job.Job, lane.busy(), page)
		if err != nil || len(rows) == 0 {
			return err
		}
		lane.begin(rows)
		err = lane.drop(ctx, rows)
		lane.end(rows)
		if err != nil {
			return err
		}
	}
}

// enter gives a tenant's lane, whose partition does not end before done; nil
// where another process owns it.
func (l *lanes) enter(id contact.Tenant) (lane *lane, done func()) {
	number := l.config.Bus.PartitionOf(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.owned[number]
	if p == nil || p.begin.Err() != nil {
		return nil, nil
	}
	if lane = p.lanes[id]; lane == nil {
		lane = newLane(l, p, id)
		p.lanes[id] = lane
	}
	p.work.Add(1)
	return lane, p.work.Done
}

// drop reports rows as withdrawn and removes them. What was tried already stays,
// since it may have been carried out, and so does what is read or archived.
func (l *lane) drop(ctx context.Context, rows []postgres.LaneRow) error {
	config := l.lanes.config
	d := &delivery{lane: l}
	var stay []postgres.LaneRow
	var events []contact.Incoming
	for _, r := range rows {
		patch, err := bus.DecodePatch(r.Patch, config.System)
		if err != nil || r.Attempts > 0 || patch.Archive || patch.TargetID != "" && patch.Fetch != nil {
			stay = append(stay, r)
			continue
		}
		outcome := dropped(&patch, r.Job)
		d.rows, d.patches, d.whole = append(d.rows, r), append(d.patches, patch), append(d.whole, true)
		d.answers = append(d.answers, contact.Delivery{Outcome: outcome})
		d.done = append(d.done, len(d.done))
		events = append(events, contact.Incoming{Outcome: &outcome})
	}
	if err := config.DB.FreeLaneRows(ctx, l.tenant, config.System, stay); err != nil {
		return err
	}
	if err := d.report(ctx, bus.ChangesBulk, events); err != nil {
		return err
	}
	config.Observer.Delivered(ctx, config.System, resultName(contact.Dropped), len(d.done))
	return d.finish(ctx)
}

// dropped is the outcome of a patch that is withdrawn.
func dropped(p *contact.Patch, job string) contact.Outcome {
	outcome := contact.Outcome{
		System: p.System, Contact: p.Contact, Version: p.Version, TargetID: p.TargetID, Result: contact.Dropped,
		AnsweredAt: contact.Millis(time.Now().UnixMilli()), EventID: contact.JobOutcome(job, rand.Text()),
	}
	for _, property := range p.Properties {
		outcome.Properties = append(outcome.Properties, contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value})
	}
	return outcome
}
