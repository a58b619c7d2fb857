// Package syncs is what people do with jobs that walk all contacts of a
// tenant, and with the sync of one contact: start, follow, hold, end.
//
// It promises that a job is asked for once, and that what cannot be done with
// the tenant's connections is refused before anything begins. It runs no job
// itself: ingest does.
package syncs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/tenant"
)

// Config is what the room stands on.
type Config struct {
	DB     *postgres.DB
	Bus    *bus.Bus
	Roster *roster.Roster
	Logger *slog.Logger
}

// Syncs is the room.
type Syncs struct{ config Config }

// New makes the room.
func New(config Config) *Syncs { return &Syncs{config} }

// Refused is a request that a rule refused.
type Refused struct{ Rule, Subject, Message string }

// Error says what is wrong and what to do.
func (r *Refused) Error() string { return r.Message }

// Refusal gives the rule, what it is about, and the message.
func (r *Refused) Refusal() (rule, subject, message string) { return r.Rule, r.Subject, r.Message }

func refuse(rule, subject, format string, args ...any) error {
	return &Refused{rule, subject, fmt.Sprintf(format, args...)}
}

// Job is a job with what came of it.
type Job struct {
	postgres.Sync
	Effects map[string]int64 // by cause
}

// Done and Total are the contacts that were dealt with and that there are; a
// Total of -1 is not known.
func (j *Job) Done() int64 { return j.Counts.HubSpotRead + j.Counts.AlowareRead + j.Counts.Asked }

// Total is the number of contacts that the job deals with; -1 unknown.
func (j *Job) Total() int64 {
	switch {
	case j.Kind == postgres.Apply && j.Cursor.Planned:
		return j.Counts.ContactTotal
	case !j.Cursor.Planned || j.Counts.HubSpotTotal < 0 && j.Options.HubSpot || j.Counts.AlowareTotal < 0 && j.Options.Aloware:
		return -1
	}
	return max(j.Counts.HubSpotTotal, 0) + max(j.Counts.AlowareTotal, 0)
}

// Written is how many contacts are dealt with to the end: what follows from them
// is judged and written.
func (j *Job) Written() int64 { return j.Counts.Written() }

// ToWrite is how many contacts are to be dealt with; -1 while that is not known.
func (j *Job) ToWrite() int64 {
	total := j.Total()
	switch {
	case j.Cursor.Walked || j.State.Final():
		return j.Counts.Published
	case total < 0:
		return -1
	case j.Cursor.Keys && !j.Options.HubSpot:
		total -= j.Counts.HubSpotTotal // listed, for the writers to find them
	}
	return max(total, j.Counts.Published)
}

// Writing reports whether all is read, and only what follows is being written.
func (j *Job) Writing() bool { return j.Cursor.Walked && !j.State.Final() }

// Rate is contacts read a second, pauses left out; 0 before the first.
func (j *Job) Rate() float64 {
	if j.Counts.ActiveMs == 0 {
		return 0
	}
	return float64(j.Done()) / (float64(j.Counts.ActiveMs) / 1000)
}

// Left is the time that the rest takes at the present rates, of reading and of
// writing; negative unknown.
func (j *Job) Left() time.Duration {
	if j.State.Final() {
		return 0
	}
	reading := time.Duration(0)
	if !j.Cursor.Walked {
		reading = left(j.Total(), j.Done(), j.Rate())
	}
	writing := left(j.ToWrite(), j.Written(), j.Counts.WriteRate)
	if reading < 0 || writing < 0 {
		return -1
	}
	return max(reading, writing)
}

func left(all, done int64, rate float64) time.Duration {
	switch {
	case all >= 0 && done >= all:
		return 0
	case all < 0 || rate < 1e-3:
		return -1
	}
	return time.Duration(float64(all-done) / rate * float64(time.Second))
}

// Title is what people call a job of a purpose.
func Title(purpose postgres.SyncPurpose) string {
	switch purpose {
	case postgres.SyncPurpose(postgres.FirstSync):
		return "First sync"
	case postgres.SyncPurpose(postgres.Reconcile):
		return "Reconciliation"
	case postgres.AnswerHold:
		return "Answer about a burst"
	case postgres.TakeLists:
		return "New users and options"
	}
	return "Apply the mapping"
}

// Title is what people call the job.
func (j *Job) Title() string { return Title(j.Purpose()) }

func (s *Syncs) tenant(id contact.Tenant) (*tenant.Tenant, error) {
	t, known := s.config.Roster.Tenant(id)
	if !known {
		return nil, refuse("not_found", string(id), "there is no tenant %q", id)
	}
	return t, nil
}

