package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	Revision  int64 // of the stored row; 0 for one that is not stored yet
	Attempts  int
	NextAt    time.Time // zero means now
	FirstAt   time.Time // zero means now
	Error     string
	Job       string // that it came of; "" for none
	Rides     bool   // a bulk row goes with live rows where one of those has this too
	Patch     []byte // contact.v1.PropertyPatch
	// Waited is how long it had been due when DueRows gave it.
	Waited time.Duration
}

// laneColumns are the columns of a row r, in the order of columns.
const laneColumns = `r.tenant, r.contact, r.partition, r.bulk, r.version, r.revision, r.attempts, r.next_at, r.first_at, r.error, r.job, r.rides, r.patch`

// columns are where a row's columns go.
func (r *LaneRow) columns() []any {
	return []any{&r.Tenant, &r.Contact, &r.Partition, &r.Bulk, &r.Version, &r.Revision, &r.Attempts, &r.NextAt, &r.FirstAt, &r.Error, &r.Job, &r.Rides, &r.Patch}
}

func scanLaneRow(system contact.System) func(pgx.CollectableRow) (LaneRow, error) {
	return func(row pgx.CollectableRow) (r LaneRow, err error) {
		r.System = system
		return r, row.Scan(r.columns()...)
	}
}

// Statements about given rows look each of them up by its contact (CROSS JOIN
// LATERAL ... LIMIT 1): a join may as well go through all rows of the tenant, and
// does where the database takes a backlog for a few rows. So does an index that
// begins with the tenant or the system: they are compared in a way that none serves.

// LockLaneRows loads rows of a system by tenant and contact and holds them
// until the transaction ends. Rows that do not exist are missing.
func (tx *Tx) LockLaneRows(ctx context.Context, system contact.System, tenants []contact.Tenant, contacts []contact.Key) ([]LaneRow, error) {
	rows, err := tx.tx.Query(ctx, `
		SELECT `+laneColumns+` FROM (SELECT * FROM unnest($2::text[], $3::text[]) AS w(tenant, contact) ORDER BY tenant, contact) w
		CROSS JOIN LATERAL (SELECT * FROM lane_row WHERE contact = w.contact AND tenant || '' = w.tenant AND system || '' = $1 LIMIT 1 FOR UPDATE) r`, system.String(), texts(tenants), texts(contacts))
	if err != nil {
		return nil, fmt.Errorf("lock %d rows: %w", len(contacts), err)
	}
	locked, err := pgx.CollectRows(rows, scanLaneRow(system))
	if err != nil {
		return nil, fmt.Errorf("lock %d rows: %w", len(contacts), err)
	}
	return locked, nil
}

// ErrLaneRow tells that a row came up, or changed, that the transaction had not
// locked: lock and decide again.
var ErrLaneRow = errors.New("a row came up meanwhile")

// insertLaneRows inserts rows (parameters 1 to 13) that do not exist.
const insertLaneRows = `
	INSERT INTO lane_row (tenant, system, contact, partition, bulk, version, revision, attempts, next_at, first_at, error, job, patch, rides)
	SELECT tenant, $1, contact, partition, bulk, version, nextval('lane_revision'), attempts, coalesce(next_at, now()), coalesce(first_at, now()), error, job, patch, rides
	FROM (SELECT * FROM unnest($2::text[], $3::text[], $4::int[], $5::boolean[], $6::bigint[], $7::int[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::bytea[], $13::boolean[])
	      AS w(tenant, contact, partition, bulk, version, attempts, next_at, first_at, error, job, patch, rides) ORDER BY tenant, contact) w
	ON CONFLICT (tenant, system, contact) DO NOTHING`

// inserted are the parameters of insertLaneRows.
func (a *laneArrays) inserted(system contact.System) []any {
	return []any{system.String(), a.tenants, a.contacts, a.partitions, a.bulk, a.versions, a.attempts, a.next, a.first, a.errors, a.jobs, a.patches, a.rides}
}

