package writer

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/writer/row"
)

// lane writes for one tenant into one system. It exists while the partition is
// owned; its goroutine only while there is something to do.
type lane struct {
	lanes     *lanes
	tenant    contact.Tenant
	partition int

	running, again bool // guarded by lanes.mu

	slots chan struct{} // one token for each delivery under way

	// Used by the lane's goroutine only.
	destination Destination
	built       tenant.Tenant // what destination was built for
	budget      *quota.Gate

	mu       sync.Mutex // guards the rest
	underway map[contact.Key]bool
	paused   time.Time // no new delivery before
	refused  tenant.Secret
	failures int // failed deliveries in a row
	breaker  *backoff.ExponentialBackOff
	loaded   bool // pauses of an earlier owner are known
}

func newLane(l *lanes, tenant contact.Tenant, partition int) *lane {
	return &lane{
		lanes: l, tenant: tenant, partition: partition, underway: make(map[contact.Key]bool), slots: make(chan struct{}, l.config.CallsPerLane),
		breaker: backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMaxInterval(time.Minute), backoff.WithMaxElapsedTime(0)),
	}
}

// run hands over due rows until there are none, a bounded number of deliveries
// at a time. While all are under way, what comes meanwhile gathers into larger
// batches.
func (l *lane) run(ctx context.Context) {
	config := l.lanes.config
	var deliveries sync.WaitGroup
	defer deliveries.Wait()
	for {
		if ctx.Err() != nil || !l.lanes.owns(l.partition) || l.rests(ctx) {
			deliveries.Wait()
			l.lanes.resting(l) // whoever woke it meanwhile is served by the next sweep
			l.stop()
			return
		}
		destination, err := l.prepare()
		if err != nil {
			config.Logger.WarnContext(ctx, "a lane has no destination", "tenant", l.tenant, "system", config.System, "error", err)
			l.pause(ctx, fault.As(err), time.Minute)
			continue
		}
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		rows, err := config.DB.DueRows(ctx, l.tenant, config.System, l.busy(), destination.Batch())
		if err != nil || len(rows) == 0 {
			<-l.slots
			if err != nil && ctx.Err() == nil {
				config.Logger.WarnContext(ctx, "a lane's rows could not be read; the next sweep tries again", "tenant", l.tenant, "error", err)
			}
			if l.lanes.resting(l) {
				return // deliveries under way go on; their ends wake the lane
			}
			continue
		}
		select {
		case l.lanes.calls <- struct{}{}:
		case <-ctx.Done():
			<-l.slots
			continue
		}
		l.begin(rows)
		deliveries.Add(1)
		go func() {
			defer deliveries.Done()
			l.deliver(ctx, destination, rows)
			l.end(rows)
			<-l.lanes.calls
			<-l.slots
			l.lanes.wake(l.tenant, l.partition)
		}()
	}
}

// stop leaves the lane marked as at rest.
func (l *lane) stop() {
	l.lanes.mu.Lock()
	defer l.lanes.mu.Unlock()
	l.running, l.again = false, false
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

// prepare gives the tenant's destination, built anew when its connection
// changed. The budget lives as long as the lane.
func (l *lane) prepare() (Destination, error) {
	config := l.lanes.config
	t, ok := config.Roster.Tenant(l.tenant)
	if !ok || !t.Active {
		return nil, fault.New(fault.Refusal{Class: fault.Transient, Reason: "INACTIVE", Message: "the tenant is not configured or not active; its rows wait"})
	}
	if l.destination != nil && t.HubSpot == l.built.HubSpot && t.Aloware == l.built.Aloware && t.Region == l.built.Region {
		return l.destination, nil
	}
	if l.budget == nil {
		l.budget = quota.NewGate(connection.Limits(t, config.System, connection.WriterShare))
	}
	destination, err := config.Destination(t, l.budget)
	if err != nil {
		return nil, err
	}
	l.destination, l.built = destination, *t
	return destination, nil
}

// deliver carries out rows, reports what came of them, and then removes or
// keeps them.
func (l *lane) deliver(ctx context.Context, destination Destination, rows []postgres.LaneRow) {
	config := l.lanes.config
	now := contact.Millis(time.Now().UnixMilli())
	patches := make([]contact.Patch, 0, len(rows))
	sent := make([]postgres.LaneRow, 0, len(rows))
	bulk := true
	for _, r := range rows {
		patch, err := bus.DecodePatch(r.Patch, config.System)
		if err != nil {
			config.Logger.ErrorContext(ctx, "a row cannot be read; it is tried again later", "tenant", l.tenant, "error", err)
			l.later(ctx, []postgres.LaneRow{r}, fault.As(err))
			continue
		}
		if patch, ok := row.Ready(patch, now); ok {
			patches, sent = append(patches, patch), append(sent, r)
			bulk = bulk && r.Bulk
		}
	}
	if len(patches) == 0 {
		return
	}
	calling := ctx
	if bulk {
		calling = quota.Bulk(ctx)
	}
	calling, span := startDelivery(calling, config.System, l.tenant, patches)
	answers := destination.Deliver(calling, patches)
	endDelivery(ctx, span, config.System, patches, answers)
	l.settle(ctx, sent, patches, answers)
}

// rests reports whether the lane is paused. The pause of an earlier owner is
// found once.
func (l *lane) rests(ctx context.Context) bool {
	l.mu.Lock()
	loaded := l.loaded
	l.loaded = true
	l.mu.Unlock()
	if !loaded {
		pauses, err := l.lanes.config.DB.Pauses(ctx, l.lanes.config.System)
		if err == nil {
			for _, p := range pauses {
				if p.Tenant == l.tenant {
					l.mu.Lock()
					l.paused = p.Until
					l.mu.Unlock()
				}
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused != "" && l.credential() != l.refused {
		l.paused, l.refused = time.Time{}, "" // new credentials: try at once
	}
	return time.Now().Before(l.paused)
}

// credential is what the lane proves itself with now.
func (l *lane) credential() tenant.Secret {
	t, ok := l.lanes.config.Roster.Tenant(l.tenant)
	switch {
	case !ok:
		return ""
	case l.lanes.config.System == contact.HubSpot:
		return t.HubSpot.AccessToken + "/" + t.HubSpot.RefreshToken
	}
	return t.Aloware.Token
}

// pause lets the lane rest; longer pauses are stored, so that people see them
// and the next owner keeps them.
func (l *lane) pause(ctx context.Context, why *fault.Fault, wait time.Duration) {
	const worthStoring = 5 * time.Second
	until := time.Now().Add(wait)
	l.mu.Lock()
	if until.Before(l.paused) {
		l.mu.Unlock()
		return
	}
	l.paused = until
	if why.Class == fault.Unauthorized {
		l.refused = l.credential()
	}
	l.mu.Unlock()
	config := l.lanes.config
	config.Observer.Paused(ctx, config.System, why.Class)
	if wait < worthStoring {
		return
	}
	config.Logger.WarnContext(ctx, "a lane rests", "tenant", l.tenant, "system", config.System, "until", until, "class", why.Class, "reason", why.Reason)
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := config.DB.SavePause(storing, postgres.Pause{
		Tenant: l.tenant, System: config.System, Until: until, Class: why.Class.String(), Reason: why.Reason,
	}); err != nil {
		config.Logger.WarnContext(ctx, "a pause was not stored", "tenant", l.tenant, "error", err)
	}
}