// Start asks for a job. sides are those to walk; none means all that can be.
func (s *Syncs) Start(ctx context.Context, id contact.Tenant, kind postgres.SyncKind, sides []contact.System, full bool, author string) (Job, error) {
	t, err := s.tenant(id)
	if err != nil {
		return Job{}, err
	}
	switch {
	case kind != postgres.FirstSync && kind != postgres.Reconcile && kind != postgres.Apply:
		return Job{}, refuse("invalid", "kind", "kind %q: want first_sync, reconcile or apply", kind)
	case !t.Active:
		return Job{}, refuse("inactive", string(id), "the tenant is not active: activate it first")
	case t.HubSpot.State == tenant.Disconnected || t.Aloware.State == tenant.Disconnected || t.Mapping.Version == 0:
		return Job{}, refuse("disconnected", string(id), "connect both HubSpot and Aloware first")
	}
	lists := aloware.Profile(t.Aloware.Profile).Capabilities().Function(aloware.ListChanged)
	o := postgres.SyncOptions{Full: full && kind == postgres.Reconcile}
	for _, side := range sides {
		o.HubSpot, o.Aloware = o.HubSpot || side == contact.HubSpot, o.Aloware || side == contact.Aloware
	}
	switch {
	case kind == postgres.Apply:
		o = postgres.SyncOptions{}
	case len(sides) == 0:
		// A reconciliation can look linked contacts up one by one.
		o.HubSpot, o.Aloware = true, lists.Possible || kind == postgres.Reconcile
	case o.Aloware && !lists.Possible && (kind == postgres.FirstSync || !o.HubSpot):
		return Job{}, refuse("not_capable", "aloware", "Aloware's contacts cannot be listed under the profile %q: %s Sync from HubSpot's side.", t.Aloware.Profile, lists.Note)
	}
	job := postgres.Sync{ID: strings.ToLower(rand.Text()[:16]), Tenant: id, Kind: kind, Options: o, AskedBy: author}
	switch err := s.config.DB.RequestSync(ctx, job); {
	case errors.Is(err, postgres.ErrSyncBusy):
		return Job{}, refuse("busy", string(id), "another job of this tenant is under way: wait for it or cancel it")
	case err != nil:
		return Job{}, err
	}
	return s.Get(ctx, id, job.ID)
}

// Get gives one job.
func (s *Syncs) Get(ctx context.Context, id contact.Tenant, job string) (Job, error) {
	found, err := s.config.DB.FindSync(ctx, id, job)
	if err != nil {
		return Job{}, said(err, job)
	}
	effects, err := s.config.DB.SyncEffects(ctx, id, job)
	return Job{found, effects[job]}, err
}

// List gives the newest jobs.
func (s *Syncs) List(ctx context.Context, id contact.Tenant, limit int) ([]Job, error) {
	found, err := s.config.DB.Syncs(ctx, id, limit)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	effects, err := s.config.DB.SyncEffects(ctx, id, ids...)
	if err != nil {
		return nil, err
	}
	jobs := make([]Job, len(found))
	for i := range found {
		jobs[i] = Job{found[i], effects[found[i].ID]}
	}
	return jobs, nil
}

// Wish lets a job pause, go on (also one that failed), or end.
func (s *Syncs) Wish(ctx context.Context, id contact.Tenant, job string, wish postgres.SyncWish) error {
	if wish == postgres.WishCancel && strings.HasPrefix(job, postgres.JobOfHold(id, "")) {
		return refuse("invalid", job, "this job carries out an answer about a held burst, which is not left half done: pause it instead")
	}
	return said(s.config.DB.WishSync(ctx, id, job, wish), job)
}

func said(err error, job string) error {
	switch {
	case errors.Is(err, postgres.ErrSyncAbsent):
		return refuse("not_found", job, "there is no job %q of this tenant", job)
	case errors.Is(err, postgres.ErrSyncFinal):
		return refuse("ended", job, "the job has ended: start a new one")
	case errors.Is(err, postgres.ErrSyncBusy):
		return refuse("busy", job, "another job of this tenant is under way: wait for it or cancel it")
	}
	return err
}

// Repairs gives single decisions that a job led to.
func (s *Syncs) Repairs(ctx context.Context, id contact.Tenant, job string, limit int) ([]postgres.HistoryRow, error) {
	found, err := s.config.DB.FindSync(ctx, id, job)
	if err != nil {
		return nil, said(err, job)
	}
	if found.StartedAt.IsZero() {
		return nil, nil
	}
	return s.config.DB.SyncHistory(ctx, &found, []string{"intent", "write", "joined", "sought", "refused", "conflict", "deleted", "gone", "merged", "restored"}, limit)
}

// Scheduled tells how often a tenant is reconciled, 0 for never, and whether
// somebody set it.
func (s *Syncs) Scheduled(ctx context.Context, id contact.Tenant) (every time.Duration, set bool, err error) {
	if _, err := s.tenant(id); err != nil {
		return 0, false, err
	}
	return s.config.DB.SyncSchedule(ctx, id)
}

// Schedule says how often a tenant is reconciled; 0 turns it off.
func (s *Syncs) Schedule(ctx context.Context, id contact.Tenant, every time.Duration) error {
	if _, err := s.tenant(id); err != nil {
		return err
	}
	if every != 0 && (every < 15*time.Minute || every > 31*24*time.Hour) {
		return refuse("invalid", "every_seconds", "want 0 for never, or between 15 minutes and 31 days")
	}
	return s.config.DB.SaveSyncSchedule(ctx, id, every)
}
