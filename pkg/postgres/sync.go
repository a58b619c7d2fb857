package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// SyncKind is what a job does with all contacts of a tenant.
type SyncKind string

// The kinds of jobs.
const (
	FirstSync SyncKind = "first_sync" // reads everything of one or both sides
	Reconcile SyncKind = "reconcile"  // reads what may have been missed
	Apply     SyncKind = "apply"      // judges all known contacts by the present mapping
)

// SyncState is the state of a job.
type SyncState string

// The states of a job. The last three have ended; of these only a failed one can
// be let go on.
const (
	SyncQueued    SyncState = "queued"
	SyncRunning   SyncState = "running"
	SyncPaused    SyncState = "paused"
	SyncCancelled SyncState = "cancelled"
	SyncDone      SyncState = "done"
	SyncFailed    SyncState = "failed"
)

// Final reports whether a job of this state has ended.
func (s SyncState) Final() bool { return s == SyncCancelled || s == SyncDone || s == SyncFailed }

// SyncWish is what somebody wishes to become of a job.
type SyncWish string

// The wishes.
const (
	WishRun    SyncWish = "run"
	WishPause  SyncWish = "pause"
	WishCancel SyncWish = "cancel"
)

// SyncOptions say what a job is about.
type SyncOptions struct {
	HubSpot bool `json:"hubspot,omitempty"` // walk HubSpot
	Aloware bool `json:"aloware,omitempty"` // walk Aloware
	// Full makes a reconciliation read everything, not only what changed.
	Full bool `json:"full,omitempty"`
	// Waiting limits an apply to contacts that wait for a list of users or
	// options, once that is known which was read at ListsAt.
	Waiting bool           `json:"waiting,omitempty"`
	ListsAt contact.Millis `json:"lists_at,omitempty"`
	// Fields are read anew by an apply, by mapping key.
	Fields []string `json:"fields,omitempty"`
	// Hold limits an apply to the contacts of a held burst, which is answered so.
	Hold   string             `json:"hold,omitempty"`
	Answer contact.HoldAnswer `json:"answer,omitempty"`
}

// SyncCursor is how far a job has come: all before it is durably published.
type SyncCursor struct {
	HubSpot     string `json:"hubspot,omitempty"` // HubSpot's own page mark
	HubSpotDone bool   `json:"hubspot_done,omitempty"`
	Aloware     int    `json:"aloware,omitempty"` // next page; 0 is the first
	AlowareDone bool   `json:"aloware_done,omitempty"`
	Contact     string `json:"contact,omitempty"` // last contact that was asked to be judged again
	// Since is where a reading of changes begins; 0 reads everything.
	Since contact.Millis `json:"since,omitempty"`
	// Phones still have to be looked up in Aloware.
	Phones []string `json:"phones,omitempty"`
	// Unseen is the side on which those are looked for that were not seen, by id;
	// zero before, and UnseenDone after.
	Unseen     contact.System `json:"unseen,omitempty"`
	UnseenDone bool           `json:"unseen_done,omitempty"`
	UnseenID   string         `json:"unseen_id,omitempty"`
	// Keys tells that by what contacts of HubSpot are found is listed on the way.
	Keys bool `json:"keys,omitempty"`
	// Planned tells that the totals and Since are known.
	Planned bool `json:"planned,omitempty"`
	// Walked tells that all is published, and only what follows is still to be
	// judged and written.
	Walked bool `json:"walked,omitempty"`
	// Awaits is what must come before all that follows is known to be done, and
	// AwaitsSeq, AwaitsLive and AwaitsEcho, of the bulk and of the live stream and of
	// that of echoes, the messages up to which it must have come.
	Awaits     SyncAwaits `json:"awaits,omitempty"`
	AwaitsSeq  uint64     `json:"awaits_seq,omitempty"`
	AwaitsLive uint64     `json:"awaits_live,omitempty"`
	AwaitsEcho uint64     `json:"awaits_echo,omitempty"`
}

// SyncAwaits is what a job that has published all waits for.
type SyncAwaits string

