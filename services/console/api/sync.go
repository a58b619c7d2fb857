package api

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/job"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
)

// syncService is SyncService.
type syncService struct{ Config }

// StartSync starts a job.
func (s *syncService) StartSync(ctx context.Context, r *consolev1.StartSyncRequest) (*consolev1.StartSyncResponse, error) {
	j := job.Job{Tenant: contact.Tenant(r.GetTenant()), Kind: job.Kind(r.GetKind()), RequestedBy: access.From(ctx).Name}
	for _, side := range r.GetSides() {
		j.Sides = append(j.Sides, contact.System(side))
	}
	started, err := s.Syncs.Order(ctx, job.Order{Action: job.Start, Job: j})
	if err != nil {
		return nil, err
	}
	return &consolev1.StartSyncResponse{Sync: syncMessage(&started)}, nil
}

// ListSyncs lists jobs, newest first.
func (s *syncService) ListSyncs(ctx context.Context, r *consolev1.ListSyncsRequest) (*consolev1.ListSyncsResponse, error) {
	jobs, err := s.Syncs.List(ctx, contact.Tenant(r.GetTenant()), int(r.GetLimit()))
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListSyncsResponse{}
	for i := range jobs {
		answer.Syncs = append(answer.Syncs, syncMessage(&jobs[i]))
	}
	return answer, nil
}

// WatchSync tells how far a job is.
func (s *syncService) WatchSync(ctx context.Context, r *consolev1.WatchSyncRequest, stream *connect.ServerStream[consolev1.WatchSyncResponse]) error {
	return s.Syncs.Watch(ctx, contact.Tenant(r.GetTenant()), r.GetId(), func(j job.Job) error {
		return stream.Send(&consolev1.WatchSyncResponse{Sync: syncMessage(&j)})
	})
}

// TurnSync pauses, resumes or cancels a job.
func (s *syncService) TurnSync(ctx context.Context, r *consolev1.TurnSyncRequest) (*consolev1.TurnSyncResponse, error) {
	action := job.Action(r.GetAction())
	if action != job.Pause && action != job.Resume && action != job.Cancel {
		return nil, invalid("action", "want pause, resume or cancel")
	}
	turned, err := s.Syncs.Order(ctx, job.Order{Action: action, Job: job.Job{Tenant: contact.Tenant(r.GetTenant()), ID: r.GetId()}})
	if err != nil {
		return nil, err
	}
	return &consolev1.TurnSyncResponse{Sync: syncMessage(&turned)}, nil
}

// SyncContact pulls one contact from HubSpot now.
func (s *syncService) SyncContact(ctx context.Context, r *consolev1.SyncContactRequest) (*consolev1.SyncContactResponse, error) {
	system := contact.System(r.GetSystem())
	if system != contact.HubSpot && system != contact.Aloware {
		return nil, invalid("system", "choose SYSTEM_HUBSPOT or SYSTEM_ALOWARE")
	}
	rows, err := s.Syncs.Contact(ctx, contact.Tenant(r.GetTenant()), system, r.GetContactId(), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.SyncContactResponse{}
	for _, h := range rows {
		result := "written"
		if h.Rule == "refused" {
			result = "refused"
		}
		answer.Differences = append(answer.Differences, &consolev1.ContactDifference{
			Key: h.Field, System: consolev1.System(h.System), Value: h.Value, Result: result, Reason: h.Reason,
		})
	}
	return answer, nil
}

func syncMessage(j *job.Job) *consolev1.Sync {
	rate, left := j.Rate(time.Now())
	ms := func(at time.Time) int64 {
		if at.IsZero() {
			return 0
		}
		return at.UnixMilli()
	}
	out := &consolev1.Sync{
		Id: j.ID, Tenant: string(j.Tenant), Kind: string(j.Kind), State: string(j.State), Looked: j.Looked, Total: j.Total, Repaired: j.Repaired,
		Rate: rate, SecondsLeft: left.Seconds(), RequestedBy: j.RequestedBy,
		CreatedMs: ms(j.CreatedAt), StartedMs: ms(j.StartedAt), EndedMs: ms(j.EndedAt), Error: j.Error,
	}
	for _, system := range j.Sides {
		out.Sides = append(out.Sides, consolev1.System(system))
	}
	return out
}
