package api

import (
	"context"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/inbox"
)

// errorInbox is InboxService.
type errorInbox struct {
	Config
	room *inbox.Inbox
}

// problemFilter reads a filter; nil chooses all.
func problemFilter(tenant string, f *consolev1.ProblemFilter) (postgres.ProblemFilter, error) {
	out := postgres.ProblemFilter{
		Tenant: contact.Tenant(tenant), Kind: contact.ProblemKind(f.GetKind()), Reason: f.GetReason(), Contact: contact.Key(f.GetContact()),
		Dismissed: f.GetDismissed(),
	}
	if f != nil {
		out.Field = f.Field
	}
	switch out.Kind {
	case "", contact.ProblemRefused, contact.ProblemConflict, contact.ProblemReview, contact.ProblemAbsent, contact.ProblemRewritten, inbox.Waiting:
	default:
		return out, &inbox.Error{Rule: "invalid", Subject: "kind", Message: "want refused, conflict, review, absent, rewritten or waiting"}
	}
	if f.GetSystem() != "" {
		system, err := contact.ParseSystem(f.GetSystem())
		if err != nil {
			return out, &inbox.Error{Rule: "invalid", Subject: "system", Message: err.Error()}
		}
		out.System = system
	}
	return out, nil
}

// ListProblemGroups gives a tenant's problems by cause.
func (s *errorInbox) ListProblemGroups(ctx context.Context, r *consolev1.ListProblemGroupsRequest) (*consolev1.ListProblemGroupsResponse, error) {
	filter, err := problemFilter(r.GetTenant(), r.GetFilter())
	if err != nil {
		return nil, err
	}
	groups, err := s.room.Groups(ctx, filter)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListProblemGroupsResponse{}
	for _, g := range groups {
		answer.Groups = append(answer.Groups, &consolev1.ProblemGroup{
			Kind: string(g.Kind), Reason: g.Reason, System: g.System.String(), Field: g.Field, Class: g.Class, Problems: int32(g.Contacts),
			Dismissed: int32(g.Dismissed), OldestMs: millis(g.Oldest), NewestMs: millis(g.Newest), Example: g.Example,
		})
	}
	return answer, nil
}

// ListProblems gives single problems.
func (s *errorInbox) ListProblems(ctx context.Context, r *consolev1.ListProblemsRequest) (*consolev1.ListProblemsResponse, error) {
	filter, err := problemFilter(r.GetTenant(), r.GetFilter())
	if err != nil {
		return nil, err
	}
	var after postgres.ProblemRow
	if err := fromToken(r.GetPageToken(), &after); err != nil {
		return nil, err
	}
	size := pageSize(r.GetPageSize())
	problems, err := s.room.Problems(ctx, filter, after, size)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListProblemsResponse{}
	for _, p := range problems {
		answer.Problems = append(answer.Problems, &consolev1.Problem{
			Contact: string(p.Contact), Field: p.Field, System: p.System.String(), Kind: string(p.Kind), Class: p.Class, Reason: p.Reason,
			Message: p.Message, Value: p.Value, SinceMs: millis(p.Since), Attempts: int32(p.Attempts), NextMs: millis(p.NextAt),
			DismissedBy: p.DismissedBy, DismissedMs: millis(p.DismissedAt),
		})
	}
	if len(problems) == size {
		answer.NextPageToken = problemToken(problems[size-1].ProblemRow)
	}
	return answer, nil
}

// RetryProblems sends again what was refused or put off.
func (s *errorInbox) RetryProblems(ctx context.Context, r *consolev1.RetryProblemsRequest) (*consolev1.RetryProblemsResponse, error) {
	filter, err := problemFilter(r.GetTenant(), r.GetFilter())
	if err != nil {
		return nil, err
	}
	n, err := s.room.Retry(ctx, filter, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return &consolev1.RetryProblemsResponse{Contacts: int32(n)}, nil
}

// DismissProblems hides problems, or shows them again.
func (s *errorInbox) DismissProblems(ctx context.Context, r *consolev1.DismissProblemsRequest) (*consolev1.DismissProblemsResponse, error) {
	filter, err := problemFilter(r.GetTenant(), r.GetFilter())
	if err != nil {
		return nil, err
	}
	n, err := s.room.Dismiss(ctx, filter, r.GetUndo(), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return &consolev1.DismissProblemsResponse{Problems: int32(n)}, nil
}

// ListDeadLetters gives messages that could not be handled.
func (s *errorInbox) ListDeadLetters(ctx context.Context, r *consolev1.ListDeadLettersRequest) (*consolev1.ListDeadLettersResponse, error) {
	var after uint64
	if err := fromToken(r.GetPageToken(), &after); err != nil {
		return nil, err
	}
	letters, next, err := s.room.Letters(ctx, bus.LetterFilter{Tenant: contact.Tenant(r.GetTenant()), Kind: r.GetKind()}, after, pageSize(r.GetPageSize()))
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListDeadLettersResponse{}
	for i := range letters {
		letter, err := letterMessage(&letters[i])
		if err != nil {
			return nil, err
		}
		answer.Letters = append(answer.Letters, letter)
	}
	if next != 0 {
		answer.NextPageToken = toToken(next)
	}
	return answer, nil
}

func letterMessage(l *bus.Letter) (*consolev1.DeadLetter, error) {
	d := &l.Delivery
	out := &consolev1.DeadLetter{
		Number: l.Seq, AtMs: millis(l.At), Stage: l.Stage, Stream: string(d.Stream), Sequence: d.Seq, Kind: l.Kind, Reason: l.Reason, Bytes: int32(d.Size),
	}
	if d.Err != nil {
		out.Undecodable = d.Err.Error()
	}
	var err error
	out.Events, err = inbox.Events(l)
	return out, err
}

// ReplayDeadLetters puts messages back where they came from.
func (s *errorInbox) ReplayDeadLetters(ctx context.Context, r *consolev1.ReplayDeadLettersRequest) (*consolev1.ReplayDeadLettersResponse, error) {
	n, err := s.room.Replay(ctx, inbox.Selection{Tenant: contact.Tenant(r.GetTenant()), Numbers: r.GetNumbers(), Kind: r.GetKind(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	s.Logger.InfoContext(ctx, "dead letters were put back", "tenant", r.GetTenant(), "letters", n, "author", access.From(ctx).Name)
	return &consolev1.ReplayDeadLettersResponse{Letters: int32(n)}, nil
}

// DiscardDeadLetters removes messages for good.
func (s *errorInbox) DiscardDeadLetters(ctx context.Context, r *consolev1.DiscardDeadLettersRequest) (*consolev1.DiscardDeadLettersResponse, error) {
	n, err := s.room.Discard(ctx, inbox.Selection{Tenant: contact.Tenant(r.GetTenant()), Numbers: r.GetNumbers(), Kind: r.GetKind(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	s.Logger.InfoContext(ctx, "dead letters were discarded", "tenant", r.GetTenant(), "letters", n, "author", access.From(ctx).Name)
	return &consolev1.DiscardDeadLettersResponse{Letters: int32(n)}, nil
}
