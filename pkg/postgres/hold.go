package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// Bursts that are held. The tables field_hold and held_value are written by the
// mapper alone; an answer is a request for a job, which the console writes and
// ingest carries out.

// Hold is a burst of changes of one field that is not written in one system.
type Hold struct {
	Tenant         contact.Tenant
	ID             string
	Field          string
	Into           contact.System
	Source         string // "" where nobody tells
	MappingVersion int64
	Binding        string // what the mapping joined
	Since          time.Time
	Passed         int64 // contacts that were written before it was recognised
	Threshold      int64
	EndedAt        time.Time // zero while it is open or being carried out
	Lapsed         bool      // the mapping was changed or removed

	// The answer; empty while there is none, and the job that carries it out.
	Answer     contact.HoldAnswer
	AnsweredBy string
	AnsweredAt time.Time
	Job        string
	JobState   SyncState
	JobCounts  SyncCounts

	// What is held: contacts, and what writing them would do. Only lists have it.
	Contacts, Fills, Replaces, Clears int64
}

// JobOfHold is the job that carries out the answer about a hold.
func JobOfHold(tenant contact.Tenant, hold string) string {
	return "hold-" + string(tenant) + "-" + hold
}

const holdColumns = `h.tenant, h.hold, h.field, h.system, h.source, h.mapping_version, h.binding, h.since, h.passed, h.threshold, h.ended_at, h.lapsed,
	coalesce(r.options->>'answer', ''), coalesce(r.asked_by, ''), r.asked_at, coalesce(r.id, ''), coalesce(j.state, ''), coalesce(j.counts, '{}')`

const holdJoined = `field_hold h LEFT JOIN sync_request r ON r.id = 'hold-' || h.tenant || '-' || h.hold LEFT JOIN sync_job j ON j.id = r.id`

func scanHold(row pgx.CollectableRow, more ...any) (h Hold, err error) {
	var system string
	var ended, answered *time.Time
	into := []any{
		&h.Tenant, &h.ID, &h.Field, &system, &h.Source, &h.MappingVersion, &h.Binding, &h.Since, &h.Passed, &h.Threshold, &ended, &h.Lapsed,
		&h.Answer, &h.AnsweredBy, &answered, &h.Job, &h.JobState, &h.JobCounts,
	}
	if err = row.Scan(append(into, more...)...); err != nil {
		return h, err
	}
	if ended != nil {
		h.EndedAt = *ended
	}
	if answered != nil {
		h.AnsweredAt = *answered
	}
	h.Into, err = contact.ParseSystem(system)
	return h, err
}

// OpenHolds gives the holds of some tenants that are open or being carried out;
// nil is all tenants.
func (db *DB) OpenHolds(ctx context.Context, tenants []contact.Tenant) ([]Hold, error) {
	rows, err := db.keyed.Query(ctx, `SELECT `+holdColumns+` FROM `+holdJoined+`
		WHERE h.ended_at IS NULL AND ($2 OR h.tenant = ANY($1::text[])) ORDER BY h.tenant, h.since, h.hold`, texts(tenants), tenants == nil)
	if err != nil {
		return nil, fmt.Errorf("load open holds: %w", err)
	}
	holds, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Hold, error) { return scanHold(row) })
	if err != nil {
		return nil, fmt.Errorf("load open holds: %w", err)
	}
	return holds, nil
}

// WaitingHolds gives the holds of all tenants that wait for an answer.
func (tx *Tx) WaitingHolds(ctx context.Context) ([]Hold, error) {
	rows, err := tx.tx.Query(ctx, `SELECT `+holdColumns+` FROM `+holdJoined+` WHERE h.ended_at IS NULL AND r.id IS NULL ORDER BY h.tenant, h.since, h.hold`)
	if err != nil {
		return nil, fmt.Errorf("load waiting holds: %w", err)
	}
	holds, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Hold, error) { return scanHold(row) })
	if err != nil {
		return nil, fmt.Errorf("load waiting holds: %w", err)
	}
	return holds, nil
}

