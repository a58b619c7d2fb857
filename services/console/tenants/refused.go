package tenants

import (
	"context"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// refusals are how often credentials that nothing can renew were refused: a
// private app's token, and Aloware's. The second time in a row says that it is
// no accident, and the connection is told to be in need of new ones.
type refusals map[refusedKey]refusal

type refusedKey struct {
	tenant contact.Tenant
	system contact.System
}

type refusal struct {
	credential tenant.Secret
	until      time.Time // of the lane's pause that it led to
	times      int
}

// heard takes the pauses of a system's lanes, and gives the tenants whose
// credentials are to be replaced.
func (r refusals) heard(system contact.System, all []*tenant.Tenant, pauses []postgres.Pause) (over []*tenant.Tenant) {
	paused := make(map[contact.Tenant]time.Time)
	for _, p := range pauses {
		if p.Class == fault.Unauthorized.String() {
			paused[p.Tenant] = p.Until
		}
	}
	for _, t := range all {
		key := refusedKey{t.ID, system}
		credential, state := t.Aloware.Token, t.Aloware.State
		if system == contact.HubSpot {
			credential, state = t.HubSpot.AccessToken, t.HubSpot.State
		}
		until, is := paused[t.ID]
		if system == contact.HubSpot && t.HubSpot.RefreshToken != "" || state != tenant.Connected {
			delete(r, key)
			continue
		}
		seen := r[key]
		switch {
		case !is:
			continue // the next call tells
		case seen.credential != credential:
			seen = refusal{credential, until, 1}
		case until.After(seen.until.Add(10 * time.Second)): // several calls are refused at once
			seen.until, seen.times = until, seen.times+1
		}
		r[key] = seen
		if seen.times >= 2 {
			over = append(over, t)
			delete(r, key)
		}
	}
	return over
}

// refused marks the connections whose credentials are refused again and again.
func (s *Tenants) refused(ctx context.Context, seen refusals) {
	for _, system := range contact.Systems {
		pauses, err := s.config.DB.Pauses(ctx, system)
		if err != nil {
			if ctx.Err() == nil {
				s.config.Logger.WarnContext(ctx, "the pauses of lanes could not be read; refused credentials are told later", "system", system, "error", err)
			}
			continue
		}
		for _, t := range seen.heard(system, s.config.Roster.All(), pauses) {
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
