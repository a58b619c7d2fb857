package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/contacts"
)

// people is ContactService.
type people struct {
	Config
	room *contacts.Contacts
}

// FindContacts finds contacts by what somebody knows of them.
func (s *people) FindContacts(ctx context.Context, r *consolev1.FindContactsRequest) (*consolev1.FindContactsResponse, error) {
	found, err := s.room.Find(ctx, contact.Tenant(r.GetTenant()), r.GetQuery())
	if err != nil {
		return nil, err
	}
	answer := &consolev1.FindContactsResponse{}
	for _, card := range found {
		answer.Contacts = append(answer.Contacts, summary(card))
	}
	return answer, nil
}

// summary is a contact in a list.
func summary(card *contact.Card) *consolev1.ContactSummary {
	out := &consolev1.ContactSummary{Contact: string(card.Key), Name: card.Name, HubspotId: card.Sides[0].ID, AlowareId: card.Sides[1].ID}
	for _, side := range card.Sides {
		for _, phone := range side.Phones {
			if !slices.Contains(out.Phones, phone) {
				out.Phones = append(out.Phones, phone)
			}
		}
		if out.Email == "" {
			out.Email = side.Email
		}
	}
	return out
}

// GetContact gives the integration card of a contact.
func (s *people) GetContact(ctx context.Context, r *consolev1.GetContactRequest) (*consolev1.GetContactResponse, error) {
	tenant := contact.Tenant(r.GetTenant())
	card, err := s.room.Card(ctx, tenant, r.GetContact())
	if err != nil {
		return nil, err
	}
	answer := &consolev1.GetContactResponse{Contact: summary(card), MissingCommunications: card.Missing, Outside: card.Outside}
	if answer.Hubspot, err = s.side(ctx, tenant, card, contact.HubSpot); err != nil {
		return nil, err
	}
	if answer.Aloware, err = s.side(ctx, tenant, card, contact.Aloware); err != nil {
		return nil, err
	}
	profile := aloware.Documented
	if t, ok := s.Roster.Tenant(tenant); ok {
		if p, err := aloware.ParseProfile(t.Aloware.Profile); err == nil {
			profile = p
		}
	}
	for i := range card.Fields {
		answer.Fields = append(answer.Fields, cardField(&card.Fields[i], profile))
	}
	return answer, nil
}

func (s *people) side(ctx context.Context, tenant contact.Tenant, card *contact.Card, system contact.System) (*consolev1.ContactSide, error) {
	side := &card.Sides[0]
	if system == contact.Aloware {
		side = &card.Sides[1]
	}
	out := &consolev1.ContactSide{System: system.String(), Id: side.ID, Aliases: side.Aliases, Refusal: refusalMessage(side.Refused)}
	switch {
	case len(side.Candidates) > 0:
		out.State = "conflict"
	case side.Gone:
		out.State = "deleted"
	case side.Refused != nil && side.Refused.Reason == "ABSENT":
		out.State = "absent"
	case side.Refused != nil:
		out.State = "refused"
	case side.ID != "":
		out.State = "linked"
	default:
		out.State = "sought"
	}
	if len(side.Candidates) == 0 {
		return out, nil
	}
	known, err := s.room.Briefs(ctx, tenant, system, side.Candidates)
	if err != nil {
		return nil, err
	}
	for _, id := range side.Candidates {
		out.Candidates = append(out.Candidates, candidate(system, id, known[id]))
	}
	return out, nil
}

// candidate is a contact to choose; nil is one that is not known here.
func candidate(system contact.System, id string, card *contact.Card) *consolev1.ContactSummary {
	out := &consolev1.ContactSummary{}
	if card != nil {
		out = summary(card)
	}
	if system == contact.HubSpot {
		out.HubspotId = id
	} else {
		out.AlowareId = id
	}
	return out
}

func refusalMessage(r *contact.CardRefusal) *consolev1.FieldRefusal {
	if r == nil {
		return nil
	}
	return &consolev1.FieldRefusal{Class: r.Class, Reason: r.Reason, Message: r.Message}
}

func cardField(f *contact.CardField, profile aloware.Profile) *consolev1.ContactField {
	out := &consolev1.ContactField{
		Field: f.Key, Direction: f.Direction.String(), Type: f.Type.String(), State: string(f.State),
		Hubspot: fieldValue(&f.Sides[0]), Aloware: fieldValue(&f.Sides[1]),
	}
	out.Aloware.Limit = profile.Limit(f.Sides[1].Property, f.Direction.Into(contact.Aloware))
	for i, side := range []string{"HubSpot", "Aloware"} {
		if r := f.Sides[i].Refused; r != nil {
			out.Note = side + " refused: " + r.Reason + ": " + r.Message
		}
	}
	if f.Stopped != "" {
		out.Note = f.Stopped
	}
	return out
}

func fieldValue(v *contact.CardValue) *consolev1.FieldValue {
	return &consolev1.FieldValue{
		Property: v.Property, Known: v.Known, Value: v.Value, SinceMs: int64(v.Since), SeenMs: int64(v.SeenAt), Waiting: v.Waiting, Writing: v.Writing,
		Refusal: refusalMessage(v.Refused), RefusedValue: v.Rejected,
	}
}