// CountOpenHolds is how many holds of all tenants wait for an answer.
func (db *DB) CountOpenHolds(ctx context.Context) (n int64, err error) {
	if err := db.pool.QueryRow(ctx, `SELECT count(*) FROM `+holdJoined+` WHERE h.ended_at IS NULL AND r.id IS NULL`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count open holds: %w", err)
	}
	return n, nil
}

// Holds gives a tenant's holds with what they keep, the newest first: those that
// are open or being carried out, with all also those that are over. A hold's id
// gives that one alone.
func (db *DB) Holds(ctx context.Context, tenant contact.Tenant, id string, all bool, limit int) ([]Hold, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+holdColumns+`, v.contacts, v.fills, v.replaces, v.clears FROM `+holdJoined+`
		LEFT JOIN LATERAL (
			SELECT count(*) AS contacts, count(*) FILTER (WHERE before = '' AND after <> '') AS fills,
				count(*) FILTER (WHERE before <> '' AND after <> '') AS replaces, count(*) FILTER (WHERE after = '') AS clears
			FROM held_value v WHERE v.tenant = h.tenant AND v.hold = h.hold
		) v ON true
		WHERE h.tenant = $1 AND ($2 = '' OR h.hold = $2) AND ($3 OR h.ended_at IS NULL) ORDER BY h.since DESC, h.hold LIMIT $4`,
		string(tenant), id, all || id != "", limit)
	if err != nil {
		return nil, fmt.Errorf("load holds: %w", err)
	}
	holds, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Hold, error) {
		var contacts, fills, replaces, clears int64
		h, err := scanHold(row, &contacts, &fills, &replaces, &clears)
		h.Contacts, h.Fills, h.Replaces, h.Clears = contacts, fills, replaces, clears
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("load holds: %w", err)
	}
	return holds, nil
}

// ErrHoldAnswered tells that a hold was answered otherwise before, or is over.
var ErrHoldAnswered = errors.New("the hold was answered before")

