package quota

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lockstep.internal/pkg/fault"
)

// patience is how long a call waits at a closed budget. Beyond it the caller
// is told until when, so that it can let go of what it holds meanwhile.
const patience = 3 * time.Second

// rank is who goes first.
type rank uint8

const (
	live    rank = iota
	reading      // takes turns with bulk
	bulk
	ranks
)

// mostAhead is how many live calls go ahead of those that wait, one after another.
const mostAhead = 7

// rankKey marks a context whose calls wait behind live ones, holdKey one whose first
// call was taken before.
type (
	rankKey struct{}
	holdKey struct{}
)

// Bulk gives a context whose calls wait behind live ones, and take turns with
// those of a Reading context.
func Bulk(ctx context.Context) context.Context { return context.WithValue(ctx, rankKey{}, bulk) }

// Reading gives a context for what reads: however many bulk calls wait, every
// other call is its.
func Reading(ctx context.Context) context.Context { return context.WithValue(ctx, rankKey{}, reading) }

// Gate gives out the calls of one budget, in the order of asking, live ones
// before those of a Bulk or a Reading context, to which the last calls of a limit
// are not given; while both wait, one call of eight is of the latter. It is safe
// for concurrent use and needs no goroutine of its own.
//
// Where the system has closed the budget for longer than a few seconds, or the
// day's part is used up, Take gives a fault of class Throttled with the wait.
type Gate struct {
	now func() time.Time

	mu    sync.Mutex
	meter *meter
	queue [2][ranks][]*waiter // by pool
	turn  [2]rank             // by pool, of reading and bulk: whose call was the last
	ahead [2]int              // by pool: live calls since then
	timer *time.Timer
	given int
	full  int // answers that told of a limit that was hit
}

var _ Budget = (*Gate)(nil)

type waiter struct {
	ready chan struct{} // closed when done
	given bool
	err   error // when nothing was given
}

// NewGate makes a gate that begins empty, as if an earlier owner had used up
// everything until now.
func NewGate(limits Limits) *Gate { return NewGateSince(limits, time.Now()) }

// NewGateSince makes a gate for an owner that has been the only one since a
// time: only until then an earlier owner may have used up everything.
func NewGateSince(limits Limits, since time.Time) *Gate {
	g := &Gate{now: time.Now, meter: newMeter(limits, since)}
	g.timer = time.AfterFunc(time.Hour, g.wake)
	g.timer.Stop()
	return g
}

// SetLimits changes the limits; what was used is not forgotten.
func (g *Gate) SetLimits(limits Limits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.meter.setLimits(limits, g.now())
	g.pump()
}

// Take waits for a call, or gives the one that its context holds.
func (g *Gate) Take(ctx context.Context, pool Pool) (Ticket, error) {
	if h, ok := ctx.Value(holdKey{}).(*Hold); ok && pool == General && h.gate == g && h.open.CompareAndSwap(true, false) {
		return &ticket{gate: g, pool: pool}, nil
	}
	if err := g.wait(ctx, pool); err != nil {
		return nil, err
	}
	return &ticket{gate: g, pool: pool}, nil
}

// Hold is a general call that was taken before it is known what for: who
// gathers work for a call gathers the more the later it begins.
type Hold struct {
	gate *Gate
	open atomic.Bool
}

// Hold waits for a general call and keeps it. Release must be called.
func (g *Gate) Hold(ctx context.Context) (*Hold, error) {
	if err := g.wait(ctx, General); err != nil {
		return nil, err
	}
	h := &Hold{gate: g}
	h.open.Store(true)
	return h, nil
}

// In gives a context whose first general call is the held one.
func (h *Hold) In(ctx context.Context) context.Context { return context.WithValue(ctx, holdKey{}, h) }

// Release gives the call back if it was not used.
func (h *Hold) Release() {
	if !h.open.CompareAndSwap(true, false) {
		return
	}
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	h.gate.meter.giveBack(General)
	h.gate.given--
	h.gate.pump()
}

