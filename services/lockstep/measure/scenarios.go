package measure

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/lockstep/fleet"
	"lockstep.internal/services/writer"
)

var scenarios = []scenario{
	{"sync-110", "First sync into a portal of 110 calls in 10 s, four writers, one killed halfway", syncAt(110)},
	{"sync-190", "First sync into a portal of 190 calls in 10 s, four writers, one killed halfway", syncAt(190)},
	{"live", "Live edits during a first sync", live},
	{"outage", "Live edits while another tenant's portal is down with a backlog", outage},
	{"faults", "First sync in both directions with one call in five failing", faults},
	{"million", "A million contacts into a portal without limits", million},
}

// Tenants of the scenarios. Alongside is on the same partition as big; the
// others are each on another one.
const (
	big       = contact.Tenant("big")
	alongside = contact.Tenant("alongside")
)

var elsewhere = []contact.Tenant{"other", "elsewhere", "small"}

// aTenant is a tenant whose Aloware takes ten times the calls of a real one, so
// that lists are read faster than the portal takes contacts.
func aTenant(id contact.Tenant, number int64, window int) fleet.Tenant {
	return fleet.Tenant{ID: id, Portal: 2000 + number, Window: window, Rate: 50, Burst: 50}
}

// editsPerSecond of the tenants whose live edits are measured.
const editsPerSecond = 8

// syncAt is a first sync against a limit, in which the writer that owns the
// portal's quota is killed.
func syncAt(limit int) func(context.Context, Config, fleet.Speaker) ([]line, error) {
	return func(ctx context.Context, config Config, say fleet.Speaker) ([]line, error) {
		l := layout{hubspotWriters: 4, tenants: []fleet.Tenant{aTenant(big, 1, limit)}}
		for i, id := range elsewhere {
			l.tenants = append(l.tenants, aTenant(id, int64(2+i), limit))
		}
		w, err := build(ctx, config, fmt.Sprintf("sync-%d", limit), l, say)
		if err != nil {
			return nil, err
		}
		defer w.close()
		a := w.tenants[0]
		other, err := w.apart(ctx, a)
		if err != nil {
			return nil, err
		}
		const staff = 1500
		if err := w.hire(ctx, other, staff); err != nil {
			return nil, err
		}
		quiet, err := other.during(ctx, "quiet", quietly)
		if err != nil {
			return nil, err
		}
		if err := a.load(ctx, config.Contacts, 1, false); err != nil {
			return nil, err
		}
		var r syncRun
		busy, err := other.during(ctx, "busy", func(ctx context.Context) error {
			var err error
			r, err = w.firstSync(ctx, a, config.Contacts, true)
			return err
		})
		if err != nil {
			return nil, err
		}
		if err := r.count(ctx, a); err != nil {
			return nil, err
		}
		lines := r.lines(limit)
		return append(lines, compare("another tenant's live edits", quiet, busy, 2)...), nil
	}
}

// quietly is a time in which only the edits are made that are measured.
func quietly(ctx context.Context) error {
	pause(ctx, 2*time.Minute)
	return ctx.Err()
}

// observed is what was seen of live edits.
type observed struct {
	times
	stolen float64 // part of the processors' time that the machine below gave to others
}

// during measures an account's live edits while something else is done.
func (a *account) during(ctx context.Context, round string, do func(context.Context) error) (o observed, err error) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var done edits
	before, err := fleet.Machine()
	if err != nil {
		return o, err
	}
	group, working := errgroup.WithContext(working)
	group.Go(func() error { return a.work(working, editsPerSecond, &done, round) })
	group.Go(func() error { defer stop(); return do(working) })
	if err := group.Wait(); err != nil {
		return o, err
	}
	after, err := fleet.Machine()
	if err != nil {
		return o, err
	}
	o.stolen = float64(after.Stolen-before.Stolen) / float64(max(1, after.All-before.All))
	o.times, err = a.took(ctx, &done)
	return o, err
}

// compare tells how much longer edits took than in quiet times.
func compare(who string, quiet, busy observed, factor float64) []line {
	ratio := busy.part(.99).Seconds() / quiet.part(.99).Seconds()
	show := func(o observed) string {
		in := func(p float64) time.Duration { return o.part(p).Round(time.Millisecond) }
		return fmt.Sprintf("p50 %v, p95 %v, p99 %v of %d; %.1f %% of the processors' time went to other machines", in(.5), in(.95), in(.99), len(o.times), 100*o.stolen)
	}
	return []line{
		{what: who + ", in quiet times", value: show(quiet)},
		{what: who + ", during it", value: show(busy)},
		most("p99 in relation", ratio, factor, "%.2f"),
	}
}

