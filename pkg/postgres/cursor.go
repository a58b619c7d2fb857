package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The table of this file is written by ingest alone.

// Cursor tells where one repeated reading of one system stands.
type Cursor struct {
	Tenant   contact.Tenant
	System   contact.System
	Reading  string
	Since    contact.Millis // by the system's clock; 0 before the first reading
	Mark     string         // where a reading that was cut goes on; "" at its beginning
	Failures int
}

// EnsureCursors adds readings that are not there yet; they are due at once.
func (db *DB) EnsureCursors(ctx context.Context, cursors []Cursor) error {
	var tenants, systems, readings []string
	var since []int64
	for _, c := range cursors {
		tenants, systems, readings = append(tenants, string(c.Tenant)), append(systems, c.System.String()), append(readings, c.Reading)
		since = append(since, int64(c.Since))
	}
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO read_cursor (tenant, system, reading, since_ms)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING`,
		tenants, systems, readings, since); err != nil {
		return fmt.Errorf("add readings: %w", err)
	}
	return nil
}

// ClaimCursors takes due readings for a process until a time from now; nobody
// else gets them before it has passed. Of one system of one tenant there is one
// reading at a time.
func (db *DB) ClaimCursors(ctx context.Context, owner string, hold time.Duration, limit int) ([]Cursor, error) {
	rows, err := db.pool.Query(ctx, `
		UPDATE read_cursor c SET claimed_by = $1, claimed_to = now() + $2
		FROM (SELECT tenant, system, reading FROM read_cursor r
		      WHERE next_at <= now() AND claimed_to <= now() AND NOT EXISTS (
		          SELECT FROM read_cursor o WHERE o.tenant = r.tenant AND o.system = r.system AND o.reading <> r.reading
		          AND (o.claimed_to > now() OR o.next_at <= now() AND (o.next_at, o.reading) < (r.next_at, r.reading)))
		      ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED) d
		WHERE c.tenant = d.tenant AND c.system = d.system AND c.reading = d.reading
		RETURNING c.tenant, c.system, c.reading, c.since_ms, c.mark, c.failures`, owner, hold, limit)
	if err != nil {
		return nil, fmt.Errorf("claim readings: %w", err)
	}
	cursors, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Cursor, err error) {
		var system string
		if err = row.Scan(&c.Tenant, &system, &c.Reading, &c.Since, &c.Mark, &c.Failures); err != nil {
			return c, err
		}
		c.System, err = contact.ParseSystem(system)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim readings: %w", err)
	}
	return cursors, nil
}

// SaveCursor ends a claimed reading: where it stands, when the next is due,
// and why it failed ("" when it did not). A claim that was lost saves nothing.
func (db *DB) SaveCursor(ctx context.Context, owner string, c Cursor, next time.Duration, failure string) error {
	if _, err := db.pool.Exec(ctx, `
		UPDATE read_cursor SET since_ms = $5, failures = $6, error = $7, next_at = now() + $8, mark = $9, claimed_to = '-infinity'
		WHERE tenant = $1 AND system = $2 AND reading = $3 AND claimed_by = $4`,
		string(c.Tenant), c.System.String(), c.Reading, owner, int64(c.Since), c.Failures, failure, next, c.Mark); err != nil {
		return fmt.Errorf("save reading: %w", err)
	}
	return nil
}

// WakeCursors makes readings of a tenant due at once, each from its beginning;
// "" means all readings.
func (db *DB) WakeCursors(ctx context.Context, tenant contact.Tenant, reading string) error {
	if _, err := db.pool.Exec(ctx, `
		UPDATE read_cursor SET next_at = now(), mark = '' WHERE tenant = $1 AND ($2 = '' OR reading = $2)`, string(tenant), reading); err != nil {
		return fmt.Errorf("wake readings: %w", err)
	}
	return nil
}
