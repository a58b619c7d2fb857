package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The table of this file is written by the mapper alone.

// DispositionPair is an unresolved contact disposition of Aloware, by its id,
// and the option that HubSpot has of the same contacts; "" for none.
type DispositionPair struct {
	Tenant    contact.Tenant
	ID, Value string
}

// CountDispositions adds to how many contacts have which pair, or takes away.
func (tx *Tx) CountDispositions(ctx context.Context, more map[DispositionPair]int64, now time.Time) error {
	var tenants, ids, values []string
	var n []int64
	for p, count := range more {
		if count != 0 {
			tenants, ids, values, n = append(tenants, string(p.Tenant)), append(ids, p.ID), append(values, p.Value), append(n, count)
		}
	}
	if len(n) == 0 {
		return nil
	}
	// In one order always: two partitions may count for one pair.
	return tx.tx.put(ctx, "count dispositions", `
		INSERT INTO disposition_seen AS s (tenant, id, value, contacts, seen_at)
		SELECT tenant, id, value, n, $5 FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS w (tenant, id, value, n) ORDER BY 1, 2, 3
		ON CONFLICT (tenant, id, value) DO UPDATE SET contacts = greatest(s.contacts + excluded.contacts, 0), seen_at = excluded.seen_at`,
		tenants, ids, values, n, now)
}

// DispositionCount is a pair that some contacts have.
type DispositionCount struct {
	ID, Value string
	Contacts  int64
	SeenAt    time.Time
}

// SeenDispositions are the pairs that a tenant's contacts have: by id, those of
// most contacts first.
func (db *DB) SeenDispositions(ctx context.Context, tenant contact.Tenant) ([]DispositionCount, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT id, value, contacts, seen_at FROM disposition_seen WHERE tenant = $1 AND contacts > 0
		ORDER BY length(id), id, contacts DESC, value`, string(tenant))
	if err != nil {
		return nil, fmt.Errorf("load seen dispositions: %w", err)
	}
	seen, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DispositionCount])
	if err != nil {
		return nil, fmt.Errorf("load seen dispositions: %w", err)
	}
	return seen, nil
}