// live measures edits of the tenant that syncs, and of one on the same
// partition.
func live(ctx context.Context, config Config, say fleet.Speaker) ([]line, error) {
	w, err := build(ctx, config, "live", layout{hubspotWriters: 1, tenants: []fleet.Tenant{aTenant(big, 1, 110), aTenant(alongside, 2, 110)}}, say)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a, other := w.tenants[0], w.tenants[1]
	const staff = 1500
	for _, t := range w.tenants {
		if err := w.hire(ctx, t, staff); err != nil {
			return nil, err
		}
	}
	var quiet, busy [2]observed
	round := func(name string, into *[2]observed, do func(context.Context) error) error {
		var err error
		into[0], err = a.during(ctx, name, func(ctx context.Context) error {
			var err error
			into[1], err = other.during(ctx, name, do)
			return err
		})
		return err
	}
	if err := round("quiet", &quiet, quietly); err != nil {
		return nil, err
	}
	contacts := config.Contacts / 2
	if err := a.load(ctx, contacts, 1, false); err != nil {
		return nil, err
	}
	if err := round("busy", &busy, func(ctx context.Context) error {
		_, err := w.firstSync(ctx, a, contacts, false)
		return err
	}); err != nil {
		return nil, err
	}
	return append(compare("live edits of the tenant that syncs", quiet[0], busy[0], 3), compare("of another one on the same partition", quiet[1], busy[1], 2)...), nil
}

