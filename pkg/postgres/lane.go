package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The tables of this file are written by the writers alone.

// LaneRow is what must still be done to one contact in one system.
type LaneRow struct {
	Tenant    contact.Tenant
	System    contact.System
	Contact   contact.Key
	Partition int
	Bulk      bool
	Version   contact.Version
	Attempts  int
	NextAt    time.Time // zero means now
	FirstAt   time.Time // zero means now
	Error     string
	Patch     []byte // contact.v1.PropertyPatch
}

const laneColumns = `tenant, contact, partition, bulk, version, attempts, next_at, first_at, error, patch`

func scanLaneRow(system contact.System) func(pgx.CollectableRow) (LaneRow, error) {
	return func(row pgx.CollectableRow) (r LaneRow, err error) {
		r.System = system
		err = row.Scan(&r.Tenant, &r.Contact, &r.Partition, &r.Bulk, &r.Version, &r.Attempts, &r.NextAt, &r.FirstAt, &r.Error, &r.Patch)
		return r, err
	}
}

// LockLaneRows loads rows of a system by tenant and contact and holds them
// until the transaction ends. Rows that do not exist are missing.
func (tx *Tx) LockLaneRows(ctx context.Context, system contact.System, tenants []contact.Tenant, contacts []contact.Key) ([]LaneRow, error) {
	rows, err := tx.tx.Query(ctx, `
		SELECT r.tenant, r.contact, r.partition, r.bulk, r.version, r.attempts, r.next_at, r.first_at, r.error, r.patch
		FROM lane_row r JOIN unnest($2::text[], $3::text[]) AS w(tenant, contact) ON r.tenant = w.tenant AND r.contact = w.contact
		WHERE r.system = $1 ORDER BY r.tenant, r.contact FOR UPDATE OF r`, system.String(), texts(tenants), texts(contacts))
	if err != nil {
		return nil, fmt.Errorf("lock %d rows: %w", len(contacts), err)
	}
	locked, err := pgx.CollectRows(rows, scanLaneRow(system))
	if err != nil {
		return nil, fmt.Errorf("lock %d rows: %w", len(contacts), err)
	}
	return locked, nil
}

// SaveLaneRows inserts or replaces rows, which the transaction must have
// locked if they exist.
func (tx *Tx) SaveLaneRows(ctx context.Context, system contact.System, rows []LaneRow) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	tenants, contacts, errors := make([]string, n), make([]string, n), make([]string, n)
	partitions, attempts := make([]int32, n), make([]int32, n)
	bulk, versions, patches := make([]bool, n), make([]int64, n), make([][]byte, n)
	next, first := make([]*time.Time, n), make([]*time.Time, n)
	for i, r := range rows {
		tenants[i], contacts[i], errors[i] = string(r.Tenant), string(r.Contact), r.Error
		partitions[i], attempts[i], bulk[i], versions[i], patches[i] = int32(r.Partition), int32(r.Attempts), r.Bulk, int64(r.Version), r.Patch
		next[i], first[i] = null(r.NextAt), null(r.FirstAt)
	}
	if _, err := tx.tx.Exec(ctx, `
		INSERT INTO lane_row (tenant, system, contact, partition, bulk, version, attempts, next_at, first_at, error, patch)
		SELECT tenant, $1, contact, partition, bulk, version, attempts, coalesce(next_at, now()), coalesce(first_at, now()), error, patch
		FROM unnest($2::text[], $3::text[], $4::int[], $5::boolean[], $6::bigint[], $7::int[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::bytea[])
		     AS w(tenant, contact, partition, bulk, version, attempts, next_at, first_at, error, patch)
		ON CONFLICT (tenant, system, contact) DO UPDATE SET partition = excluded.partition, bulk = excluded.bulk,
			version = excluded.version, attempts = excluded.attempts, next_at = excluded.next_at, error = excluded.error, patch = excluded.patch`,
		system.String(), tenants, contacts, partitions, bulk, versions, attempts, next, first, errors, patches); err != nil {
		return fmt.Errorf("save %d rows: %w", n, err)
	}
	return nil
}

