package writer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/writer/row"
)

// delivery is what one call of a destination was given and answered.
type delivery struct {
	*lane
	credential tenant.Secret // that the destination was built with

	rows    []postgres.LaneRow
	patches []contact.Patch // of rows, as they were sent
	whole   []bool          // nothing of the row was held back
	answers []contact.Delivery

	early  []postgres.LaneRow // only a read is left, and it is too early
	stale  []postgres.LaneRow // all of it was sent already, in newer versions
	failed []failure
	done   []int // indexes of patches whose outcome was told
	misled []int // of those whose id led nowhere
}

// failure is a row that is not done, and why.
type failure struct {
	row postgres.LaneRow
	why *fault.Fault
}

// tell publishes what was answered, and sorts the rows: those that are done, those that are
// sent again without the id that led nowhere, and those that failed. While the bus takes
// nothing it waits.
func (d *delivery) tell(ctx context.Context) {
	config := d.lanes.config
	var events, echoes []contact.Incoming
	for i := range d.patches {
		outcome := d.answers[i].Outcome
		if err := d.answers[i].Err; err != nil {
			f := fault.As(err)
			if f.Class != fault.Permanent && f.Class != fault.Gone {
				config.Observer.Delivered(ctx, config.System, f.Class.String(), 1)
				d.failed = append(d.failed, failure{d.rows[i], f})
				continue
			}
			outcome = refused(&d.patches[i], f)
		}
		if row.Misled(d.patches[i], outcome) {
			d.misled = append(d.misled, i)
			continue
		}
		outcome.Attempts += d.rows[i].Attempts
		outcome.EditedAt, outcome.ReceivedAt = d.patches[i].EditedAt, d.patches[i].ReceivedAt
		switch job := d.rows[i].Job; {
		case job != "":
			outcome.EventID = contact.JobOutcome(job, rand.Text()) // what follows is the job's too
		case d.rows[i].Bulk:
			outcome.EventID = contact.BulkOutcome(rand.Text()) // what follows is no more urgent
		}
		d.answers[i].Outcome = outcome
		config.Observer.Delivered(ctx, config.System, resultName(outcome.Result), 1)
		d.done = append(d.done, i)
		if d.rows[i].Bulk && config.System == contact.HubSpot {
			echoes = append(echoes, contact.Incoming{Outcome: &outcome})
		} else {
			events = append(events, contact.Incoming{Outcome: &outcome})
		}
	}
	if len(d.done) > 0 {
		d.works(ctx)
	}
	// They go where the systems' own news of what was written come too: who was
	// created is known before these are judged. Of Aloware those come over the live
	// stream, as nothing in them tells who wrote; of HubSpot over that of echoes, so
	// that a job's do not hold up live edits.
	err := d.report(ctx, bus.Changes, events)
	if err == nil {
		err = d.report(ctx, bus.ChangesEcho, echoes)
	}
	if err != nil {
		config.Logger.WarnContext(ctx, "outcomes could not be published; the calls are repeated", "tenant", d.tenant, "outcomes", len(d.done), "error", err)
		d.done, d.misled = nil, nil
	}
}

// settle removes what is done and told, and puts off what failed. Rows that it leaves as
// they are are due, so whatever fails in between only repeats calls.
func (d *delivery) settle(ctx context.Context) {
	if err := d.finish(ctx); err != nil {
		d.lanes.config.Logger.WarnContext(ctx, "done rows could not be removed; their calls are repeated", "tenant", d.tenant, "rows", len(d.done), "error", err)
		d.pause(ctx, fault.As(err), time.Second, "")
	}
	d.react(ctx, len(d.done) > 0)
}

// storing is a context for what must be stored also when the ownership ends
// meanwhile; what it stores does not depend on it.
func storing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

// report publishes the outcomes of a call in as few messages as hold them, as each costs a
// write to the bus's disk, and waits for the acknowledgement. While the bus takes nothing it
// waits: repeating the calls would be worse.
func (d *delivery) report(ctx context.Context, stream bus.Stream, events []contact.Incoming) error {
	if len(events) == 0 {
		return nil
	}
	message := bus.Message{Tenant: d.tenant, Incoming: events, ID: "outcome/" + rand.Text(), Context: ctx}
	publisher := d.lanes.config.Bus.Publisher(stream, d.partition.number)
	publish := func() error {
		ctx, cancel := storing(ctx)
		defer cancel()
		err := publisher.Publish(ctx, message)
		if err == nil || fault.Is(err, fault.Permanent) {
			return backoff.Permanent(err)
		}
		return err
	}
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(publish, backoff.WithContext(pause, ctx), func(err error, wait time.Duration) {
		d.lanes.config.Logger.WarnContext(ctx, "outcomes wait for the bus", "tenant", d.tenant, "outcomes", len(events), "again_in", wait, "error", err)
	})
	if fault.Is(err, fault.Permanent) && (errors.Is(err, bus.ErrTooLarge) || errors.Is(err, bus.ErrInvalid)) {
		// The others are stored. One that cannot travel goes without what
		// was read, or the mapper would wait for it for ever.
		d.lanes.config.Logger.ErrorContext(ctx, "an outcome is too large and is reported without what was read", "tenant", d.tenant, "error", err)
		message.ID += "-bare"
		for k := range events {
			bare := *events[k].Outcome
			bare.Holds, bare.Candidates = nil, nil
			events[k].Outcome = &bare
		}
		err = publisher.Publish(ctx, message)
	}
	if err != nil {
		return fmt.Errorf("publish %d outcomes: %w", len(events), err)
	}
	return nil
}

