package writer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// may reports whether the lane may write now: its tenant is there and
// connected, and no pause holds it. New credentials end the pause that the old
// ones led to.
func (l *lane) may(ctx context.Context) bool {
	t, ok := l.lanes.config.Roster.Tenant(l.tenant)
	if !ok || !t.Active || l.state(t) == tenant.Disconnected {
		return false // its rows wait
	}
	credential := t.Credential(l.lanes.config.System)
	l.mu.Lock()
	renewed := l.refused != "" && l.refused != credential
	if renewed {
		l.paused, l.refused, l.refusals = time.Time{}, "", 0
	}
	may := !time.Now().Before(l.paused)
	l.mu.Unlock()
	return may
}

func (l *lane) state(t *tenant.Tenant) tenant.State {
	if l.lanes.config.System == contact.HubSpot {
		return t.HubSpot.State
	}
	return t.Aloware.State
}

func (l *lane) isProbing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probing
}

// pause lets the lane rest; longer pauses are stored, so that people see them
// and the next owner keeps them. refused is the credential, if it was.
func (l *lane) pause(ctx context.Context, why *fault.Fault, wait time.Duration, refused tenant.Secret) {
	const worthStoring = 5 * time.Second
	config := l.lanes.config
	until := time.Now().Add(wait)
	l.mu.Lock()
	if !until.After(l.paused) {
		l.mu.Unlock()
		return
	}
	again := time.Now().Before(l.paused)
	longer := until.Sub(l.paused) > 2*time.Second // else another delivery says the same
	l.paused, l.because = until, why.Class
	l.probing = l.probing || why.Class != fault.Throttled
	if why.Class == fault.Unauthorized {
		l.refused = refused
		if !again || l.refusals == 0 {
			l.refusals++
		}
	}
	shown := postgres.Pause{Tenant: l.tenant, System: config.System, Until: until, Class: why.Class.String(), Reason: why.Reason}
	if why.Class == fault.Unauthorized {
		shown.Refusals, shown.Credential = l.refusals, refused.Fingerprint()
	}
	store := wait >= worthStoring && longer
	l.shown = l.shown || store
	l.mu.Unlock()
	if !again {
		config.Observer.Paused(ctx, config.System, why.Class)
	}
	if !store {
		return
	}
	config.Logger.WarnContext(ctx, "a lane rests", "tenant", l.tenant, "system", config.System, "until", until, "class", why.Class, "reason", why.Reason)
	l.showPause(ctx, shown)
}

// works notes that a delivery succeeded: what held the lane is over.
func (l *lane) works(ctx context.Context) {
	l.mu.Lock()
	over := l.shown && !time.Now().Before(l.paused)
	if over {
		l.shown = false
	}
	l.failures, l.probing, l.refused, l.refusals = 0, false, "", 0
	l.breaker.Reset()
	l.mu.Unlock()
	if over {
		l.showPause(ctx, postgres.Pause{Tenant: l.tenant, System: l.lanes.config.System, Until: time.Now().Add(-time.Second)})
	}
}

// fails notes that a delivery brought nothing; after several in a row it gives
// a pause for the whole lane.
func (l *lane) fails() time.Duration {
	const breaksAfter = 5
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures++; l.failures < breaksAfter && !l.probing {
		return 0
	}
	return l.breaker.NextBackOff()
}

// refusedFor gives the pause for refused credentials: a short one the first time,
// since one answer can be wrong, and a minute for each in a row. Calls that are
// refused beside each other are one refusal.
func (l *lane) refusedFor() time.Duration {
	const first, again = 10 * time.Second, time.Minute
	l.mu.Lock()
	defer l.mu.Unlock()
	switch left := time.Until(l.paused); {
	case left > 0 && l.because == fault.Unauthorized:
		return left
	case l.refusals == 0:
		return first
	}
	return again
}

func (l *lane) showPause(ctx context.Context, p postgres.Pause) {
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := l.lanes.config.DB.SavePause(storing, p); err != nil {
		l.lanes.config.Logger.WarnContext(ctx, "a pause was not stored", "tenant", l.tenant, "error", err)
	}
}

// saveDay stores what is used of the day's quota, where there is one.
func (l *lane) saveDay(ctx context.Context) {
	gate := l.gate.Load()
	if gate == nil {
		return
	}
	day, used, limited := gate.Day()
	l.mu.Lock()
	changed := used != l.daySaved
	l.daySaved = used
	l.mu.Unlock()
	if !changed || !limited {
		return
	}
	storing, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := l.lanes.config.DB.SaveLaneDay(storing, l.tenant, l.lanes.config.System, day, used); err != nil && ctx.Err() == nil {
		l.lanes.config.Logger.WarnContext(ctx, "the day's use of a quota was not stored", "tenant", l.tenant, "error", err)
	}
}

// paused tells how many lanes rest, why, and until when.
func (l *lanes) paused() (troubles []string) {
	now := time.Now()
	lanes, last := make(map[fault.Class]int), make(map[fault.Class]time.Time)
	for _, lane := range l.all() {
		lane.mu.Lock()
		until, class := lane.paused, lane.because
		lane.mu.Unlock()
		if !until.After(now) {
			continue
		}
		lanes[class]++
		if until.After(last[class]) {
			last[class] = until
		}
	}
	for _, class := range slices.Sorted(maps.Keys(lanes)) {
		troubles = append(troubles, fmt.Sprintf("%s: %d lanes rest (%s), the last of them until %s",
			l.config.System, lanes[class], class, last[class].UTC().Format(time.RFC3339)))
	}
	return troubles
}
