package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The tables contact_problem and problem_count are written by the mapper alone,
// problem_dismissal by the console alone.

// ProblemRow is one open problem of one contact.
type ProblemRow struct {
	Tenant   contact.Tenant
	Contact  contact.Key
	Field    string // mapping key; "" for the contact as a whole
	System   contact.System
	Kind     contact.ProblemKind
	Class    string
	Reason   string
	Message  string // the system's own words
	Value    string
	Version  contact.Version
	Since    time.Time // when it was first met; of a row to save: now
	Attempts int       // how often it was met; read only

	DismissedBy string // "" while it is not dismissed; read only
	DismissedAt time.Time
}

// SaveProblems makes the given problems those of the contacts. A problem that
// stays keeps its beginning, unless its reason is another one.
func (tx *Tx) SaveProblems(ctx context.Context, tenants []contact.Tenant, contacts []contact.Key, problems []ProblemRow) error {
	if len(contacts) == 0 {
		return nil
	}
	var columns [9][]string
	versions, since := make([]int64, len(problems)), make([]time.Time, len(problems))
	for i, p := range problems {
		for k, text := range []string{string(p.Tenant), string(p.Contact), p.Field, p.System.String(), string(p.Kind), p.Class, p.Reason, p.Message, p.Value} {
			columns[k] = append(columns[k], text)
		}
		versions[i], since[i] = int64(p.Version), p.Since
	}
	// One that gets another reason is another problem.
	gone, err := tx.tx.Query(ctx, `
		DELETE FROM contact_problem p USING unnest($1::text[], $2::text[]) AS w(tenant, contact)
		WHERE p.tenant = w.tenant AND p.contact = w.contact AND NOT EXISTS (
			SELECT FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) AS n(tenant, contact, field, system, kind, reason)
			WHERE n.tenant = p.tenant AND n.contact = p.contact AND n.field = p.field AND n.system = p.system AND n.kind = p.kind AND n.reason = p.reason)
		RETURNING p.tenant, p.kind, p.reason, p.system, p.field`,
		texts(tenants), texts(contacts), columns[0], columns[1], columns[2], columns[3], columns[4], columns[6])
	if err := tx.counted(gone, err, -1); err != nil {
		return fmt.Errorf("remove problems of %d contacts: %w", len(contacts), err)
	}
	if len(problems) == 0 {
		return nil
	}
	// Those that were there already are no news: xmax tells.
	saved, err := tx.tx.Query(ctx, `
		WITH saved AS (
			INSERT INTO contact_problem AS p (tenant, contact, field, system, kind, class, reason, message, value, version, since, attempts)
			SELECT *, 1 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::timestamptz[])
			ON CONFLICT (tenant, contact, field, system, kind) DO UPDATE
			SET class = excluded.class, message = excluded.message, value = excluded.value, version = excluded.version,
				attempts = p.attempts + CASE WHEN p.version <> excluded.version THEN 1 ELSE 0 END
			RETURNING `+problemCauses+`, xmax = 0 AS fresh)
		SELECT `+problemCauses+` FROM saved WHERE fresh`,
		columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6], columns[7], columns[8], versions, since)
	if err := tx.counted(saved, err, +1); err != nil {
		return fmt.Errorf("save %d problems: %w", len(problems), err)
	}
	return nil
}

// ProblemFilter chooses problems of a tenant. Empty members choose all.
type ProblemFilter struct {
	Tenant    contact.Tenant
	Kind      contact.ProblemKind
	Reason    string
	System    contact.System
	Field     *string // nil for all; "" is the contact as a whole
	Contact   contact.Key
	Dismissed bool // with those that were dismissed
}

const problemChosen = `p.tenant = $1 AND ($2 = '' OR p.kind = $2) AND ($3 = '' OR p.reason = $3) AND ($4 = 'none' OR p.system = $4)
	AND ($5::text IS NULL OR p.field = $5) AND ($6 = '' OR p.contact = $6) AND ($7 OR d.author IS NULL)`

const (
	dismissalOf = `d.tenant = p.tenant AND d.contact = p.contact AND d.field = p.field AND d.system = p.system AND d.kind = p.kind AND d.since = p.since`

	problemJoined = `contact_problem p LEFT JOIN problem_dismissal d ON ` + dismissalOf
)

func (f ProblemFilter) arguments() []any {
	return []any{string(f.Tenant), string(f.Kind), f.Reason, f.System.String(), f.Field, string(f.Contact), f.Dismissed}
}

// Problems gives problems in the order of contact, field, system and kind,
// behind one of them ("" for the first).
func (db *DB) Problems(ctx context.Context, f ProblemFilter, after ProblemRow, limit int) ([]ProblemRow, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT p.tenant, p.contact, p.field, p.system, p.kind, p.class, p.reason, p.message, p.value, p.version, p.since, p.attempts,
			coalesce(d.author, ''), d.at
		FROM `+problemJoined+` WHERE `+problemChosen+` AND (p.contact, p.field, p.system, p.kind) > ($8, $9, $10, $11)
		ORDER BY p.contact, p.field, p.system, p.kind LIMIT $12`,
		append(f.arguments(), string(after.Contact), after.Field, after.System.String(), string(after.Kind), limit)...)
	if err != nil {
		return nil, fmt.Errorf("list problems: %w", err)
	}
	problems, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p ProblemRow, err error) {
		var system string
		var dismissed *time.Time
		if err = row.Scan(&p.Tenant, &p.Contact, &p.Field, &system, &p.Kind, &p.Class, &p.Reason, &p.Message, &p.Value, &p.Version,
			&p.Since, &p.Attempts, &p.DismissedBy, &dismissed); err != nil {
			return p, err
		}
		if dismissed != nil {
			p.DismissedAt = *dismissed
		}
		p.System, err = contact.ParseSystem(system)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("list problems: %w", err)
	}
	return problems, nil
}

// Dismiss marks the chosen problems as seen by somebody, and gives their
// number. Those that are being solved at this moment are left out.
func (db *DB) Dismiss(ctx context.Context, f ProblemFilter, author string, at time.Time) (int, error) {
	f.Dismissed = false
	tag, err := db.pool.Exec(ctx, `
		INSERT INTO problem_dismissal AS old (tenant, contact, field, system, kind, reason, since, author, at)
		SELECT p.tenant, p.contact, p.field, p.system, p.kind, p.reason, p.since, $8, $9 FROM `+problemJoined+` WHERE `+problemChosen+`
		FOR KEY SHARE OF p SKIP LOCKED
		ON CONFLICT (tenant, contact, field, system, kind) DO UPDATE SET reason = excluded.reason, since = excluded.since, author = excluded.author, at = excluded.at`,
		append(f.arguments(), author, at)...)
	if err != nil {
		return 0, fmt.Errorf("dismiss problems: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// Undismiss takes back the dismissal of the chosen problems, and gives their
// number.
func (db *DB) Undismiss(ctx context.Context, f ProblemFilter) (int, error) {
	f.Dismissed = true
	tag, err := db.pool.Exec(ctx, `
		DELETE FROM problem_dismissal WHERE ctid = ANY(ARRAY(
			SELECT d.ctid FROM contact_problem p JOIN problem_dismissal d ON `+dismissalOf+` WHERE `+problemChosen+` FOR UPDATE OF d SKIP LOCKED))`, f.arguments()...)
	if err != nil {
		return 0, fmt.Errorf("take dismissals back: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