// AddLaneRows inserts rows that did not exist when the transaction locked what
// it found. The rows are the patches of different contacts. Where somebody
// else has inserted one meanwhile it gives ErrLaneRow, and the others are
// inserted; lock all again to find out.
func (tx *Tx) AddLaneRows(ctx context.Context, system contact.System, rows []LaneRow) error {
	if len(rows) == 0 {
		return nil
	}
	a := arraysOf(rows)
	tag, err := tx.tx.Exec(ctx, insertLaneRows, a.inserted(system)...)
	if err != nil {
		return fmt.Errorf("add %d rows: %w", len(rows), err)
	}
	if tag.RowsAffected() != int64(len(rows)) {
		return ErrLaneRow
	}
	return nil
}

// AdvanceAdding is Advance where the effects are rows that do not exist: one
// statement, and so one question to the database where Advance asks several. Where one
// of them exists it gives false, and nothing is stored.
func (db *DB) AdvanceAdding(ctx context.Context, l *Lease, to Position, system contact.System, rows []LaneRow) (bool, error) {
	a := arraysOf(rows)
	// What must not be ends the statement with an error, and takes it back with all it
	// did: 1/0 for a lease that is lost, the root of a negative number for a row that
	// was there. The watermark comes last, as in Advance.
	_, err := db.keyed.Exec(ctx, `
		WITH added AS (`+insertLaneRows+` RETURNING 1), counted AS (SELECT count(*) AS n FROM added), moved AS (
			UPDATE partition_lease SET applied_seq = $19, applied_at = $20, stream_created = $21, updated_at = now()
			WHERE stage = $14 AND partition = $15 AND owner = $16 AND session = $17 AND epoch = $18 AND applied_seq = $22 AND expires_at > now()
			AND (SELECT n FROM counted) >= 0 RETURNING 1)
		SELECT sqrt((SELECT n FROM counted) - $23::bigint), 1 / (SELECT count(*) FROM moved), set_config('synchronous_commit', 'off', true)`,
		append(a.inserted(system), l.Stage, l.Partition, l.Owner, l.session, l.Epoch, int64(to.Seq), null(to.StoredAt), null(to.StreamCreated), int64(l.Position.Seq),
			int64(len(rows)))...)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "2201F":
		return false, nil
	case errors.As(err, &refused) && refused.Code == "22012":
		err = ErrLeaseLost
	}
	if err != nil {
		return false, fmt.Errorf("store a batch of %s-%02d: %w", l.Stage, l.Partition, Classify(err))
	}
	l.Position = to
	return true, nil
}

// SaveLaneRows replaces rows that the transaction has locked.
func (tx *Tx) SaveLaneRows(ctx context.Context, system contact.System, rows []LaneRow) error {
	if len(rows) == 0 {
		return nil
	}
	a := arraysOf(rows)
	if _, err := tx.tx.Exec(ctx, `
		UPDATE lane_row r SET partition = w.partition, bulk = w.bulk, version = w.version, revision = nextval('lane_revision'),
			attempts = w.attempts, next_at = coalesce(w.next_at, now()), error = w.error, job = w.job, patch = w.patch, rides = w.rides
		FROM unnest($2::text[], $3::text[], $4::int[], $5::boolean[], $6::bigint[], $7::int[], $8::timestamptz[], $9::text[], $10::text[], $11::bytea[], $12::boolean[])
		     AS w(tenant, contact, partition, bulk, version, attempts, next_at, error, job, patch, rides)
		CROSS JOIN LATERAL (SELECT l.ctid FROM lane_row l WHERE l.contact = w.contact AND l.tenant || '' = w.tenant AND l.system || '' = $1 LIMIT 1) k
		WHERE r.ctid = k.ctid`,
		system.String(), a.tenants, a.contacts, a.partitions, a.bulk, a.versions, a.attempts, a.next, a.errors, a.jobs, a.patches, a.rides); err != nil {
		return fmt.Errorf("save %d rows: %w", len(rows), err)
	}
	return nil
}

// laneArrays are rows by column.
type laneArrays struct {
	tenants, contacts, errors, jobs []string
	partitions, attempts            []int32
	bulk, rides                     []bool
	versions, revisions             []int64
	patches                         [][]byte
	next, first                     []*time.Time
}

