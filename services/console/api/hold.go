package api

import (
	"context"
	"time"

	"lockstep.internal/pkg/contact"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/holds"
)

// holdService is HoldService.
type holdService struct{ Config }

// ListHolds gives a tenant's holds.
func (s *holdService) ListHolds(ctx context.Context, r *consolev1.ListHoldsRequest) (*consolev1.ListHoldsResponse, error) {
	list, err := s.Holds.List(ctx, contact.Tenant(r.GetTenant()), r.GetAll())
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListHoldsResponse{}
	for i := range list {
		answer.Holds = append(answer.Holds, holdMessage(&list[i]))
	}
	return answer, nil
}

// GetHold gives one hold with examples.
func (s *holdService) GetHold(ctx context.Context, r *consolev1.GetHoldRequest) (*consolev1.GetHoldResponse, error) {
	hold, values, err := s.Holds.Get(ctx, contact.Tenant(r.GetTenant()), r.GetId(), int(r.GetExamples()))
	if err != nil {
		return nil, err
	}
	answer := &consolev1.GetHoldResponse{Hold: holdMessage(&hold)}
	for _, v := range values {
		answer.Examples = append(answer.Examples, &consolev1.HoldExample{
			Contact: string(v.Contact), Name: v.Name, Before: v.Before, After: v.After, EditedMs: int64(v.EditedAt),
		})
	}
	return answer, nil
}

// AnswerHold answers the question.
func (s *holdService) AnswerHold(ctx context.Context, r *consolev1.AnswerHoldRequest) (*consolev1.AnswerHoldResponse, error) {
	hold, err := s.Holds.Answer(ctx, contact.Tenant(r.GetTenant()), r.GetId(), contact.HoldAnswer(r.GetAnswer()), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return &consolev1.AnswerHoldResponse{Hold: holdMessage(&hold)}, nil
}

func holdMessage(h *holds.Hold) *consolev1.Hold {
	at := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMilli()
	}
	return &consolev1.Hold{
		Id: h.ID, Field: h.Field, Into: h.Into.String(), Source: h.Source, SinceMs: at(h.Since), State: string(h.State),
		Contacts: h.Contacts, Fills: h.Fills, Replaces: h.Replaces, Clears: h.Clears, Passed: h.Passed, Threshold: h.Threshold,
		Go: &consolev1.HoldCost{Calls: h.Go.Calls, Minutes: h.Go.Minutes}, Undo: &consolev1.HoldCost{Calls: h.Undo.Calls, Minutes: h.Undo.Minutes},
		Answer: string(h.Answer), AnsweredBy: h.AnsweredBy, AnsweredMs: at(h.AnsweredAt), Job: h.Job, Done: h.Done(), Total: h.Total(), EndedMs: at(h.EndedAt),
	}
}
