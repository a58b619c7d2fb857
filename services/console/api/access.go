package api

import (
	"context"
	"maps"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
)

// accessService is AccessService.
type accessService struct{ room *access.Service }

func rolesOf(grants []*consolev1.RoleGrant) (access.Roles, error) {
	roles := make(access.Roles, len(grants))
	for _, g := range grants {
		role, err := access.ParseRole(g.GetRole())
		if err != nil {
			return nil, err
		}
		roles[contact.Tenant(g.GetTenant())] = role
	}
	return roles, nil
}

func grantMessages(roles access.Roles) []*consolev1.RoleGrant {
	var grants []*consolev1.RoleGrant
	for _, tenant := range slices.Sorted(maps.Keys(roles)) {
		grants = append(grants, &consolev1.RoleGrant{Tenant: string(tenant), Role: roles[tenant].String()})
	}
	return grants
}

func personMessage(p *access.Person) *consolev1.Person {
	return &consolev1.Person{
		Login: p.Login, Name: p.Name, Roles: grantMessages(p.Roles), HasPassword: p.Password, HasProvider: p.Provider, MustChange: p.MustChange,
		Disabled: p.Disabled, CreatedMs: millis(p.Created), SeenMs: millis(p.Seen),
	}
}

func tokenMessage(t *access.APIToken) *consolev1.Token {
	return &consolev1.Token{
		Id: t.ID, Name: t.Name, CreatedBy: t.CreatedBy, Roles: grantMessages(t.Roles), CreatedMs: millis(t.Created), ExpiresMs: millis(t.Expires),
		UsedMs: millis(t.Used), RevokedMs: millis(t.Revoked),
	}
}

// WhoAmI tells who calls.
func (s *accessService) WhoAmI(ctx context.Context, _ *consolev1.WhoAmIRequest) (*consolev1.WhoAmIResponse, error) {
	caller := access.From(ctx)
	return &consolev1.WhoAmIResponse{Name: caller.Name, Kind: string(caller.Kind), Roles: grantMessages(caller.Roles())}, nil
}

// ListPeople gives the people whom the caller may see.
func (s *accessService) ListPeople(ctx context.Context, _ *consolev1.ListPeopleRequest) (*consolev1.ListPeopleResponse, error) {
	people, err := s.room.People(ctx)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListPeopleResponse{}
	for i := range people {
		answer.People = append(answer.People, personMessage(&people[i]))
	}
	return answer, nil
}

// SavePerson adds a person or changes one.
func (s *accessService) SavePerson(ctx context.Context, r *consolev1.SavePersonRequest) (*consolev1.SavePersonResponse, error) {
	roles, err := rolesOf(r.GetRoles())
	if err != nil {
		return nil, err
	}
	p, password, err := s.room.SavePerson(ctx, access.PersonChange{Login: r.GetLogin(), Name: r.GetName(), Roles: roles, Password: r.GetWithPassword()})
	if err != nil {
		return nil, err
	}
	return &consolev1.SavePersonResponse{Person: personMessage(&p), OneTimePassword: password}, nil
}

// DisablePerson keeps a person out, or lets one in again.
func (s *accessService) DisablePerson(ctx context.Context, r *consolev1.DisablePersonRequest) (*consolev1.DisablePersonResponse, error) {
	n, err := s.room.DisablePerson(ctx, r.GetLogin(), !r.GetUndo())
	if err != nil {
		return nil, err
	}
	return &consolev1.DisablePersonResponse{RevokedTokens: int32(n)}, nil
}

// ResetPassword gives a person a one-time password.
func (s *accessService) ResetPassword(ctx context.Context, r *consolev1.ResetPasswordRequest) (*consolev1.ResetPasswordResponse, error) {
	password, err := s.room.ResetPassword(ctx, r.GetLogin())
	if err != nil {
		return nil, err
	}
	return &consolev1.ResetPasswordResponse{OneTimePassword: password}, nil
}

// ListTokens gives the API tokens that the caller may see.
func (s *accessService) ListTokens(ctx context.Context, _ *consolev1.ListTokensRequest) (*consolev1.ListTokensResponse, error) {
	tokens, err := s.room.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListTokensResponse{}
	for i := range tokens {
		answer.Tokens = append(answer.Tokens, tokenMessage(&tokens[i]))
	}
	return answer, nil
}

// CreateToken makes an API token.
func (s *accessService) CreateToken(ctx context.Context, r *consolev1.CreateTokenRequest) (*consolev1.CreateTokenResponse, error) {
	const longest = 100 * 365 * 24 * 60 * 60
	roles, err := rolesOf(r.GetRoles())
	if err != nil {
		return nil, err
	}
	life := time.Duration(min(r.GetLifeSeconds(), longest)) * time.Second
	t, text, err := s.room.CreateToken(ctx, r.GetName(), roles, max(life, -1))
	if err != nil {
		return nil, err
	}
	return &consolev1.CreateTokenResponse{Token: tokenMessage(&t), Text: text}, nil
}

// RevokeToken ends an API token.
func (s *accessService) RevokeToken(ctx context.Context, r *consolev1.RevokeTokenRequest) (*consolev1.RevokeTokenResponse, error) {
	return &consolev1.RevokeTokenResponse{}, s.room.RevokeToken(ctx, r.GetId())
}

// ListAudit gives what was changed.
func (s *accessService) ListAudit(ctx context.Context, r *consolev1.ListAuditRequest) (*consolev1.ListAuditResponse, error) {
	f := access.AuditFilter{Caller: r.GetCaller(), Action: r.GetAction(), From: atMillis(r.GetFromMs()), To: atMillis(r.GetToMs()), Limit: pageSize(r.GetPageSize())}
	switch tenant := contact.Tenant(r.GetTenant()); tenant {
	case "":
	case access.Everywhere:
		tenant = ""
		f.Tenant = &tenant
	default:
		f.Tenant = &tenant
	}
	if err := fromToken(r.GetPageToken(), &f.Before); err != nil {
		return nil, err
	}
	entries, err := s.room.Audit(ctx, f)
	if err != nil {
		return nil, err
	}
	answer := &consolev1.ListAuditResponse{}
	for _, a := range entries {
		answer.Entries = append(answer.Entries, &consolev1.AuditEntry{
			Number: a.Number, AtMs: millis(a.At), Tenant: string(a.Tenant), Caller: a.Caller, Kind: a.Kind, Action: a.Action, Object: a.Object,
			Detail: string(a.Detail), Outcome: a.Outcome, Reason: a.Reason,
		})
	}
	if len(entries) == f.Limit {
		answer.NextPageToken = toToken(entries[len(entries)-1].Number)
	}
	return answer, nil
}

// atMillis is the time of milliseconds; zero for none.
func atMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
