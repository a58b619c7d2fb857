package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/job"
)

// The table of this file is written by ingest alone.

// ErrUnfinished tells that a job of the kind is not finished yet.
var ErrUnfinished = errors.New("a job of this kind is not finished yet")

const jobColumns = `id, tenant, kind, sides, fields, state, cursor, side, total, looked, requested_by, created_at, started_at, ended_at, error`

func scanJob(row pgx.CollectableRow) (j job.Job, err error) {
	var sides []string
	var started, ended *time.Time
	err = row.Scan(&j.ID, &j.Tenant, &j.Kind, &sides, &j.Fields, &j.State, &j.Cursor, &j.Side, &j.Total, &j.Looked,
		&j.RequestedBy, &j.CreatedAt, &started, &ended, &j.Error)
	if err != nil {
		return j, err
	}
	for _, text := range sides {
		system, err := contact.ParseSystem(text)
		if err != nil {
			return j, err
		}
		j.Sides = append(j.Sides, system)
	}
	if started != nil {
		j.StartedAt = *started
	}
	if ended != nil {
		j.EndedAt = *ended
	}
	return j, nil
}

// AddJob queues a job; ErrUnfinished while one of its kind is not finished.
func (db *DB) AddJob(ctx context.Context, j job.Job) (job.Job, error) {
	sides := make([]string, len(j.Sides))
	for i, system := range j.Sides {
		sides[i] = system.String()
	}
	fields := j.Fields
	if fields == nil {
		fields = []string{}
	}
	rows, err := db.pool.Query(ctx, `
		INSERT INTO job (tenant, kind, sides, fields, state, requested_by) VALUES ($1, $2, $3, $4, 'queued', $5)
		RETURNING `+jobColumns, string(j.Tenant), string(j.Kind), sides, fields, j.RequestedBy)
	if err == nil {
		j, err = pgx.CollectExactlyOneRow(rows, scanJob)
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.ConstraintName == "job_unfinished" {
		return j, ErrUnfinished
	}
	if err != nil {
		return j, fmt.Errorf("queue a job: %w", err)
	}
	return j, nil
}

// ClaimJob takes a job that nobody runs, for a time from now; ok is false when
// there is none. What failed before waits longer each time.
func (db *DB) ClaimJob(ctx context.Context, owner string, hold time.Duration) (j job.Job, ok bool, err error) {
	rows, err := db.pool.Query(ctx, `
		UPDATE job SET claimed_by = $1, claimed_to = now() + $2, state = 'running', started_at = coalesce(started_at, now())
		WHERE (tenant, id) = (SELECT tenant, id FROM job WHERE state IN ('queued', 'running') AND claimed_to <= now()
		                      ORDER BY claimed_to, id LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING `+jobColumns, owner, hold)
	if err == nil {
		j, err = pgx.CollectExactlyOneRow(rows, scanJob)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return j, false, nil
	}
	if err != nil {
		return j, false, fmt.Errorf("claim a job: %w", err)
	}
	return j, true, nil
}

// SaveJob keeps where a claimed job stands, and the claim for a time from now.
// It gives the state that the job has now: somebody may have paused or
// cancelled it, or another process may have taken it over, which gives "".
func (db *DB) SaveJob(ctx context.Context, owner string, j *job.Job, hold time.Duration) (job.State, error) {
	var state job.State
	err := db.pool.QueryRow(ctx, `
		UPDATE job SET cursor = $4, side = $5, total = $6, looked = $7, failures = 0, error = '', claimed_to = now() + $8
		WHERE tenant = $1 AND id = $2 AND claimed_by = $3 RETURNING state`,
		string(j.Tenant), j.ID, owner, j.Cursor, j.Side, j.Total, j.Looked, hold).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("save job %d: %w", j.ID, err)
	}
	return state, nil
}

// EndJob ends a claimed job, or with state Running puts it off after a failure:
// the next attempt comes later each time, up to five minutes.
func (db *DB) EndJob(ctx context.Context, owner string, j *job.Job, state job.State, failure string) error {
	_, err := db.pool.Exec(ctx, `
		UPDATE job SET state = CASE WHEN state = 'running' THEN $4 ELSE state END, error = $5, failures = failures + 1,
			ended_at = CASE WHEN $4 IN ('done', 'failed') AND state = 'running' THEN now() END,
			claimed_to = now() + CASE WHEN $4 = 'running' THEN least(failures + 1, 60) * interval '5 seconds' ELSE interval '0' END
		WHERE tenant = $1 AND id = $2 AND claimed_by = $3`,
		string(j.Tenant), j.ID, owner, string(state), failure)
	if err != nil {
		return fmt.Errorf("end job %d: %w", j.ID, err)
	}
	return nil
}

// TurnJob moves a job from one of some states to another, as somebody ordered;
// ok is false when it was in none of them.
func (db *DB) TurnJob(ctx context.Context, tenant contact.Tenant, id int64, from []job.State, to job.State) (j job.Job, ok bool, err error) {
	states := make([]string, len(from))
	for i, s := range from {
		states[i] = string(s)
	}
	rows, err := db.pool.Query(ctx, `
		UPDATE job SET state = $4, ended_at = CASE WHEN $4 = 'cancelled' THEN now() END,
			claimed_to = CASE WHEN $4 = 'queued' THEN '-infinity' ELSE claimed_to END
		WHERE tenant = $1 AND id = $2 AND state = ANY($3) RETURNING `+jobColumns, string(tenant), id, states, string(to))
	if err == nil {
		j, err = pgx.CollectExactlyOneRow(rows, scanJob)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return j, false, nil
	}
	if err != nil {
		return j, false, fmt.Errorf("turn job %d: %w", id, err)
	}
	return j, true, nil
}

// Jobs lists a tenant's newest jobs, newest first; id 0 means all of them.
// Repaired counts what the mapper found to be missed while the job ran.
func (db *DB) Jobs(ctx context.Context, tenant contact.Tenant, id int64, limit int) ([]job.Job, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT `+jobColumns+` FROM job WHERE tenant = $1 AND ($2::bigint = 0 OR id = $2) ORDER BY id DESC LIMIT $3`, string(tenant), id, limit)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	jobs, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	for i := range jobs {
		j := &jobs[i]
		if j.StartedAt.IsZero() || j.Kind == job.Apply {
			continue
		}
		until := j.EndedAt
		if until.IsZero() {
			until = time.Now()
		}
		// What was published last is judged a little later.
		if err := db.pool.QueryRow(ctx, `
			SELECT count(*) FROM contact_history WHERE tenant = $1 AND rule = 'repaired' AND at BETWEEN $2 AND $3`,
			string(tenant), j.StartedAt, until.Add(time.Minute)).Scan(&j.Repaired); err != nil {
			return nil, fmt.Errorf("count the repairs of job %d: %w", j.ID, err)
		}
	}
	return jobs, nil
}
