package alerts

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// How often it is looked, by one console of all: a look that takes long is
// made less often, so that it costs a twentieth of one connection at most.
const (
	lookEvery    = 5 * time.Second
	lookShare    = 20
	lookDeadline = 30 * time.Second
	askEvery     = time.Second // whether it is our turn
	cleanEvery   = time.Hour
	keepAlerts   = 90 * 24 * time.Hour
)

// mostChanges is how many changes of one alert are kept.
const mostChanges = 1000

// watch looks for changes of state until ctx ends.
func (a *Alerts) watch(ctx context.Context) error {
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for failing := false; ; {
		told, err := a.look(ctx)
		switch {
		case err == nil:
			failing = false
		case ctx.Err() == nil && !failing:
			failing = true // said once, not each second
			a.config.Logger.WarnContext(ctx, "changes of state could not be looked for; it is tried again, and no alert is lost", "error", err)
		}
		if told > 0 {
			a.nudge()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look compares what is the case with what was told, if it is this process's
// turn, and stores what is to be told, all in one transaction. It gives the
// number of alerts.
func (a *Alerts) look(ctx context.Context) (told int, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookDeadline)
	defer cancel()
	err = a.config.DB.InTx(ctx, func(tx *postgres.Tx) error {
		now, mine, err := tx.AlertTurn(ctx, a.every)
		if err != nil || !mine {
			return err
		}
		begun := time.Now()
		if told, err = a.turn(ctx, tx, a.clock(now)); err != nil {
			return err
		}
		if wait := a.share * time.Since(begun); wait > a.every {
			return tx.PutOffAlertTurn(ctx, wait)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return told, nil
}

func (a *Alerts) turn(ctx context.Context, tx *postgres.Tx, now time.Time) (told int, err error) {
	if err := tx.EraseAlerts(ctx); err != nil {
		return 0, err
	}
	if now.Sub(a.cleaned) >= cleanEvery {
		if err := tx.CleanAlerts(ctx, now.Add(-keepAlerts)); err != nil {
			return 0, err
		}
		a.cleaned = now
	}
	facts, err := a.facts(ctx, tx)
	if err != nil {
		return 0, err
	}
	states, err := tx.AlertStates(ctx)
	if err != nil || len(facts)+len(states) == 0 {
		return 0, err
	}
	last, err := tx.AlertedSince(ctx, now.Add(-a.rules.gap))
	if err != nil {
		return 0, err
	}
	next := compare(now, a.rules, facts, states, last, func(id contact.Tenant) bool { return a.active(id) != nil })
	if err := tx.SaveAlertStates(ctx, next.save, next.remove); err != nil {
		return 0, err
	}
	changes, err := a.counted(ctx, tx, next.tell)
	if err != nil {
		return 0, err
	}
	var alerts []postgres.Alert
	for id, all := range changes {
		alerts = append(alerts, postgres.Alert{Tenant: id, ID: newID("alert"), At: now, Changes: all[:min(len(all), mostChanges)]})
	}
	return len(alerts), tx.AddAlerts(ctx, alerts)
}

func newID(kind string) string { return kind + "_" + strings.ToLower(rand.Text()) }
