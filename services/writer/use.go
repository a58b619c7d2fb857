package writer

import (
	"context"
	"math"
	"time"

	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
)

// useEvery is how often people are told what lanes use of their quotas.
const useEvery = 2 * time.Second

// useWindow is the time that a use is told for.
const useWindow = 10 * time.Second

// showUse tells what the lanes use. A lane that made no call since it was told
// last is left out for people; what was told of it ages.
func (l *lanes) showUse(ctx context.Context) {
	var uses []postgres.LaneUse
	var total quota.Total
	calls, refused := 0, 0
	for _, lane := range l.all() {
		use, made, ok := lane.use(time.Now())
		if !ok {
			continue
		}
		calls, refused = calls+made.given, refused+made.throttled
		total.Add(use.Used, use.Most)
		if made.given > 0 || use.Used > 0 {
			uses = append(uses, use)
		}
	}
	l.config.Observer.Quota(ctx, l.config.System, calls, refused, total)
	if len(uses) == 0 {
		return
	}
	storing, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := l.config.DB.SaveLaneUses(storing, uses); err != nil && ctx.Err() == nil {
		l.config.Logger.WarnContext(ctx, "the use of quotas was not stored", "error", err)
	}
}

// made is what came of a lane's quota.
type made struct{ given, throttled int }

// use is what the lane uses now, and the calls since the last look; ok is false
// where the lane has no quota yet, or its tenant is not known any more.
func (l *lane) use(now time.Time) (use postgres.LaneUse, since made, ok bool) {
	gate := l.gate.Load()
	t, known := l.lanes.config.Roster.Tenant(l.tenant)
	if gate == nil || !known {
		return use, since, false
	}
	told, system := gate.Usage(), l.lanes.config.System
	l.mu.Lock()
	passed := now.Sub(l.usedAt)
	// A call that was given out in the moment its caller went away is taken back.
	until := made{max(told.Given, l.used.given), told.Throttled}
	since = made{until.given - l.used.given, until.throttled - l.used.throttled}
	l.usedAt, l.used = now, until
	l.mu.Unlock()
	use = postgres.LaneUse{Tenant: l.tenant, System: system, Used: told.Used, Most: told.Max, Today: told.Today}
	if told.Max == 0 {
		// A bucket has no window: its rate says what may be used in one.
		use.Most = int(math.Round(connection.Limits(t, system, connection.WriterShare).Rate * useWindow.Seconds()))
		use.Used = min(int(float64(since.given)*useWindow.Seconds()/max(passed.Seconds(), useEvery.Seconds())), use.Most)
	}
	return use, since, true
}
