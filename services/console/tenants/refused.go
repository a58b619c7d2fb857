package tenants

import (
	"context"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// over gives the tenants whose credentials of a system were refused twice in a row,
// with no answer between: somebody must replace them. Those that can be renewed are
// not judged here, nor those that are in use no more.
func over(system contact.System, all []*tenant.Tenant, pauses []postgres.Pause) (tenants []*tenant.Tenant) {
	refused := make(map[contact.Tenant]string)
	for _, p := range pauses {
		if p.Class == fault.Unauthorized.String() && p.Refusals >= 2 {
			refused[p.Tenant] = p.Credential
		}
	}
	for _, t := range all {
		state, renewed := t.Aloware.State, false
		if system == contact.HubSpot {
			state, renewed = t.HubSpot.State, t.HubSpot.RefreshToken != ""
		}
		credential, is := refused[t.ID]
		if is && !renewed && state == tenant.Connected && credential == t.Credential(system).Fingerprint() {
			tenants = append(tenants, t)
		}
	}
	return tenants
}

// refused marks the connections whose credentials are refused again and again.
func (s *Tenants) refused(ctx context.Context) {
	for _, system := range contact.Systems {
		pauses, err := s.config.DB.Pauses(ctx, system)
		if err != nil {
			if ctx.Err() == nil {
				s.config.Logger.WarnContext(ctx, "the pauses of lanes could not be read; refused credentials are told later", "system", system, "error", err)
			}
			continue
		}
		for _, t := range over(system, s.config.Roster.All(), pauses) {
			next := *t
			if system == contact.HubSpot {
				next.HubSpot.State = tenant.Unauthorized
			} else {
				next.Aloware.State = tenant.Unauthorized
			}
			s.config.Logger.ErrorContext(ctx, "a system refuses the credentials of a tenant; somebody must connect it again", "tenant", t.ID, "system", system)
			if _, err := s.save(ctx, next); err != nil && ctx.Err() == nil {
				s.config.Logger.WarnContext(ctx, "a connection could not be marked; it is tried again", "tenant", t.ID, "system", system, "error", err)
			}
		}
	}
}

// answers ends the mark of connections that answer again.
func (s *Tenants) answers(ctx context.Context, t *tenant.Tenant, hubspot, aloware bool) error {
	next := *t
	if hubspot && next.HubSpot.State == tenant.Unauthorized {
		next.HubSpot.State = tenant.Connected
	}
	if aloware && next.Aloware.State == tenant.Unauthorized {
		next.Aloware.State = tenant.Connected
	}
	if next.HubSpot.State == t.HubSpot.State && next.Aloware.State == t.Aloware.State {
		return nil
	}
	_, err := s.save(ctx, next)
	return err
}
