package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrLeaseLost tells that a partition belongs to somebody else now: nothing of
// the transaction was stored, and the caller must stop working on it.
var ErrLeaseLost = errors.New("the partition's lease is lost")

// Lease is the right to work on one partition of one stage, until it expires
// by the database's clock.
type Lease struct {
	Stage     string
	Partition int
	Owner     string
	Epoch     int64
	Position  Position
}

// Position is how far a partition is applied.
type Position struct {
	Seq           uint64
	StoredAt      time.Time // of message Seq; zero before the first
	StreamCreated time.Time // zero before the first
}

// Renew keeps an owner alive in a stage, renews its leases, and takes free ones
// up to its fair share. It gives all leases that the owner holds now, and the
// share: who holds more should Release the surplus once the running batches
// are done. Partitions that are missing are added.
func (db *DB) Renew(ctx context.Context, stage, owner string, partitions int, ttl time.Duration) (held []Lease, share int, err error) {
	err = db.InTx(ctx, func(tx *Tx) error {
		held, share = nil, 0
		if _, err := tx.tx.Exec(ctx, `
			INSERT INTO stage_member (stage, owner, expires_at) VALUES ($1, $2, now() + $3)
			ON CONFLICT (stage, owner) DO UPDATE SET expires_at = excluded.expires_at`, stage, owner, ttl); err != nil {
			return err
		}
		if _, err := tx.tx.Exec(ctx, `
			INSERT INTO partition_lease (stage, partition) SELECT $1, p FROM generate_series(0, $2 - 1) p
			ON CONFLICT DO NOTHING`, stage, partitions); err != nil {
			return err
		}
		var alive int
		if err := tx.tx.QueryRow(ctx, `
			SELECT count(*) FROM stage_member WHERE stage = $1 AND expires_at > now()`, stage).Scan(&alive); err != nil {
			return err
		}
		share = (partitions + alive - 1) / alive
		if _, err := tx.tx.Exec(ctx, `
			UPDATE partition_lease SET expires_at = now() + $3
			WHERE stage = $1 AND owner = $2 AND expires_at > now()`, stage, owner, ttl); err != nil {
			return err
		}
		if _, err := tx.tx.Exec(ctx, `
			UPDATE partition_lease l SET owner = $2, epoch = epoch + 1, expires_at = now() + $3
			FROM (SELECT partition FROM partition_lease
			      WHERE stage = $1 AND expires_at <= now()
			      ORDER BY partition
			      LIMIT greatest(0, $4 - (SELECT count(*) FROM partition_lease WHERE stage = $1 AND owner = $2 AND expires_at > now()))
			      FOR UPDATE SKIP LOCKED) free
			WHERE l.stage = $1 AND l.partition = free.partition`, stage, owner, ttl, share); err != nil {
			return err
		}
		rows, err := tx.tx.Query(ctx, `
			SELECT partition, epoch, applied_seq, applied_at, stream_created FROM partition_lease
			WHERE stage = $1 AND owner = $2 AND expires_at > now() ORDER BY partition`, stage, owner)
		if err != nil {
			return err
		}
		held, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Lease, error) {
			l := Lease{Stage: stage, Owner: owner}
			var stored, created *time.Time
			var seq int64
			err := row.Scan(&l.Partition, &l.Epoch, &seq, &stored, &created)
			l.Position.Seq = uint64(seq)
			if stored != nil {
				l.Position.StoredAt = *stored
			}
			if created != nil {
				l.Position.StreamCreated = *created
			}
			return l, err
		})
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("renew the leases of %s: %w", stage, err)
	}
	return held, share, nil
}

// Release gives partitions back, for others to take at once.
func (db *DB) Release(ctx context.Context, stage, owner string, partitions ...int) error {
	if _, err := db.pool.Exec(ctx, `
		UPDATE partition_lease SET expires_at = '-infinity', owner = ''
		WHERE stage = $1 AND owner = $2 AND partition = ANY($3)`, stage, owner, partitions); err != nil {
		return fmt.Errorf("release leases of %s: %w", stage, err)
	}
	return nil
}

// Leave takes an owner out of a stage: all its leases are given back.
func (db *DB) Leave(ctx context.Context, stage, owner string) error {
	return db.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.tx.Exec(ctx, `
			UPDATE partition_lease SET expires_at = '-infinity', owner = '' WHERE stage = $1 AND owner = $2`, stage, owner); err != nil {
			return fmt.Errorf("leave stage %s: %w", stage, err)
		}
		if _, err := tx.tx.Exec(ctx, `DELETE FROM stage_member WHERE stage = $1 AND owner = $2`, stage, owner); err != nil {
			return fmt.Errorf("leave stage %s: %w", stage, err)
		}
		return nil
	})
}

// Advance stores the effects of a batch and moves the watermark, in one
// transaction, under the condition that the lease and the old watermark still
// hold; else it gives ErrLeaseLost and stores nothing.
func (db *DB) Advance(ctx context.Context, l *Lease, to Position, apply func(*Tx) error) error {
	err := db.InTx(ctx, func(tx *Tx) error {
		if apply != nil {
			if err := apply(tx); err != nil {
				return err
			}
		}
		tag, err := tx.tx.Exec(ctx, `
			UPDATE partition_lease SET applied_seq = $5, applied_at = $6, stream_created = $7
			WHERE stage = $1 AND partition = $2 AND owner = $3 AND epoch = $4 AND applied_seq = $8 AND expires_at > now()`,
			l.Stage, l.Partition, l.Owner, l.Epoch, int64(to.Seq), null(to.StoredAt), null(to.StreamCreated), int64(l.Position.Seq))
		if err != nil {
			return fmt.Errorf("move the watermark: %w", err)
		}
		if tag.RowsAffected() != 1 {
			return ErrLeaseLost
		}
		return nil
	})
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

// Progress is how far one partition of one stage is, for lag and status.
type Progress struct {
	Stage     string
	Partition int
	Owner     string
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