func (g *Gate) wait(ctx context.Context, pool Pool) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for the quota: %w", err)
	}
	rank, _ := ctx.Value(rankKey{}).(rank)
	w := &waiter{ready: make(chan struct{})}
	g.mu.Lock()
	g.queue[pool][rank] = append(g.queue[pool][rank], w)
	g.pump()
	g.mu.Unlock()
	select {
	case <-w.ready:
		return w.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.given {
		g.meter.giveBack(pool) // given in the same moment
		g.given--
	}
	queue := g.queue[pool][rank]
	if at := slices.Index(queue, w); at >= 0 {
		g.queue[pool][rank] = slices.Delete(queue, at, at+1)
	}
	g.pump()
	return fmt.Errorf("wait for the quota: %w", ctx.Err())
}

// pump gives out what may go out now and plans the next look. The caller holds
// the lock.
func (g *Gate) pump() {
	var next time.Time
	now := g.now()
	for pool := range Pool(len(g.queue)) {
		if until, scope := g.meter.shut(pool, now); until.After(now.Add(patience)) {
			g.refuse(pool, until.Sub(now), scope)
		}
		for {
			rank := g.first(pool)
			if rank == ranks {
				break
			}
			at, known := g.meter.next(pool, now, rank != live && len(g.queue[pool][live]) == 0)
			if known && at.After(now) && (next.IsZero() || at.Before(next)) {
				next = at
			}
			if !known || at.After(now) {
				break
			}
			if g.ahead[pool]++; rank != live {
				g.turn[pool], g.ahead[pool] = rank, 0
			}
			queue := g.queue[pool][rank]
			first := queue[0]
			g.meter.take(pool, now)
			if rank == live {
				g.meter.of(pool).hurried(now)
			}
			g.given++
			queue[0] = nil
			g.queue[pool][rank] = queue[1:]
			first.given = true
			close(first.ready)
		}
	}
	if next.IsZero() {
		g.timer.Stop()
	} else {
		g.timer.Reset(next.Sub(now))
	}
}

// first tells who of those that wait for a pool goes next, ranks for nobody.
func (g *Gate) first(pool Pool) rank {
	queue, next := &g.queue[pool], ranks
	switch {
	case len(queue[reading]) > 0 && (len(queue[bulk]) == 0 || g.turn[pool] != reading):
		next = reading
	case len(queue[bulk]) > 0:
		next = bulk
	}
	if len(queue[live]) > 0 && (next == ranks || g.ahead[pool] < mostAhead) {
		return live
	}
	return next
}

// refuse sends all away who wait for a pool.
func (g *Gate) refuse(pool Pool, wait time.Duration, scope string) {
	for rank := range g.queue[pool] {
		for _, w := range g.queue[pool][rank] {
			f := fault.New(fault.Refusal{Class: fault.Throttled, Reason: "BUDGET_CLOSED", Message: "the budget is closed for a while"})
			f.Wait, f.Scope = wait, scope
			w.err = f
			close(w.ready)
		}
		g.queue[pool][rank] = nil
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
		t.gate.meter.done(t.pool, a, t.gate.now(), rand.N(time.Second))
		if a.Throttled {
			t.gate.full++
		}
		t.gate.pump()
	})
}

// Usage is what a gauge shows of a budget.
type Usage struct {
	Used, Max int       // calls in the running window; Max 0 for a bucket
	Today     int       // calls since midnight that this gate gave out
	Waiting   int       // callers that wait
	Next      time.Time // when the next call may go out; zero when it is not known
	Closed    time.Time // no call before; zero when open
	Given     int       // calls since the start
	Throttled int       // answers that told of a limit that was hit
}

// Usage tells how much is used.
func (g *Gate) Usage() Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, m := g.now(), g.meter
	m.general.trim(now)
	u := Usage{Used: m.general.used(), Max: m.general.most, Today: m.today(now), Given: g.given, Throttled: g.full}
	if next, known := m.next(General, now, false); known {
		u.Next = next
	}
	if until, _ := m.shut(General, now); until.After(now) {
		u.Closed = until
	}
	for pool := range g.queue {
		for _, waiting := range g.queue[pool] {
			u.Waiting += len(waiting)
		}
	}
	return u
}

// ResumeDay sets what an earlier owner has used since midnight at least.
func (g *Gate) ResumeDay(day string, used int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.meter.today(g.now()); day == g.meter.day {
		g.meter.dayUsed = max(g.meter.dayUsed, used)
	}
}

// Day is the account's day and what was used in it; limited tells whether the
// budget has a limit for a day.
func (g *Gate) Day() (day string, used int, limited bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	used = g.meter.today(g.now())
	return g.meter.day, used, g.meter.daily() > 0
}
