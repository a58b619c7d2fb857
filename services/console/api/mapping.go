package api

import (
	"context"

	"connectrpc.com/connect"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/mappings"
)

// mappingService is MappingService.
type mappingService struct{ Config }

// GetMapping gives a version with all that people need to know of it.
func (s *mappingService) GetMapping(ctx context.Context, r *consolev1.GetMappingRequest) (*consolev1.GetMappingResponse, error) {
	v, err := s.Mappings.Get(ctx, contact.Tenant(r.GetTenant()), r.GetVersion())
	if err != nil {
		return nil, err
	}
	answer := &consolev1.GetMappingResponse{Version: versionMessage(v.MappingVersion), Filter: filterMessage(v.Set.Filter)}
	states := make(map[string]mappings.State)
	if r.GetVersion() == 0 {
		if states, err = s.Mappings.States(ctx, contact.Tenant(r.GetTenant())); err != nil {
			return nil, err
		}
	}
	profile := aloware.Profile(v.Tenant.Aloware.Profile)
	for i := range v.Set.Mappings {
		m := &v.Set.Mappings[i]
		out := mappingMessage(m)
		out.Stopped = v.Stopped[m.Key]
		if r.GetVersion() == 0 {
			out.State = stateMessage(states[m.Key])
		}
		if p, ok := v.Schema.Property(contact.HubSpot, m.HubSpot); ok {
			out.HubspotLabel = p.Label
		}
		if m.Direction.Into(contact.Aloware) {
			if field := profile.Field(m.Aloware); true {
				out.CannotWrite, out.CannotClear = field.SetNote, field.ClearNote
			}
		}
		answer.Mappings = append(answer.Mappings, out)
	}
	for _, row := range mapping.Catalogue() {
		if v.Set.ByKey(row.Key) == nil {
			answer.Removed = append(answer.Removed, row.Key)
		}
	}
	return answer, nil
}

// EditMapping saves a new version.
func (s *mappingService) EditMapping(ctx context.Context, r *consolev1.EditMappingRequest) (*consolev1.EditMappingResponse, error) {
	edits, err := edits(r.GetEdits())
	if err != nil {
		return nil, err
	}
	v, differences, err := s.Mappings.Save(ctx, contact.Tenant(r.GetTenant()), r.GetBasedOn(), edits, access.From(ctx).Name, r.GetReason())
	if err != nil {
		return nil, err
	}
	return &consolev1.EditMappingResponse{Version: versionMessage(v), Differences: differenceMessages(differences)}, nil
}

// PreviewMapping tells what edits would write.
func (s *mappingService) PreviewMapping(ctx context.Context, r *consolev1.PreviewMappingRequest, stream *connect.ServerStream[consolev1.PreviewMappingResponse]) error {
	edits, err := edits(r.GetEdits())
	if err != nil {
		return err
	}
	return s.Mappings.Preview(ctx, contact.Tenant(r.GetTenant()), r.GetBasedOn(), edits, func(p mappings.Preview) error {
		return stream.Send(previewMessage(&p))
	})
}

// ListVersions lists versions, newest first.
func (s *mappingService) ListVersions(ctx context.Context, r *consolev1.ListVersionsRequest) (*consolev1.ListVersionsResponse, error) {
	versions, err := s.Mappings.Versions(ctx, contact.Tenant(r.GetTenant()), r.GetBefore(), int(r.GetLimit()))
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListVersionsResponse{}
	for _, v := range versions {
		answer.Versions = append(answer.Versions, versionMessage(v))
	}
	return answer, nil
}

// CompareVersions tells the differences between two versions.
func (s *mappingService) CompareVersions(ctx context.Context, r *consolev1.CompareVersionsRequest) (*consolev1.CompareVersionsResponse, error) {
	differences, err := s.Mappings.Compare(ctx, contact.Tenant(r.GetTenant()), r.GetBefore(), r.GetAfter())
	if err != nil {
		return nil, err
	}
	return &consolev1.CompareVersionsResponse{Differences: differenceMessages(differences)}, nil
}