// What a job waits for, in this order, and again from the beginning while rows
// were found.
const (
	AwaitsNothing SyncAwaits = ""
	AwaitsLive    SyncAwaits = "live"    // the mapper's live batches, which may still add to a hold
	AwaitsMapper  SyncAwaits = "mapper"  // to judge what was published
	AwaitsWriters SyncAwaits = "writers" // to take up what was decided
	AwaitsRows    SyncAwaits = "rows"    // to be written
)

// SyncCounts are a job's counts, as the systems told them.
type SyncCounts struct {
	HubSpotTotal int64 `json:"hubspot_total,omitempty"` // -1 where the system does not tell
	AlowareTotal int64 `json:"aloware_total,omitempty"`
	ContactTotal int64 `json:"contact_total,omitempty"`
	HubSpotRead  int64 `json:"hubspot_read,omitempty"`
	AlowareRead  int64 `json:"aloware_read,omitempty"`
	Asked        int64 `json:"asked,omitempty"`     // commands that were published
	ActiveMs     int64 `json:"active_ms,omitempty"` // time spent working, pauses left out
	// Published contacts, and of them those that are judged.
	Published int64 `json:"published,omitempty"`
	Judged    int64 `json:"judged,omitempty"`
	// Waiting rows of the writers, when they were counted last, and how many
	// contacts a second got done of late.
	Waiting   int64          `json:"waiting,omitempty"`
	CountedAt contact.Millis `json:"counted_at,omitempty"`
	WriteRate float64        `json:"write_rate,omitempty"`
}

// Written is how many contacts are dealt with to the end: judged, and nothing of
// them waits to be written.
func (c *SyncCounts) Written() int64 { return max(c.Judged-c.Waiting, 0) }

// Sync is one job.
type Sync struct {
	ID         string
	Tenant     contact.Tenant
	Kind       SyncKind
	Options    SyncOptions
	AskedBy    string
	AskedAt    time.Time
	State      SyncState
	Cursor     SyncCursor
	Counts     SyncCounts
	StartedAt  time.Time // zero before
	FinishedAt time.Time // zero before
	Failures   int
	Error      string
}

// Purpose is what a job is for: its kind, or why ingest itself asked for it.
func (s *Sync) Purpose() SyncPurpose {
	switch {
	case s.Options.Hold != "":
		return AnswerHold
	case s.Options.Waiting:
		return TakeLists
	}
	return SyncPurpose(s.Kind)
}

// SyncPurpose is what a job is for.
type SyncPurpose string

// What jobs are for, beside their kinds.
const (
	AnswerHold SyncPurpose = "hold"  // an apply that carries out the answer about a held burst
	TakeLists  SyncPurpose = "lists" // an apply to what waited for a user or an option
)

// ErrSyncLost tells that another process has taken over a job.
var ErrSyncLost = errors.New("the job is run by another process now")

// syncColumns are the columns of a job j, as scanSync reads them.
const syncColumns = `j.id, j.tenant, j.kind, j.options, j.asked_by, j.asked_at, j.state, j.cursor, j.counts,
	j.started_at, j.finished_at, j.failures, j.error`

func scanSync(row pgx.CollectableRow) (s Sync, err error) {
	var started, finished *time.Time
	err = row.Scan(&s.ID, &s.Tenant, &s.Kind, &s.Options, &s.AskedBy, &s.AskedAt, &s.State, &s.Cursor, &s.Counts,
		&started, &finished, &s.Failures, &s.Error)
	if started != nil {
		s.StartedAt = *started
	}
	if finished != nil {
		s.FinishedAt = *finished
	}
	return s, err
}

