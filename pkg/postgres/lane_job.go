package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// What jobs over all contacts and the writers' rows have to do with each other:
// ingest counts the rows of a job, and writers obey what is wished of it.

// SyncHolds is what is wished of jobs that may have rows in the writers.
type SyncHolds struct {
	Paused    []contact.Tenant // nothing that a job of theirs led to goes out
	Cancelled []CancelledSync  // what these led to is withdrawn
}

// CancelledSync is a job that was ended.
type CancelledSync struct {
	Tenant contact.Tenant
	Job    string
}

// SyncHolds gives what writers must obey now.
func (db *DB) SyncHolds(ctx context.Context) (holds SyncHolds, err error) {
	rows, err := db.pool.Query(ctx, `
		SELECT r.tenant, r.id, r.wish = 'cancel' FROM sync_request r JOIN sync_job j ON j.id = r.id
		WHERE r.wish <> 'run' AND (j.finished_at IS NULL OR j.state = 'cancelled' AND j.finished_at > now() - interval '4 days')`)
	if err != nil {
		return holds, fmt.Errorf("load what is wished of syncs: %w", err)
	}
	var tenant contact.Tenant
	var job string
	var cancelled bool
	if _, err := pgx.ForEachRow(rows, []any{&tenant, &job, &cancelled}, func() error {
		if cancelled {
			holds.Cancelled = append(holds.Cancelled, CancelledSync{tenant, job})
		} else {
			holds.Paused = append(holds.Paused, tenant)
		}
		return nil
	}); err != nil {
		return holds, fmt.Errorf("load what is wished of syncs: %w", err)
	}
	return holds, nil
}

// inVain is how many attempts of a row say that it is for people to look at.
const inVain = 8

// SyncRows counts what waits to be written of a job, without what was tried in
// vain many times: people see that among the errors.
func (db *DB) SyncRows(ctx context.Context, tenant contact.Tenant, job string) (waiting int64, err error) {
	err = db.pool.QueryRow(ctx, `
		SELECT count(*) FROM lane_row WHERE tenant = $1 AND job = $2 AND job <> '' AND attempts < $3`, string(tenant), job, inVain).Scan(&waiting)
	if err != nil {
		return 0, fmt.Errorf("count the rows of a sync: %w", err)
	}
	return waiting, nil
}

// JobHolds reports whether so many rows of a job wait to be written to a system,
// without what was tried in vain. It looks at no more of them.
func (db *DB) JobHolds(ctx context.Context, tenant contact.Tenant, job string, system contact.System, rows int) (holds bool, err error) {
	err = db.pool.QueryRow(ctx, `
		SELECT count(*) = $5 FROM (SELECT FROM lane_row WHERE tenant = $1 AND job = $2 AND job <> '' AND system = $3 AND attempts < $4 LIMIT $5) l`,
		string(tenant), job, system.String(), inVain, rows).Scan(&holds)
	if err != nil {
		return false, fmt.Errorf("count the rows of a sync: %w", err)
	}
	return holds, nil
}

// JobRows gives rows that a job led to, without those of contacts that are under
// way.
func (db *DB) JobRows(ctx context.Context, tenant contact.Tenant, system contact.System, job string, underway []contact.Key, limit int) ([]LaneRow, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT `+laneColumns+` FROM lane_row r
		WHERE tenant = $1 AND system = $2 AND job = $3 AND job <> '' AND contact <> ALL($4) LIMIT $5`,
		string(tenant), system.String(), job, texts(underway), limit)
	if err != nil {
		return nil, fmt.Errorf("find the rows of a job: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanLaneRow(system))
	if err != nil {
		return nil, fmt.Errorf("find the rows of a job: %w", err)
	}
	return found, nil
}

// FreeLaneRows takes rows out of their job, where they have not changed since
// they were read: they go on as if it had never been.
func (db *DB) FreeLaneRows(ctx context.Context, tenant contact.Tenant, system contact.System, rows []LaneRow) error {
	if len(rows) == 0 {
		return nil
	}
	a := arraysOf(rows)
	if _, err := db.pool.Exec(ctx, `
		UPDATE lane_row r SET job = '' FROM (
			SELECT l.ctid FROM (SELECT * FROM unnest($3::text[], $4::bigint[]) AS w(contact, revision) ORDER BY contact) w
			CROSS JOIN LATERAL (SELECT l.ctid FROM lane_row l
				WHERE l.contact = w.contact AND l.tenant || '' = $1 AND l.system || '' = $2 AND l.revision = w.revision LIMIT 1 FOR UPDATE) l) k
		WHERE r.ctid = k.ctid`, string(tenant), system.String(), a.contacts, a.revisions); err != nil {
		return fmt.Errorf("free %d rows of their job: %w", len(rows), err)
	}
	return nil
}

// Applied is how far some stages have applied a partition; 0 for one that has
// never begun.
func (db *DB) Applied(ctx context.Context, partition int, stages ...string) (map[string]uint64, error) {
	rows, err := db.pool.Query(ctx, `SELECT stage, applied_seq FROM partition_lease WHERE partition = $1 AND stage = ANY($2)`, partition, stages)
	if err != nil {
		return nil, fmt.Errorf("read how far a partition is applied: %w", err)
	}
	applied := make(map[string]uint64, len(stages))
	var stage string
	var seq int64
	if _, err := pgx.ForEachRow(rows, []any{&stage, &seq}, func() error { applied[stage] = uint64(seq); return nil }); err != nil {
		return nil, fmt.Errorf("read how far a partition is applied: %w", err)
	}
	return applied, nil
}
