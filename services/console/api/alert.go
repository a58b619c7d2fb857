package api

import (
	"context"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/alerts"
)

// alertService is AlertService.
type alertService struct{ room *alerts.Alerts }

func targetMessage(t *alerts.Target) *consolev1.AlertTarget {
	return &consolev1.AlertTarget{
		Id: t.ID, Kind: t.Kind, Name: t.Name, Shown: t.Shown, Addresses: t.Addresses, Kinds: t.Kinds, Words: t.Words, CreatedBy: t.CreatedBy,
		CreatedMs: millis(t.CreatedAt), LastState: t.LastState, LastAnswer: t.LastAnswer, LastMs: millis(t.LastAt),
	}
}

// ListAlertTargets gives a tenant's targets.
func (s *alertService) ListAlertTargets(ctx context.Context, r *consolev1.ListAlertTargetsRequest) (*consolev1.ListAlertTargetsResponse, error) {
	targets, err := s.room.Targets(ctx, contact.Tenant(r.GetTenant()))
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListAlertTargetsResponse{Mail: s.room.SendsMail()}
	for i := range targets {
		answer.Targets = append(answer.Targets, targetMessage(&targets[i]))
	}
	return answer, nil
}

// SaveAlertTarget adds a target, or changes one.
func (s *alertService) SaveAlertTarget(ctx context.Context, r *consolev1.SaveAlertTargetRequest) (*consolev1.SaveAlertTargetResponse, error) {
	t, secret, err := s.room.Save(ctx, contact.Tenant(r.GetTenant()), alerts.TargetChange{
		ID: r.GetId(), Kind: r.GetKind(), Name: r.GetName(), URL: tenant.Secret(r.GetUrl()), Addresses: r.GetAddresses(), Kinds: r.GetKinds(),
		Words: r.GetWords(), NewSecret: r.GetNewSecret(),
	}, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return &consolev1.SaveAlertTargetResponse{Target: targetMessage(t), Secret: secret.Reveal()}, nil
}

// RemoveAlertTarget removes a target.
func (s *alertService) RemoveAlertTarget(ctx context.Context, r *consolev1.RemoveAlertTargetRequest) (*consolev1.RemoveAlertTargetResponse, error) {
	return &consolev1.RemoveAlertTargetResponse{}, s.room.Remove(ctx, contact.Tenant(r.GetTenant()), r.GetId())
}

// TestAlertTarget sends a target a test.
func (s *alertService) TestAlertTarget(ctx context.Context, r *consolev1.TestAlertTargetRequest) (*consolev1.TestAlertTargetResponse, error) {
	tried, err := s.room.Test(ctx, contact.Tenant(r.GetTenant()), r.GetId(), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.TestAlertTargetResponse{}
	for _, one := range tried {
		answer.Tests = append(answer.Tests, &consolev1.AlertTest{Recipient: one.Recipient, Delivered: one.Done, Answer: one.Answer})
	}
	return answer, nil
}

// ListAlerts gives what was told, and what is open.
func (s *alertService) ListAlerts(ctx context.Context, r *consolev1.ListAlertsRequest) (*consolev1.ListAlertsResponse, error) {
	var before int64
	if err := fromToken(r.GetPageToken(), &before); err != nil {
		return nil, err
	}
	id, size := contact.Tenant(r.GetTenant()), pageSize(r.GetPageSize())
	told, err := s.room.Recent(ctx, id, before, size)
	if err != nil {
		return nil, err
	}
	open, err := s.room.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListAlertsResponse{}
	for _, c := range open {
		answer.Open = append(answer.Open, changeMessage(c))
	}
	for _, a := range told {
		out := &consolev1.Alert{Id: a.ID, AtMs: millis(a.At)}
		for _, c := range a.Changes {
			out.Changes = append(out.Changes, changeMessage(c))
		}
		for _, d := range a.Deliveries {
			one := &consolev1.AlertDelivery{Target: d.Target, Recipient: d.Recipient, State: d.State, Attempts: int32(d.Attempts), TriedMs: millis(d.TriedAt), Answer: d.Answer}
			if d.State == postgres.AlertWaiting {
				one.NextMs = millis(d.NextAt)
			}
			out.Deliveries = append(out.Deliveries, one)
		}
		answer.Alerts = append(answer.Alerts, out)
	}
	if len(told) == size {
		answer.NextPageToken = toToken(told[size-1].Number)
	}
	return answer, nil
}

func changeMessage(c postgres.AlertChange) *consolev1.AlertChange {
	state := "resolved"
	if c.Open {
		state = "open"
	}
	return &consolev1.AlertChange{
		Kind: c.Kind, State: state, Key: c.Key, SinceMs: millis(c.Since), Text: alerts.Sentence(c), System: c.Detail.System, Field: c.Detail.Field,
		Reason: c.Detail.Reason, Words: c.Detail.Words, Contacts: int32(c.Contacts), Contact: string(c.Contact),
	}
}