// AdoptSyncs makes jobs out of new requests, and lets wishes take effect on
// jobs that nobody runs at the moment. A failed job goes on where it was.
func (db *DB) AdoptSyncs(ctx context.Context) error {
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO sync_job (id, tenant, kind, options, asked_by, asked_at)
		SELECT id, tenant, kind, options, asked_by, asked_at FROM sync_request r
		WHERE asked_at > now() - interval '30 days' AND NOT EXISTS (SELECT 1 FROM sync_job j WHERE j.id = r.id)
		ON CONFLICT DO NOTHING`); err != nil {
		return fmt.Errorf("adopt sync requests: %w", err)
	}
	if _, err := db.pool.Exec(ctx, `
		UPDATE sync_job j SET
			state = CASE r.wish WHEN 'cancel' THEN 'cancelled' WHEN 'pause' THEN 'paused' ELSE 'queued' END,
			finished_at = CASE r.wish WHEN 'cancel' THEN now() END, next_at = now(),
			failures = CASE j.state WHEN 'failed' THEN 0 ELSE j.failures END, error = CASE j.state WHEN 'failed' THEN '' ELSE j.error END
		FROM sync_request r
		WHERE r.id = j.id AND j.claimed_to <= now()
		  AND (j.state IN ('queued', 'running', 'paused')
		       AND (r.wish = 'cancel' OR r.wish = 'pause' AND j.state <> 'paused' OR r.wish = 'run' AND j.state = 'paused')
		       OR j.state = 'failed' AND r.wish = 'run' AND r.wished_at > j.finished_at)`); err != nil {
		return fmt.Errorf("apply sync wishes: %w", err)
	}
	return nil
}

// fullWithin is the longest time between two reconciliations of a schedule that
// read everything: what changed in a system that has no event of it, and what
// nobody changed in the other, is found by no other one.
const fullWithin = 7 * 24 * time.Hour

// ScheduleSync adds a job that the schedule made, unless the tenant is too
// young for it (it was connected after the time that the job is for), has
// turned it off, or has the job already. It reads everything when no job of both
// sides has for long.
func (db *DB) ScheduleSync(ctx context.Context, s Sync) error {
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO sync_job (id, tenant, kind, options, asked_by, asked_at)
		SELECT $1, $2, $3, $4::jsonb || jsonb_build_object('full', NOT EXISTS (
			SELECT FROM sync_job WHERE tenant = $2 AND state = 'done' AND started_at > $6::timestamptz - $7::interval
			AND options->'hubspot' = 'true' AND options->'aloware' = 'true' AND (kind = 'first_sync' OR options->'full' = 'true'))), $5, $6
		WHERE EXISTS (SELECT 1 FROM mapping_version WHERE tenant = $2 AND created_at < $6)
		  AND NOT EXISTS (SELECT 1 FROM sync_job WHERE tenant = $2 AND state IN ('queued', 'running', 'paused'))
		ON CONFLICT DO NOTHING`, s.ID, string(s.Tenant), s.Kind, s.Options, s.AskedBy, s.AskedAt, fullWithin); err != nil {
		return fmt.Errorf("schedule a sync: %w", err)
	}
	return nil
}

