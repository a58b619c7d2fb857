package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/job"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// jobHold is how long a claim on a job lasts without a sign of life.
const jobHold = time.Minute

// mostJobs bounds the jobs that one process runs at once.
const mostJobs = 4

// jobs takes orders and runs jobs until ctx ends. A job that is broken off goes
// on where it was, here or in another process.
func (in *Ingest) jobs(ctx context.Context) error {
	stop, err := in.config.Bus.Serve(job.Topic, mostJobs, func(ctx context.Context, question []byte, reply func([]byte) error) error {
		var order job.Order
		if err := json.Unmarshal(question, &order); err != nil {
			return errors.New("the order cannot be read")
		}
		done, err := in.order(ctx, order)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(done)
		if err != nil {
			return err
		}
		return reply(raw)
	})
	if err != nil {
		return err
	}
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	for range mostJobs {
		group.Go(func() error { return in.runJobs(ctx) })
	}
	return group.Wait()
}

// order does what somebody ordered.
func (in *Ingest) order(ctx context.Context, o job.Order) (job.Job, error) {
	switch o.Action {
	case job.Start:
		return in.startJob(ctx, o.Job)
	case job.Pause:
		return in.turn(ctx, o.Job, job.Paused, job.Queued, job.Running)
	case job.Resume:
		return in.turn(ctx, o.Job, job.Queued, job.Paused, job.Failed)
	case job.Cancel:
		return in.turn(ctx, o.Job, job.Cancelled, job.Queued, job.Running, job.Paused)
	}
	return job.Job{}, fmt.Errorf("action %q: want start, pause, resume or cancel", o.Action)
}

func (in *Ingest) turn(ctx context.Context, j job.Job, to job.State, from ...job.State) (job.Job, error) {
	turned, ok, err := in.config.DB.TurnJob(ctx, j.Tenant, j.ID, from, to)
	if err == nil && !ok {
		err = fmt.Errorf("job %d of %s is not there, or in no state that could become %s", j.ID, j.Tenant, to)
	}
	return turned, err
}

func (in *Ingest) startJob(ctx context.Context, j job.Job) (job.Job, error) {
	t, ok := in.config.Roster.Tenant(j.Tenant)
	switch {
	case !ok || t.Mapping.Version == 0:
		return j, fmt.Errorf("tenant %s is not connected yet", j.Tenant)
	case j.Kind == job.Apply:
		j.Sides = nil
	case j.Kind != job.FirstSync && j.Kind != job.Reconcile:
		return j, fmt.Errorf("kind %q: want first_sync, reconcile or apply", j.Kind)
	default:
		can := aloware.Profile(t.Aloware.Profile).Capabilities().Function(aloware.ListChanged)
		if len(j.Sides) == 0 {
			if j.Sides = contact.Systems[:1]; can.Possible {
				j.Sides = contact.Systems[:]
			}
		}
		if slices.Contains(j.Sides, contact.Aloware) && !can.Possible {
			return j, fmt.Errorf("this connection cannot list Aloware's contacts: %s Walk HubSpot's side", can.Note)
		}
	}
	added, err := in.config.DB.AddJob(ctx, j)
	if errors.Is(err, postgres.ErrUnfinished) {
		return j, fmt.Errorf("a job of the kind %s is not finished yet; wait for it, or cancel it", j.Kind)
	}
	return added, err
}

// runJobs runs one job after the other.
func (in *Ingest) runJobs(ctx context.Context) error {
	const tick = time.Second
	for {
		j, ok, err := in.config.DB.ClaimJob(ctx, in.config.Owner, jobHold)
		switch {
		case err != nil && ctx.Err() == nil:
			in.config.Logger.WarnContext(ctx, "jobs could not be looked for; trying again", "error", err)
		case ok:
			in.runJob(ctx, &j)
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tick):
		}
	}
}

