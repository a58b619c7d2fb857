package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrLeaseLost tells that a partition belongs to somebody else now: nothing of
// the transaction was stored, and the caller must stop working on it.
var ErrLeaseLost = errors.New("the partition's lease is lost")

// Lease is the right to work on one partition of one stage, until it expires
// by the database's clock. Renew gives it.
type Lease struct {
	Stage     string
	Partition int
	Owner     string
	Epoch     int64 // no other take-over of this partition ever has the same
	Position  Position

	session string
}

// Position is how far a partition is applied.
type Position struct {
	Seq           uint64
	StoredAt      time.Time // of message Seq; zero before the first
	StreamCreated time.Time // zero before the first
}

// The statements of Renew, in the order in which they run. A list of stages has
// the leading one first.
const (
	forgetMembers = `DELETE FROM stage_member WHERE stage = $1 AND expires_at < now() - interval '1 hour'`
	joinMembers   = `
		INSERT INTO stage_member (stage, owner, session, expires_at) VALUES ($1, $2, $3, now() + $4)
		ON CONFLICT (stage, owner, session) DO UPDATE SET expires_at = excluded.expires_at`
	addPartitions = `
		INSERT INTO partition_lease (stage, partition)
		SELECT s, p FROM unnest($1::text[]) s, generate_series(0, $2::integer - 1) p ON CONFLICT DO NOTHING`
	renewLeases = `
		UPDATE partition_lease SET expires_at = now() + $4
		WHERE stage = ANY($1) AND owner = $2 AND session = $3 AND expires_at > now()`
	// fairShare of $1's partitions, $2 of them, among those who are alive.
	fairShare = `
		SELECT ceil($2::numeric / greatest(1, count(*)))::integer FROM stage_member WHERE stage = $1 AND expires_at > now()`
	takeLeases = `
		UPDATE partition_lease l SET owner = $2, session = $3, epoch = l.epoch + 1, expires_at = now() + $5
		FROM (SELECT f.partition FROM partition_lease f
		      WHERE f.stage = ($1::text[])[1] AND f.partition < $4 AND f.expires_at <= now()
		      ORDER BY f.partition
		      LIMIT greatest(0,
		        (SELECT ceil($4::numeric / greatest(1, count(*)))::integer FROM stage_member m WHERE m.stage = ($1::text[])[1] AND m.expires_at > now()) -
		        (SELECT count(*) FROM partition_lease h WHERE h.stage = ($1::text[])[1] AND h.owner = $2 AND h.session = $3 AND h.expires_at > now()))
		      FOR UPDATE SKIP LOCKED) free
		WHERE l.stage = ANY($1) AND l.partition = free.partition`
	// adoptLeases takes the other streams of partitions whose first is held:
	// they were added by a newer program.
	adoptLeases = `
		UPDATE partition_lease l SET owner = $2, session = $3, epoch = l.epoch + 1, expires_at = now() + $4
		FROM partition_lease lead
		WHERE lead.stage = ($1::text[])[1] AND lead.owner = $2 AND lead.session = $3 AND lead.expires_at > now()
		  AND l.stage = ANY($1) AND l.partition = lead.partition AND l.expires_at <= now()`
	heldLeases = `
		SELECT stage, partition, epoch, applied_seq, applied_at, stream_created FROM partition_lease
		WHERE stage = ANY($1) AND owner = $2 AND session = $3 AND expires_at > now()
		ORDER BY partition, array_position($1, stage)`
)

// Renew keeps an owner alive, renews its leases and takes free ones up to its
// fair share, in one round trip. The stages are the streams of one stage, each
// with a watermark of its own; the leases of one partition are taken, renewed
// and released together, and the first name counts.
//
// It gives all leases that the owner holds now, by partition, and the share in
// partitions: who holds more should Release the surplus once the running
// batches are done. Partitions that are missing are added.
//
// A lease belongs to the process that took it: another one under the same
// owner name, also the next run of the same program, waits until it is
// released or expires, and takes it with a higher epoch.
func (db *DB) Renew(ctx context.Context, stages []string, owner string, partitions int, ttl time.Duration) (held []Lease, share int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(forgetMembers, stages[0])
	batch.Queue(joinMembers, stages[0], owner, db.session, ttl)
	batch.Queue(addPartitions, stages, partitions)
	batch.Queue(renewLeases, stages, owner, db.session, ttl)
	batch.Queue(takeLeases, stages, owner, db.session, partitions, ttl)
	if len(stages) > 1 {
		batch.Queue(adoptLeases, stages, owner, db.session, ttl)
	}
	batch.Queue(fairShare, stages[0], partitions).QueryRow(func(row pgx.Row) error { return row.Scan(&share) })
	batch.Queue(heldLeases, stages, owner, db.session).Query(func(rows pgx.Rows) error {
		held, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Lease, error) {
			l := Lease{Owner: owner, session: db.session}
			var stored, created *time.Time
			var seq int64
			err := row.Scan(&l.Stage, &l.Partition, &l.Epoch, &seq, &stored, &created)
			l.Position = Position{Seq: uint64(seq), StoredAt: value(stored), StreamCreated: value(created)}
			return l, err
		})
		return err
	})
	if err := db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, 0, fmt.Errorf("renew the leases of %s: %w", stages[0], err)
	}
	return held, share, nil
}

