package writer

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"lockstep.internal/pkg/background"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/grant"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
)

// lane writes for one tenant into one system. It exists while the partition is
// owned; its goroutine only while there is something to do.
type lane struct {
	lanes     *lanes
	partition *partition
	tenant    contact.Tenant

	running, again bool // guarded by lanes.mu

	slots chan struct{}                      // one token for each delivery under way
	bulk  chan struct{}                      // one more for each that began without a live row: a third of the places is kept for live ones
	live  atomic.Bool                        // a live row may be due
	urge  atomic.Pointer[context.CancelFunc] // ends the waiting for a bulk delivery's turn
	gate  atomic.Pointer[quota.Gate]         // lives as long as the lane; nil before the first use

	// Used by the lane's goroutine only.
	turned      bool // the present turn is a bulk delivery's
	destination Destination
	built       tenant.Tenant // what destination was built for

	gateMu sync.Mutex   // held while the gate is made or changed
	limits quota.Limits // of gate; guarded by gateMu

	mu       sync.Mutex // guards the rest
	underway map[contact.Key]bool
	paused   time.Time // no new delivery before
	because  fault.Class
	shown    bool // the pause is stored, for people to see
	probing  bool // one delivery at a time, until one succeeds
	refused  tenant.Secret
	refusals int // rests for refused credentials in a row
	failures int // failed deliveries in a row
	breaker  *backoff.ExponentialBackOff
	daySaved int
	usedAt   time.Time // when the use of the quota was told, and what had been made of it by then
	used     made
}

func newLane(l *lanes, p *partition, id contact.Tenant) *lane {
	lane := &lane{
		lanes: l, partition: p, tenant: id, underway: make(map[contact.Key]bool), slots: make(chan struct{}, l.config.CallsPerLane),
		bulk:    make(chan struct{}, max(1, l.config.CallsPerLane-l.config.CallsPerLane/3)),
		breaker: backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMaxInterval(time.Minute), backoff.WithMaxElapsedTime(0)),
	}
	if pause, ok := p.pauses[id]; ok {
		lane.paused, lane.because, lane.shown, lane.probing = pause.Until, fault.ParseClass(pause.Class), true, true
		if t, ok := l.config.Roster.Tenant(id); ok && pause.Credential == t.Credential(l.config.System).Fingerprint() {
			lane.refusals = pause.Refusals // new credentials begin anew
		}
		delete(p.pauses, id)
		if fault.ParseClass(pause.Class) == fault.Unauthorized {
			lane.paused = time.Time{} // the credentials may be new since then: one call tells
		}
	}
	return lane
}

// run hands over due rows until there are none, a bounded number of deliveries
// at a time. While all are under way, or the quota is used up, what comes
// meanwhile gathers into larger batches.
func (l *lane) run() {
	config, p := l.lanes.config, l.partition
	var deliveries sync.WaitGroup
	defer deliveries.Wait()
	for {
		if p.begin.Err() != nil || !l.may(p.begin) {
			l.lanes.stopped(l)
			return
		}
		destination, err := l.prepare(p.begin)
		if err != nil {
			if p.begin.Err() == nil {
				l.pause(p.begin, fault.As(err), time.Minute, "")
			}
			continue
		}
		held, release, err := l.turn(p.begin)
		if err != nil {
			if f := fault.As(err); f.Class == fault.Throttled {
				l.pause(p.begin, f, f.Wait, "")
			}
			continue
		}
		probing := l.isProbing()
		batch := destination.Batch()
		if probing {
			batch = 1
		}
		l.live.Store(false)
		rows, err := l.due(p.begin, batch, probing)
		if err != nil || len(rows) == 0 || gathers(rows, batch) {
			release()
			if err != nil && p.begin.Err() == nil {
				config.Logger.WarnContext(p.begin, "a lane's rows could not be read; the next sweep tries again", "tenant", l.tenant, "error", err)
			}
			if l.lanes.resting(l) {
				return // deliveries under way go on; their ends wake the lane
			}
			continue
		}
		if len(rows) == batch && !rows[batch-1].Bulk {
			l.live.Store(true) // there may be more
		}
		if release = l.asBulk(rows, probing, release); release == nil {
			continue // no live row was due after all: the place is left to those
		}
		l.begin(rows)
		d := &delivery{lane: l, credential: l.built.Credential(config.System)}
		calling := held.In(p.ctx)
		call := func() {
			d.call(calling, destination, rows)
			d.tell(calling)
		}
		settle := func() {
			d.settle(calling)
			l.end(rows)
			release()
		}
		if probing {
			call()
			settle()
			continue
		}
		deliveries.Go(func() {
			// The quota counts a call until it is answered, and the system's own news of it
			// are on their way: until it is told it waits for no processor longer than others.
			call()
			if rows[0].Bulk { // live ones come first
				background.Enter()
			}
			settle()
			l.lanes.wake(l.tenant, p.number, false)
		})
	}
}

// due gives rows for the present turn. One that was taken for live rows takes those
// alone, with bulk rows that ride, while there are any.
func (l *lane) due(ctx context.Context, batch int, probing bool) ([]postgres.LaneRow, error) {
	db, system, number := l.lanes.config.DB, l.lanes.config.System, l.partition.number
	busy, held := l.busy(), l.lanes.withheld(l.tenant)
	if !l.turned && !probing {
		rows, err := db.LiveRows(ctx, l.tenant, system, number, busy, held, batch)
		if err != nil || len(rows) > 0 && !rows[0].Bulk {
			return together(l.lanes.standing(l.tenant, rows)), err
		}
	}
	rows, err := db.DueRows(ctx, l.tenant, system, number, busy, held, batch)
	return together(l.lanes.standing(l.tenant, rows)), err
}

