package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The tables of this file and of alert_target.go and alert_delivery.go are
// written by the console alone.

// AlertDetail is what is known of a state beside its key, for people. It has
// no value of a contact, unless a system put one into its words.
type AlertDetail struct {
	System  string    `json:"system,omitempty"`
	Field   string    `json:"field,omitempty"`   // mapping key
	Job     string    `json:"job,omitempty"`     // purpose of a job
	Problem string    `json:"problem,omitempty"` // kind of problem
	Reason  string    `json:"reason,omitempty"`  // stable word
	Words   string    `json:"words,omitempty"`   // the system's own, without what it was given
	Until   time.Time `json:"until,omitzero"`
	Ended   string    `json:"ended,omitempty"` // how it ended, where that can be told
	// Back counts how often it was over and came back since the last alert.
	Back int `json:"back,omitempty"`
}

// AlertState is what is or was the case, and what was told of it.
type AlertState struct {
	Tenant  contact.Tenant
	Kind    string
	Key     string
	Since   time.Time
	GoneAt  time.Time // zero while it is the case
	Told    bool      // what was told last is that it is the case
	ToldAt  time.Time // when that was told last; zero for never
	Contact contact.Key
	Detail  AlertDetail
}

// AlertChange is a change of state that is told.
type AlertChange struct {
	Kind     string
	Key      string
	Open     bool // false: it is over
	Since    time.Time
	Contacts int         // that it concerns; 0 for none
	Contact  contact.Key // the first of them; "" for none, or for who was erased
	Detail   AlertDetail
}

// Alert is what is told of a tenant at a time.
type Alert struct {
	Tenant  contact.Tenant
	Number  int64 // rises
	ID      string
	At      time.Time
	Changes []AlertChange
}

// AlertTurn gives this process the turn to look for changes of state, once in a
// time over all processes, with the time by the database's clock; false when it
// is not due, or somebody else has it. The turn lasts until the transaction
// ends.
func (tx *Tx) AlertTurn(ctx context.Context, every time.Duration) (now time.Time, mine bool, err error) {
	err = tx.tx.QueryRow(ctx, `
		UPDATE alert_watch SET next_at = now() + $1::interval
		WHERE one IN (SELECT one FROM alert_watch WHERE next_at <= now() FOR UPDATE SKIP LOCKED) RETURNING now()`, every).Scan(&now)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return now, false, nil
	case err != nil:
		return now, false, fmt.Errorf("take the turn to look for alerts: %w", err)
	}
	return now, true, nil
}

// PutOffAlertTurn lets the next look wait for longer.
func (tx *Tx) PutOffAlertTurn(ctx context.Context, wait time.Duration) error {
	if _, err := tx.tx.Exec(ctx, `UPDATE alert_watch SET next_at = now() + $1::interval`, wait); err != nil {
		return fmt.Errorf("put off the turn to look for alerts: %w", err)
	}
	return nil
}

// AlertStates gives all states, of all tenants.
func (tx *Tx) AlertStates(ctx context.Context) ([]AlertState, error) {
	return alertStates(ctx, tx.tx, `ORDER BY tenant, kind, key`)
}

// OpenAlerts gives what is the case for a tenant and was told, the oldest
// first.
func (db *DB) OpenAlerts(ctx context.Context, tenant contact.Tenant, limit int) ([]AlertState, error) {
	return alertStates(ctx, db.pool, `WHERE tenant = $1 AND told ORDER BY since, kind, key LIMIT $2`, string(tenant), limit)
}

func alertStates(ctx context.Context, from asker, where string, arguments ...any) ([]AlertState, error) {
	rows, err := from.Query(ctx, `SELECT tenant, kind, key, since, gone_at, told, told_at, contact, detail FROM alert_state `+where, arguments...)
	if err != nil {
		return nil, fmt.Errorf("load the states of alerts: %w", err)
	}
	states, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s AlertState, err error) {
		var gone, told *time.Time
		err = row.Scan(&s.Tenant, &s.Kind, &s.Key, &s.Since, &gone, &s.Told, &told, &s.Contact, &s.Detail)
		s.GoneAt, s.ToldAt = value(gone), value(told)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("load the states of alerts: %w", err)
	}
	return states, nil
}

// subjectOf is the hash that remains of a contact whose person is erased; "" for
// none.
func subjectOf(tenant contact.Tenant, key contact.Key) string {
	if key == "" {
		return ""
	}
	return contact.ErasedKey(tenant, key).Value
}