func arraysOf(rows []LaneRow) laneArrays {
	n := len(rows)
	a := laneArrays{
		tenants: make([]string, n), contacts: make([]string, n), errors: make([]string, n), jobs: make([]string, n), partitions: make([]int32, n), attempts: make([]int32, n),
		bulk: make([]bool, n), rides: make([]bool, n), versions: make([]int64, n), revisions: make([]int64, n), patches: make([][]byte, n), next: make([]*time.Time, n), first: make([]*time.Time, n),
	}
	for i, r := range rows {
		a.tenants[i], a.contacts[i], a.errors[i], a.partitions[i], a.attempts[i] = string(r.Tenant), string(r.Contact), r.Error, int32(r.Partition), int32(r.Attempts)
		a.jobs[i], a.rides[i] = r.Job, r.Rides
		a.bulk[i], a.versions[i], a.revisions[i], a.patches[i], a.next[i], a.first[i] = r.Bulk, int64(r.Version), r.Revision, r.Patch, null(r.NextAt), null(r.FirstAt)
	}
	return a
}

// FinishLaneRows removes rows that are done and have not changed since they
// were read. It gives the contacts of those that were removed. Like all that
// locks rows, it does so in the order of the contacts, lest two wait for each
// other. It does not wait for the disk: rows that a crash of the server brings back are
// called once more, as those are whose answer was lost.
func (db *DB) FinishLaneRows(ctx context.Context, tenant contact.Tenant, system contact.System, rows []LaneRow) (map[contact.Key]bool, error) {
	finished := make(map[contact.Key]bool, len(rows))
	if len(rows) == 0 {
		return finished, nil
	}
	a := arraysOf(rows)
	gone, err := db.keyed.Query(ctx, `
		WITH gone AS (DELETE FROM lane_row WHERE ctid = ANY(ARRAY(
			SELECT k.ctid FROM (SELECT * FROM unnest($3::text[], $4::bigint[]) AS w(contact, revision) ORDER BY contact) w
			CROSS JOIN LATERAL (SELECT r.ctid FROM lane_row r
				WHERE r.contact = w.contact AND r.tenant || '' = $1 AND r.system || '' = $2 AND r.revision = w.revision LIMIT 1 FOR UPDATE) k))
		RETURNING contact)
		SELECT contact, set_config('synchronous_commit', 'off', true) FROM gone`, string(tenant), system.String(), a.contacts, a.revisions)
	if err != nil {
		return nil, fmt.Errorf("finish %d rows: %w", len(rows), err)
	}
	var key contact.Key
	if _, err := pgx.ForEachRow(gone, []any{&key, nil}, func() error {
		finished[key] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("finish %d rows: %w", len(rows), err)
	}
	return finished, nil
}

// DeleteLaneRows removes rows that the transaction has locked.
func (tx *Tx) DeleteLaneRows(ctx context.Context, tenant contact.Tenant, system contact.System, contacts []contact.Key) error {
	if len(contacts) == 0 {
		return nil
	}
	if _, err := tx.tx.Exec(ctx, `
		DELETE FROM lane_row WHERE ctid = ANY(ARRAY(
			SELECT k.ctid FROM unnest($3::text[]) AS w(contact)
			CROSS JOIN LATERAL (SELECT r.ctid FROM lane_row r WHERE r.contact = w.contact AND r.tenant || '' = $1 AND r.system || '' = $2 LIMIT 1) k))`, string(tenant), system.String(), texts(contacts)); err != nil {
		return fmt.Errorf("delete %d rows: %w", len(contacts), err)
	}
	return nil
}

// PutOffLaneRows stores Attempts, NextAt and Error of rows that have not
// changed since they were read: what came meanwhile is due at once.
func (db *DB) PutOffLaneRows(ctx context.Context, tenant contact.Tenant, system contact.System, rows []LaneRow) error {
	if len(rows) == 0 {
		return nil
	}
	a := arraysOf(rows)
	if _, err := db.pool.Exec(ctx, `
		UPDATE lane_row r SET attempts = k.attempts, next_at = coalesce(k.next_at, now()), error = k.error
		FROM (SELECT l.ctid, w.attempts, w.next_at, w.error
		      FROM (SELECT * FROM unnest($3::text[], $4::bigint[], $5::int[], $6::timestamptz[], $7::text[]) AS w(contact, revision, attempts, next_at, error) ORDER BY contact) w
		      CROSS JOIN LATERAL (SELECT l.ctid FROM lane_row l
		          WHERE l.contact = w.contact AND l.tenant || '' = $1 AND l.system || '' = $2 AND l.revision = w.revision LIMIT 1 FOR UPDATE) l) k
		WHERE r.ctid = k.ctid`,
		string(tenant), system.String(), a.contacts, a.revisions, a.attempts, a.next, a.errors); err != nil {
		return fmt.Errorf("put off %d rows: %w", len(rows), err)
	}
	return nil
}

// dueRows are the due rows of a lane (parameters 1 to 4), at most so many, that a
// condition allows. Who is under way is looked up in a hash.
const dueRows = `(SELECT ` + laneColumns + `, extract(epoch FROM now() - next_at)::float8 FROM lane_row r
	WHERE system = $1 AND partition = $2 AND tenant = $3 AND %s AND next_at <= now() AND contact NOT IN (SELECT unnest($4::text[])) ORDER BY next_at LIMIT %s)`

// The branches of UNION ALL run in order, one only if those before it did not give
// enough.
var (
	liveRows     = fmt.Sprintf(dueRows, "NOT bulk", "$5") + " UNION ALL " + fmt.Sprintf(dueRows, "bulk AND rides", "$5") + " LIMIT $5"
	liveRowsHeld = fmt.Sprintf(dueRows, "NOT bulk", "$5") + " UNION ALL " + fmt.Sprintf(dueRows, "bulk AND rides AND job = ''", "$5") + " LIMIT $5"
	anyRows      = fmt.Sprintf(dueRows, "NOT bulk", "$5") + " UNION ALL " + fmt.Sprintf(dueRows, "bulk AND attempts > 0", "$6") + " UNION ALL " + fmt.Sprintf(dueRows, "bulk", "$5") + " LIMIT $5 + $6"
	anyRowsHeld  = fmt.Sprintf(dueRows, "NOT bulk", "$5") + " UNION ALL " + fmt.Sprintf(dueRows, "bulk AND attempts > 0 AND job = ''", "$6") + " UNION ALL " + fmt.Sprintf(dueRows, "bulk AND job = ''", "$5") + " LIMIT $5 + $6"
)

// LiveRows gives the live rows of a lane that are due, without those of contacts that
// are under way, and behind them bulk rows that ride; held leaves out what jobs led to.
func (db *DB) LiveRows(ctx context.Context, tenant contact.Tenant, system contact.System, partition int, underway []contact.Key, held bool, limit int) ([]LaneRow, error) {
	statement := liveRows
	if held {
		statement = liveRowsHeld
	}
	return db.due(ctx, statement, system, system.String(), partition, string(tenant), texts(underway), limit)
}

// DueRows gives rows of a lane that are due, live ones first, without those of contacts
// that are under way; held leaves out what jobs led to. A quarter may be bulk rows that
// failed before, which would stand behind a backlog else; not more, as they may fail
// again.
func (db *DB) DueRows(ctx context.Context, tenant contact.Tenant, system contact.System, partition int, underway []contact.Key, held bool, limit int) ([]LaneRow, error) {
	statement := anyRows
	if held {
		statement = anyRowsHeld
	}
	rows, err := db.due(ctx, statement, system, system.String(), partition, string(tenant), texts(underway), limit, limit/4)
	if err != nil {
		return nil, err
	}
	seen := make(map[contact.Key]bool, len(rows))
	rows = slices.DeleteFunc(rows, func(r LaneRow) bool { // those that failed come twice
		again := seen[r.Contact]
		seen[r.Contact] = true
		return again
	})
	return rows[:min(limit, len(rows))], nil
}

func (db *DB) due(ctx context.Context, statement string, system contact.System, parameters ...any) ([]LaneRow, error) {
	rows, err := db.keyed.Query(ctx, statement, parameters...)
	if err != nil {
		return nil, fmt.Errorf("find due rows: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (LaneRow, error) {
		var r LaneRow
		var waited float64
		err := row.Scan(append(r.columns(), &waited)...)
		r.System, r.Waited = system, time.Duration(waited*float64(time.Second))
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("find due rows: %w", err)
	}
	return found, nil
}

// DueLane is a lane with rows that are due, or will be.
type DueLane struct {
	Tenant    contact.Tenant
	Partition int
	NextAt    time.Time // of its earliest row
}

// DueLanes gives the lanes of a system that have rows in some partitions, with
// the time by the database's clock. It looks at a few rows of each lane, however
// many there are. What jobs led to does not count for tenants that are held.
func (db *DB) DueLanes(ctx context.Context, system contact.System, partitions []int, held []contact.Tenant) (lanes []DueLane, now time.Time, err error) {
	rows, err := db.keyed.Query(ctx, `
		SELECT partition, tenant, next_at, now() FROM (SELECT w.partition, l.tenant, (SELECT min(n.next_at) FROM (
			(SELECT next_at FROM lane_row WHERE system = $1 AND partition = w.partition AND tenant = l.tenant AND NOT bulk ORDER BY next_at LIMIT 1)
			UNION ALL
			(SELECT next_at FROM lane_row WHERE system = $1 AND partition = w.partition AND tenant = l.tenant AND bulk AND l.tenant <> ALL($3) ORDER BY next_at LIMIT 1)
			UNION ALL
			(SELECT next_at FROM lane_row WHERE system = $1 AND partition = w.partition AND tenant = l.tenant AND bulk AND job = '' AND l.tenant = ANY($3) ORDER BY next_at LIMIT 1)) n) AS next_at
		FROM unnest($2::int[]) AS w(partition) CROSS JOIN LATERAL (
			WITH RECURSIVE t AS (
				(SELECT tenant FROM lane_row WHERE system = $1 AND partition = w.partition ORDER BY tenant LIMIT 1)
				UNION ALL
				SELECT (SELECT tenant FROM lane_row WHERE system = $1 AND partition = w.partition AND tenant > t.tenant ORDER BY tenant LIMIT 1) FROM t WHERE t.tenant IS NOT NULL)
			SELECT tenant FROM t WHERE tenant IS NOT NULL) l) d WHERE next_at IS NOT NULL`, system.String(), partitions, texts(held))
	if err != nil {
		return nil, now, fmt.Errorf("find lanes with rows: %w", err)
	}
	var lane DueLane
	if _, err := pgx.ForEachRow(rows, []any{&lane.Partition, &lane.Tenant, &lane.NextAt, &now}, func() error {
		lanes = append(lanes, lane)
		return nil
	}); err != nil {
		return nil, now, fmt.Errorf("find lanes with rows: %w", err)
	}
	return lanes, now, nil
}

// Pause is why a lane rests, and until when.
type Pause struct {
	Tenant contact.Tenant
	System contact.System
	Until  time.Time
	Class  string
	Reason string
	// Refusals is how many rests in a row were for credentials that were refused, and
	// Credential the fingerprint of those.
	Refusals   int
	Credential string
}

// SavePause stores a lane's pause; a time that has passed ends it.
func (db *DB) SavePause(ctx context.Context, p Pause) error {
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO lane_pause (tenant, system, until, class, reason, refusals, credential) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant, system) DO UPDATE SET until = excluded.until, class = excluded.class, reason = excluded.reason,
			refusals = excluded.refusals, credential = excluded.credential`,
		string(p.Tenant), p.System.String(), p.Until, p.Class, p.Reason, p.Refusals, p.Credential); err != nil {
		return fmt.Errorf("save the pause of a lane: %w", err)
	}
	return nil
}

// Pauses gives the lanes of a system that rest now.
func (db *DB) Pauses(ctx context.Context, system contact.System) ([]Pause, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT tenant, until, class, reason, refusals, credential FROM lane_pause WHERE system = $1 AND until > now()`, system.String())
	if err != nil {
		return nil, fmt.Errorf("load the pauses of lanes: %w", err)
	}
	pauses, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Pause, error) {
		p := Pause{System: system}
		err := row.Scan(&p.Tenant, &p.Until, &p.Class, &p.Reason, &p.Refusals, &p.Credential)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("load the pauses of lanes: %w", err)
	}
	return pauses, nil
}

