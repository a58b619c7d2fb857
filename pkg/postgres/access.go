package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The tables of this file are written by the console alone.

// Everywhere stands for all tenants and the installation among the tenants of
// roles.
const Everywhere contact.Tenant = "*"

// Roles are somebody's roles by tenant; the ranks are those of the console.
type Roles map[contact.Tenant]int16

func (r Roles) columns() (tenants []string, ranks []int16) {
	for tenant, rank := range r {
		tenants, ranks = append(tenants, string(tenant)), append(ranks, rank)
	}
	return tenants, ranks
}

// PersonRow is somebody who may sign in.
type PersonRow struct {
	ID            string
	Login         string // lower case
	Name          string
	Password      string // hash; "" for who has none
	MustChange    bool
	PasswordUntil time.Time // zero: good for ever
	Issuer        string    // with Subject, who this is at the organisation's provider
	Subject       string
	Disabled      bool
	Created       time.Time
	Seen          time.Time
	Roles         Roles
}

// PersonBy says who is meant: by the first member that is set.
type PersonBy struct{ ID, Login, Issuer, Subject string }

const personColumns = `p.person, p.login, p.name, coalesce(p.password, ''), p.must_change, p.password_until, coalesce(p.issuer, ''), coalesce(p.subject, ''),
	p.disabled, p.created_at, p.seen_at,
	coalesce((SELECT jsonb_object_agg(r.tenant, r.role) FROM person_role r WHERE r.person = p.person), '{}')`

