package chaos

import (
	"context"
	"fmt"
	"time"
)

// look compares all tenants and reads the counters.
func (w *world) look(ctx context.Context) (f findings, s []statistics, err error) {
	for _, a := range w.accounts {
		one, err := a.compare(ctx)
		if err != nil {
			return f, s, fmt.Errorf("compare %s: %w", a.ID, err)
		}
		f.join(one)
		counted, err := a.statistics(ctx)
		if err != nil {
			return f, s, err
		}
		s = append(s, counted)
	}
	return f, s, nil
}

// settleDown waits until everything agrees, nothing waits to be delivered and
// no value has been written for a while. Without people it makes the first.
func (w *world) settleDown(ctx context.Context, what string) error {
	const still = 5 * time.Second
	for _, a := range w.accounts {
		for len(a.people) < w.config.People {
			if err := a.begin(ctx); err != nil {
				return fmt.Errorf("chaos: first people: %w", err)
			}
		}
	}
	start := time.Now()
	limit, cancel := context.WithTimeout(ctx, w.config.Quiet)
	defer cancel()
	last, since, told := -1, start, start
	const glimpse = 2 // of what is wrong
	for {
		f, counted, err := w.look(ctx)
		if err != nil {
			return err
		}
		writes, pending := 0, 0
		for _, s := range counted {
			writes += s.writes
			pending += s.pending
		}
		if writes != last || len(f.wrong) > 0 || pending > 0 {
			last, since = writes, time.Now()
		}
		if time.Since(since) >= still {
			if err := w.allReady(ctx, 30*time.Second); err != nil {
				return err
			}
			w.say("%s (%.0fs)", what, time.Since(start).Seconds()-still.Seconds())
			return nil
		}
		if limit.Err() != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: not at rest within %v: %d faults of agreement, %d webhooks wait", ErrDisagree, w.config.Quiet, len(f.wrong), pending)
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			w.say("not yet: %d persons and %d fields are not as they must be, %d webhooks wait", f.persons, f.differ+f.lost, pending)
			for _, text := range f.wrong[:min(len(f.wrong), glimpse)] {
				w.say("         %s", text)
			}
		}
		wait(limit, 250*time.Millisecond)
	}
}

// tell says every few seconds how it goes.
func (w *world) tell(ctx context.Context, faults *faults) error {
	const every = 15 * time.Second
	for {
		wait(ctx, every)
		if ctx.Err() != nil {
			return nil
		}
		f, counted, err := w.look(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		var total statistics
		for _, s := range counted {
			total.writes += s.writes
			total.hubspotRequests += s.hubspotRequests
			total.alowareRequests += s.alowareRequests
		}
		w.say("so far: %d edits, %d values written, %d + %d calls; under way: %d fields; faults: %s",
			w.edits(), total.writes, total.hubspotRequests, total.alowareRequests, f.differ+f.lost, faults.summary())
	}
}

func (w *world) edits() (n int) {
	for _, a := range w.accounts {
		a.mu.Lock()
		n += a.edits
		a.mu.Unlock()
	}
	return n
}

// judge prints what was counted and gives ErrDisagree unless all is as it must be.
func (w *world) judge(ctx context.Context, faults *faults) error {
	const shown = 40
	f, counted, err := w.look(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	check := func(bad bool, format string, values ...any) {
		text := fmt.Sprintf(format, values...)
		if bad {
			text = "WRONG  " + text
			wrong = append(wrong, text)
		}
		w.say("%s", text)
	}
	for i, s := range counted {
		a := w.accounts[i]
		a.mu.Lock()
		w.say("%s: %d people (%d made by hand while disturbed), %d merges, %d deletions, %d restored, %d values edited, %d written, %d writes changed nothing",
			a.ID, len(a.people), a.creations, a.merges, a.deletions, a.restored, a.edits, s.writes, s.idle)
		a.mu.Unlock()
		w.say("%s: %d webhooks taken, %d sent twice on purpose, %d of Aloware not taken; answers to calls %v", a.ID, s.webhooks, s.repeated, s.lost, s.statuses)
		check(s.hubspotWindow > s.hubspotLimit || s.hubspotThrottled > 0, "%s: HubSpot had %d calls, at most %d of %d in a window, %d over the limit, at most %d of %d searches in a second",
			a.ID, s.hubspotRequests, s.hubspotWindow, s.hubspotLimit, s.hubspotThrottled, s.hubspotSearches, s.hubspotSearchLimit)
		check(s.alowareOverruns > 0, "%s: Aloware had %d calls, %d over the limit", a.ID, s.alowareRequests, s.alowareOverruns)
	}
	restarts, byItself := 0, 0
	for _, p := range w.processes {
		n, own := p.Counts()
		restarts, byItself = restarts+n, byItself+own
	}
	w.say("faults: %s", faults.summary())
	w.say("processes started again: %d, of which %d had ended by themselves", restarts, byItself)
	check(f.persons > 0, "people missing or made twice: %d", f.persons)
	check(f.differ > 0, "fields on which the sides differ: %d of %d", f.differ, f.fields)
	check(f.lost > 0, "lost edits: %d of %d", f.lost, w.edits())
	w.say("texts: %d, of which HubSpot's totals lack %d that Aloware's lost webhooks were the only word of", f.texts, f.unheard)
	w.say("fields whose last edit cannot be told by the systems' clocks: %d; where the target's own edit stands: %d", f.ambiguous, f.standing)
	for _, text := range f.wrong[:min(len(f.wrong), shown)] {
		w.say("WRONG  %s", text)
	}
	if len(f.wrong) > shown {
		w.say("WRONG  and %d more", len(f.wrong)-shown)
	}
	if len(wrong) > 0 {
		return ErrDisagree
	}
	w.say("everything agrees")
	return nil
}
