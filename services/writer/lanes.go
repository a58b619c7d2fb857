package writer

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"lockstep.internal/pkg/contact"
)

// lanes are the lanes of the tenants on the partitions that this process owns.
// A tenant with nothing to do has no lane: it costs neither a goroutine nor a
// timer. One sweep a second finds rows whose time has come.
type lanes struct {
	config *Config
	calls  chan struct{} // one token for each delivery under way

	mu    sync.Mutex
	owned map[int]*partition
}

// partition is one owned partition.
type partition struct {
	ctx   context.Context // ends with the ownership
	stop  context.CancelFunc
	lanes map[contact.Tenant]*lane
	work  sync.WaitGroup // lanes that run
}

func newLanes(config *Config) *lanes {
	return &lanes{config: config, calls: make(chan struct{}, config.Calls), owned: make(map[int]*partition)}
}

// own begins a partition; its first sweep finds what an earlier owner left.
func (l *lanes) own(ctx context.Context, number int) {
	ctx, stop := context.WithCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owned[number] = &partition{ctx: ctx, stop: stop, lanes: make(map[contact.Tenant]*lane)}
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
	ending := time.AfterFunc(grace, p.stop)
	defer ending.Stop()
	p.work.Wait()
	p.stop()
}

// wake makes a tenant's lane look for due rows.
func (l *lanes) wake(tenant contact.Tenant, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.owned[number]
	if p == nil || p.ctx.Err() != nil {
		return // the owner of the live stream wakes it by its sweep
	}
	lane := p.lanes[tenant]
	if lane == nil {
		lane = newLane(l, tenant, number)
		p.lanes[tenant] = lane
	}
	if lane.running {
		lane.again = true
		return
	}
	lane.running = true
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		lane.run(p.ctx)
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

// owns reports whether the process still owns a partition.
func (l *lanes) owns(number int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owned[number] != nil
}

// sweep wakes lanes whose rows have become due, until ctx ends.
func (l *lanes) sweep(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		l.mu.Lock()
		numbers := slices.Collect(maps.Keys(l.owned))
		l.mu.Unlock()
		if len(numbers) == 0 {
			continue
		}
		due, err := l.config.DB.DueLanes(ctx, l.config.System, numbers)
		if err != nil {
			if ctx.Err() == nil {
				l.config.Logger.WarnContext(ctx, "due rows could not be looked for; trying again", "system", l.config.System, "error", err)
			}
			continue
		}
		var oldest time.Duration
		for tenant, since := range due {
			oldest = max(oldest, time.Since(since))
			l.wake(tenant, l.config.Bus.PartitionOf(tenant))
		}
		l.config.Observer.Oldest(l.config.System, oldest)
	}
}
