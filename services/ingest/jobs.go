package ingest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/background"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
)

// Jobs walk all contacts of a tenant. A job is claimed by one process with a
// lease that each step renews; its cursor moves when what was read is durable,
// so that another process goes on where it was.
//
// A job ends as failed only where it cannot be done as the tenant is connected,
// and may be let go on then. Whatever else is in its way, it waits for.
const (
	jobHold = time.Minute      // the lease of a step
	jobStep = 45 * time.Second // the longest step
	jobWait = time.Minute      // the longest pause between two attempts, unless a system asks for more
)

// errNotNow refuses a job that cannot be done as the tenant is connected.
type errNotNow struct{ message string }

func (e errNotNow) Error() string { return e.message }

// jobs runs the jobs of all tenants until ctx ends.
func (in *Ingest) jobs(ctx context.Context) error {
	const tick, planEvery = 500 * time.Millisecond, time.Minute
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, in.config.Jobs)
	var planned time.Time
	for {
		if now := in.config.Now(); now.Sub(planned) >= planEvery {
			planned = now
			in.schedule(ctx, now)
		}
		if err := in.claimJobs(ctx, slots, &running); err != nil && ctx.Err() == nil {
			in.config.Logger.WarnContext(ctx, "jobs could not be claimed; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tick):
		}
	}
}

// claimJobs starts due jobs, as many as there are free slots.
func (in *Ingest) claimJobs(ctx context.Context, slots chan struct{}, running *sync.WaitGroup) error {
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := in.config.DB.AdoptSyncs(asking); err != nil {
		return err
	}
	free := cap(slots) - len(slots)
	if free == 0 {
		return nil
	}
	claimed, err := in.config.DB.ClaimSyncs(asking, in.config.Owner, jobHold, free)
	if err != nil {
		return err
	}
	for i := range claimed {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			background.Enter()
			in.runJob(ctx, &claimed[i])
		})
	}
	return nil
}

// runJob works on a claimed job until it ends, waits, or ctx ends.
func (in *Ingest) runJob(ctx context.Context, job *postgres.Sync) {
	log := in.config.Logger.With("tenant", job.Tenant, "job", job.ID, "kind", job.Kind)
	turn := in.config.Now()
	var counted counter
	var followed time.Time // when it was last seen not to be too far ahead
	for {
		began := in.config.Now()
		step, cancel := context.WithTimeout(quota.Bulk(ctx), jobStep)
		awaited := job.Cursor.Awaits
		done := false
		ahead, err := in.ahead(step, job, &followed)
		if err == nil && !ahead {
			done, err = in.step(step, job)
		}
		if err == nil {
			err = in.count(step, job, &counted)
		}
		cancel()
		if !job.Cursor.Walked {
			job.Counts.ActiveMs += in.config.Now().Sub(began).Milliseconds()
		}
		hold, wait := jobHold, time.Duration(0)
		switch {
		case ctx.Err() != nil:
			hold = 0 // given back: another process goes on at once
		case err != nil:
			job.Failures++
			job.Error = err.Error()
			hold, wait = 0, max(min(time.Duration(job.Failures)*2*time.Second, jobWait), fault.As(err).Wait)
			if hopeless(err) {
				job.State = postgres.SyncFailed
			}
			log.WarnContext(ctx, "a step of a job did not work", "state", job.State, "again_in", wait, "error", err)
		default:
			job.Failures, job.Error = 0, ""
			switch {
			case done:
				job.State, hold = postgres.SyncDone, 0
				log.InfoContext(ctx, "a job is done", "hubspot", job.Counts.HubSpotRead, "aloware", job.Counts.AlowareRead, "asked", job.Counts.Asked)
			case (job.Cursor.Walked || awaited == postgres.AwaitsLive) && job.Cursor.Awaits == awaited && awaited != postgres.AwaitsNothing:
				// Its place is for those that read.
				hold, wait = 0, max(awaitEvery, 20*counted.took)
			}
		}
		saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		wish, others, err := in.config.DB.SaveSync(saving, in.config.Owner, job, hold, wait)
		if over := others && (ahead || in.config.Now().Sub(turn) >= in.config.JobTurn); err == nil && hold > 0 && (over || wish != postgres.WishRun) {
			// Given back, behind those that wait; what is wished takes effect on a
			// job that nobody runs.
			hold = 0
			_, _, err = in.config.DB.SaveSync(saving, in.config.Owner, job, 0, 0)
		}
		cancel()
		switch {
		case errors.Is(err, postgres.ErrSyncLost):
			return
		case err != nil:
			log.WarnContext(ctx, "a job's position was not saved; its step is repeated", "error", err)
			return
		case hold == 0:
			return
		case ahead:
			select {
			case <-ctx.Done(): // the next step gives it back
			case <-time.After(aheadEvery):
				job.Counts.ActiveMs += aheadEvery.Milliseconds() // it works at the writers' pace
			}
		}
	}
}