// SaveLaneDay stores how many calls a lane has made in its account's day
// ("2006-01-02"); a lower number of the same day changes nothing.
func (db *DB) SaveLaneDay(ctx context.Context, tenant contact.Tenant, system contact.System, day string, used int) error {
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO lane_day AS d (tenant, system, day, used) VALUES ($1, $2, $3::text::date, $4)
		ON CONFLICT (tenant, system) DO UPDATE SET day = excluded.day, used = excluded.used
		WHERE d.day <> excluded.day OR d.used < excluded.used`, string(tenant), system.String(), day, used); err != nil {
		return fmt.Errorf("save a lane's day: %w", err)
	}
	return nil
}

// LaneDay gives the newest day that was saved for a lane; "" for none.
func (db *DB) LaneDay(ctx context.Context, tenant contact.Tenant, system contact.System) (day string, used int, err error) {
	err = db.pool.QueryRow(ctx, `
		SELECT to_char(day, 'YYYY-MM-DD'), used FROM lane_day WHERE tenant = $1 AND system = $2`, string(tenant), system.String()).Scan(&day, &used)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", 0, fmt.Errorf("load a lane's day: %w", err)
	}
	return day, used, nil
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

// LaneHolds reports whether so many rows of a lane wait. It looks at no more of them.
func (db *DB) LaneHolds(ctx context.Context, tenant contact.Tenant, system contact.System, rows int) (holds bool, err error) {
	err = db.pool.QueryRow(ctx, `SELECT count(*) = $3 FROM (SELECT FROM lane_row WHERE tenant = $1 AND system = $2 LIMIT $3) l`,
		string(tenant), system.String(), rows).Scan(&holds)
	if err != nil {
		return false, fmt.Errorf("count the lane's rows: %w", err)
	}
	return holds, nil
}

// LaneUse is how much of its quota a lane uses.
type LaneUse struct {
	Tenant contact.Tenant
	System contact.System
	Used   int // calls in the last ten seconds
	Most   int // that the lane may make in ten seconds; 0 is not known
	Today  int // calls since the account's midnight, where the day is limited
}

// SaveLaneUses stores what lanes use now, for people to see.
func (db *DB) SaveLaneUses(ctx context.Context, uses []LaneUse) error {
	tenants, systems := make([]string, len(uses)), make([]string, len(uses))
	used, most, today := make([]int32, len(uses)), make([]int32, len(uses)), make([]int32, len(uses))
	for i, u := range uses {
		tenants[i], systems[i], used[i], most[i], today[i] = string(u.Tenant), u.System.String(), int32(u.Used), int32(u.Most), int32(u.Today)
	}
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO lane_use (tenant, system, used, most, today) SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::int[])
		ON CONFLICT (tenant, system) DO UPDATE SET used = excluded.used, most = excluded.most, today = excluded.today, at = now()`,
		tenants, systems, used, most, today); err != nil {
		return fmt.Errorf("save what lanes use: %w", err)
	}
	return nil
}

// LaneUses gives what lanes that called within a time use of their quotas.
func (db *DB) LaneUses(ctx context.Context, within time.Duration) ([]LaneUse, error) {
	rows, err := db.pool.Query(ctx, `SELECT tenant, system, used, most, today FROM lane_use WHERE at > now() - $1::interval AND used > 0`, within)
	if err != nil {
		return nil, fmt.Errorf("load what lanes use: %w", err)
	}
	uses, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u LaneUse, err error) {
		var system string
		if err = row.Scan(&u.Tenant, &system, &u.Used, &u.Most, &u.Today); err != nil {
			return u, err
		}
		u.System, err = contact.ParseSystem(system)
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("load what lanes use: %w", err)
	}
	return uses, nil
}
