package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// What the console asks of jobs and shows of them. It writes the requests and
// the schedules alone.

// What a request can meet.
var (
	ErrSyncBusy   = errors.New("another job of the tenant is under way")
	ErrSyncAbsent = errors.New("no such job")
	ErrSyncFinal  = errors.New("the job has ended")
)

// RequestSync asks for a job; ErrSyncBusy while another of the tenant is under
// way.
func (db *DB) RequestSync(ctx context.Context, s Sync) error {
	tag, err := db.pool.Exec(ctx, `
		INSERT INTO sync_request (id, tenant, kind, options, asked_by)
		SELECT $1, $2, $3, $4, $5
		WHERE NOT EXISTS (SELECT 1 FROM sync_job WHERE tenant = $2 AND state IN ('queued', 'running', 'paused'))
		  AND NOT EXISTS (SELECT 1 FROM sync_request r WHERE tenant = $2 AND wish <> 'cancel' AND asked_at > now() - interval '30 days'
		                  AND NOT EXISTS (SELECT 1 FROM sync_job j WHERE j.id = r.id))`,
		s.ID, string(s.Tenant), s.Kind, s.Options, s.AskedBy)
	switch {
	case err != nil:
		return fmt.Errorf("ask for a sync: %w", err)
	case tag.RowsAffected() == 0:
		return ErrSyncBusy
	}
	return nil
}

// WishSync stores what is wished of a job that has not ended, or lets a failed
// one go on; ErrSyncBusy while another job of the tenant is under way then.
func (db *DB) WishSync(ctx context.Context, tenant contact.Tenant, id string, wish SyncWish) error {
	s, err := db.FindSync(ctx, tenant, id)
	switch {
	case err != nil:
		return err
	case s.State.Final() && (s.State != SyncFailed || wish != WishRun):
		return ErrSyncFinal
	}
	tag, err := db.pool.Exec(ctx, `
		INSERT INTO sync_request (id, tenant, kind, options, asked_by, asked_at, wish)
		SELECT $1, $2, $3, $4, $5, $6, $7
		WHERE NOT $8 OR NOT EXISTS (SELECT 1 FROM sync_job WHERE tenant = $2 AND state IN ('queued', 'running', 'paused'))
		ON CONFLICT (id) DO UPDATE SET wish = excluded.wish, wished_at = now()`,
		s.ID, string(s.Tenant), s.Kind, s.Options, s.AskedBy, s.AskedAt, wish, s.State == SyncFailed)
	switch {
	case err != nil:
		return fmt.Errorf("wish for a sync: %w", err)
	case tag.RowsAffected() == 0:
		return ErrSyncBusy
	}
	return nil
}

// StoppedSyncs gives the jobs of all tenants that failed and were not followed by
// another one of their kind, and those that tried in vain last.
func (tx *Tx) StoppedSyncs(ctx context.Context) ([]Sync, error) {
	rows, err := tx.tx.Query(ctx, `
		SELECT `+syncColumns+` FROM sync_job j
		WHERE (state = 'failed' OR failures > 0) AND state IN ('failed', 'queued', 'running')
		  AND NOT EXISTS (SELECT FROM sync_job n WHERE j.state = 'failed' AND n.tenant = j.tenant AND n.kind = j.kind
		                  AND (n.options->'hold') IS NOT DISTINCT FROM (j.options->'hold') AND n.asked_at > j.asked_at AND n.state <> 'cancelled')
		ORDER BY tenant, asked_at, id`)
	if err != nil {
		return nil, fmt.Errorf("load stopped syncs: %w", err)
	}
	syncs, err := pgx.CollectRows(rows, scanSync)
	if err != nil {
		return nil, fmt.Errorf("load stopped syncs: %w", err)
	}
	return syncs, nil
}

// Syncs gives the newest jobs of a tenant, requests that no process has taken
// up yet among them.
func (db *DB) Syncs(ctx context.Context, tenant contact.Tenant, limit int) ([]Sync, error) {
	return db.syncs(ctx, tenant, "", limit)
}

