package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// Consent is one in HubSpot that somebody began.
type Consent struct {
	State    []byte // hash
	Tenant   contact.Tenant
	AppID    int64
	Person   string
	Verifier string // of the code that it ends with
	Expires  time.Time
}

// AddConsent stores a consent that begins, and forgets those that nobody
// finished.
func (db *DB) AddConsent(ctx context.Context, c Consent) error {
	_, err := db.pool.Exec(ctx, `
		WITH old AS (DELETE FROM hubspot_consent WHERE expires_at < now())
		INSERT INTO hubspot_consent (state, tenant, app_id, person, verifier, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		c.State, string(c.Tenant), c.AppID, c.Person, c.Verifier, c.Expires)
	if err != nil {
		return fmt.Errorf("store a consent: %w", err)
	}
	return nil
}

// TakeConsent removes a consent that was begun and gives it; nil where there is
// none any more.
func (db *DB) TakeConsent(ctx context.Context, state []byte) (*Consent, error) {
	c := &Consent{State: state}
	err := db.pool.QueryRow(ctx, `DELETE FROM hubspot_consent WHERE state = $1 AND expires_at > now() RETURNING tenant, app_id, person, verifier, expires_at`, state).
		Scan(&c.Tenant, &c.AppID, &c.Person, &c.Verifier, &c.Expires)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take a consent: %w", err)
	}
	return c, nil
}

// tokenLock is the first key of the advisory locks of token refreshes.
const tokenLock = 0x746f6b

// ErrLocked tells that somebody else is doing this just now.
var ErrLocked = errors.New("somebody else is doing this just now")

// RefreshingToken does what renews a tenant's token, while no other process
// does; ErrLocked tells that one does.
func (db *DB) RefreshingToken(ctx context.Context, id contact.Tenant, renew func(context.Context) error) error {
	return db.InTx(ctx, func(tx *Tx) error {
		var mine bool
		if err := tx.tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1, hashtext($2))`, tokenLock, string(id)).Scan(&mine); err != nil {
			return fmt.Errorf("lock a token: %w", err)
		}
		if !mine {
			return ErrLocked
		}
		return renew(ctx)
	})
}
