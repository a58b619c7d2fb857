package writer

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/grant"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
)

// lanes are the lanes of the tenants on the partitions that this process owns.
// A tenant with nothing to do costs neither a goroutine nor a timer. A sweep
// finds rows whose time has come.
type lanes struct {
	config *Config
	calls  chan struct{} // one token for each delivery under way
	kick   chan struct{} // asks for a sweep now
	sent   *recent

	mu    sync.Mutex
	owned map[int]*partition
	holds postgres.SyncHolds // what is wished of jobs
}

// partition is one owned partition.
type partition struct {
	number int
	since  time.Time       // when the ownership began
	ctx    context.Context // of calls: ends with the ownership
	stop   context.CancelFunc
	begin  context.Context // of what leads to a new call: ends when the ownership shall end
	end    context.CancelFunc
	grants func() // ends the answering of those who ask for calls
	lanes  map[contact.Tenant]*lane
	pauses map[contact.Tenant]postgres.Pause // of an earlier owner
	work   sync.WaitGroup                    // lanes that run, with their deliveries
}

func newLanes(config *Config) *lanes {
	return &lanes{
		config: config, calls: make(chan struct{}, config.Calls), kick: make(chan struct{}, 1), sent: newRecent(mostRecent),
		owned: make(map[int]*partition),
	}
}

// own begins a partition; a sweep finds what an earlier owner left.
func (l *lanes) own(ctx context.Context, number int) {
	p := &partition{number: number, since: time.Now(), lanes: make(map[contact.Tenant]*lane), pauses: make(map[contact.Tenant]postgres.Pause)}
	pauses, err := l.config.DB.Pauses(ctx, l.config.System)
	if err != nil && ctx.Err() == nil {
		l.config.Logger.WarnContext(ctx, "pauses of lanes could not be read; the system will ask for them again", "system", l.config.System, "error", err)
	}
	for _, pause := range pauses {
		if l.config.Bus.PartitionOf(pause.Tenant) == number {
			p.pauses[pause.Tenant] = pause
		}
	}
	p.ctx, p.stop = context.WithCancel(ctx)
	p.begin, p.end = context.WithCancel(p.ctx)
	l.mu.Lock()
	l.owned[number] = p
	l.mu.Unlock()
	p.grants, err = grant.Serve(l.config.Bus, l.config.System, number, func(ctx context.Context, tenant contact.Tenant) (quota.Budget, error) {
		return l.budget(ctx, p, tenant)
	})
	if err != nil {
		p.grants = func() {}
		l.config.Logger.WarnContext(ctx, "no calls are granted to readers; they have their own small part", "partition", number, "error", err)
	}
	l.sweepNow()
}

// budget gives the budget of a tenant of a partition, for those who ask for a
// call.
func (l *lanes) budget(ctx context.Context, p *partition, id contact.Tenant) (quota.Budget, error) {
	t, ok := l.config.Roster.Tenant(id)
	l.mu.Lock()
	if !ok || p.begin.Err() != nil || l.owned[p.number] != p {
		l.mu.Unlock()
		return nil, grant.ErrNone
	}
	lane := p.lanes[id]
	if lane == nil {
		lane = newLane(l, p, id)
		p.lanes[id] = lane
	}
	l.mu.Unlock()
	return lane.budget(ctx, t)
}

// disown ends a partition: no new call begins, and those under way get a while
// to finish.
func (l *lanes) disown(number int) {
	const grace = 10 * time.Second
	l.mu.Lock()
	p := l.owned[number]
	delete(l.owned, number)
	l.mu.Unlock()
	if p == nil {
		return
	}
	p.end()
	p.grants()
	ending := time.AfterFunc(grace, p.stop)
	defer ending.Stop()
	p.work.Wait()
	p.stop()
	for _, lane := range p.lanes {
		lane.saveDay(context.WithoutCancel(p.ctx))
	}
}

// wake makes a tenant's lane look for due rows, at once if a live one may be among
// them.
func (l *lanes) wake(tenant contact.Tenant, number int, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.owned[number]
	if p == nil || p.begin.Err() != nil {
		return // the owner of the live stream finds the rows by its sweep
	}
	lane := p.lanes[tenant]
	if lane == nil {
		lane = newLane(l, p, tenant)
		p.lanes[tenant] = lane
	}
	if live {
		lane.hurry()
	}
	if lane.running {
		lane.again = true
		return
	}
	lane.running = true
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		lane.run()
	}()
}

// resting reports whether a lane may end: nobody woke it since it last looked.
func (l *lanes) resting(lane *lane) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lane.again {
		lane.again = false
		return false
	}
	lane.running = false
	return true
}

// stopped ends a lane that may not go on. Who woke it meanwhile is served by a
// later sweep.
func (l *lanes) stopped(lane *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane.running, lane.again = false, false
}

// sweepNow asks for a sweep without waiting for it.
func (l *lanes) sweepNow() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// sweep wakes lanes whose rows have become due, until ctx ends: once a second,
// and when the next one is due.
func (l *lanes) sweep(ctx context.Context) error {
	const longest, shortest, saveDays = time.Second, 20 * time.Millisecond, 30 * time.Second
	timer := time.NewTimer(longest)
	defer timer.Stop()
	saved, shown := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-l.kick:
		}
		timer.Reset(max(shortest, min(longest, l.wakeDue(ctx))))
		if time.Since(shown) > useEvery {
			shown = time.Now()
			l.showUse(ctx)
		}
		if time.Since(saved) > saveDays {
			saved = time.Now()
			for _, lane := range l.all() {
				lane.saveDay(ctx)
			}
		}
	}
}

// wakeDue wakes lanes with due rows and gives the time until the next is due.
func (l *lanes) wakeDue(ctx context.Context) time.Duration {
	next := time.Duration(1<<63 - 1)
	l.mu.Lock()
	numbers := slices.Collect(maps.Keys(l.owned))
	l.mu.Unlock()
	if len(numbers) == 0 {
		return next
	}
	looking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	due, now, err := l.config.DB.DueLanes(looking, l.config.System, numbers, l.resters())
	if err != nil {
		if ctx.Err() == nil {
			l.config.Logger.WarnContext(ctx, "due rows could not be looked for; trying again", "system", l.config.System, "error", err)
		}
		return next
	}
	var oldest time.Duration
	for _, lane := range due {
		wait := lane.NextAt.Sub(now)
		if wait > 0 {
			next = min(next, wait)
			continue
		}
		oldest = max(oldest, -wait)
		l.wake(lane.Tenant, lane.Partition, false)
	}
	l.config.Observer.Oldest(l.config.System, oldest)
	return next
}

// all are the lanes that exist now.
func (l *lanes) all() []*lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*lane
	for _, p := range l.owned {
		all = slices.AppendSeq(all, maps.Values(p.lanes))
	}
	return all
}