// SaveAlertStates stores states that are new or changed, and removes others.
func (tx *Tx) SaveAlertStates(ctx context.Context, save, remove []AlertState) error {
	if n := len(remove); n > 0 {
		tenants, kinds, keys := make([]string, n), make([]string, n), make([]string, n)
		for i, s := range remove {
			tenants[i], kinds[i], keys[i] = string(s.Tenant), s.Kind, s.Key
		}
		if err := tx.tx.put(ctx, fmt.Sprintf("remove %d states of alerts", n), `
			DELETE FROM alert_state s USING unnest($1::text[], $2::text[], $3::text[]) AS w(tenant, kind, key)
			WHERE s.tenant = w.tenant AND s.kind = w.kind AND s.key = w.key`, tenants, kinds, keys); err != nil {
			return err
		}
	}
	if n := len(save); n > 0 {
		tenants, kinds, keys, contacts, subjects := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		since, gone, toldAt := make([]time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
		told, details := make([]bool, n), make([]AlertDetail, n)
		for i, s := range save {
			tenants[i], kinds[i], keys[i], contacts[i], subjects[i] = string(s.Tenant), s.Kind, s.Key, string(s.Contact), subjectOf(s.Tenant, s.Contact)
			since[i], gone[i], told[i], toldAt[i], details[i] = s.Since, null(s.GoneAt), s.Told, null(s.ToldAt), s.Detail
		}
		return tx.tx.put(ctx, fmt.Sprintf("save %d states of alerts", n), `
			INSERT INTO alert_state (tenant, kind, key, since, gone_at, told, told_at, contact, subject, detail)
			SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::boolean[], $7::timestamptz[], $8::text[], $9::text[], $10::jsonb[])
			ON CONFLICT (tenant, kind, key) DO UPDATE SET since = excluded.since, gone_at = excluded.gone_at, told = excluded.told, told_at = excluded.told_at,
				contact = excluded.contact, subject = excluded.subject, detail = excluded.detail`,
			tenants, kinds, keys, since, gone, told, toldAt, contacts, subjects, details)
	}
	return nil
}

// AlertedSince gives the tenants that were told something after a time, with
// when they were told last.
func (tx *Tx) AlertedSince(ctx context.Context, after time.Time) (map[contact.Tenant]time.Time, error) {
	rows, err := tx.tx.Query(ctx, `SELECT tenant, max(at) FROM alert WHERE at > $1 GROUP BY tenant`, after)
	if err != nil {
		return nil, fmt.Errorf("look for the last alerts: %w", err)
	}
	last := make(map[contact.Tenant]time.Time)
	var tenant contact.Tenant
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&tenant, &at}, func() error { last[tenant] = at; return nil }); err != nil {
		return nil, fmt.Errorf("look for the last alerts: %w", err)
	}
	return last, nil
}

// AddAlerts stores alerts, and what is to be delivered of them to the targets
// that want one of their kinds.
func (tx *Tx) AddAlerts(ctx context.Context, alerts []Alert) error {
	if len(alerts) == 0 {
		return nil
	}
	n := len(alerts)
	tenants, ids, at := make([]string, n), make([]string, n), make([]time.Time, n)
	var alertOf, kinds, keys, contacts, subjects []string
	var places, counts []int32
	var open []bool
	var since []time.Time
	var details []AlertDetail
	for i, a := range alerts {
		tenants[i], ids[i], at[i] = string(a.Tenant), a.ID, a.At
		for place, c := range a.Changes {
			alertOf, places = append(alertOf, a.ID), append(places, int32(place))
			kinds, keys, open, since = append(kinds, c.Kind), append(keys, c.Key), append(open, c.Open), append(since, c.Since)
			counts, contacts, subjects, details = append(counts, int32(c.Contacts)), append(contacts, string(c.Contact)), append(subjects, subjectOf(a.Tenant, c.Contact)), append(details, c.Detail)
		}
	}
	what := fmt.Sprintf("store %d alerts", n)
	if err := tx.tx.put(ctx, what, `INSERT INTO alert (tenant, id, at) SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])`, tenants, ids, at); err != nil {
		return err
	}
	if err := tx.tx.put(ctx, what, `
		INSERT INTO alert_change (tenant, number, place, kind, key, open, since, contacts, contact, subject, detail)
		SELECT a.tenant, a.number, w.place, w.kind, w.key, w.open, w.since, w.contacts, w.contact, w.subject, w.detail
		FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[], $7::int[], $8::text[], $9::text[], $10::jsonb[])
			AS w(alert, place, kind, key, open, since, contacts, contact, subject, detail) JOIN alert a ON a.id = w.alert`,
		alertOf, places, kinds, keys, open, since, counts, contacts, subjects, details); err != nil {
		return err
	}
	return tx.tx.put(ctx, what, `
		INSERT INTO alert_delivery (tenant, number, target, recipient)
		SELECT a.tenant, a.number, t.target, r.recipient FROM alert a JOIN alert_target t ON t.tenant = a.tenant
		CROSS JOIN LATERAL unnest(CASE t.kind WHEN 'mail' THEN t.addresses ELSE ARRAY[''] END) AS r(recipient)
		WHERE a.id = ANY($1) AND (t.kinds = '{}' OR EXISTS (
			SELECT FROM alert_change c WHERE c.tenant = a.tenant AND c.number = a.number AND c.kind = ANY(t.kinds)))`, ids)
}