// aheadEvery is how often a job looks whether it is too far ahead of the writers, so
// that it follows them evenly.
const aheadEvery = 250 * time.Millisecond

// ahead reports whether a job is too far ahead of the writers. It looks if the job was
// last seen not to be so a while ago, and notes when it is not.
func (in *Ingest) ahead(ctx context.Context, job *postgres.Sync, followed *time.Time) (bool, error) {
	if job.Cursor.Walked || in.config.Now().Sub(*followed) < aheadEvery {
		return false, nil
	}
	for _, system := range leadsTo(job) {
		holds, err := in.config.DB.JobHolds(ctx, job.Tenant, job.ID, system, in.config.JobLead)
		if err != nil || holds {
			return holds, err
		}
	}
	*followed = in.config.Now()
	return false, nil
}

// leadsTo are the systems that what a job reads next is written to: a backlog of one
// that rests for long is not in the way of the other.
func leadsTo(job *postgres.Sync) []contact.System {
	switch {
	case job.Kind == postgres.Apply || job.Options.Hold != "":
		return contact.Systems[:]
	case job.Options.HubSpot && !job.Cursor.HubSpotDone:
		return []contact.System{contact.Aloware}
	}
	return []contact.System{contact.HubSpot}
}

// hopeless reports whether only somebody who changes the tenant's connections
// can help. Credentials are renewed, scopes granted, and outages end.
func hopeless(err error) bool {
	var refused errNotNow
	return errors.As(err, &refused) || errors.Is(err, aloware.ErrNotCapable)
}

// step does the next piece of a job: it moves the cursor only over what is
// durable. True means that all is done.
func (in *Ingest) step(ctx context.Context, job *postgres.Sync) (bool, error) {
	t, known := in.config.Roster.Tenant(job.Tenant)
	switch {
	case !known:
		return false, errNotNow{"the tenant does not exist any more"}
	case !t.Active:
		return false, fmt.Errorf("the tenant is not active; the job waits until it is")
	case !connected(t, contact.HubSpot) || !connected(t, contact.Aloware):
		return false, fmt.Errorf("both systems must be connected; the job waits until they are")
	case t.Mapping.Version == 0:
		return false, fmt.Errorf("the tenant has no mappings yet; the job waits for them")
	}
	if job.Cursor.Walked {
		return in.writtenStep(ctx, job)
	}
	var err error
	if job.Options.Hold != "" {
		job.Cursor.Walked, err = in.holdStep(ctx, t, job)
	} else if job.Kind == postgres.Apply {
		job.Cursor.Walked, err = in.applyStep(ctx, t, job)
	} else {
		w := walk{in: in, tenant: t, job: job}
		job.Cursor.Walked, err = w.step(ctx)
	}
	return false, err
}

// bulkBudget is the budget of jobs: the readers' part of the limits, and of
// that what no other reader waits for (the context of a job is quota.Bulk).
func (in *Ingest) bulkBudget(t *tenant.Tenant, system contact.System) quota.Budget {
	return in.budgets.of(t, system)
}