// scanned gives the places of a person's columns, and what to do behind them.
func (p *PersonRow) scanned() (places []any, after func()) {
	var until, seen *time.Time
	return []any{
			&p.ID, &p.Login, &p.Name, &p.Password, &p.MustChange, &until, &p.Issuer, &p.Subject, &p.Disabled, &p.Created, &seen, &p.Roles,
		}, func() {
			p.PasswordUntil, p.Seen = orZero(until), orZero(seen)
		}
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// asker is a pool or a transaction.
type asker interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

func people(ctx context.Context, from asker, where string, arguments ...any) ([]PersonRow, error) {
	rows, err := from.Query(ctx, `SELECT `+personColumns+` FROM person p `+where, arguments...)
	if err != nil {
		return nil, fmt.Errorf("load people: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p PersonRow, err error) {
		places, after := p.scanned()
		err = row.Scan(places...)
		after()
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("load people: %w", err)
	}
	return found, nil
}

func person(ctx context.Context, from asker, by PersonBy) (*PersonRow, error) {
	where, arguments := `WHERE p.person = $1`, []any{by.ID}
	switch {
	case by.ID != "":
	case by.Login != "":
		where, arguments = `WHERE p.login = $1`, []any{by.Login}
	default:
		where, arguments = `WHERE p.issuer = $1 AND p.subject = $2`, []any{by.Issuer, by.Subject}
	}
	found, err := people(ctx, from, where, arguments...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// People gives everybody, in the order of their logins.
func (db *DB) People(ctx context.Context) ([]PersonRow, error) {
	return people(ctx, db.pool, `ORDER BY p.login`)
}

// Person gives somebody; nil where there is none.
func (db *DB) Person(ctx context.Context, by PersonBy) (*PersonRow, error) {
	return person(ctx, db.pool, by)
}

// Person gives somebody; nil where there is none.
func (tx *Tx) Person(ctx context.Context, by PersonBy) (*PersonRow, error) {
	return person(ctx, tx.tx, by)
}

// LockPeople keeps other changes of people and roles waiting until the
// transaction ends.
func (tx *Tx) LockPeople(ctx context.Context) error {
	if _, err := tx.tx.Exec(ctx, `LOCK TABLE person, person_role IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return fmt.Errorf("lock people: %w", err)
	}
	return nil
}

// CountPeople tells how many people there are, and how many of them can sign
// in and have a role everywhere.
func (tx *Tx) CountPeople(ctx context.Context, rank int16) (all, everywhere int, err error) {
	err = tx.tx.QueryRow(ctx, `
		SELECT count(*), count(r.person) FILTER (WHERE NOT p.disabled AND (p.password IS NOT NULL OR p.subject IS NOT NULL))
		FROM person p LEFT JOIN person_role r ON r.person = p.person AND r.tenant = '*' AND r.role >= $1`, rank).Scan(&all, &everywhere)
	if err != nil {
		return 0, 0, fmt.Errorf("count people: %w", err)
	}
	return all, everywhere, nil
}

// AddPerson adds somebody without roles.
func (tx *Tx) AddPerson(ctx context.Context, p PersonRow) error {
	if _, err := tx.tx.Exec(ctx, `
		INSERT INTO person (person, login, name, password, must_change, password_until, issuer, subject, created_at)
		VALUES ($1, $2, $3, nullif($4, ''), $5, $6, nullif($7, ''), nullif($8, ''), $9)`,
		p.ID, p.Login, p.Name, p.Password, p.MustChange, orNull(p.PasswordUntil), p.Issuer, p.Subject, p.Created); err != nil {
		return fmt.Errorf("add a person: %w", err)
	}
	return nil
}

// SavePerson saves name, password, who this is at a provider, and whether the
// person is disabled.
func (tx *Tx) SavePerson(ctx context.Context, p *PersonRow) error {
	if _, err := tx.tx.Exec(ctx, `
		UPDATE person SET name = $2, password = nullif($3, ''), must_change = $4, password_until = $5, issuer = nullif($6, ''), subject = nullif($7, ''), disabled = $8
		WHERE person = $1`,
		p.ID, p.Name, p.Password, p.MustChange, orNull(p.PasswordUntil), p.Issuer, p.Subject, p.Disabled); err != nil {
		return fmt.Errorf("save a person: %w", err)
	}
	return nil
}

// SaveRoles makes the given roles those that a person has.
func (tx *Tx) SaveRoles(ctx context.Context, person string, roles Roles) error {
	tenants, ranks := roles.columns()
	if _, err := tx.tx.Exec(ctx, `DELETE FROM person_role WHERE person = $1 AND tenant <> ALL (coalesce($2::text[], '{}'))`, person, tenants); err != nil {
		return fmt.Errorf("take roles: %w", err)
	}
	if _, err := tx.tx.Exec(ctx, `
		INSERT INTO person_role (tenant, person, role) SELECT t, $1, r FROM unnest($2::text[], $3::smallint[]) AS n(t, r)
		ON CONFLICT (tenant, person) DO UPDATE SET role = excluded.role`, person, tenants, ranks); err != nil {
		return fmt.Errorf("give roles: %w", err)
	}
	return nil
}

// UnknownTenant gives one of the tenants of roles that does not exist; ""
// where all do.
func (tx *Tx) UnknownTenant(ctx context.Context, roles Roles) (unknown contact.Tenant, err error) {
	tenants, _ := roles.columns()
	err = tx.tx.QueryRow(ctx, `
		SELECT n FROM unnest($1::text[]) AS n WHERE n <> '*' AND NOT EXISTS (SELECT FROM tenant t WHERE t.tenant = n) ORDER BY n LIMIT 1`, tenants).Scan(&unknown)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for tenants: %w", err)
	}
	return unknown, nil
}

// SessionRow is a browser that is signed in.
type SessionRow struct {
	Hash    []byte
	Created time.Time
	Used    time.Time
	Expires time.Time
	Person  PersonRow
}

// AddSession adds a session of Person.ID.
func (tx *Tx) AddSession(ctx context.Context, s SessionRow) error {
	_, err := tx.tx.Exec(ctx, `UPDATE person SET seen_at = $2 WHERE person = $1`, s.Person.ID, s.Created)
	if err == nil {
		_, err = tx.tx.Exec(ctx, `INSERT INTO session (hash, person, created_at, used_at, expires_at) VALUES ($1, $2, $3, $3, $4)`, s.Hash, s.Person.ID, s.Created, s.Expires)
	}
	if err != nil {
		return fmt.Errorf("add a session: %w", err)
	}
	return nil
}

// Session gives a session with its person; nil where there is none.
func (db *DB) Session(ctx context.Context, hash []byte) (*SessionRow, error) {
	s := &SessionRow{Hash: hash}
	places, after := s.Person.scanned()
	err := db.pool.QueryRow(ctx, `SELECT s.created_at, s.used_at, s.expires_at, `+personColumns+` FROM session s JOIN person p USING (person) WHERE s.hash = $1`, hash).
		Scan(append([]any{&s.Created, &s.Used, &s.Expires}, places...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load a session: %w", err)
	}
	after()
	return s, nil
}

// TouchSession stores that a session was used.
func (db *DB) TouchSession(ctx context.Context, hash []byte, at time.Time) error {
	if _, err := db.pool.Exec(ctx, `
		WITH s AS (UPDATE session SET used_at = greatest(used_at, $2) WHERE hash = $1 RETURNING person)
		UPDATE person p SET seen_at = greatest(p.seen_at, $2) FROM s WHERE p.person = s.person`, hash, at); err != nil {
		return fmt.Errorf("touch a session: %w", err)
	}
	return nil
}

// EndSession ends one session.
func (db *DB) EndSession(ctx context.Context, hash []byte) error {
	if _, err := db.pool.Exec(ctx, `DELETE FROM session WHERE hash = $1`, hash); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// EndSessions ends all sessions of a person.
func (tx *Tx) EndSessions(ctx context.Context, person string) error {
	if _, err := tx.tx.Exec(ctx, `DELETE FROM session WHERE person = $1`, person); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// AttemptRow is a sign-in by the organisation's provider that has begun.
type AttemptRow struct {
	State           []byte // hash
	Nonce, Verifier string
	Expires         time.Time
}

// AddAttempt stores a sign-in that begins.
func (db *DB) AddAttempt(ctx context.Context, a AttemptRow) error {
	if _, err := db.pool.Exec(ctx, `INSERT INTO oidc_attempt (state, nonce, verifier, expires_at) VALUES ($1, $2, $3, $4)`,
		a.State, a.Nonce, a.Verifier, a.Expires); err != nil {
		return fmt.Errorf("store a sign-in: %w", err)
	}
	return nil
}

// TakeAttempt removes a sign-in that was begun and gives it; nil where there is
// none.
func (db *DB) TakeAttempt(ctx context.Context, state []byte) (*AttemptRow, error) {
	a := &AttemptRow{State: state}
	err := db.pool.QueryRow(ctx, `DELETE FROM oidc_attempt WHERE state = $1 RETURNING nonce, verifier, expires_at`, state).Scan(&a.Nonce, &a.Verifier, &a.Expires)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take a sign-in: %w", err)
	}
	return a, nil
}

// CleanAccess removes sessions that ended by age or by not being used since,
// and sign-ins that nobody finished.
func (db *DB) CleanAccess(ctx context.Context, now, unused time.Time) error {
	if _, err := db.pool.Exec(ctx, `
		WITH a AS (DELETE FROM oidc_attempt WHERE expires_at < $1)
		DELETE FROM session WHERE expires_at < $1 OR used_at < $2`, now, unused); err != nil {
		return fmt.Errorf("remove old sessions: %w", err)
	}
	return nil
}
