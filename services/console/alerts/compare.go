package alerts

import (
	"cmp"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// fact is something that is the case for a tenant now.
type fact struct {
	tenant contact.Tenant
	kind   Kind
	key    string
	// since is when it began, where somebody knows; zero is when it is seen.
	since time.Time
	// after is how long it must last before it is told; 0 is rules.hold.
	after   time.Duration
	contact contact.Key
	detail  postgres.AlertDetail
}

// rules say when a change of state is told.
type rules struct {
	// hold is how long a state must last before it is told, and how long it must
	// be away to be over. A shorter gap is none.
	hold time.Duration
	// flap is the time after telling of a state within which it is not told
	// again: what goes and comes back is told as over, and as back only when it
	// is still there at the end of that time.
	flap time.Duration
	// gap is the time between two alerts of a tenant. What changes in between
	// comes together in the second.
	gap time.Duration
}

// change is a change of state to be told, as the state is afterwards.
type change struct {
	postgres.AlertState
	open bool
}

// plan is what follows from what is the case and what was told.
type plan struct {
	save, remove []postgres.AlertState
	tell         map[contact.Tenant][]change // the gravest first
}

type stateKey struct {
	tenant contact.Tenant
	kind   Kind
	key    string
}

// compare says what to tell, from what is the case at a time, the states as
// they were left, and when tenants were told something last. States of tenants
// that are not known any more are forgotten untold.
//
// What was told last about a key is always either what is the case, or will be
// put right: nothing depends on having seen every change.
func compare(now time.Time, r rules, facts []fact, states []postgres.AlertState, last map[contact.Tenant]time.Time, known func(contact.Tenant) bool) plan {
	p := plan{tell: make(map[contact.Tenant][]change)}
	quiet := func(t contact.Tenant) bool { return now.Sub(last[t]) < r.gap }
	old := make(map[stateKey]postgres.AlertState, len(states))
	for _, s := range states {
		old[stateKey{s.Tenant, s.Kind, s.Key}] = s
	}
	seen := make(map[stateKey]bool, len(facts))
	for _, f := range facts {
		k := stateKey{f.tenant, f.kind, f.key}
		if seen[k] {
			continue
		}
		seen[k] = true
		before, had := old[k]
		s := present(now, r, f, before, had)
		if !s.Told && now.Sub(s.Since) >= cmp.Or(f.after, r.hold) && (s.ToldAt.IsZero() || now.Sub(s.ToldAt) >= r.flap) && !quiet(f.tenant) {
			s.Told, s.ToldAt = true, now
			back := s.Detail.Back
			s.Contact, s.Detail = f.contact, f.detail // as it is now
			s.Detail.Back = back
			p.tell[f.tenant] = append(p.tell[f.tenant], change{s, true})
			s.Detail.Back = 0
		}
		if !had || s != before {
			p.save = append(p.save, s)
		}
	}
	for _, before := range states {
		if seen[stateKey{before.Tenant, before.Kind, before.Key}] {
			continue
		}
		if !known(before.Tenant) {
			p.remove = append(p.remove, before)
			continue
		}
		s := before
		if s.GoneAt.IsZero() {
			s.GoneAt = now
		}
		over := now.Sub(s.GoneAt) >= r.hold
		switch {
		case s.Told && over && !quiet(s.Tenant):
			s.Told = false
			p.tell[s.Tenant] = append(p.tell[s.Tenant], change{s, false})
		case !s.Told && over && (s.ToldAt.IsZero() || now.Sub(s.ToldAt) >= r.flap):
			p.remove = append(p.remove, s)
			continue
		}
		if s != before {
			p.save = append(p.save, s)
		}
	}
	for _, changes := range p.tell {
		slices.SortFunc(changes, func(a, b change) int {
			return cmp.Or(cmp.Compare(opened(b.open), opened(a.open)), cmp.Compare(rank(a.Kind), rank(b.Kind)), a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key))
		})
	}
	return p
}

func opened(open bool) int {
	if open {
		return 1
	}
	return 0
}

// present is the state of what is the case, before anything is told of it.
func present(now time.Time, r rules, f fact, before postgres.AlertState, had bool) postgres.AlertState {
	if !had {
		s := postgres.AlertState{Tenant: f.tenant, Kind: f.kind, Key: f.key, Since: f.since, Contact: f.contact, Detail: f.detail}
		if s.Since.IsZero() || s.Since.After(now) {
			s.Since = now
		}
		return s
	}
	s := before
	if !s.GoneAt.IsZero() {
		if !s.Told && (now.Sub(s.GoneAt) >= r.hold || s.Since.Before(s.ToldAt)) {
			s.Since = now // it was over, and is back
			if !s.ToldAt.IsZero() {
				s.Detail.Back++
			}
		}
		s.GoneAt = time.Time{}
	}
	return s
}
