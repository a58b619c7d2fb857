package writer

import (
	"context"
	"math"
	"time"

	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/postgres"
)

// useEvery is how often people are told what lanes use of their quotas.
const useEvery = 2 * time.Second

// useWindow is the time that a use is told for.
const useWindow = 10 * time.Second

// showUse tells what the lanes use. A lane that made no call since it was told
// last is left out; what was told of it ages.
func (l *lanes) showUse(ctx context.Context) {
	var uses []postgres.LaneUse
	for _, lane := range l.all() {
		if use, ok := lane.use(time.Now()); ok {
			uses = append(uses, use)
		}
	}
	if len(uses) == 0 {
		return
	}
	storing, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := l.config.DB.SaveLaneUses(storing, uses); err != nil && ctx.Err() == nil {
		l.config.Logger.WarnContext(ctx, "the use of quotas was not stored", "error", err)
	}
}

// use is what the lane uses now; ok is false when it made no call lately.
func (l *lane) use(now time.Time) (use postgres.LaneUse, ok bool) {
	gate := l.gate.Load()
	t, known := l.lanes.config.Roster.Tenant(l.tenant)
	if gate == nil || !known {
		return use, false
	}
	told, system := gate.Usage(), l.lanes.config.System
	l.mu.Lock()
	since, given := now.Sub(l.usedAt), told.Given-l.usedGiven
	l.usedAt, l.usedGiven = now, told.Given
	l.mu.Unlock()
	if given <= 0 && told.Used == 0 {
		return use, false
	}
	use = postgres.LaneUse{Tenant: l.tenant, System: system, Used: told.Used, Most: told.Max, Today: told.Today}
	if told.Max == 0 {
		// A bucket has no window: its rate says what may be used in one.
		use.Most = int(math.Round(connection.Limits(t, system, connection.WriterShare).Rate * useWindow.Seconds()))
		use.Used = min(int(float64(given)*useWindow.Seconds()/max(since.Seconds(), useEvery.Seconds())), use.Most)
	}
	return use, true
}