// QueueSync adds a job that ingest itself found to be needed.
func (db *DB) QueueSync(ctx context.Context, s Sync) error {
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO sync_job (id, tenant, kind, options, asked_by, asked_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT DO NOTHING`, s.ID, string(s.Tenant), s.Kind, s.Options, s.AskedBy, s.AskedAt); err != nil {
		return fmt.Errorf("queue a sync: %w", err)
	}
	return nil
}

// SyncSchedules gives how often tenants are reconciled, where they decided.
func (db *DB) SyncSchedules(ctx context.Context) (map[contact.Tenant]time.Duration, error) {
	rows, err := db.pool.Query(ctx, `SELECT tenant, every_seconds FROM sync_schedule`)
	if err != nil {
		return nil, fmt.Errorf("load sync schedules: %w", err)
	}
	schedules := make(map[contact.Tenant]time.Duration)
	var id string
	var every int
	if _, err := pgx.ForEachRow(rows, []any{&id, &every}, func() error {
		schedules[contact.Tenant(id)] = time.Duration(every) * time.Second
		return nil
	}); err != nil {
		return nil, fmt.Errorf("load sync schedules: %w", err)
	}
	return schedules, nil
}

// syncDue holds of a job w that may be claimed now: of one tenant's jobs that read
// the oldest alone. Those that carry out an answer read nothing.
const syncDue = `w.state IN ('queued', 'running') AND w.next_at <= now() AND w.claimed_to <= now()
	AND (w.options->>'hold' IS NOT NULL OR NOT EXISTS (SELECT 1 FROM sync_job o WHERE o.options->>'hold' IS NULL AND o.tenant = w.tenant AND o.state IN ('queued', 'running')
	                AND o.cursor->>'walked' IS NULL AND (o.asked_at, o.id) < (w.asked_at, w.id)))`

// ClaimSyncs takes due jobs for a process until a time from now; nobody else
// gets them before it has passed. Those that have waited longest come first.
func (db *DB) ClaimSyncs(ctx context.Context, owner string, hold time.Duration, limit int) ([]Sync, error) {
	rows, err := db.pool.Query(ctx, `
		UPDATE sync_job j SET claimed_by = $1, claimed_to = now() + $2, state = 'running', started_at = coalesce(started_at, now())
		FROM (SELECT id FROM sync_job w WHERE `+syncDue+` ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED) d
		WHERE j.id = d.id
		RETURNING `+syncColumns, owner, hold, limit)
	if err != nil {
		return nil, fmt.Errorf("claim syncs: %w", err)
	}
	syncs, err := pgx.CollectRows(rows, scanSync)
	if err != nil {
		return nil, fmt.Errorf("claim syncs: %w", err)
	}
	return syncs, nil
}

// SaveSync stores how far a claimed job is. A job that runs on is held for
// another stretch; one that waits, or is not running any more, is given back
// and due after wait. It tells what people wish, and whether jobs of other
// tenants wait for a place. ErrSyncLost means that the claim was lost: nothing
// was stored.
func (db *DB) SaveSync(ctx context.Context, owner string, s *Sync, hold, wait time.Duration) (wish SyncWish, others bool, err error) {
	err = db.pool.QueryRow(ctx, `
		UPDATE sync_job SET state = $3, cursor = $4, counts = $5, failures = $6, error = $7,
			claimed_to = CASE WHEN $8::interval > interval '0' THEN now() + $8::interval ELSE '-infinity' END,
			next_at = now() + $9::interval,
			finished_at = CASE WHEN $3 IN ('cancelled', 'done', 'failed') THEN now() END
		WHERE id = $1 AND claimed_by = $2 AND claimed_to > now() AND state = 'running'
		RETURNING coalesce((SELECT wish FROM sync_request r WHERE r.id = sync_job.id), 'run'),
			EXISTS (SELECT FROM sync_job w WHERE w.tenant <> sync_job.tenant AND `+syncDue+`)`,
		s.ID, owner, string(s.State), s.Cursor, s.Counts, s.Failures, s.Error, hold, wait).Scan(&wish, &others)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", false, ErrSyncLost
	case err != nil:
		return "", false, fmt.Errorf("save sync: %w", err)
	}
	return wish, others, nil
}

// Walks gives a tenant's newest jobs that have begun to read the systems.
func (db *DB) Walks(ctx context.Context, tenant contact.Tenant) ([]Sync, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT `+syncColumns+` FROM sync_job j
		WHERE tenant = $1 AND kind <> $2 AND started_at IS NOT NULL ORDER BY asked_at DESC LIMIT 8`, string(tenant), string(Apply))
	if err != nil {
		return nil, fmt.Errorf("load walks: %w", err)
	}
	walks, err := pgx.CollectRows(rows, scanSync)
	if err != nil {
		return nil, fmt.Errorf("load walks: %w", err)
	}
	return walks, nil
}

// LastReconciled is when the newest finished job that read a tenant's changes
// began; zero when there was none.
func (db *DB) LastReconciled(ctx context.Context, tenant contact.Tenant) (time.Time, error) {
	var at *time.Time
	if err := db.pool.QueryRow(ctx, `
		SELECT max(started_at) FROM sync_job WHERE tenant = $1 AND state = 'done' AND kind = 'reconcile'`,
		string(tenant)).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("load the last reconciliation: %w", err)
	}
	if at == nil {
		return time.Time{}, nil
	}
	return *at, nil
}
