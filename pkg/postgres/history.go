package postgres

import (
	"context"
	"fmt"
	"strings"
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
	"step_fields", "step_systems", "step_rules", "step_values", "step_edited", "step_versions", "step_reasons",
}

var appendHistory = `INSERT INTO contact_history (` + strings.Join(historyColumns, ", ") + `) VALUES (` + numbered(1, len(historyColumns)) + `)`

// mostSteps bounds the decisions that one stored row holds.
const mostSteps = 1000

// AppendHistory adds decisions. Those that one event led to about one contact,
// and that come one after another, are stored as one row.
func (tx *Tx) AppendHistory(ctx context.Context, history []HistoryRow) error {
	var runs [][]HistoryRow
	for i := range history {
		if n := len(runs); n > 0 && history[i].sameEvent(&runs[n-1][0]) && len(runs[n-1]) < mostSteps {
			runs[n-1] = runs[n-1][:len(runs[n-1])+1]
			continue
		}
		runs = append(runs, history[i:i+1])
	}
	if len(runs) == 0 {
		return nil
	}
	const few = 8 // one by one is no more work for the database than to be told of a copy
	if len(runs) <= few {
		for _, run := range runs {
			if err := tx.tx.put(ctx, "append history", appendHistory, historyRow(run)...); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := tx.tx.CopyFrom(ctx, pgx.Identifier{"contact_history"}, historyColumns,
		pgx.CopyFromSlice(len(runs), func(i int) ([]any, error) { return historyRow(runs[i]), nil }))
	if err != nil {
		return fmt.Errorf("append history: %w", err)
	}
	return nil
}

// sameEvent reports whether two decisions can be steps of one row.
func (h *HistoryRow) sameEvent(other *HistoryRow) bool {
	return h.Contact == other.Contact && h.Tenant == other.Tenant && h.EventID == other.EventID && h.At.Equal(other.At) &&
		h.MappingVersion == other.MappingVersion && h.Traceparent == other.Traceparent
}

// historyRow is a stored row of decisions, in the order of historyColumns.
func historyRow(run []HistoryRow) []any {
	h := &run[0]
	if len(run) == 1 {
		return []any{
			string(h.Tenant), string(h.Contact), h.At, h.Field, h.System.String(), h.Rule, h.Value, int64(h.EditedAt),
			int64(h.Version), h.MappingVersion, h.EventID, h.Reason, h.Traceparent, nil, nil, nil, nil, nil, nil, nil,
		}
	}
	n := len(run)
	fields, rules, values, reasons := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	systems, edited, versions := make([]int16, n), make([]int64, n), make([]int64, n)
	reasoned := false
	for i := range run {
		s := &run[i]
		fields[i], rules[i], values[i], reasons[i] = s.Field, s.Rule, s.Value, s.Reason
		systems[i], edited[i], versions[i] = int16(s.System), int64(s.EditedAt), int64(s.Version)
		reasoned = reasoned || s.Reason != ""
	}
	if !reasoned {
		reasons = nil
	}
	return []any{
		string(h.Tenant), string(h.Contact), h.At, "", "none", "", "", int64(0), int64(0), h.MappingVersion, h.EventID, "", h.Traceparent,
		fields, systems, rules, values, edited, versions, reasons,
	}
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
		FROM contact_step WHERE tenant = $1 AND contact IN (
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