// finish removes rows that are done, and keeps what came meanwhile or was held
// back. misled rows stay, without the id that led nowhere.
func (d *delivery) finish(ctx context.Context) error {
	quick := append([]postgres.LaneRow(nil), d.stale...)
	sent := make(map[contact.Key]int, len(d.done)+len(d.misled))
	for _, i := range d.done {
		sent[d.rows[i].Contact] = i
		if d.whole[i] {
			quick = append(quick, d.rows[i])
		}
	}
	for _, i := range d.misled {
		sent[d.rows[i].Contact] = i
	}
	if len(quick)+len(sent) == 0 {
		return nil
	}
	once := func() error {
		ctx, cancel := storing(ctx)
		defer cancel()
		finished, err := d.lanes.config.DB.FinishLaneRows(ctx, d.tenant, d.lanes.config.System, quick)
		if err != nil {
			return err
		}
		for key := range finished {
			delete(sent, key)
		}
		quick = nil
		return d.keepRest(ctx, sent)
	}
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(20*time.Second))
	return backoff.RetryNotify(once, backoff.WithContext(pause, ctx), func(err error, wait time.Duration) {
		d.lanes.config.Logger.WarnContext(ctx, "done rows wait for the database", "tenant", d.tenant, "rows", len(d.done), "again_in", wait, "error", err)
	})
}

// keepRest takes what was sent out of rows that hold more.
func (d *delivery) keepRest(ctx context.Context, sent map[contact.Key]int) error {
	if len(sent) == 0 {
		return nil
	}
	config := d.lanes.config
	var tenants []contact.Tenant
	var contacts []contact.Key
	for key := range sent {
		tenants, contacts = append(tenants, d.tenant), append(contacts, key)
	}
	return config.DB.InTx(ctx, func(tx *postgres.Tx) error {
		stored, err := tx.LockLaneRows(ctx, config.System, tenants, contacts)
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
			i := sent[r.Contact]
			left, finished := row.Remainder(patch, d.patches[i], d.answers[i].Outcome)
			if finished {
				done = append(done, r.Contact)
				continue
			}
			r.Attempts, r.Error = 0, ""
			if r, err = withPatch(r, left); err != nil {
				return err
			}
			keep = append(keep, r)
		}
		if err := tx.DeleteLaneRows(ctx, d.tenant, config.System, done); err != nil {
			return err
		}
		return tx.SaveLaneRows(ctx, config.System, keep)
	})
}

// react puts failed rows off and rests the lane where a fault asks for it.
func (d *delivery) react(ctx context.Context, someDone bool) {
	later := d.early
	if ctx.Err() == nil { // else the calls were cut by us, and the rows are not to blame
		var stop *fault.Fault
		broken := false
		for _, f := range d.failed {
			switch {
			case f.why.Class == fault.Throttled && f.why.Scope == "search":
				// Only what must be sought waits, and has not failed.
				f.row.NextAt = time.Now().Add(max(f.why.Wait, time.Second) + mathrand.N(time.Second))
				f.row.Error = reason(f.why)
				later = append(later, f.row)
			case f.why.Class == fault.Throttled, f.why.Class == fault.Unauthorized:
				// The rows are due as before, once the lane goes on.
				stop = graver(stop, f.why)
			default:
				f.row.Attempts++
				f.row.Error = reason(f.why)
				f.row.NextAt = time.Now().Add(max(putOff(f.row.Attempts, time.Since(f.row.FirstAt)), f.why.Wait))
				later = append(later, f.row)
				broken = true
				if !someDone {
					stop = graver(stop, f.why)
				}
			}
		}
		d.rest(ctx, stop, broken && !someDone)
	}
	storing, cancel := storing(ctx)
	defer cancel()
	if err := d.lanes.config.DB.PutOffLaneRows(storing, d.tenant, d.lanes.config.System, later); err != nil {
		d.lanes.config.Logger.WarnContext(ctx, "failed rows could not be put off; they are tried again soon", "tenant", d.tenant, "error", err)
		d.pause(ctx, fault.As(err), time.Second, "")
	}
}

// graver is the fault that stops more of the lane; a may be nil.
func graver(a, b *fault.Fault) *fault.Fault {
	rank := map[fault.Class]int{fault.Unauthorized: 2, fault.Throttled: 1}
	if a == nil || rank[b.Class] > rank[a.Class] || rank[b.Class] == rank[a.Class] && b.Wait > a.Wait {
		return b
	}
	return a
}

// rest pauses the lane where a fault asks for it.
func (d *delivery) rest(ctx context.Context, why *fault.Fault, broken bool) {
	wait := time.Duration(0)
	if broken {
		wait = d.fails()
	}
	switch {
	case why == nil:
		return
	case why.Class == fault.Unauthorized:
		wait = d.refusedFor()
	case why.Class == fault.Throttled:
		wait = max(why.Wait, time.Second)
	}
	if wait > 0 {
		d.pause(ctx, why, wait, d.credential)
	}
}

// reason is what is stored of a fault: no text of the system, which may hold
// contact data.
func reason(f *fault.Fault) string { return f.Class.String() + " " + f.Reason }

// putOff is the pause of a row after a number of attempts: a quarter second at
// first, doubled each time, ten minutes at most, an hour once the row is older
// than three days, and spread by a quarter. It is never given up.
func putOff(attempts int, age time.Duration) time.Duration {
	const first = 250 * time.Millisecond
	most := 10 * time.Minute
	if age > 72*time.Hour {
		most = time.Hour
	}
	wait := most
	if attempts < 16 {
		wait = min(most, first<<max(0, attempts-1))
	}
	return wait - wait/8 + mathrand.N(wait/4+1)
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
	case contact.Archived:
		return "archived"
	case contact.Dropped:
		return "dropped"
	}
	return "unknown"
}
