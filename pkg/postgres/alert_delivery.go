package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The states of a delivery.
const (
	AlertWaiting       = "waiting"
	AlertDelivered     = "delivered"
	AlertUndeliverable = "undeliverable"
)

// AlertDelivery is one alert for one recipient of a target.
type AlertDelivery struct {
	Tenant    contact.Tenant
	Number    int64 // of the alert
	Target    string
	Recipient string // address of mail; "" for a webhook
	State     string
	Attempts  int // with the one that is under way
	NextAt    time.Time
	TriedAt   time.Time // zero before the first attempt
	Answer    string    // to the last attempt
}

// ClaimAlerts gives deliveries that are due, which nobody else gets before the
// claim ends: of each recipient the oldest alone, so that alerts come in order,
// and of a tenant a few at a time, of some tenants none.
func (db *DB) ClaimAlerts(ctx context.Context, claim time.Duration, but []contact.Tenant, perTenant, limit int) ([]AlertDelivery, error) {
	rows, err := db.pool.Query(ctx, `
		WITH head AS (
			SELECT DISTINCT ON (tenant, target, recipient) tenant, number, target, recipient, next_at
			FROM alert_delivery WHERE state = 'waiting' ORDER BY tenant, target, recipient, number),
		due AS (
			SELECT tenant, number, target, recipient, row_number() OVER (PARTITION BY tenant ORDER BY next_at, target, recipient) AS place
			FROM head WHERE next_at <= now() AND tenant <> ALL($4)),
		mine AS (
			SELECT d.tenant, d.number, d.target, d.recipient FROM alert_delivery d JOIN due USING (tenant, number, target, recipient)
			WHERE due.place <= $2 AND d.state = 'waiting' AND d.next_at <= now() ORDER BY d.next_at LIMIT $3 FOR UPDATE OF d SKIP LOCKED)
		UPDATE alert_delivery d SET attempts = d.attempts + 1, next_at = now() + $1::interval, tried_at = now() FROM mine m
		WHERE d.tenant = m.tenant AND d.number = m.number AND d.target = m.target AND d.recipient = m.recipient
		RETURNING d.tenant, d.number, d.target, d.recipient, d.state, d.attempts, d.next_at, d.tried_at, d.answer`, claim, perTenant, limit, texts(but))
	if err != nil {
		return nil, fmt.Errorf("claim alerts to deliver: %w", err)
	}
	claimed, err := pgx.CollectRows(rows, scanDelivery)
	if err != nil {
		return nil, fmt.Errorf("claim alerts to deliver: %w", err)
	}
	return claimed, nil
}

func scanDelivery(row pgx.CollectableRow) (d AlertDelivery, err error) {
	var tried *time.Time
	err = row.Scan(&d.Tenant, &d.Number, &d.Target, &d.Recipient, &d.State, &d.Attempts, &d.NextAt, &tried, &d.Answer)
	d.TriedAt = value(tried)
	return d, err
}

// EndAlert stores what came of a claimed delivery, unless somebody else has
// claimed it since: its state and answer, and for one that is tried again how
// long that waits.
func (db *DB) EndAlert(ctx context.Context, d *AlertDelivery, wait time.Duration) error {
	if _, err := db.pool.Exec(ctx, `
		UPDATE alert_delivery SET state = $5, answer = $6, next_at = now() + $7::interval
		WHERE tenant = $1 AND number = $2 AND target = $3 AND recipient = $4 AND state = 'waiting' AND attempts = $8`,
		string(d.Tenant), d.Number, d.Target, d.Recipient, d.State, d.Answer, wait, d.Attempts); err != nil {
		return fmt.Errorf("store what came of an alert: %w", err)
	}
	return nil
}

// AlertDeliveries gives what became of a tenant's alerts from one number to
// another, in the order of targets and recipients.
func (db *DB) AlertDeliveries(ctx context.Context, tenant contact.Tenant, from, to int64) (map[int64][]AlertDelivery, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT tenant, number, target, recipient, state, attempts, next_at, tried_at, answer FROM alert_delivery
		WHERE tenant = $1 AND number BETWEEN $2 AND $3 ORDER BY number, target, recipient`, string(tenant), from, to)
	if err != nil {
		return nil, fmt.Errorf("load the deliveries of alerts: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanDelivery)
	if err != nil {
		return nil, fmt.Errorf("load the deliveries of alerts: %w", err)
	}
	by := make(map[int64][]AlertDelivery)
	for _, d := range all {
		by[d.Number] = append(by[d.Number], d)
	}
	return by, nil
}
