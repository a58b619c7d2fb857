package api

import (
	"context"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/syncs"
)

// syncService is SyncService.
type syncService struct{ Config }

// StartSync asks for a job.
func (s *syncService) StartSync(ctx context.Context, r *consolev1.StartSyncRequest) (*consolev1.StartSyncResponse, error) {
	var sides []contact.System
	for _, name := range r.GetSides() {
		side, err := contact.ParseSystem(name)
		if err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		}
		sides = append(sides, side)
	}
	job, err := s.Syncs.Start(ctx, contact.Tenant(r.GetTenant()), postgres.SyncKind(r.GetKind()), sides, r.GetFull(), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return &consolev1.StartSyncResponse{Sync: syncMessage(&job)}, nil
}

// limited is how many rows are given: as many as asked for, within a bound.
func limited(asked int32, usual, most int) int {
	if asked <= 0 {
		return usual
	}
	return min(int(asked), most)
}

// ListSyncs gives the newest jobs.
func (s *syncService) ListSyncs(ctx context.Context, r *consolev1.ListSyncsRequest) (*consolev1.ListSyncsResponse, error) {
	jobs, err := s.Syncs.List(ctx, contact.Tenant(r.GetTenant()), limited(r.GetLimit(), 20, 200))
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListSyncsResponse{}
	for i := range jobs {
		answer.Syncs = append(answer.Syncs, syncMessage(&jobs[i]))
	}
	return answer, nil
}

// GetSync gives one job.
func (s *syncService) GetSync(ctx context.Context, r *consolev1.GetSyncRequest) (*consolev1.GetSyncResponse, error) {
	job, err := s.Syncs.Get(ctx, contact.Tenant(r.GetTenant()), r.GetId())
	if err != nil {
		return nil, err
	}
	return &consolev1.GetSyncResponse{Sync: syncMessage(&job)}, nil
}

// PauseSync holds a job.
func (s *syncService) PauseSync(ctx context.Context, r *consolev1.PauseSyncRequest) (*consolev1.PauseSyncResponse, error) {
	return &consolev1.PauseSyncResponse{}, s.Syncs.Wish(ctx, contact.Tenant(r.GetTenant()), r.GetId(), postgres.WishPause)
}

// ResumeSync lets a held job go on.
func (s *syncService) ResumeSync(ctx context.Context, r *consolev1.ResumeSyncRequest) (*consolev1.ResumeSyncResponse, error) {
	return &consolev1.ResumeSyncResponse{}, s.Syncs.Wish(ctx, contact.Tenant(r.GetTenant()), r.GetId(), postgres.WishRun)
}

// CancelSync ends a job.
func (s *syncService) CancelSync(ctx context.Context, r *consolev1.CancelSyncRequest) (*consolev1.CancelSyncResponse, error) {
	return &consolev1.CancelSyncResponse{}, s.Syncs.Wish(ctx, contact.Tenant(r.GetTenant()), r.GetId(), postgres.WishCancel)
}

// WatchSync gives a job again whenever it changed, until it has ended, the
// caller goes, or a server would cut so long an answer: then one calls again.
func (s *syncService) WatchSync(ctx context.Context, r *consolev1.WatchSyncRequest, out *connect.ServerStream[consolev1.WatchSyncResponse]) error {
	const look, longest = 500 * time.Millisecond, 45 * time.Second
	until := time.Now().Add(longest)
	var last *consolev1.Sync
	for {
		job, err := s.Syncs.Get(ctx, contact.Tenant(r.GetTenant()), r.GetId())
		if err != nil {
			return err
		}
		if now := syncMessage(&job); !proto.Equal(now, last) {
			if err := out.Send(&consolev1.WatchSyncResponse{Sync: now}); err != nil {
				return err
			}
			last = now
		}
		if job.State.Final() || time.Now().After(until) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

// ListRepairs gives single decisions that a job led to.
func (s *syncService) ListRepairs(ctx context.Context, r *consolev1.ListRepairsRequest) (*consolev1.ListRepairsResponse, error) {
	rows, err := s.Syncs.Repairs(ctx, contact.Tenant(r.GetTenant()), r.GetId(), limited(r.GetLimit(), 100, 1000))
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListRepairsResponse{}
	for _, h := range rows {
		answer.Repairs = append(answer.Repairs, &consolev1.Repair{
			Contact: string(h.Contact), Field: h.Field, System: h.System.String(), Rule: h.Rule, Reason: h.Reason, AtMs: h.At.UnixMilli(),
		})
	}
	return answer, nil
}

// GetSchedule tells how often a tenant is reconciled by itself.
func (s *syncService) GetSchedule(ctx context.Context, r *consolev1.GetScheduleRequest) (*consolev1.GetScheduleResponse, error) {
	every, set, err := s.Syncs.Scheduled(ctx, contact.Tenant(r.GetTenant()))
	if err != nil {
		return nil, err
	}
	return &consolev1.GetScheduleResponse{EverySeconds: int32(every.Seconds()), Set: set}, nil
}

// SetSchedule says how often a tenant is reconciled by itself.
func (s *syncService) SetSchedule(ctx context.Context, r *consolev1.SetScheduleRequest) (*consolev1.SetScheduleResponse, error) {
	return &consolev1.SetScheduleResponse{}, s.Syncs.Schedule(ctx, contact.Tenant(r.GetTenant()), time.Duration(r.GetEverySeconds())*time.Second)
}

// SyncContact syncs one contact.
func (s *syncService) SyncContact(ctx context.Context, r *consolev1.SyncContactRequest) (*consolev1.SyncContactResponse, error) {
	var system contact.System
	if name := r.GetSystem(); name != "" {
		var err error
		if system, err = contact.ParseSystem(name); err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		}
	}
	changes, settled, err := s.Syncs.Contact(ctx, contact.Tenant(r.GetTenant()), contact.Key(r.GetContact()), system, r.GetId(), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.SyncContactResponse{Settled: settled}
	for _, c := range changes {
		answer.Changes = append(answer.Changes, &consolev1.SyncedField{
			Field: c.Field, System: c.System.String(), Value: c.Value, Outcome: c.Outcome, Reason: c.Reason,
		})
	}
	return answer, nil
}

func syncMessage(j *syncs.Job) *consolev1.Sync {
	out := &consolev1.Sync{
		Id: j.ID, Tenant: string(j.Tenant), Kind: string(j.Kind), Full: j.Options.Full, State: string(j.State),
		AskedBy: j.AskedBy, AskedAtMs: millis(j.AskedAt), StartedAtMs: millis(j.StartedAt), FinishedAtMs: millis(j.FinishedAt), Error: j.Error,
		Done: j.Done(), Total: j.Total(), HubspotRead: j.Counts.HubSpotRead, AlowareRead: j.Counts.AlowareRead, Rate: j.Rate(), SecondsLeft: -1,
		Written: j.Written(), ToWrite: j.ToWrite(), Waiting: j.Counts.Waiting, WriteRate: j.Counts.WriteRate, Writing: j.Writing(),
	}
	if left := j.Left(); left >= 0 {
		out.SecondsLeft = int64(left.Seconds())
	}
	if j.Options.HubSpot {
		out.Sides = append(out.Sides, contact.HubSpot.String())
	}
	if j.Options.Aloware {
		out.Sides = append(out.Sides, contact.Aloware.String())
	}
	for _, cause := range slices.Sorted(maps.Keys(j.Effects)) {
		out.Effects = append(out.Effects, &consolev1.SyncEffect{Cause: cause, Count: j.Effects[cause]})
	}
	return out
}