// outage measures one tenant's edits while the portal of another one on the same
// partition, for which contacts wait, refuses everything.
func outage(ctx context.Context, config Config, say fleet.Speaker) ([]line, error) {
	const slow = 40 // calls in 10 s, so that a backlog grows
	w, err := build(ctx, config, "outage", layout{hubspotWriters: 1, tenants: []fleet.Tenant{aTenant(big, 1, slow), aTenant(alongside, 2, 190)}}, say)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a, other := w.tenants[0], w.tenants[1]
	if err := w.hire(ctx, other, 1500); err != nil {
		return nil, err
	}
	quiet, err := other.during(ctx, "quiet", quietly)
	if err != nil {
		return nil, err
	}
	contacts := config.Contacts / 5
	if err := a.load(ctx, contacts, 1, false); err != nil {
		return nil, err
	}
	if err := w.db.RequestSync(ctx, postgres.Sync{
		ID: "outage", Tenant: a.ID, Kind: postgres.FirstSync, Options: postgres.SyncOptions{Aloware: true}, AskedBy: "measure",
	}); err != nil {
		return nil, err
	}
	if err := w.waiting(ctx, a, contacts/4); err != nil {
		return nil, err
	}
	down := []object{{"path": "/crm/", "status": 503, "delay_ms": 1000}}
	if err := fleet.Post(ctx, a.hubspot, "faults", down, nil); err != nil {
		return nil, err
	}
	busy, err := other.during(ctx, "busy", func(ctx context.Context) error { pause(ctx, time.Minute); return ctx.Err() })
	if err != nil {
		return nil, err
	}
	backlog, err := w.rows(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := fleet.Post(ctx, a.hubspot, "faults", []object{}, nil); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := a.arrived(ctx, contacts, 15*time.Minute); err != nil {
		return nil, err
	}
	return append(compare("another tenant's live edits", quiet, busy, 2),
		line{what: "contacts that waited at the end of the outage", value: fmt.Sprint(backlog)},
		line{what: fmt.Sprintf("all %d contacts were there after the outage's end", contacts), value: fmt.Sprintf("%.0f s", time.Since(began).Seconds())}), nil
}

// rows is how many contacts wait for a call to a tenant's portal.
func (w *world) rows(ctx context.Context, a *account) (n int64, err error) {
	counts, err := w.db.LaneCounts(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range counts {
		if c.Tenant == a.ID && c.System == contact.HubSpot {
			n += int64(c.Rows)
		}
	}
	return n, nil
}

// waiting waits until so many contacts wait for a tenant's portal.
func (w *world) waiting(ctx context.Context, a *account, rows int) error {
	return w.until(ctx, fmt.Sprintf("%d contacts wait for %s", rows, a.ID), func() (bool, error) {
		return w.db.LaneHolds(ctx, a.ID, contact.HubSpot, rows)
	})
}

// hire makes the contacts of an account whose edits are measured, and waits until each system
// has been told all of them.
func (w *world) hire(ctx context.Context, a *account, contacts int) error {
	if err := a.hire(ctx, contacts); err != nil {
		return err
	}
	return w.until(ctx, fmt.Sprintf("nothing waits for %s", a.ID), func() (bool, error) {
		some, err := w.db.LaneHolds(ctx, a.ID, contact.Aloware, 1)
		return !some, err
	})
}

// until waits, for two minutes, until something holds.
func (w *world) until(ctx context.Context, what string, holds func() (bool, error)) error {
	const within = 2 * time.Minute
	for began := time.Now(); ; pause(ctx, 100*time.Millisecond) {
		ok, err := holds()
		if err != nil || ok {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > within {
			return fmt.Errorf("after %v it is not so that %s", within, what)
		}
	}
}

// million reads contacts into a portal without limits and tells what each part
// of the installation used.
func million(ctx context.Context, config Config, say fleet.Speaker) ([]line, error) {
	const unlimited = 1_000_000
	w, err := build(ctx, config, "million", layout{hubspotWriters: 1, tenants: []fleet.Tenant{aTenant(big, 1, unlimited)}}, say)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a := w.tenants[0]
	if err := a.load(ctx, config.Million, 1, false); err != nil {
		return nil, err
	}
	before := w.usage()
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	type sample struct {
		made int
		used map[string]fleet.Usage
	}
	var samples []sample
	go func() {
		defer close(watched)
		for watching.Err() == nil {
			if c, err := a.calls(watching); err == nil {
				samples = append(samples, sample{c.Contacts, w.usage()})
			}
			pause(watching, 2*time.Second)
		}
	}()
	r, err := w.firstSync(ctx, a, config.Million, false)
	stop()
	<-watched
	if err != nil {
		return nil, err
	}
	after := w.usage()
	if err := r.count(ctx, a); err != nil {
		return nil, err
	}
	lines := []line{
		{what: "contacts made", value: fmt.Sprintf("%d in %.0f s, %.0f a second", r.contacts, r.took.Seconds(), float64(r.contacts)/r.took.Seconds())},
		most("contacts lost", float64(r.lost), 0, "%.0f"),
		most("contacts made twice", float64(r.twice), 0, "%.0f"),
	}
	// memory is the most that a kind held between two parts of the run.
	memory := func(kind string, from, to float64) (most int64) {
		for _, s := range samples {
			if part := float64(s.made) / float64(config.Million); part >= from && part < to {
				most = max(most, s.used[kind].Memory)
			}
		}
		return most
	}
	for _, kind := range []string{"ingest", "mapper", "writer", "NATS", "PostgreSQL", "simulators"} {
		cpu := (after[kind].CPU - before[kind].CPU).Seconds() * 1e6 / float64(r.contacts)
		value := fmt.Sprintf("%.0f s", cpu)
		l := line{what: "CPU of a million contacts: " + kind, value: value}
		if kind != "PostgreSQL" && kind != "simulators" && kind != "NATS" {
			early, late := memory(kind, .1, .4), memory(kind, .7, 1.1)
			l.what += "; memory in the first and the last third"
			l.value += fmt.Sprintf("; %d and %d MB", early>>20, late>>20)
			l.promised, l.broken = "memory stays flat", float64(late) > 1.3*float64(early)+32<<20
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// owner is the process that owns a tenant's lane into HubSpot.
func (w *world) owner(ctx context.Context, id contact.Tenant) (*fleet.Process, error) {
	all, err := w.db.Stages(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Stage == writer.StageName(contact.HubSpot) && p.Partition == bus.Hashed(id, partitions) {
			if owner := w.process(p.Owner); owner != nil {
				return owner, nil
			}
		}
	}
	return nil, fmt.Errorf("nobody owns the lane of %s", id)
}

// apart is an account whose lane into HubSpot is owned by another process.
func (w *world) apart(ctx context.Context, from *account) (*account, error) {
	const settled = 30 * time.Second // leases are shared out by then
	pause(ctx, settled)
	owner, err := w.owner(ctx, from.ID)
	if err != nil {
		return nil, err
	}
	for _, a := range w.tenants {
		if p, err := w.owner(ctx, a.ID); err != nil {
			return nil, err
		} else if p != owner {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%s owns the lanes of all tenants", owner.Name)
}
