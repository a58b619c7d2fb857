package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// PortalKey is a number or an e-mail by which a contact of a portal is found.
type PortalKey struct {
	Key string // canonical
	ID  string // HubSpot's
}

// portalHash keeps numbers and addresses of strangers out of the database.
func portalHash(tenant contact.Tenant, key string) []byte {
	sum := sha256.Sum256([]byte(string(tenant) + "\x00" + key))
	return sum[:16]
}

// SavePortalKeys adds what a job found while it lists a portal. first tells that
// the job begins: what an earlier one found is forgotten. last tells that it has
// come to the end; only then PortalIDs answers from it.
func (db *DB) SavePortalKeys(ctx context.Context, tenant contact.Tenant, portal int64, job string, keys []PortalKey, first, last bool) error {
	hashes, ids := make([][]byte, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		hashes[i], ids[i] = portalHash(tenant, k.Key), k.ID
	}
	batch := &pgx.Batch{}
	if first {
		batch.Queue(`DELETE FROM portal_key WHERE tenant = $1`, string(tenant))
		batch.Queue(`
			INSERT INTO portal_index (tenant, portal, job) VALUES ($1, $2, $3)
			ON CONFLICT (tenant) DO UPDATE SET portal = excluded.portal, job = excluded.job, complete_at = NULL, began_at = now()`, string(tenant), portal, job)
	}
	batch.Queue(`
		INSERT INTO portal_key (tenant, key, id) SELECT $1, k, i FROM unnest($2::bytea[], $3::text[]) AS w(k, i)
		ON CONFLICT DO NOTHING`, string(tenant), hashes, ids)
	if last {
		// A crash of the database or another job in between makes it incomplete.
		batch.Queue(`UPDATE portal_index SET complete_at = now() WHERE tenant = $1 AND job = $2`, string(tenant), job)
	}
	if err := db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store the keys of a portal: %w", err)
	}
	return nil
}

// PortalIDs gives the ids of a portal's contacts that had one of the keys when it
// was listed. complete is false where it was not listed to the end within a time.
func (db *DB) PortalIDs(ctx context.Context, tenant contact.Tenant, portal int64, keys []string, within time.Duration) (ids []string, complete bool, err error) {
	hashes := make([][]byte, len(keys))
	for i, key := range keys {
		hashes[i] = portalHash(tenant, key)
	}
	// One statement sees one state of both tables.
	err = db.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM portal_index WHERE tenant = $1 AND portal = $4 AND complete_at > now() - $2::interval),
		       ARRAY(SELECT DISTINCT id FROM portal_key WHERE tenant = $1 AND key = ANY($3))`, string(tenant), within, hashes, portal).Scan(&complete, &ids)
	if err != nil {
		return nil, false, fmt.Errorf("look up the keys of a portal: %w", err)
	}
	return ids, complete, nil
}