// ListProperties lists properties for a picker.
func (s *mappingService) ListProperties(ctx context.Context, r *consolev1.ListPropertiesRequest) (*consolev1.ListPropertiesResponse, error) {
	system := contact.System(r.GetSystem())
	if system != contact.HubSpot && system != contact.Aloware {
		return nil, invalid("system", "choose SYSTEM_HUBSPOT or SYSTEM_ALOWARE")
	}
	list, complete, err := s.Mappings.Properties(ctx, contact.Tenant(r.GetTenant()), nil, system, r.GetKey(), r.GetOther(), r.GetSearch())
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListPropertiesResponse{Complete: complete}
	for _, c := range list {
		p := propertyMessage(c.Property)
		p.WhyNot = c.WhyNot
		if c.TakenBy != nil {
			p.TakenBy, p.TakenLabel = c.TakenBy.Key, c.TakenBy.Label()
		}
		answer.Properties = append(answer.Properties, p)
	}
	return answer, nil
}

// CreateProperty creates a property in HubSpot.
func (s *mappingService) CreateProperty(ctx context.Context, r *consolev1.CreatePropertyRequest) (*consolev1.CreatePropertyResponse, error) {
	typ, err := contact.ParseType(r.GetType())
	if err != nil {
		return nil, invalid("type", err.Error())
	}
	var options []mapping.Option
	for _, o := range r.GetOptions() {
		options = append(options, mapping.Option{Value: o.GetValue(), Label: o.GetLabel(), Hidden: o.GetHidden()})
	}
	p, err := s.Mappings.CreateProperty(ctx, contact.Tenant(r.GetTenant()), r.GetName(), r.GetLabel(), typ, options)
	if err != nil {
		return nil, err
	}
	return &consolev1.CreatePropertyResponse{Property: propertyMessage(p)}, nil
}

// ListUsers lists the users of both systems.
func (s *mappingService) ListUsers(ctx context.Context, r *consolev1.ListUsersRequest) (*consolev1.ListUsersResponse, error) {
	users, err := s.Mappings.Users(ctx, contact.Tenant(r.GetTenant()))
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListUsersResponse{}
	for _, u := range users {
		h, a := u.Sides[0], u.Sides[1]
		answer.Users = append(answer.Users, &consolev1.User{
			Email: u.Email, HubspotId: h.Value, HubspotName: h.Label, HubspotActive: h.Active,
			AlowareId: a.Value, AlowareName: a.Label, AlowareActive: a.Active, Offered: u.WhyNot == "", WhyNot: u.WhyNot,
		})
	}
	return answer, nil
}

// ListDispositions lists contact or call dispositions.
func (s *mappingService) ListDispositions(ctx context.Context, r *consolev1.ListDispositionsRequest) (*consolev1.ListDispositionsResponse, error) {
	list, readAt, cannot, err := s.Mappings.Dispositions(ctx, contact.Tenant(r.GetTenant()), r.GetCalls())
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListDispositionsResponse{ReadMs: int64(readAt), Cannot: cannot}
	for _, d := range list {
		answer.Dispositions = append(answer.Dispositions, &consolev1.Disposition{
			Value: d.Value, Label: d.Label, AlowareId: d.AlowareID, Locked: d.Locked, Offered: d.WhyNot == "", WhyNot: d.WhyNot,
		})
	}
	if r.GetCalls() {
		return answer, nil
	}
	seen, err := s.Mappings.SeenDispositions(ctx, contact.Tenant(r.GetTenant()))
	if err != nil {
		return nil, err
	}
	for _, d := range seen {
		answer.Seen = append(answer.Seen, &consolev1.SeenDisposition{
			AlowareId: d.ID, Contacts: d.Contacts, SeenMs: d.SeenAt.UnixMilli(),
			Suggested: d.Suggested.Value, SuggestedLabel: d.Suggested.Label, SuggestedContacts: d.Agreeing,
		})
	}
	return answer, nil
}

func invalid(subject, message string) error {
	return &mapping.Refusal{Rule: mapping.RuleInvalid, Key: subject, Message: message}
}

func versionMessage(v postgres.MappingVersion) *consolev1.Version {
	return &consolev1.Version{Version: v.Version, CreatedMs: v.CreatedAt.UnixMilli(), Author: v.Author, Reason: v.Reason}
}
