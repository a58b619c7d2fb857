package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The table of this file is written by the mapper alone.

// HistoryRow is one decision about one contact.
type HistoryRow struct {
	Number         int64 // rises with each row that is stored; read only
	Tenant         contact.Tenant
	Contact        contact.Key
	At             time.Time
	Field          string
	System         contact.System
	Rule           string
	Value          string
	EditedAt       contact.Millis
	Version        contact.Version
	MappingVersion int64
	EventID        string
	Reason         string
	Traceparent    string
}

var historyColumns = []string{
	"tenant", "contact", "at", "field", "system", "rule", "value", "edited_ms",
	"version", "mapping_version", "event_id", "reason", "traceparent",
}

// AppendHistory adds decisions.
func (tx *Tx) AppendHistory(ctx context.Context, history []HistoryRow) error {
	if len(history) == 0 {
		return nil
	}
	_, err := tx.tx.CopyFrom(ctx, pgx.Identifier{"contact_history"}, historyColumns,
		pgx.CopyFromSlice(len(history), func(i int) ([]any, error) {
			h := &history[i]
			return []any{
				string(h.Tenant), string(h.Contact), h.At, h.Field, h.System.String(), h.Rule, h.Value, int64(h.EditedAt),
				int64(h.Version), h.MappingVersion, h.EventID, h.Reason, h.Traceparent,
			}, nil
		}))
	if err != nil {
		return fmt.Errorf("append history: %w", err)
	}
	return nil
}

// KeepHistory makes the partitions ahead and drops what is older than keep.
func (db *DB) KeepHistory(ctx context.Context, keep time.Duration) error {
	if _, err := db.pool.Exec(ctx, `SELECT history_partitions($1)`, int(keep.Hours()/24)); err != nil {
		return fmt.Errorf("keep history partitions: %w", err)
	}
	return nil
}

// History gives the newest decisions about a contact, also under former keys,
// the newest first: of one field ("" for all), and before a number (0 for the
// newest).
func (db *DB) History(ctx context.Context, tenant contact.Tenant, key contact.Key, field string, before int64, limit int) ([]HistoryRow, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT number, tenant, contact, at, field, system, rule, value, edited_ms, version, mapping_version, event_id, reason, traceparent
		FROM contact_history WHERE tenant = $1 AND contact IN (
			SELECT $2 UNION SELECT value FROM contact_ref WHERE tenant = $1 AND contact = $2 AND kind = 'key')
		AND ($3 = '' OR field = $3) AND ($4 = 0 OR number < $4) ORDER BY number DESC LIMIT $5`, string(tenant), string(key), field, before, limit)
	if err != nil {
		return nil, fmt.Errorf("load history: %w", err)
	}
	return collectHistory(rows)
}

func collectHistory(rows pgx.Rows) ([]HistoryRow, error) {
	history, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h HistoryRow, err error) {
		var system string
		err = row.Scan(&h.Number, &h.Tenant, &h.Contact, &h.At, &h.Field, &system, &h.Rule, &h.Value, &h.EditedAt,
			&h.Version, &h.MappingVersion, &h.EventID, &h.Reason, &h.Traceparent)
		h.System, _ = contact.ParseSystem(system) // "none" for a decision about no side
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("load history: %w", err)
	}
	return history, nil
}
