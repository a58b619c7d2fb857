package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The tables of this file are written by the console alone.

// TokenRow is a program that may call the API.
type TokenRow struct {
	ID        string
	Hash      []byte // to add and to find only
	Name      string
	CreatedBy string // name of who made it
	Maker     string // id of the person who made it; "" where that was none
	Created   time.Time
	Expires   time.Time // zero: never
	Used      time.Time
	Revoked   time.Time
	Roles     Roles
}

// AddToken adds a token with its roles.
func (tx *Tx) AddToken(ctx context.Context, t TokenRow) error {
	tenants, ranks := t.Roles.columns()
	_, err := tx.tx.Exec(ctx, `
		INSERT INTO api_token (token, hash, name, created_by, maker, created_at, expires_at) VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7)`,
		t.ID, t.Hash, t.Name, t.CreatedBy, t.Maker, t.Created, orNull(t.Expires))
	if err == nil {
		_, err = tx.tx.Exec(ctx, `INSERT INTO api_token_role (tenant, token, role) SELECT t, $1, r FROM unnest($2::text[], $3::smallint[]) AS n(t, r)`, t.ID, tenants, ranks)
	}
	if err != nil {
		return fmt.Errorf("add a token: %w", err)
	}
	return nil
}

func tokens(ctx context.Context, from asker, where string, arguments ...any) ([]TokenRow, error) {
	rows, err := from.Query(ctx, `
		SELECT t.token, t.name, t.created_by, coalesce(t.maker, ''), t.created_at, t.expires_at, t.used_at, t.revoked_at,
			coalesce((SELECT jsonb_object_agg(r.tenant, r.role) FROM api_token_role r WHERE r.token = t.token), '{}')
		FROM api_token t `+where, arguments...)
	if err != nil {
		return nil, fmt.Errorf("load tokens: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t TokenRow, err error) {
		var expires, used, revoked *time.Time
		err = row.Scan(&t.ID, &t.Name, &t.CreatedBy, &t.Maker, &t.Created, &expires, &used, &revoked, &t.Roles)
		t.Expires, t.Used, t.Revoked = orZero(expires), orZero(used), orZero(revoked)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("load tokens: %w", err)
	}
	return found, nil
}

func oneToken(found []TokenRow, err error) (*TokenRow, error) {
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// Tokens gives all tokens, the newest first.
func (db *DB) Tokens(ctx context.Context) ([]TokenRow, error) {
	return tokens(ctx, db.pool, `ORDER BY t.created_at DESC, t.token`)
}

// Token gives one token; nil where there is none.
func (db *DB) Token(ctx context.Context, id string) (*TokenRow, error) {
	return oneToken(tokens(ctx, db.pool, `WHERE t.token = $1`, id))
}

// TokenByHash gives the token of a hash; nil where there is none.
func (db *DB) TokenByHash(ctx context.Context, hash []byte) (*TokenRow, error) {
	return oneToken(tokens(ctx, db.pool, `WHERE t.hash = $1`, hash))
}

// TouchToken stores that a token was used.
func (db *DB) TouchToken(ctx context.Context, id string, at time.Time) error {
	if _, err := db.pool.Exec(ctx, `UPDATE api_token SET used_at = greatest(used_at, $2) WHERE token = $1`, id, at); err != nil {
		return fmt.Errorf("touch a token: %w", err)
	}
	return nil
}

// RevokeToken ends a token for good; one that is revoked keeps its time.
func (db *DB) RevokeToken(ctx context.Context, id string, at time.Time) error {
	if _, err := db.pool.Exec(ctx, `UPDATE api_token SET revoked_at = $2 WHERE token = $1 AND revoked_at IS NULL`, id, at); err != nil {
		return fmt.Errorf("revoke a token: %w", err)
	}
	return nil
}

// RevokeTokensOf ends all tokens that a person made, and tells how many.
func (tx *Tx) RevokeTokensOf(ctx context.Context, person string, at time.Time) (int, error) {
	tag, err := tx.tx.Exec(ctx, `UPDATE api_token SET revoked_at = $2 WHERE maker = $1 AND revoked_at IS NULL`, person, at)
	if err != nil {
		return 0, fmt.Errorf("revoke tokens: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
