package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The table of this file is written by the mapper alone.

// WrittenField is a field that was written into a system.
type WrittenField struct {
	Tenant contact.Tenant
	Field  string // mapping key
	System contact.System
}

// CountFieldWrites adds what was written at a time, of the bulk streams or the
// live ones.
func (tx *Tx) CountFieldWrites(ctx context.Context, writes map[WrittenField]int64, bulk bool, at time.Time) error {
	if len(writes) == 0 {
		return nil
	}
	tenants, fields, systems, counts := make([]string, 0, len(writes)), make([]string, 0, len(writes)), make([]string, 0, len(writes)), make([]int64, 0, len(writes))
	for w, n := range writes {
		tenants, fields, systems, counts = append(tenants, string(w.Tenant)), append(fields, w.Field), append(systems, w.System.String()), append(counts, n)
	}
	// In one order always, should a former owner of the partition still be at it.
	return tx.tx.put(ctx, fmt.Sprintf("count writes of %d fields", len(writes)), `
		INSERT INTO field_write AS w (tenant, field, system, hour, bulk, writes, last)
		SELECT tenant, field, system, $5, $6, n, $7 FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS v (tenant, field, system, n) ORDER BY 1, 2, 3
		ON CONFLICT (tenant, field, system, hour, bulk) DO UPDATE SET writes = w.writes + excluded.writes, last = greatest(w.last, excluded.last)`,
		tenants, fields, systems, counts, at.UTC().Truncate(time.Hour), bulk, at)
}

// FieldWrites is how much was written of one field into one system.
type FieldWrites struct {
	Field    string
	System   contact.System
	ThisHour int64     // since the beginning of the hour
	Today    int64     // since the beginning of the day
	Last     time.Time // when the last one was, however long ago
}

// FieldWrites gives what was written of a tenant's fields, in the hour and the
// day that began at these times; whole hours are counted.
func (db *DB) FieldWrites(ctx context.Context, tenant contact.Tenant, hour, day time.Time) ([]FieldWrites, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT field, system, coalesce(sum(writes) FILTER (WHERE hour >= $2), 0)::bigint, coalesce(sum(writes) FILTER (WHERE hour >= $3), 0)::bigint, max(last)
		FROM field_write WHERE tenant = $1 GROUP BY field, system ORDER BY field, system`, string(tenant), hour.UTC().Truncate(time.Hour), day.UTC().Truncate(time.Hour))
	if err != nil {
		return nil, fmt.Errorf("load what was written of fields: %w", err)
	}
	writes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w FieldWrites, err error) {
		var system string
		if err = row.Scan(&w.Field, &system, &w.ThisHour, &w.Today, &w.Last); err != nil {
			return w, err
		}
		w.System, err = contact.ParseSystem(system)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("load what was written of fields: %w", err)
	}
	return writes, nil
}

// keepFieldWrites is how long hours are kept: the longest day and some more,
// wherever a tenant is.
const keepFieldWrites = 49 * time.Hour

// KeepFieldWrites drops the hours that nobody asks for any more.
func (db *DB) KeepFieldWrites(ctx context.Context, now time.Time) error {
	tenants, err := db.tenantsIn(ctx, "field_write")
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if _, err := db.pool.Exec(ctx, `
			DELETE FROM field_write w WHERE tenant = $1 AND hour < $2
			AND EXISTS (SELECT FROM field_write n WHERE n.tenant = w.tenant AND n.field = w.field AND n.system = w.system AND n.hour > w.hour)`,
			tenant, now.Add(-keepFieldWrites)); err != nil {
			return fmt.Errorf("drop old hours of %s: %w", tenant, err)
		}
	}
	return nil
}

// tenantsIn gives the tenants that a table has rows of, whose first index
// column is the tenant: it looks at one row of each.
func (db *DB) tenantsIn(ctx context.Context, table string) ([]string, error) {
	rows, err := db.pool.Query(ctx, `
		WITH RECURSIVE t AS (
			(SELECT tenant FROM `+table+` ORDER BY tenant LIMIT 1)
			UNION ALL
			SELECT (SELECT tenant FROM `+table+` WHERE tenant > t.tenant ORDER BY tenant LIMIT 1) FROM t WHERE t.tenant IS NOT NULL)
		SELECT tenant FROM t WHERE tenant IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("find the tenants of %s: %w", table, err)
	}
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("find the tenants of %s: %w", table, err)
	}
	return tenants, nil
}
