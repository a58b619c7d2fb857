package alerts

import (
	"context"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// mostDecisions is how many conflicts of a tenant and system are followed one
// by one; those behind them are told when there is room.
const mostDecisions = 1000

// facts are all that is the case now, for tenants that are active.
func (a *Alerts) facts(ctx context.Context, tx *postgres.Tx) ([]fact, error) {
	facts := a.configured()
	pauses, err := tx.Pauses(ctx)
	if err != nil {
		return nil, err
	}
	problems, err := tx.FirstProblems(ctx, []contact.ProblemKind{contact.ProblemConflict}, mostDecisions)
	if err != nil {
		return nil, err
	}
	holds, err := tx.WaitingHolds(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range holds {
		if a.active(h.Tenant) != nil {
			facts = append(facts, fact{tenant: h.Tenant, kind: Burst, key: h.ID, since: h.Since, detail: postgres.AlertDetail{
				System: h.Into.String(), Field: h.Field, Reason: h.Source,
			}})
		}
	}
	stopped, err := tx.StoppedSyncs(ctx)
	if err != nil {
		return nil, err
	}
	for i := range stopped {
		if t := a.active(stopped[i].Tenant); t != nil {
			facts = append(facts, a.stopped(t, &stopped[i])...)
		}
	}
	for _, p := range pauses {
		if t := a.active(p.Tenant); t != nil {
			facts = append(facts, a.resting(t, p)...)
		}
	}
	for _, p := range problems {
		if a.active(p.Tenant) != nil {
			facts = append(facts, problem(p))
		}
	}
	return facts, nil
}

// active is a tenant that is kept in step; nil for any other.
func (a *Alerts) active(id contact.Tenant) *tenant.Tenant {
	if t, ok := a.config.Roster.Tenant(id); ok && t.Active {
		return t
	}
	return nil
}

// configured are the facts that the configuration tells: refused credentials
// and mappings at rest. They are made anew when it has changed.
func (a *Alerts) configured() []fact {
	version := a.config.Roster.Version()
	if version == a.seen.version {
		return a.seen.facts[:len(a.seen.facts):len(a.seen.facts)]
	}
	var facts []fact
	for _, t := range a.config.Roster.All() {
		if !t.Active {
			continue
		}
		for _, system := range contact.Systems {
			if stateOf(t, system) == tenant.Unauthorized {
				facts = append(facts, fact{tenant: t.ID, kind: Connection, key: system.String(), detail: postgres.AlertDetail{System: system.String()}})
			}
		}
		if t.HubSpot.State == tenant.Disconnected {
			continue // nothing is said of its properties
		}
		for i := range t.Mapping.Mappings {
			if m := &t.Mapping.Mappings[i]; m.Stopped != "" {
				facts = append(facts, fact{tenant: t.ID, kind: Mapping, key: m.Key, detail: postgres.AlertDetail{
					System: contact.HubSpot.String(), Field: m.Key, Reason: m.Stopped,
				}})
			}
		}
	}
	a.seen.version, a.seen.facts = version, facts
	return facts[:len(facts):len(facts)]
}

func stateOf(t *tenant.Tenant, system contact.System) tenant.State {
	if system == contact.HubSpot {
		return t.HubSpot.State
	}
	return t.Aloware.State
}

// resting is a lane that rests. One whose credentials are refused is told of as
// a connection.
func (a *Alerts) resting(t *tenant.Tenant, p postgres.Pause) []fact {
	if p.Class == fault.Unauthorized.String() || stateOf(t, p.System) != tenant.Connected {
		return nil
	}
	return []fact{{tenant: t.ID, kind: Lane, key: p.System.String(), after: a.config.Paused, detail: postgres.AlertDetail{
		System: p.System.String(), Problem: p.Class, Reason: p.Reason, Until: p.Until,
	}}}
}

// stopped is a job that failed, or tries in vain for as long as a lane may rest
// untold. One that waits for a connection is told of as that.
func (a *Alerts) stopped(t *tenant.Tenant, s *postgres.Sync) []fact {
	words, _, _ := strings.Cut(s.Error, " correlation ") // which is for a system's support
	f := fact{tenant: t.ID, kind: Sync, key: s.ID, detail: postgres.AlertDetail{Job: string(s.Purpose()), Problem: "failed", Reason: masked(words, "")}}
	if s.State == postgres.SyncFailed {
		f.since = s.FinishedAt
		return []fact{f}
	}
	if t.HubSpot.State != tenant.Connected || t.Aloware.State != tenant.Connected {
		return nil
	}
	f.after, f.detail.Problem = a.config.Paused, "waiting"
	return []fact{f}
}

// problem is what is told of a group of problems, or of one that somebody must
// decide. Of a question the words are left out: they are both sides' values.
func problem(p postgres.ProblemRow) fact {
	f := fact{tenant: p.Tenant, kind: Problem, since: p.Since, contact: p.Contact, detail: postgres.AlertDetail{
		System: p.System.String(), Field: p.Field, Problem: string(p.Kind), Reason: p.Reason,
	}}
	key := []string{string(p.Kind), p.Reason, p.System.String(), p.Field}
	switch p.Kind {
	case contact.ProblemConflict: // one by one: each is settled by itself
		f.kind = Decision
		key = append(key, contact.ErasedKey(p.Tenant, p.Contact).Value[:20])
	case contact.ProblemReview:
		f.kind = Decision
	case contact.ProblemRewritten: // its words quote both sides' values
		f.detail.Words = masked(quoted.ReplaceAllString(p.Message, hidden), p.Value)
	default:
		f.detail.Words = masked(p.Message, p.Value)
	}
	f.key = strings.Join(key, "/")
	return f
}

// counted finds out how many contacts the changes of groups concern, and how
// those that are over ended.
func (a *Alerts) counted(ctx context.Context, tx *postgres.Tx, all map[contact.Tenant][]change) (map[contact.Tenant][]postgres.AlertChange, error) {
	out := make(map[contact.Tenant][]postgres.AlertChange, len(all))
	var groups []postgres.ProblemRow
	var places []*postgres.AlertChange
	for id, changes := range all {
		out[id] = make([]postgres.AlertChange, len(changes))
		for i, c := range changes {
			out[id][i] = postgres.AlertChange{Kind: c.Kind, Key: c.Key, Open: c.open, Since: c.Since, Contact: c.Contact, Detail: c.Detail}
			to := &out[id][i]
			switch {
			case c.Kind == Connection && !c.open:
				if t := a.active(id); t != nil {
					to.Detail.Ended = string(stateOf(t, systemOf(c.Detail)))
				}
			case c.Kind == Decision && c.Detail.Problem == string(contact.ProblemConflict):
				to.Contacts = 1
			case c.Kind == Decision || c.Kind == Problem:
				groups = append(groups, postgres.ProblemRow{
					Tenant: id, Kind: contact.ProblemKind(c.Detail.Problem), Reason: c.Detail.Reason, System: systemOf(c.Detail), Field: c.Detail.Field,
				})
				places = append(places, to)
			}
		}
	}
	counts, err := tx.CountProblems(ctx, groups)
	if err != nil {
		return nil, err
	}
	for i, n := range counts {
		if places[i].Contacts = n.Open; !places[i].Open && n.Dismissed > 0 {
			places[i].Detail.Ended = "dismissed"
		}
	}
	return out, nil
}

func systemOf(d postgres.AlertDetail) contact.System {
	system, _ := contact.ParseSystem(d.System) // it was stored as one
	return system
}