// AnswerHold stores the answer about an open hold: once, whoever asks at the
// same time. The same answer again is no error.
func (db *DB) AnswerHold(ctx context.Context, tenant contact.Tenant, hold string, answer contact.HoldAnswer, author string) error {
	id := JobOfHold(tenant, hold)
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO sync_request (id, tenant, kind, options, asked_by)
		SELECT $1, $2, 'apply', $3, $4 WHERE EXISTS (SELECT FROM field_hold WHERE tenant = $2 AND hold = $5 AND ended_at IS NULL)
		ON CONFLICT (id) DO NOTHING`, id, string(tenant), SyncOptions{Hold: hold, Answer: answer}, author, hold); err != nil {
		return fmt.Errorf("answer a hold: %w", err)
	}
	var given contact.HoldAnswer
	switch err := db.pool.QueryRow(ctx, `SELECT options->>'answer' FROM sync_request WHERE id = $1`, id).Scan(&given); {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrHoldAnswered
	case err != nil:
		return fmt.Errorf("answer a hold: %w", err)
	case given != answer:
		return ErrHoldAnswered
	}
	return nil
}

// HeldContacts gives the contacts that a hold keeps values of, in order, those
// after a key.
func (db *DB) HeldContacts(ctx context.Context, tenant contact.Tenant, hold string, after contact.Key, limit int) ([]contact.Key, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT contact FROM held_value WHERE tenant = $1 AND hold = $2 AND contact > $3 ORDER BY contact LIMIT $4`,
		string(tenant), hold, string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("find held contacts: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[contact.Key])
	if err != nil {
		return nil, fmt.Errorf("find held contacts: %w", err)
	}
	return keys, nil
}

// CountHeld counts the contacts that a hold keeps values of.
func (db *DB) CountHeld(ctx context.Context, tenant contact.Tenant, hold string) (n int64, err error) {
	if err := db.pool.QueryRow(ctx, `SELECT count(*) FROM held_value WHERE tenant = $1 AND hold = $2`, string(tenant), hold).Scan(&n); err != nil {
		return 0, fmt.Errorf("count held contacts: %w", err)
	}
	return n, nil
}

// HeldValue is a value that a hold keeps from being written.
type HeldValue struct {
	Tenant        contact.Tenant
	Contact       contact.Key
	Field, Hold   string
	Before, After string
	EditedAt      contact.Millis // by the clock of the edit's own system
	Name          string         // of the contact; read only
}

// HeldValues gives some values that a hold keeps.
func (db *DB) HeldValues(ctx context.Context, tenant contact.Tenant, hold string, limit int) ([]HeldValue, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT v.tenant, v.contact, v.field, v.hold, v.before, v.after, v.edited_ms, coalesce(s.name, '')
		FROM held_value v LEFT JOIN contact_state s USING (tenant, contact)
		WHERE v.tenant = $1 AND v.hold = $2 ORDER BY v.contact LIMIT $3`, string(tenant), hold, limit)
	if err != nil {
		return nil, fmt.Errorf("load held values: %w", err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowToStructByPos[HeldValue])
	if err != nil {
		return nil, fmt.Errorf("load held values: %w", err)
	}
	return values, nil
}

// SaveHolds adds holds that were recognised.
func (tx *Tx) SaveHolds(ctx context.Context, holds []Hold) error {
	for _, h := range holds {
		if err := tx.tx.put(ctx, "save a hold", `
			INSERT INTO field_hold (tenant, hold, field, system, source, mapping_version, binding, since, passed, threshold)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
			string(h.Tenant), h.ID, h.Field, h.Into.String(), h.Source, h.MappingVersion, h.Binding, h.Since, h.Passed, h.Threshold); err != nil {
			return err
		}
	}
	return nil
}

// EndHolds ends holds whose answer is carried out, or that lapsed: what these
// keep waits for nothing any more.
func (tx *Tx) EndHolds(ctx context.Context, holds []Hold) error {
	for _, h := range holds {
		if err := tx.tx.put(ctx, "end a hold", `UPDATE field_hold SET ended_at = $3, lapsed = $4 WHERE tenant = $1 AND hold = $2 AND ended_at IS NULL`,
			string(h.Tenant), h.ID, h.EndedAt, h.Lapsed); err != nil {
			return err
		}
		if err := tx.tx.put(ctx, "end a hold", `DELETE FROM held_value WHERE tenant = $1 AND hold = $2`, string(h.Tenant), h.ID); err != nil {
			return err
		}
	}
	return nil
}

// SaveHeldValues makes the given values those that are kept of the contacts.
func (tx *Tx) SaveHeldValues(ctx context.Context, tenants []contact.Tenant, contacts []contact.Key, values []HeldValue) error {
	if len(contacts) == 0 {
		return nil
	}
	if err := tx.tx.put(ctx, fmt.Sprintf("remove the held values of %d contacts", len(contacts)), `
		DELETE FROM held_value v USING unnest($1::text[], $2::text[]) AS w(tenant, contact)
		WHERE v.tenant = w.tenant AND v.contact = w.contact`, texts(tenants), texts(contacts)); err != nil {
		return err
	}
	if len(values) == 0 {
		return nil
	}
	var columns [6][]string
	edited := make([]int64, len(values))
	for i, v := range values {
		for k, text := range []string{string(v.Tenant), string(v.Contact), v.Field, v.Hold, v.Before, v.After} {
			columns[k] = append(columns[k], text)
		}
		edited[i] = int64(v.EditedAt)
	}
	return tx.tx.put(ctx, fmt.Sprintf("save %d held values", len(values)), `
		INSERT INTO held_value (tenant, contact, field, hold, before, after, edited_ms)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])`,
		columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], edited)
}