// gathers reports whether what is due waits for more of a job to come, so that a
// day's calls are not spent on parts of batches. The sweep looks again.
func gathers(rows []postgres.LaneRow, batch int) bool {
	const longest = time.Second
	return len(rows) < batch && !slices.ContainsFunc(rows, func(r postgres.LaneRow) bool { return !r.Bulk || r.Waited >= longest })
}

// together leaves of rows, live ones first, those that are worth one delivery: bulk
// rows would hold up live ones, and the places that are kept for those, by calls of
// their own.
func together(rows []postgres.LaneRow) []postgres.LaneRow {
	first := slices.IndexFunc(rows, func(r postgres.LaneRow) bool { return r.Bulk })
	if first <= 0 {
		return rows
	}
	taken := slices.ContainsFunc(rows[:first], func(r postgres.LaneRow) bool { return r.Rides })
	return slices.DeleteFunc(rows, func(r postgres.LaneRow) bool { return r.Bulk && !(taken && r.Rides) })
}

// turn waits for a place among the deliveries of the lane, for a call of the
// quota, and for a place among the deliveries of the process, in this order: who
// waits for the quota keeps nothing that other lanes need. While no live row is
// due, it waits behind live calls, and gives up as soon as a live row comes.
func (l *lane) turn(ctx context.Context) (held *quota.Hold, release func(), err error) {
	places, probing := 1, l.isProbing()
	if probing {
		places = cap(l.slots)
	}
	leave := func() {}
	l.turned = false
	defer func() {
		if err != nil {
			leave()
		}
	}()
	if !l.live.Load() && !probing {
		waiting, stop := context.WithCancel(quota.Bulk(ctx))
		defer stop()
		l.urge.Store(&stop)
		defer l.urge.Store(nil)
		if l.live.Load() {
			stop() // it came meanwhile
		}
		ctx = waiting
		if err := put(ctx, l.bulk); err != nil {
			return nil, nil, err
		}
		leave = func() { <-l.bulk }
		l.turned = true
	}
	for range places {
		if err := put(ctx, l.slots); err != nil {
			return nil, nil, err
		}
		before := leave
		leave = func() { <-l.slots; before() }
	}
	if held, err = l.gate.Load().Hold(ctx); err != nil {
		return nil, nil, err
	}
	if err := put(ctx, l.lanes.calls); err != nil {
		held.Release()
		return nil, nil, err
	}
	return held, func() {
		held.Release()
		<-l.lanes.calls
		leave()
	}, nil
}

// asBulk makes a turn that was taken for a live row one of the bulk deliveries', when
// only bulk rows are due. It gives nil, and the turn back, when those have all the
// places that they may have.
func (l *lane) asBulk(rows []postgres.LaneRow, probing bool, release func()) func() {
	if probing || l.turned || !rows[0].Bulk { // live rows come first
		return release
	}
	select {
	case l.bulk <- struct{}{}:
		return func() {
			release()
			<-l.bulk
		}
	default:
		release()
		return nil
	}
}

// put takes a place, when there is one.
func put(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hurry tells that a live row may be due.
func (l *lane) hurry() {
	l.live.Store(true)
	if stop := l.urge.Load(); stop != nil {
		(*stop)()
	}
}

func (l *lane) begin(rows []postgres.LaneRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		l.underway[r.Contact] = true
	}
}

func (l *lane) end(rows []postgres.LaneRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		delete(l.underway, r.Contact)
	}
}

func (l *lane) busy() []contact.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	busy := make([]contact.Key, 0, len(l.underway))
	for key := range l.underway {
		busy = append(busy, key)
	}
	return busy
}

// budget gives the tenant's budget, with the limits of now. Of the calls that
// an earlier owner granted, the last may begin a little after its end.
func (l *lane) budget(ctx context.Context, t *tenant.Tenant) (*quota.Gate, error) {
	config := l.lanes.config
	limits := connection.Limits(t, config.System, connection.WriterShare)
	l.gateMu.Lock()
	defer l.gateMu.Unlock()
	switch gate := l.gate.Load(); {
	case gate == nil:
		gate = quota.NewGateSince(limits, l.partition.since.Add(grant.Late))
		day, used, err := config.DB.LaneDay(ctx, l.tenant, config.System)
		if err != nil {
			return nil, err
		}
		gate.ResumeDay(day, used)
		l.limits = limits
		l.gate.Store(gate)
	case limits != l.limits:
		l.limits = limits
		gate.SetLimits(limits)
	}
	return l.gate.Load(), nil
}

// prepare gives the tenant's destination, built anew when its connection
// changed.
func (l *lane) prepare(ctx context.Context) (Destination, error) {
	config := l.lanes.config
	t, ok := config.Roster.Tenant(l.tenant)
	if !ok {
		return nil, fault.New(fault.Refusal{Class: fault.Transient, Reason: "UNKNOWN_TENANT", Message: "the tenant is not configured"})
	}
	gate, err := l.budget(ctx, t)
	if err != nil {
		return nil, err
	}
	same := t.Region == l.built.Region
	if config.System == contact.HubSpot {
		same = same && t.HubSpot == l.built.HubSpot
	} else {
		same = same && t.Aloware == l.built.Aloware
	}
	if l.destination != nil && same {
		return l.destination, nil
	}
	destination, err := config.Destination(t, gate)
	if err != nil {
		return nil, err
	}
	l.destination, l.built = destination, *t
	return destination, nil
}