const freed = `owner = '', session = '', expires_at = '-infinity'`

// Release gives partitions back, for others to take at once.
func (db *DB) Release(ctx context.Context, stages []string, owner string, partitions ...int) error {
	if _, err := db.pool.Exec(ctx, `
		UPDATE partition_lease SET `+freed+` WHERE stage = ANY($1) AND owner = $2 AND session = $3 AND partition = ANY($4)`,
		stages, owner, db.session, partitions); err != nil {
		return fmt.Errorf("release leases of %s: %w", stages[0], err)
	}
	return nil
}

// Leave takes an owner out of a stage: all its leases are given back, and it
// counts no longer when partitions are shared out.
func (db *DB) Leave(ctx context.Context, stages []string, owner string) error {
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE partition_lease SET `+freed+` WHERE stage = ANY($1) AND owner = $2 AND session = $3`, stages, owner, db.session)
	batch.Queue(`DELETE FROM stage_member WHERE stage = $1 AND owner = $2 AND session = $3`, stages[0], owner, db.session)
	if err := db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("leave stage %s: %w", stages[0], err)
	}
	return nil
}

// Reclaim frees the leases of all owners at once. Only a process that knows
// that no other one can be alive may do that: it need not wait for the leases
// of an earlier run that was killed.
func (db *DB) Reclaim(ctx context.Context) error {
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE partition_lease SET ` + freed)
	batch.Queue(`DELETE FROM stage_member`)
	if err := db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("reclaim the leases of an earlier run: %w", err)
	}
	return nil
}

// Advance stores the effects of a batch and moves the watermark, in one
// transaction, under the condition that the lease and the old watermark still
// hold; else it gives ErrLeaseLost and stores nothing. A nil apply moves the
// watermark alone; only what the bus's guard says may move it back. It does not wait
// for the disk: a crash of the server takes the effects back with their watermark.
func (db *DB) Advance(ctx context.Context, l *Lease, to Position, apply func(*Tx) error) error {
	const move = `
		UPDATE partition_lease SET applied_seq = $6, applied_at = $7, stream_created = $8, updated_at = now()
		WHERE stage = $1 AND partition = $2 AND owner = $3 AND session = $4 AND epoch = $5 AND applied_seq = $9 AND expires_at > now()`
	moved := func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != 1 {
			return ErrLeaseLost
		}
		return nil
	}
	parameters := []any{l.Stage, l.Partition, l.Owner, l.session, l.Epoch, int64(to.Seq), null(to.StoredAt), null(to.StreamCreated), int64(l.Position.Seq)}
	var err error
	if apply == nil {
		var tag pgconn.CommandTag
		if tag, err = db.keyed.Exec(ctx, move+` RETURNING set_config('synchronous_commit', 'off', true)`, parameters...); err == nil {
			err = moved(tag)
		} else {
			err = fmt.Errorf("move the watermark: %w", Classify(err))
		}
	} else {
		err = db.inTx(ctx, func(tx *Tx) error {
			if err := apply(tx); err != nil {
				return err
			}
			// The watermark comes last, so that its row is locked for a moment
			// only and a renewal never waits for a batch.
			return tx.tx.keep(ctx, statement{what: "move the watermark", sql: move, parameters: parameters, done: moved})
		}, unsynced)
	}
	if err != nil {
		return fmt.Errorf("store a batch of %s-%02d: %w", l.Stage, l.Partition, err)
	}
	l.Position = to
	return nil
}

func null(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// Progress is how far one partition of one stage is, for lag and status.
type Progress struct {
	Stage     string
	Partition int
	Owner     string // "" while nobody owns it
	Epoch     int64
	Seq       uint64
}

// Stages gives the progress of all partitions.
func (db *DB) Stages(ctx context.Context) ([]Progress, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT stage, partition, CASE WHEN expires_at > now() THEN owner ELSE '' END, epoch, applied_seq
		FROM partition_lease ORDER BY stage, partition`)
	if err != nil {
		return nil, fmt.Errorf("read the leases: %w", err)
	}
	progress, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Progress, err error) {
		var seq int64
		err = row.Scan(&p.Stage, &p.Partition, &p.Owner, &p.Epoch, &seq)
		p.Seq = uint64(seq)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the leases: %w", err)
	}
	return progress, nil
}