// applyStep asks for one page of known contacts to be judged again.
func (in *Ingest) applyStep(ctx context.Context, t *tenant.Tenant, job *postgres.Sync) (bool, error) {
	const page = 500
	if !job.Cursor.Planned {
		if err := in.planApply(ctx, t, job); err != nil {
			return false, err
		}
	}
	find := in.config.DB.ContactKeysAfter
	if job.Options.Waiting {
		find = in.config.DB.ContactsWaiting
	}
	keys, err := find(ctx, t.ID, contact.Key(job.Cursor.Contact), page)
	if err != nil || len(keys) == 0 {
		return err == nil, err
	}
	events := make([]contact.Incoming, len(keys))
	for i, key := range keys {
		events[i].Command = &contact.Command{
			EventID: jobEvent(job, string(key)), Contact: key, Kind: contact.Recheck, Fields: job.Options.Fields, Author: job.AskedBy,
			AskedAt: contact.Millis(in.config.Now().UnixMilli()),
		}
	}
	if err := in.publishJob(ctx, job, 0, "contact/"+job.Cursor.Contact, events); err != nil {
		return false, err
	}
	job.Cursor.Contact = string(keys[len(keys)-1])
	job.Counts.Asked += int64(len(keys))
	job.Counts.Published += int64(len(keys))
	return false, nil
}

// planApply learns how many contacts there are. Those that wait for a list are
// not counted, and not asked for before the mapper has the list.
func (in *Ingest) planApply(ctx context.Context, t *tenant.Tenant, job *postgres.Sync) error {
	job.Counts.ContactTotal = -1
	if job.Options.Waiting {
		lists, err := in.config.DB.Lists(ctx, t.ID)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(lists, func(d contact.Directory) bool { return d.ReadAt >= job.Options.ListsAt }) {
			return fmt.Errorf("the list that contacts wait for is not taken up yet; the job waits for it")
		}
	} else {
		total, err := in.config.DB.CountContacts(ctx, t.ID)
		if err != nil {
			return err
		}
		job.Counts.ContactTotal = int64(total)
	}
	job.Cursor.Planned = true
	return nil
}

// jobEvent is the id of an event of a job: the mapper counts by it what came
// of the job.
func jobEvent(job *postgres.Sync, id string) string { return contact.JobEvent(job.ID, id) }

// schedule adds the reconciliations that are due. Each tenant has its own
// times, so that not all begin at once.
func (in *Ingest) schedule(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	decided, err := in.config.DB.SyncSchedules(ctx)
	if err != nil {
		if ctx.Err() == nil {
			in.config.Logger.WarnContext(ctx, "reconciliations could not be scheduled; trying again", "error", err)
		}
		return
	}
	if err := in.config.DB.ForgetWalks(ctx, 24*time.Hour); err != nil {
		in.config.Logger.WarnContext(ctx, "what old walks have kept was not removed; trying again", "error", err)
	}
	for _, t := range in.config.Roster.All() {
		every, own := decided[t.ID]
		if !own {
			every = postgres.UsualSchedule
		}
		if every <= 0 || !t.Active || !connected(t, contact.HubSpot) || !connected(t, contact.Aloware) {
			continue
		}
		at := slot(t.ID, every, now)
		if err := in.config.DB.ScheduleSync(ctx, postgres.Sync{
			ID: fmt.Sprintf("daily-%s-%d", t.ID, at.Unix()), Tenant: t.ID, Kind: postgres.Reconcile,
			Options: postgres.SyncOptions{HubSpot: true, Aloware: true}, AskedBy: "schedule", AskedAt: at,
		}); err != nil {
			in.config.Logger.WarnContext(ctx, "a reconciliation was not scheduled; trying again", "tenant", t.ID, "error", err)
		}
	}
}

// slot is the newest time at which a tenant's reconciliation was due.
func slot(id contact.Tenant, every time.Duration, now time.Time) time.Time {
	hash := fnv.New64a()
	hash.Write([]byte(id))
	phase := time.Duration(hash.Sum64() % uint64(every))
	return now.Add(-phase).Truncate(every).Add(phase).UTC()
}
