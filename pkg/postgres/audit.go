package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The table of this file is written by the console alone.

// AuditRow is one change that somebody made or tried to make.
type AuditRow struct {
	Number  int64          // rises with each row that is stored
	Tenant  contact.Tenant // "" is the installation
	At      time.Time
	Caller  string // name
	Kind    string
	ID      string
	Action  string
	Object  string
	Subject string // hash of the contact that it is about (contact.ErasedKey); "" for none
	Detail  []byte // JSON, without secrets; nil is none
	Outcome string
	Reason  string
}

// AddAudit stores an entry and gives its number.
func (db *DB) AddAudit(ctx context.Context, a *AuditRow) (number int64, err error) {
	detail := a.Detail
	if len(detail) == 0 {
		detail = []byte("{}")
	}
	err = db.pool.QueryRow(ctx, `
		INSERT INTO audit (tenant, at, caller, kind, id, action, object, subject, detail, outcome, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING number`,
		string(a.Tenant), a.At, a.Caller, a.Kind, a.ID, a.Action, a.Object, a.Subject, detail, a.Outcome, a.Reason).Scan(&number)
	if err != nil {
		return 0, fmt.Errorf("write the audit: %w", err)
	}
	return number, nil
}

// EndAudit stores what came of a change that had begun.
func (db *DB) EndAudit(ctx context.Context, tenant contact.Tenant, at time.Time, number int64, outcome, reason string) error {
	if _, err := db.pool.Exec(ctx, `
		UPDATE audit SET outcome = $4, reason = $5 WHERE tenant = $1 AND at = $2 AND number = $3 AND outcome = 'begun'`,
		string(tenant), at, number, outcome, reason); err != nil {
		return fmt.Errorf("write the audit: %w", err)
	}
	return nil
}

// AuditFilter chooses entries. Empty members choose all.
type AuditFilter struct {
	Tenant *contact.Tenant // nil is all, "" the installation
	Caller string          // name
	Action string
	From   time.Time // at or after
	To     time.Time // before
	Before int64     // entries with a lower number; 0 begins with the newest
	Limit  int
}

// Audit gives entries, the newest first. Of people who were erased it gives no
// more than that something was done.
func (db *DB) Audit(ctx context.Context, f AuditFilter) ([]AuditRow, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT number, tenant, at, caller, kind, id, action, CASE WHEN gone THEN '' ELSE object END, subject, CASE WHEN gone THEN '{}' ELSE detail END,
		       outcome, reason
		FROM audit, LATERAL (SELECT subject <> '' AND EXISTS (
			SELECT FROM contact_ref r WHERE r.tenant = audit.tenant AND r.kind = 'erased' AND r.value = audit.subject) AS gone) AS erased
		WHERE ($1::text IS NULL OR tenant = $1) AND ($2 = '' OR caller = $2) AND ($3 = '' OR action = $3)
		  AND at >= coalesce($4::timestamptz, '-infinity') AND at < coalesce($5::timestamptz, 'infinity') AND ($6 = 0 OR number < $6)
		ORDER BY number DESC LIMIT $7`,
		(*string)(f.Tenant), f.Caller, f.Action, orNull(f.From), orNull(f.To), f.Before, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a AuditRow, err error) {
		err = row.Scan(&a.Number, &a.Tenant, &a.At, &a.Caller, &a.Kind, &a.ID, &a.Action, &a.Object, &a.Subject, &a.Detail, &a.Outcome, &a.Reason)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	return entries, nil
}

// KeepAudit makes the partitions ahead and drops what is older than keep.
func (db *DB) KeepAudit(ctx context.Context, keep time.Duration) error {
	if _, err := db.pool.Exec(ctx, `SELECT audit_partitions($1)`, int(keep.Hours()/24)); err != nil {
		return fmt.Errorf("keep audit partitions: %w", err)
	}
	return nil
}

// EraseAudit takes people who were erased out of the audit: what was done, by
// whom and when, stays. It gives the number of entries.
func (db *DB) EraseAudit(ctx context.Context) (int64, error) {
	tag, err := db.pool.Exec(ctx, `
		UPDATE audit SET object = '', detail = '{}' FROM contact_ref r
		WHERE audit.subject <> '' AND audit.object <> '' AND r.tenant = audit.tenant AND r.kind = 'erased' AND r.value = audit.subject`)
	if err != nil {
		return 0, fmt.Errorf("erase people from the audit: %w", err)
	}
	return tag.RowsAffected(), nil
}