// FindSync gives one job of a tenant; ErrSyncAbsent where there is none.
func (db *DB) FindSync(ctx context.Context, tenant contact.Tenant, id string) (Sync, error) {
	found, err := db.syncs(ctx, tenant, id, 1)
	switch {
	case err != nil:
		return Sync{}, err
	case len(found) == 0:
		return Sync{}, ErrSyncAbsent
	}
	return found[0], nil
}

func (db *DB) syncs(ctx context.Context, tenant contact.Tenant, id string, limit int) ([]Sync, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT `+syncColumns+` FROM (
			SELECT id, tenant, kind, options, asked_by, asked_at, state, cursor, counts, started_at, finished_at, failures, error
			FROM sync_job WHERE tenant = $1 AND ($2 = '' OR id = $2)
			UNION ALL
			SELECT id, tenant, kind, options, asked_by, asked_at, CASE wish WHEN 'cancel' THEN 'cancelled' ELSE 'queued' END,
			       '{}'::jsonb, '{}'::jsonb, NULL, NULL, 0, ''
			FROM sync_request r WHERE tenant = $1 AND ($2 = '' OR id = $2) AND NOT EXISTS (SELECT 1 FROM sync_job o WHERE o.id = r.id)
		) j ORDER BY asked_at DESC LIMIT $3`, string(tenant), id, limit)
	if err != nil {
		return nil, fmt.Errorf("load syncs: %w", err)
	}
	syncs, err := pgx.CollectRows(rows, scanSync)
	if err != nil {
		return nil, fmt.Errorf("load syncs: %w", err)
	}
	return syncs, nil
}

// SaveSyncSchedule sets how often a tenant is reconciled; 0 turns it off.
func (db *DB) SaveSyncSchedule(ctx context.Context, tenant contact.Tenant, every time.Duration) error {
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO sync_schedule (tenant, every_seconds) VALUES ($1, $2)
		ON CONFLICT (tenant) DO UPDATE SET every_seconds = excluded.every_seconds`, string(tenant), int(every.Seconds())); err != nil {
		return fmt.Errorf("save sync schedule: %w", err)
	}
	return nil
}

// UsualSchedule is how often a tenant is reconciled that nobody decided about.
const UsualSchedule = 24 * time.Hour

// SyncSchedule is how often a tenant is reconciled, 0 for never, and whether
// somebody decided it.
func (db *DB) SyncSchedule(ctx context.Context, tenant contact.Tenant) (every time.Duration, decided bool, err error) {
	var seconds int
	switch err := db.pool.QueryRow(ctx, `SELECT every_seconds FROM sync_schedule WHERE tenant = $1`, string(tenant)).Scan(&seconds); {
	case errors.Is(err, pgx.ErrNoRows):
		return UsualSchedule, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("load a sync schedule: %w", err)
	}
	return time.Duration(seconds) * time.Second, true, nil
}

// SyncEffect counts what came of a job's events, by cause.
type SyncEffect struct {
	Tenant contact.Tenant
	Job    string
	Cause  string
}

// drift begins the causes that count, by field, the contacts whose value had
// drifted: an edit was missed, or the sides differed.
const drift = "drift/"

// DriftOf is the cause that counts the contacts in which a field had drifted.
func DriftOf(field string) string { return drift + field }

// CountSyncEffects adds counts. The mapper alone calls it.
func (tx *Tx) CountSyncEffects(ctx context.Context, effects map[SyncEffect]int64) error {
	if len(effects) == 0 {
		return nil
	}
	var tenants, jobs, causes []string
	var n []int64
	for e, count := range effects {
		tenants, jobs, causes, n = append(tenants, string(e.Tenant)), append(jobs, e.Job), append(causes, e.Cause), append(n, count)
	}
	// In one order always: two partitions may count for one job.
	return tx.tx.put(ctx, "count sync effects", `
		INSERT INTO sync_effect (tenant, job, cause, n)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS e (tenant, job, cause, n) ORDER BY 1, 2, 3
		ON CONFLICT (tenant, job, cause) DO UPDATE SET n = sync_effect.n + excluded.n`, tenants, jobs, causes, n)
}