// runJob does pages of a job until it is done, or somebody stops it.
func (in *Ingest) runJob(ctx context.Context, j *job.Job) {
	state, failure := job.Done, ""
	for {
		last, err := in.page(ctx, j)
		if err != nil {
			if ctx.Err() != nil {
				return // somebody goes on where it stands
			}
			state, failure = job.Running, err.Error()
			if fault.Is(err, fault.Permanent) {
				state = job.Failed
			}
			in.config.Logger.WarnContext(ctx, "a job is broken off", "tenant", j.Tenant, "kind", j.Kind, "job", j.ID, "goes_on", state == job.Running, "error", err)
			break
		}
		now, err := in.config.DB.SaveJob(ctx, in.config.Owner, j, jobHold)
		if err != nil {
			in.config.Logger.WarnContext(ctx, "a job's position was not saved; the page is repeated", "job", j.ID, "error", err)
			return
		}
		if now != job.Running {
			return // paused, cancelled, or another process has it
		}
		if last {
			break
		}
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := in.config.DB.EndJob(ending, in.config.Owner, j, state, failure); err != nil {
		in.config.Logger.WarnContext(ctx, "the end of a job was not saved; its last page is repeated", "job", j.ID, "error", err)
	}
}

// page does the next page of a job and moves its position. What a page
// publishes has the page's own message id, so that a repeated one is known.
func (in *Ingest) page(ctx context.Context, j *job.Job) (last bool, err error) {
	const pageTime = 50 * time.Second
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	t, ok := in.config.Roster.Tenant(j.Tenant)
	if !ok {
		return false, fault.Wrap(fault.Permanent, fmt.Errorf("tenant %s is not configured any more", j.Tenant))
	}
	if j.Kind == job.Apply {
		return in.applyPage(ctx, j)
	}
	if j.Side >= len(j.Sides) {
		return true, nil
	}
	system := j.Sides[j.Side]
	if !connected(t, system) {
		return false, fault.Wrap(fault.Transient, fmt.Errorf("%s is not connected", system))
	}
	if j.Total == 0 {
		if j.Total, err = in.total(ctx, t, j.Sides); err != nil {
			return false, err
		}
	}
	found, next, err := in.walk(ctx, t, system, j.Cursor)
	if err != nil {
		return false, err
	}
	for i := range found {
		found[i].Channel = contact.Walk
	}
	id := fmt.Sprintf("job/%s/%d/%s/%s", j.Tenant, j.ID, system, j.Cursor)
	if err := in.publish(ctx, bus.ChangesBulk, j.Tenant, id, changes(found)); err != nil {
		return false, err
	}
	in.config.Observer.Received(ctx, system, "walk", len(found))
	j.Looked += int64(len(found))
	if j.Cursor = next; next == "" {
		j.Side++
	}
	j.Total = max(j.Total, j.Looked)
	return j.Side >= len(j.Sides), nil
}

// walk reads a page of all contacts of a system, under the reading budget.
func (in *Ingest) walk(ctx context.Context, t *tenant.Tenant, system contact.System, cursor string) (found []contact.Change, next string, err error) {
	budget := in.budgets.of(t, system)
	if system == contact.HubSpot {
		properties := append(t.Mapping.Properties(contact.HubSpot), "mobilephone")
		return connection.HubSpot(t, budget, in.config.HTTP).WalkContacts(ctx, cursor, properties)
	}
	client, err := connection.Aloware(t, budget, in.config.HTTP)
	if err != nil {
		return nil, "", err
	}
	page := 1
	if cursor != "" {
		if page, err = strconv.Atoi(cursor); err != nil {
			return nil, "", fault.Wrap(fault.Permanent, fmt.Errorf("position %q: %w", cursor, err))
		}
	}
	found, following, _, err := client.ChangedSince(ctx, time.Time{}, page)
	if err == nil && following != 0 {
		next = strconv.Itoa(following)
	}
	return found, next, err
}

// total counts the contacts that will be walked, as the systems tell.
func (in *Ingest) total(ctx context.Context, t *tenant.Tenant, sides []contact.System) (total int64, err error) {
	for _, system := range sides {
		var n int64
		if system == contact.HubSpot {
			n, err = connection.HubSpot(t, in.budgets.of(t, system), in.config.HTTP).CountContacts(ctx)
		} else {
			var client *aloware.Client
			if client, err = connection.Aloware(t, in.budgets.of(t, system), in.config.HTTP); err == nil {
				n, err = client.CountContacts(ctx)
			}
		}
		if err != nil {
			return 0, fmt.Errorf("count the contacts of %s: %w", system, err)
		}
		total += n
	}
	return total, nil
}

// applyPage has the mapper judge a page of known contacts again.
func (in *Ingest) applyPage(ctx context.Context, j *job.Job) (last bool, err error) {
	const size = 500
	if j.Total == 0 {
		if j.Total, err = in.config.DB.CountContacts(ctx, j.Tenant); err != nil {
			return false, err
		}
	}
	keys, err := in.config.DB.ContactKeyPage(ctx, j.Tenant, contact.Key(j.Cursor), size)
	if err != nil {
		return false, err
	}
	events := make([]contact.Incoming, len(keys))
	for i, key := range keys {
		events[i].Command = &contact.Command{
			EventID: fmt.Sprintf("job/%d/%s", j.ID, key), Contact: key, Kind: contact.Recheck, Fields: j.Fields, Author: j.RequestedBy,
			AskedAt: contact.Millis(in.config.Now().UnixMilli()),
		}
	}
	if err := in.publish(ctx, bus.ChangesBulk, j.Tenant, fmt.Sprintf("job/%s/%d/%s", j.Tenant, j.ID, j.Cursor), events); err != nil {
		return false, err
	}
	if len(keys) > 0 {
		j.Cursor = string(keys[len(keys)-1])
	}
	j.Looked += int64(len(keys))
	j.Total = max(j.Total, j.Looked)
	return len(keys) < size, nil
}
