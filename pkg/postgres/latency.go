package postgres

import (
	"context"
	"fmt"
	"time"
)

// Latency is how long edits took from one system to the other, by the systems'
// own clocks.
type Latency struct {
	Writes        int // that were looked at
	P50, P95, P99 time.Duration
}

// mostLatencies bounds the contacts that are looked at.
const mostLatencies = 500

// Latency is of the writes that were answered within the last while, of the
// contacts that were written last; writes of values whose edit nobody saw are
// left out.
func (db *DB) Latency(ctx context.Context, last time.Duration) (Latency, error) {
	var l Latency
	var at []float64
	err := db.pool.QueryRow(ctx, `
		WITH recent AS (
			SELECT DISTINCT tenant, contact FROM (
				SELECT tenant, contact FROM contact_history
				WHERE at > now() - $1::interval AND (rule = 'settled' OR 'settled' = ANY(step_rules)) ORDER BY at DESC LIMIT $2) r
		), step AS MATERIALIZED (
			SELECT s.* FROM recent r CROSS JOIN LATERAL (
				SELECT tenant, contact, field, system, version, rule, edited_ms, at FROM contact_step
				WHERE tenant = r.tenant AND contact = r.contact AND at > now() - $1::interval - interval '1 minute' AND rule IN ('settled', 'write')) s
		), took AS (
			SELECT greatest(s.edited_ms - w.edited_ms, 0)::float8 AS ms
			FROM step s JOIN step w USING (tenant, contact, field, system, version)
			WHERE s.rule = 'settled' AND s.at > now() - $1::interval AND w.rule = 'write' AND w.edited_ms > 1000000000000
		)
		SELECT count(*), coalesce(percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY ms), ARRAY[0, 0, 0]::float8[]) FROM took`,
		last, mostLatencies).Scan(&l.Writes, &at)
	if err != nil {
		return Latency{}, fmt.Errorf("measure the latency of writes: %w", err)
	}
	ms := func(i int) time.Duration { return time.Duration(at[i] * float64(time.Millisecond)) }
	l.P50, l.P95, l.P99 = ms(0), ms(1), ms(2)
	return l, nil
}