// ListConflicts gives the contacts that somebody must choose for.
func (s *people) ListConflicts(ctx context.Context, r *consolev1.ListConflictsRequest) (*consolev1.ListConflictsResponse, error) {
	var after postgres.ProblemRow
	if err := fromToken(r.GetPageToken(), &after); err != nil {
		return nil, err
	}
	size := pageSize(r.GetPageSize())
	conflicts, err := s.room.Conflicts(ctx, contact.Tenant(r.GetTenant()), after, size)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListConflictsResponse{}
	for i := range conflicts {
		c := &conflicts[i]
		out := &consolev1.Conflict{Contact: summary(c.Contact), System: c.Problem.System.String(), SinceMs: c.Problem.Since.UnixMilli()}
		for _, each := range c.Candidates {
			out.Candidates = append(out.Candidates, candidate(c.Problem.System, each.ID, each.Contact))
		}
		answer.Conflicts = append(answer.Conflicts, out)
	}
	if len(conflicts) == size {
		answer.NextPageToken = problemToken(conflicts[size-1].Problem)
	}
	return answer, nil
}

// ChooseCounterpart settles a conflict.
func (s *people) ChooseCounterpart(ctx context.Context, r *consolev1.ChooseCounterpartRequest) (*consolev1.ChooseCounterpartResponse, error) {
	system, err := contact.ParseSystem(r.GetSystem())
	if err != nil {
		return nil, &contacts.Error{Rule: "invalid", Subject: "system", Message: err.Error()}
	}
	err = s.room.Choose(ctx, contact.Tenant(r.GetTenant()), r.GetContact(), system, r.GetId(), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return &consolev1.ChooseCounterpartResponse{}, nil
}

// AnswerReview says which side's values stand.
func (s *people) AnswerReview(ctx context.Context, r *consolev1.AnswerReviewRequest) (*consolev1.AnswerReviewResponse, error) {
	system, err := contact.ParseSystem(r.GetSystem())
	if err != nil {
		return nil, &contacts.Error{Rule: "invalid", Subject: "system", Message: err.Error()}
	}
	fields, err := s.room.Answer(ctx, contact.Tenant(r.GetTenant()), r.GetContact(), system, r.GetFields(), access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return &consolev1.AnswerReviewResponse{Fields: fields}, nil
}

// SetDisposition gives a contact another contact disposition.
func (s *people) SetDisposition(ctx context.Context, r *consolev1.SetDispositionRequest) (*consolev1.SetDispositionResponse, error) {
	if err := s.room.Dispose(ctx, contact.Tenant(r.GetTenant()), r.GetContact(), r.GetValue(), access.From(ctx).Name); err != nil {
		return nil, err
	}
	return &consolev1.SetDispositionResponse{}, nil
}

// ExplainContact gives the decisions about a contact.
func (s *people) ExplainContact(ctx context.Context, r *consolev1.ExplainContactRequest) (*consolev1.ExplainContactResponse, error) {
	var before int64
	if err := fromToken(r.GetPageToken(), &before); err != nil {
		return nil, err
	}
	size := pageSize(r.GetPageSize())
	history, err := s.room.Explain(ctx, contact.Tenant(r.GetTenant()), r.GetContact(), r.GetField(), before, size)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ExplainContactResponse{}
	for i := range history {
		h := &history[i]
		d := &consolev1.Decision{
			AtMs: h.At.UnixMilli(), Field: h.Field, Rule: h.Rule, Value: h.Value, EditedMs: int64(h.EditedAt), Version: int64(h.Version),
			MappingVersion: h.MappingVersion, EventId: h.EventID, Reason: h.Reason, TraceId: traceID(h.Traceparent),
		}
		if h.System != 0 {
			d.System = h.System.String()
		}
		answer.Decisions = append(answer.Decisions, d)
	}
	if len(history) == size {
		answer.NextPageToken = toToken(history[size-1].Number)
	}
	return answer, nil
}

// traceID is the trace of a W3C trace context; "" for none.
func traceID(traceparent string) string {
	if parts := strings.Split(traceparent, "-"); len(parts) == 4 {
		return parts[1]
	}
	return ""
}

// EraseContact forgets a person.
func (s *people) EraseContact(ctx context.Context, r *consolev1.EraseContactRequest) (*consolev1.EraseContactResponse, error) {
	var whom contact.ID
	if r.GetId() != "" {
		system, err := contact.ParseSystem(r.GetSystem())
		if err != nil {
			return nil, &contacts.Error{Rule: "invalid", Subject: "system", Message: err.Error()}
		}
		whom = contact.ID{System: system, ID: r.GetId()}
	}
	author := access.From(ctx).Name
	if err := s.room.Erase(ctx, contact.Tenant(r.GetTenant()), r.GetContact(), whom, author); err != nil {
		return nil, err
	}
	// Who it was is not logged: that is the point.
	s.Logger.InfoContext(ctx, "a person is erased", "tenant", r.GetTenant(), "author", author)
	return &consolev1.EraseContactResponse{}, nil
}

// pageSize bounds what a page holds; 0 means 50.
func pageSize(asked int32) int {
	const usual, most = 50, 500
	if asked <= 0 {
		return usual
	}
	return min(int(asked), most)
}

// toToken makes an opaque page token, which fromToken reads. An empty token is
// the first page.
func toToken(place any) string {
	raw, err := json.Marshal(place)
	if err != nil {
		panic(fmt.Sprintf("page token: %v", err)) // a place is plain data
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func fromToken(token string, place any) error {
	if token == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, place)
	}
	if err != nil {
		return &contacts.Error{Rule: "invalid", Subject: "page_token", Message: "the page token is none that was given; begin with the first page"}
	}
	return nil
}

// problemToken is the place behind a problem.
func problemToken(p postgres.ProblemRow) string {
	return toToken(postgres.ProblemRow{Contact: p.Contact, Field: p.Field, System: p.System, Kind: p.Kind, Since: p.Since})
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
