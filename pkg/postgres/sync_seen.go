package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// SaveSeen adds ids that a job has seen on a side. first tells that the walk
// begins.
func (db *DB) SaveSeen(ctx context.Context, tenant contact.Tenant, job string, system contact.System, ids []string, first bool) error {
	if first {
		ids = append([]string{""}, ids...)
	}
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO sync_seen (tenant, job, system, id) SELECT $1, $2, $3, unnest($4::text[]) ON CONFLICT DO NOTHING`,
		string(tenant), job, system.String(), ids); err != nil {
		return fmt.Errorf("store what a sync has seen: %w", err)
	}
	return nil
}

// Unseen is a contact that is linked, and was not seen.
type Unseen struct {
	ID      string // on the side that was walked
	Contact contact.Key
}

// UnseenContacts gives contacts that are known on a side by an id after a given
// one, and that a job which has walked all of it has seen by none of their ids.
// It gives none where what was seen is not whole.
func (db *DB) UnseenContacts(ctx context.Context, tenant contact.Tenant, job string, system contact.System, after string, limit int) ([]Unseen, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT r.value, r.contact FROM contact_ref r
		WHERE r.tenant = $1 AND r.kind = $3 AND r.value > $4
		  AND EXISTS (SELECT FROM sync_seen WHERE tenant = $1 AND job = $2 AND system = $3 AND id = '')
		  AND NOT EXISTS (SELECT FROM contact_ref o JOIN sync_seen s ON s.tenant = o.tenant AND s.job = $2 AND s.system = $3 AND s.id = o.value
		                  WHERE o.tenant = r.tenant AND o.contact = r.contact AND o.kind = r.kind)
		ORDER BY r.value LIMIT $5`, string(tenant), job, system.String(), after, limit)
	if err != nil {
		return nil, fmt.Errorf("look for contacts that a sync has not seen: %w", err)
	}
	unseen, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Unseen])
	if err != nil {
		return nil, fmt.Errorf("look for contacts that a sync has not seen: %w", err)
	}
	return unseen, nil
}

// ForgetSeen removes what a job has seen.
func (db *DB) ForgetSeen(ctx context.Context, tenant contact.Tenant, job string) error {
	if _, err := db.pool.Exec(ctx, `DELETE FROM sync_seen WHERE tenant = $1 AND job = $2`, string(tenant), job); err != nil {
		return fmt.Errorf("forget what a sync has seen: %w", err)
	}
	return nil
}

// ForgetWalks removes what jobs have kept for themselves and others: lists of
// portals that are older than a time, or whose job was ended, and what such jobs
// have seen.
func (db *DB) ForgetWalks(ctx context.Context, after time.Duration) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH old AS (DELETE FROM portal_index i
			WHERE coalesce(complete_at, began_at) < now() - $1::interval
			   OR complete_at IS NULL AND EXISTS (SELECT FROM sync_job j WHERE j.id = i.job AND j.state = 'cancelled')
			RETURNING tenant)
		DELETE FROM portal_key k USING old WHERE k.tenant = old.tenant`, after)
	batch.Queue(`
		DELETE FROM sync_seen s USING sync_job j
		WHERE j.state IN ('cancelled', 'failed') AND j.finished_at > now() - interval '2 days' AND s.tenant = j.tenant AND s.job = j.id`)
	if err := db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("forget what walks have kept: %w", err)
	}
	return nil
}

// ForgetWalked removes contacts of a portal that are to be forgotten from what
// walks have kept.
func (db *DB) ForgetWalked(ctx context.Context, tenant contact.Tenant, ids []string) error {
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM portal_key WHERE tenant = $1 AND id = ANY($2)`, string(tenant), ids)
	batch.Queue(`DELETE FROM sync_seen WHERE tenant = $1 AND system = 'hubspot' AND id = ANY($2)`, string(tenant), ids)
	if err := db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("forget contacts that walks have seen: %w", err)
	}
	return nil
}
