package mappings

import (
	"context"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
)

// State is how a mapping is doing: what was written of it, and how many
// contacts stand in its way. The zero value is in step, and was never written.
type State struct {
	// Written is of each system, in the order of contact.Systems.
	Written   [2]Written
	Refused   int // contacts whose value a system refused
	Rewritten int // contacts in which somebody else keeps setting it back
	ToDecide  int // contacts with a question about it
	// Drifted contacts were put right by the last reconciliation, the job DriftJob.
	Drifted  int64
	DriftJob string
}

// Written is how many values a system took, by its own answer.
type Written struct {
	ThisHour int64     // since the beginning of the hour
	Today    int64     // since the day began where the tenant is
	Last     time.Time // when the last one was, there; zero for never
}

// LastToday tells that the last one was written today, where the tenant is.
func (w Written) LastToday(now time.Time) bool {
	return !w.Last.IsZero() && w.Last.Format(time.DateOnly) == now.In(w.Last.Location()).Format(time.DateOnly)
}

// States are the states of a tenant's mappings, by key. Those of which nothing is
// to be told are missing.
func (s *Mappings) States(ctx context.Context, id contact.Tenant) (map[string]State, error) {
	t, err := s.tenant(id)
	if err != nil {
		return nil, err
	}
	zone, now := zoneOf(t), s.config.Now()
	here := now.In(zone)
	day := time.Date(here.Year(), here.Month(), here.Day(), 0, 0, 0, 0, zone)
	writes, err := s.config.DB.FieldWrites(ctx, id, now.Truncate(time.Hour), day)
	if err != nil {
		return nil, err
	}
	job, drifted, err := s.config.DB.Drift(ctx, id)
	if err != nil {
		return nil, err
	}
	problems, err := s.config.DB.ProblemNumbers(ctx, []contact.Tenant{id})
	if err != nil {
		return nil, err
	}
	states := make(map[string]State)
	for _, w := range writes {
		state := states[w.Field]
		for i, system := range contact.Systems {
			if system == w.System {
				state.Written[i] = Written{w.ThisHour, w.Today, w.Last.In(zone)}
			}
		}
		states[w.Field] = state
	}
	for field, n := range drifted {
		state := states[field]
		state.Drifted, state.DriftJob = n, job
		states[field] = state
	}
	for _, n := range problems[id] {
		if n.Field == "" {
			continue // the contact as a whole
		}
		state := states[n.Field]
		switch n.Kind {
		case contact.ProblemReview:
			state.ToDecide += n.Contacts
		case contact.ProblemRewritten:
			state.Rewritten += n.Contacts
		default:
			state.Refused += n.Contacts
		}
		states[n.Field] = state
	}
	return states, nil
}

// Into is what was written into a system.
func (s State) Into(system contact.System) Written {
	for i, known := range contact.Systems {
		if known == system {
			return s.Written[i]
		}
	}
	return Written{}
}

// zoneOf is where a tenant is; UTC where its zone is not known here.
func zoneOf(t *tenant.Tenant) *time.Location {
	zone, err := time.LoadLocation(t.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}
