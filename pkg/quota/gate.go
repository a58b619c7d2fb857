package quota

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// bulkKey marks a context whose calls may wait behind live ones.
type bulkKey struct{}

// Bulk gives a context whose calls go out only when no other call waits.
func Bulk(ctx context.Context) context.Context { return context.WithValue(ctx, bulkKey{}, true) }

// Gate gives out the calls of one budget, in the order of asking, live ones
// before those of a Bulk context. It is safe for concurrent use and needs no
// goroutine of its own.
type Gate struct {
	now func() time.Time

	mu    sync.Mutex
	meter *meter
	queue [2][2][]*waiter // by pool, then live and bulk
	timer *time.Timer
	given int
	full  int // answers that told of a limit that was hit
}

var _ Budget = (*Gate)(nil)

type waiter struct {
	ready chan struct{}
	given bool
}

// NewGate makes a gate that begins empty, as if an earlier owner had used up
// everything until now.
func NewGate(limits Limits) *Gate {
	g := &Gate{now: time.Now, meter: newMeter(limits, time.Now())}
	g.timer = time.AfterFunc(time.Hour, g.wake)
	g.timer.Stop()
	return g
}

// Take waits for a call.
func (g *Gate) Take(ctx context.Context, pool Pool) (Ticket, error) {
	lane := 0
	if ctx.Value(bulkKey{}) != nil {
		lane = 1
	}
	w := &waiter{ready: make(chan struct{})}
	g.mu.Lock()
	g.queue[pool][lane] = append(g.queue[pool][lane], w)
	g.pump()
	g.mu.Unlock()
	select {
	case <-w.ready:
		return &ticket{gate: g, pool: pool}, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.given {
		// The call was given in the same moment: it is not made, and counts.
		g.meter.done(pool, Answer{}, g.now())
		g.pump()
	} else {
		g.remove(pool, lane, w)
	}
	return nil, fmt.Errorf("wait for the quota: %w", ctx.Err())
}

func (g *Gate) remove(pool Pool, lane int, w *waiter) {
	queue := g.queue[pool][lane]
	for i := range queue {
		if queue[i] == w {
			g.queue[pool][lane] = append(queue[:i:i], queue[i+1:]...)
			return
		}
	}
}

// pump gives out what may go out now and plans the next look. The caller holds
// the lock.
func (g *Gate) pump() {
	var next time.Time
	for pool := range g.queue {
		for lane := 0; lane < 2; {
			queue := g.queue[pool][lane]
			if len(queue) == 0 {
				lane++
				continue
			}
			now := g.now()
			at, known := g.meter.next(Pool(pool), now)
			if known && at.After(now) && (next.IsZero() || at.Before(next)) {
				next = at
			}
			if !known || at.After(now) {
				break
			}
			g.meter.take(Pool(pool), now)
			g.given++
			g.queue[pool][lane] = queue[1:]
			queue[0].given = true
			close(queue[0].ready)
		}
	}
	if !next.IsZero() {
		g.timer.Reset(max(0, next.Sub(g.now())))
	}
}

func (g *Gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pump()
}

type ticket struct {
	gate *Gate
	pool Pool
	once sync.Once
}

// Done counts the answer.
func (t *ticket) Done(a Answer) {
	t.once.Do(func() {
		t.gate.mu.Lock()
		defer t.gate.mu.Unlock()
		t.gate.meter.done(t.pool, a, t.gate.now())
		if a.Throttled {
			t.gate.full++
		}
		t.gate.pump()
	})
}

// Usage is what a gauge shows of a budget.
type Usage struct {
	Used, Max int       // calls in the running window; Max 0 for a bucket
	Waiting   int       // calls that wait
	Closed    time.Time // no call before; zero when open
	Given     int       // calls since the start
	Throttled int       // answers that told of a limit that was hit
}

// Usage tells how much is used.
func (g *Gate) Usage() Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.meter.trim(now)
	u := Usage{Used: g.meter.underway + len(g.meter.answered), Max: g.meter.limits.Max, Given: g.given, Throttled: g.full}
	if g.meter.closed.After(now) {
		u.Closed = g.meter.closed
	}
	for pool := range g.queue {
		for lane := range g.queue[pool] {
			u.Waiting += len(g.queue[pool][lane])
		}
	}
	return u
}
