package measure

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// syncRun is what was seen of a first sync.
type syncRun struct {
	took        time.Duration // between the first and the last creation
	used        int           // calls in that time
	silence     time.Duration // the longest time without a call
	work        time.Duration // of it, how long a full batch waited for a call while the quota had an owner
	worked      int           // calls in that time
	calls       calls
	contacts    int // that were made
	twice, lost int
	killed      string
}

func (r *syncRun) lines(limit int) []line {
	possible := func(d time.Duration) float64 { return float64(limit) * d.Seconds() / 10 }
	made := r.calls.Batches["create"]
	upserts := r.calls.Batches["upsert"]
	made.Calls, made.Contacts = made.Calls+upserts.Calls, made.Contacts+upserts.Contacts
	lines := []line{
		{what: "contacts made", value: fmt.Sprintf("%d in %.0f s, %.0f a second", r.contacts, r.took.Seconds(), float64(r.contacts)/r.took.Seconds())},
		{what: "a full batch waited for a call, of that time", value: fmt.Sprintf("%.0f s", r.work.Seconds())},
		least("of the possible calls used while one waited and the quota had an owner, %", 100*float64(r.worked)/max(1, possible(r.work)), 98, "%.1f"),
		{what: "of the possible calls used over all, %", value: fmt.Sprintf("%.1f", 100*float64(r.used)/possible(r.took))},
		least("contacts in a call that creates", float64(made.Contacts)/float64(max(1, made.Calls)), 99, "%.2f"),
		{what: "contacts made in a call, reads and lists counted too", value: fmt.Sprintf("%.2f", float64(r.contacts)/float64(max(1, r.used)))},
		{what: "calls by kind", value: r.calls.kinds()},
		most("answers 429", float64(r.calls.Throttled), 0, "%.0f"),
		most("most calls in any 10 s", float64(r.calls.MaxInWindow), float64(limit), "%.0f"),
		most("contacts lost", float64(r.lost), 0, "%.0f"),
		most("contacts made twice", float64(r.twice), 0, "%.0f"),
	}
	if r.killed != "" {
		lines = append(lines, line{what: "killed halfway: " + r.killed + ", the owner; time without a call", value: fmt.Sprintf("%.1f s", r.silence.Seconds())})
	}
	return lines
}

// firstSync reads all of an account's Aloware contacts into HubSpot, and kills
// the owner of the portal's quota halfway if it shall.
func (w *world) firstSync(ctx context.Context, a *account, contacts int, kill bool) (r syncRun, err error) {
	before, err := a.calls(ctx)
	if err != nil {
		return r, err
	}
	id := "first-" + string(a.ID)
	if err := w.db.RequestSync(ctx, postgres.Sync{
		ID: id, Tenant: a.ID, Kind: postgres.FirstSync, Options: postgres.SyncOptions{Aloware: true}, AskedBy: "measure",
	}); err != nil {
		return r, err
	}
	const look = 100 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	// Beside the batches of the deliveries that a lane has under way, one waits. The
	// quota has no owner from the kill to the first call of the next one, who comes
	// when the lease is over: what arrives at once was under way.
	const batches, between, underWay = 100 * (8 + 1), 500 * time.Millisecond, 4 * time.Second
	var first, last, lastCall, told, looked, killed time.Time
	owned := true
	var atFirst, atLast calls
	waited, lookedCalls := false, 0
	seen := before
	for began := time.Now(); ; {
		now, err := a.calls(ctx)
		if err != nil {
			return r, err
		}
		at := time.Now()
		if first.IsZero() && now.general() > before.general() {
			first, atFirst, lastCall = at.Add(-look), before, at
		}
		if now.Contacts > seen.Contacts {
			last, atLast = at, now
		}
		if now.general() > seen.general() {
			r.silence = max(r.silence, at.Sub(lastCall))
			lastCall = at
			if !owned && at.Sub(killed) > underWay {
				owned, waited = true, false
			}
		}
		seen = now
		if passed := at.Sub(looked); passed >= between {
			waits, err := w.db.LaneHolds(ctx, a.ID, contact.HubSpot, batches)
			if err != nil {
				return r, err
			}
			if waited && waits && owned {
				r.work += passed
				r.worked += now.general() - lookedCalls
			}
			waited, looked, lookedCalls = waits, at, now.general()
		}
		made := now.Contacts - before.Contacts
		if kill && r.killed == "" && made >= contacts/2 {
			p, err := w.owner(ctx, a.ID)
			if err != nil {
				return r, err
			}
			p.Signal(syscall.SIGKILL)
			r.killed, killed, owned = p.Name, at, false
			w.say("killed %s with %d contacts made", p.Name, made)
		}
		if time.Since(told) > 15*time.Second {
			told = time.Now()
			w.say("  %d of %d contacts, %d calls", made, contacts, now.general()-before.general())
		}
		if made >= contacts {
			break
		}
		if at.Sub(began) > time.Hour {
			return r, fmt.Errorf("%d of %d contacts after an hour", made, contacts)
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-ticker.C:
		}
	}
	r.took, r.used = last.Sub(first), atLast.general()-atFirst.general()
	r.calls, r.contacts = atLast, atLast.Contacts-before.Contacts
	return r, nil
}

// count finds who is missing after a first sync, and who is there twice.
func (r *syncRun) count(ctx context.Context, a *account) error {
	numbers := make(map[string]int)
	if err := records(ctx, a.hubspot, func(c *record) { numbers[c.Phone]++ }); err != nil {
		return err
	}
	for _, n := range numbers {
		r.twice += n - 1
	}
	return records(ctx, a.aloware, func(c *record) {
		if numbers[string(c.PhoneNumber)] == 0 {
			r.lost++
		}
	})
}