// alertGone reports, of a change or state x, whether the person was erased.
const alertGone = `(x.subject <> '' AND EXISTS (SELECT FROM contact_ref r WHERE r.tenant = x.tenant AND r.kind = 'erased' AND r.value = x.subject))`

// Alerts gives a tenant's alerts before a number (0 for the newest), the newest
// first.
func (db *DB) Alerts(ctx context.Context, tenant contact.Tenant, before int64, limit int) ([]Alert, error) {
	return db.alerts(ctx, `a.tenant = $1 AND ($2 = 0 OR a.number < $2) ORDER BY a.number DESC LIMIT $3`, string(tenant), before, limit)
}

// Alert gives one alert; nil where there is none any more.
func (db *DB) Alert(ctx context.Context, tenant contact.Tenant, number int64) (*Alert, error) {
	found, err := db.alerts(ctx, `a.tenant = $1 AND a.number = $2`, string(tenant), number)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (db *DB) alerts(ctx context.Context, where string, arguments ...any) ([]Alert, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT a.tenant, a.number, a.id, a.at, x.kind, x.key, x.open, x.since, x.contacts,
		       CASE WHEN e.gone THEN '' ELSE x.contact END, CASE WHEN e.gone THEN x.detail - 'words' ELSE x.detail END
		FROM (SELECT a.* FROM alert a WHERE `+where+`) a JOIN alert_change x ON x.tenant = a.tenant AND x.number = a.number
		CROSS JOIN LATERAL (SELECT `+alertGone+` AS gone) e
		ORDER BY a.number DESC, x.place`, arguments...)
	if err != nil {
		return nil, fmt.Errorf("load alerts: %w", err)
	}
	var all []Alert
	var a Alert
	var c AlertChange
	if _, err := pgx.ForEachRow(rows, []any{&a.Tenant, &a.Number, &a.ID, &a.At, &c.Kind, &c.Key, &c.Open, &c.Since, &c.Contacts, &c.Contact, &c.Detail}, func() error {
		if n := len(all); n == 0 || all[n-1].Number != a.Number {
			all = append(all, a)
		}
		last := &all[len(all)-1]
		last.Changes = append(last.Changes, c)
		c = AlertChange{}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("load alerts: %w", err)
	}
	return all, nil
}

// EraseAlerts takes people who were erased out of what was told and of what is
// the case.
func (tx *Tx) EraseAlerts(ctx context.Context) error {
	for _, table := range []string{"alert_change", "alert_state"} {
		if err := tx.tx.put(ctx, "erase people from the alerts", `
			UPDATE `+table+` x SET contact = '', detail = x.detail - 'words' FROM contact_ref r
			WHERE x.subject <> '' AND (x.contact <> '' OR x.detail ? 'words') AND r.tenant = x.tenant AND r.kind = 'erased' AND r.value = x.subject`); err != nil {
			return err
		}
	}
	return nil
}

// CleanAlerts removes what was told before a time.
func (tx *Tx) CleanAlerts(ctx context.Context, before time.Time) error {
	if _, err := tx.tx.Exec(ctx, `DELETE FROM alert WHERE at < $1`, before); err != nil {
		return fmt.Errorf("remove old alerts: %w", err)
	}
	return nil
}
