package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The tables of this file are written by the mapper alone.

// Flow is how many contacts a field changed in a system in one hour.
type Flow struct {
	Tenant   contact.Tenant
	Field    string
	Into     contact.System
	Hour     contact.Millis // its beginning
	Contacts int64          // to save: more or less by so many
}

// FlowWindow counts what a source changed of a field within ten minutes.
type FlowWindow struct {
	Tenant            contact.Tenant
	Field             string
	Into              contact.System
	Source            string
	Slot, Now, Before int64
}

// Flows loads the hours since a time and the windows of a tenant's fields.
func (db *DB) Flows(ctx context.Context, tenant contact.Tenant, since contact.Millis) ([]Flow, []FlowWindow, error) {
	fail := func(err error) ([]Flow, []FlowWindow, error) {
		return nil, nil, fmt.Errorf("load how many contacts the fields of %s change: %w", tenant, err)
	}
	rows, err := db.pool.Query(ctx, `SELECT tenant, field, system, hour_ms, contacts FROM field_flow WHERE tenant = $1 AND hour_ms >= $2`, string(tenant), int64(since))
	if err != nil {
		return fail(err)
	}
	flows, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Flow, err error) {
		var system string
		if err = row.Scan(&f.Tenant, &f.Field, &system, &f.Hour, &f.Contacts); err != nil {
			return f, err
		}
		f.Into, err = contact.ParseSystem(system)
		return f, err
	})
	if err != nil {
		return fail(err)
	}
	rows, err = db.pool.Query(ctx, `SELECT tenant, field, system, source, slot, now, before FROM field_window WHERE tenant = $1`, string(tenant))
	if err != nil {
		return fail(err)
	}
	windows, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w FlowWindow, err error) {
		var system string
		if err = row.Scan(&w.Tenant, &w.Field, &system, &w.Source, &w.Slot, &w.Now, &w.Before); err != nil {
			return w, err
		}
		w.Into, err = contact.ParseSystem(system)
		return w, err
	})
	if err != nil {
		return fail(err)
	}
	return flows, windows, nil
}

// SaveFlows adds to hours and replaces windows, in one statement.
func (tx *Tx) SaveFlows(ctx context.Context, flows []Flow, windows []FlowWindow) error {
	if len(flows)+len(windows) == 0 {
		return nil
	}
	var f [3][]string
	var hours, contacts []int64
	for _, flow := range flows {
		f[0], f[1], f[2] = append(f[0], string(flow.Tenant)), append(f[1], flow.Field), append(f[2], flow.Into.String())
		hours, contacts = append(hours, int64(flow.Hour)), append(contacts, flow.Contacts)
	}
	var w [4][]string
	var slots, now, before []int64
	for _, window := range windows {
		w[0], w[1], w[2], w[3] = append(w[0], string(window.Tenant)), append(w[1], window.Field), append(w[2], window.Into.String()), append(w[3], window.Source)
		slots, now, before = append(slots, window.Slot), append(now, window.Now), append(before, window.Before)
	}
	return tx.tx.put(ctx, "save how many contacts fields change", `
		WITH windows AS (
			INSERT INTO field_window (tenant, field, system, source, slot, now, before)
			SELECT * FROM unnest($6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[])
			ON CONFLICT (tenant, field, system, source) DO UPDATE SET slot = excluded.slot, now = excluded.now, before = excluded.before)
		INSERT INTO field_flow AS f (tenant, field, system, hour_ms, contacts)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS w (tenant, field, system, hour_ms, contacts) ORDER BY 1, 2, 3, 4
		ON CONFLICT (tenant, field, system, hour_ms) DO UPDATE SET contacts = greatest(f.contacts + excluded.contacts, 0)`, f[0], f[1], f[2], hours, contacts, w[0], w[1], w[2], w[3], slots, now, before)
}

// TrustedSources are the sources of a field that somebody let go on since a time.
func (db *DB) TrustedSources(ctx context.Context, tenant contact.Tenant, since time.Time) ([]Hold, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+holdColumns+` FROM `+holdJoined+`
		WHERE h.tenant = $1 AND r.asked_at > $2 AND r.options->>'answer' = 'go' AND NOT h.lapsed`, string(tenant), since)
	if err != nil {
		return nil, fmt.Errorf("load what was let go on: %w", err)
	}
	holds, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Hold, error) { return scanHold(row) })
	if err != nil {
		return nil, fmt.Errorf("load what was let go on: %w", err)
	}
	return holds, nil
}

// ForgetFlows removes what no rate is worked out from any more.
func (db *DB) ForgetFlows(ctx context.Context, before contact.Millis) error {
	if _, err := db.pool.Exec(ctx, `
		WITH windows AS (DELETE FROM field_window WHERE slot * 300000 < $1)
		DELETE FROM field_flow WHERE hour_ms < $1`, int64(before)); err != nil {
		return fmt.Errorf("remove old counts of changes: %w", err)
	}
	return nil
}