// DeleteLaneRows removes rows that are done.
func (tx *Tx) DeleteLaneRows(ctx context.Context, tenant contact.Tenant, system contact.System, contacts []contact.Key) error {
	if len(contacts) == 0 {
		return nil
	}
	if _, err := tx.tx.Exec(ctx, `
		DELETE FROM lane_row WHERE tenant = $1 AND system = $2 AND contact = ANY($3)`, string(tenant), system.String(), texts(contacts)); err != nil {
		return fmt.Errorf("delete %d rows: %w", len(contacts), err)
	}
	return nil
}

// DueRows gives rows of a lane that are due, live ones first, without those of
// contacts that are under way.
func (db *DB) DueRows(ctx context.Context, tenant contact.Tenant, system contact.System, underway []contact.Key, limit int) ([]LaneRow, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT `+laneColumns+` FROM lane_row
		WHERE tenant = $1 AND system = $2 AND next_at <= now() AND contact <> ALL($3)
		ORDER BY bulk, next_at LIMIT $4`, string(tenant), system.String(), texts(underway), limit)
	if err != nil {
		return nil, fmt.Errorf("find due rows: %w", err)
	}
	due, err := pgx.CollectRows(rows, scanLaneRow(system))
	if err != nil {
		return nil, fmt.Errorf("find due rows: %w", err)
	}
	return due, nil
}

// DueLanes gives the tenants that have due rows of a system in some
// partitions, with the time since which the oldest is due.
func (db *DB) DueLanes(ctx context.Context, system contact.System, partitions []int) (map[contact.Tenant]time.Time, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT tenant, min(next_at) FROM lane_row
		WHERE system = $1 AND partition = ANY($2) AND next_at <= now() GROUP BY tenant`, system.String(), partitions)
	if err != nil {
		return nil, fmt.Errorf("find lanes with due rows: %w", err)
	}
	lanes := make(map[contact.Tenant]time.Time)
	var tenant contact.Tenant
	var since time.Time
	if _, err := pgx.ForEachRow(rows, []any{&tenant, &since}, func() error {
		lanes[tenant] = since
		return nil
	}); err != nil {
		return nil, fmt.Errorf("find lanes with due rows: %w", err)
	}
	return lanes, nil
}

// Pause is why a lane rests, and until when.
type Pause struct {
	Tenant contact.Tenant
	System contact.System
	Until  time.Time
	Class  string
	Reason string
}

// SavePause stores a lane's pause; a time that has passed ends it.
func (db *DB) SavePause(ctx context.Context, p Pause) error {
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO lane_pause (tenant, system, until, class, reason) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, system) DO UPDATE SET until = excluded.until, class = excluded.class, reason = excluded.reason`,
		string(p.Tenant), p.System.String(), p.Until, p.Class, p.Reason); err != nil {
		return fmt.Errorf("save the pause of a lane: %w", err)
	}
	return nil
}

// Pauses gives the lanes of a system that rest now.
func (db *DB) Pauses(ctx context.Context, system contact.System) ([]Pause, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT tenant, until, class, reason FROM lane_pause WHERE system = $1 AND until > now()`, system.String())
	if err != nil {
		return nil, fmt.Errorf("load the pauses of lanes: %w", err)
	}
	pauses, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Pause, error) {
		p := Pause{System: system}
		err := row.Scan(&p.Tenant, &p.Until, &p.Class, &p.Reason)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("load the pauses of lanes: %w", err)
	}
	return pauses, nil
}

// LaneCount is how much waits in one lane.
type LaneCount struct {
	Tenant contact.Tenant
	System contact.System
	Rows   int
	Failed int // of them, with at least one failed attempt
	Oldest time.Time
}

// LaneCounts gives what waits in all lanes.
func (db *DB) LaneCounts(ctx context.Context) ([]LaneCount, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT tenant, system, count(*), count(*) FILTER (WHERE attempts > 0), min(first_at)
		FROM lane_row GROUP BY tenant, system ORDER BY tenant, system`)
	if err != nil {
		return nil, fmt.Errorf("count the lanes' rows: %w", err)
	}
	counts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c LaneCount, err error) {
		var system string
		if err = row.Scan(&c.Tenant, &system, &c.Rows, &c.Failed, &c.Oldest); err != nil {
			return c, err
		}
		c.System, err = contact.ParseSystem(system)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("count the lanes' rows: %w", err)
	}
	return counts, nil
}