// Drift gives in how many contacts each field had drifted when the newest
// reconciliation that is done repaired it, and that job's id; "" for none.
func (db *DB) Drift(ctx context.Context, tenant contact.Tenant) (job string, fields map[string]int64, err error) {
	rows, err := db.pool.Query(ctx, `
		SELECT e.job, substr(e.cause, length($3) + 1), e.n FROM sync_effect e
		WHERE e.tenant = $1 AND starts_with(e.cause, $3)
		  AND e.job = (SELECT id FROM sync_job WHERE tenant = $1 AND kind = $2 AND state = 'done' ORDER BY asked_at DESC LIMIT 1)`,
		string(tenant), string(Reconcile), drift)
	if err != nil {
		return "", nil, fmt.Errorf("load what drifted: %w", err)
	}
	fields = make(map[string]int64)
	var field string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&job, &field, &n}, func() error {
		fields[field] = n
		return nil
	}); err != nil {
		return "", nil, fmt.Errorf("load what drifted: %w", err)
	}
	return job, fields, nil
}

// SyncEffects gives the counts of some jobs of a tenant, by job and cause,
// without those by field.
func (db *DB) SyncEffects(ctx context.Context, tenant contact.Tenant, jobs ...string) (map[string]map[string]int64, error) {
	rows, err := db.pool.Query(ctx, `SELECT job, cause, n FROM sync_effect WHERE tenant = $1 AND job = ANY($2) AND NOT starts_with(cause, $3)`, string(tenant), jobs, drift)
	if err != nil {
		return nil, fmt.Errorf("load sync effects: %w", err)
	}
	effects := make(map[string]map[string]int64, len(jobs))
	var job, cause string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&job, &cause, &n}, func() error {
		if effects[job] == nil {
			effects[job] = make(map[string]int64)
		}
		effects[job][cause] = n
		return nil
	}); err != nil {
		return nil, fmt.Errorf("load sync effects: %w", err)
	}
	return effects, nil
}

// ContactKeysAfter gives keys of a tenant's known contacts in order, those
// after a key.
func (db *DB) ContactKeysAfter(ctx context.Context, tenant contact.Tenant, after contact.Key, limit int) ([]contact.Key, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT contact FROM contact_state WHERE tenant = $1 AND contact > $2 ORDER BY contact LIMIT $3`, string(tenant), string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("page over contacts: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[contact.Key])
	if err != nil {
		return nil, fmt.Errorf("page over contacts: %w", err)
	}
	return keys, nil
}

// LinkedContacts gives those of HubSpot's ids whose contact is in Aloware too.
func (db *DB) LinkedContacts(ctx context.Context, tenant contact.Tenant, ids []string) (map[string]bool, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT DISTINCT h.value FROM contact_ref h JOIN contact_ref a ON a.tenant = h.tenant AND a.contact = h.contact AND a.kind = 'aloware'
		WHERE h.tenant = $1 AND h.kind = 'hubspot' AND h.value = ANY($2)`, string(tenant), ids)
	if err != nil {
		return nil, fmt.Errorf("look for linked contacts: %w", err)
	}
	linked := make(map[string]bool)
	var id string
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { linked[id] = true; return nil }); err != nil {
		return nil, fmt.Errorf("look for linked contacts: %w", err)
	}
	return linked, nil
}

// SyncHistory gives decisions that a job's events led to, the newest first:
// the "what exactly" behind its counts. It looks only where the job ran.
func (db *DB) SyncHistory(ctx context.Context, s *Sync, rules []string, limit int) ([]HistoryRow, error) {
	until := s.FinishedAt.Add(time.Hour)
	if s.FinishedAt.IsZero() {
		until = time.Now().Add(time.Hour)
	}
	rows, err := db.pool.Query(ctx, `
		SELECT number, tenant, contact, at, field, system, rule, value, edited_ms, version, mapping_version, event_id, reason, traceparent
		FROM contact_step
		WHERE tenant = $1 AND at BETWEEN $2 AND $3 AND starts_with(event_id, $4) AND rule = ANY($5)
		ORDER BY at DESC, number DESC LIMIT $6`, string(s.Tenant), s.StartedAt, until, "sync/"+s.ID+"/", rules, limit)
	if err != nil {
		return nil, fmt.Errorf("load a job's history: %w", err)
	}
	return collectHistory(rows)
}
