package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
)

// The kinds of targets.
const (
	AlertWebhook = "webhook"
	AlertMail    = "mail"
)

// AlertTarget is where alerts of a tenant go.
type AlertTarget struct {
	Tenant    contact.Tenant
	ID        string
	Kind      string
	Name      string
	Shown     string        // what people see of a webhook's address
	URL       tenant.Secret // of a webhook; with Secret "" where it does not open
	Secret    tenant.Secret // that a webhook is signed with
	Addresses []string      // of mail
	Kinds     []string      // that are wanted; none is all
	Words     bool          // with the systems' own words
	CreatedBy string
	CreatedAt time.Time

	// What became of the last delivery that was tried; read only.
	LastState, LastAnswer string
	LastAt                time.Time
}

// ErrTargetAbsent tells that there is no such target.
var ErrTargetAbsent = errors.New("no such target")

// purpose is what a credential of a target is sealed for.
func (t *AlertTarget) purpose(name string) string {
	return "alert/" + string(t.Tenant) + "/" + t.ID + "/" + name
}

// SaveAlertTarget adds a target of a tenant that has less than most, or
// replaces one; what is waiting for addresses that it lost is withdrawn. It
// reports false where there are too many.
func (db *DB) SaveAlertTarget(ctx context.Context, t *AlertTarget, sealer *seal.Sealer, most int) (saved bool, err error) {
	url, err := sealer.Seal(t.URL.Reveal(), t.purpose("url"))
	if err != nil {
		return false, err
	}
	secret, err := sealer.Seal(t.Secret.Reveal(), t.purpose("secret"))
	if err != nil {
		return false, err
	}
	addresses, kinds := append([]string{}, t.Addresses...), append([]string{}, t.Kinds...) // never null
	err = db.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.tx.Exec(ctx, `SELECT FROM tenant WHERE tenant = $1 FOR UPDATE`, string(t.Tenant)); err != nil {
			return err
		}
		tag, err := tx.tx.Exec(ctx, `
			INSERT INTO alert_target (tenant, target, kind, name, shown, url, secret, addresses, kinds, words, created_by)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
			WHERE EXISTS (SELECT FROM alert_target WHERE tenant = $1 AND target = $2) OR (SELECT count(*) FROM alert_target WHERE tenant = $1) < $12
			ON CONFLICT (tenant, target) DO UPDATE SET name = excluded.name, shown = excluded.shown, url = excluded.url, secret = excluded.secret,
				addresses = excluded.addresses, kinds = excluded.kinds, words = excluded.words`,
			string(t.Tenant), t.ID, t.Kind, t.Name, t.Shown, url, secret, addresses, kinds, t.Words, t.CreatedBy, most)
		if err != nil {
			return err
		}
		saved = tag.RowsAffected() == 1
		_, err = tx.tx.Exec(ctx, `
			DELETE FROM alert_delivery WHERE tenant = $1 AND target = $2 AND state = 'waiting' AND recipient <> '' AND recipient <> ALL($3)`,
			string(t.Tenant), t.ID, addresses)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("save a target of alerts: %w", err)
	}
	return saved, nil
}

// RemoveAlertTarget removes a target with what it was to be told;
// ErrTargetAbsent where there is none.
func (db *DB) RemoveAlertTarget(ctx context.Context, id contact.Tenant, target string) error {
	tag, err := db.pool.Exec(ctx, `DELETE FROM alert_target WHERE tenant = $1 AND target = $2`, string(id), target)
	switch {
	case err != nil:
		return fmt.Errorf("remove a target of alerts: %w", err)
	case tag.RowsAffected() == 0:
		return ErrTargetAbsent
	}
	return nil
}

// AlertTargets gives a tenant's targets, the oldest first.
func (db *DB) AlertTargets(ctx context.Context, id contact.Tenant, sealer *seal.Sealer) ([]AlertTarget, error) {
	return db.alertTargets(ctx, sealer, `t.tenant = $1`, string(id))
}

// AlertTarget gives one target; ErrTargetAbsent where there is none.
func (db *DB) AlertTarget(ctx context.Context, id contact.Tenant, target string, sealer *seal.Sealer) (*AlertTarget, error) {
	found, err := db.alertTargets(ctx, sealer, `t.tenant = $1 AND t.target = $2`, string(id), target)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, ErrTargetAbsent
	}
	return &found[0], nil
}

func (db *DB) alertTargets(ctx context.Context, sealer *seal.Sealer, where string, arguments ...any) ([]AlertTarget, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT t.tenant, t.target, t.kind, t.name, t.shown, t.url, t.secret, t.addresses, t.kinds, t.words, t.created_by, t.created_at,
		       coalesce(l.state, ''), coalesce(l.answer, ''), l.tried_at
		FROM alert_target t LEFT JOIN LATERAL (
			SELECT d.state, d.answer, d.tried_at FROM alert_delivery d WHERE d.tenant = t.tenant AND d.target = t.target AND d.tried_at IS NOT NULL
			ORDER BY d.number DESC, d.tried_at DESC LIMIT 1) l ON true
		WHERE `+where+` ORDER BY t.created_at, t.target`, arguments...)
	if err != nil {
		return nil, fmt.Errorf("load the targets of alerts: %w", err)
	}
	targets, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t AlertTarget, err error) {
		var url, secret []byte
		var last *time.Time
		if err = row.Scan(&t.Tenant, &t.ID, &t.Kind, &t.Name, &t.Shown, &url, &secret, &t.Addresses, &t.Kinds, &t.Words, &t.CreatedBy, &t.CreatedAt,
			&t.LastState, &t.LastAnswer, &last); err != nil {
			return t, err
		}
		t.LastAt = value(last)
		opened := make([]tenant.Secret, 2)
		for i, sealed := range [][]byte{url, secret} {
			text, err := sealer.Open(sealed, t.purpose([]string{"url", "secret"}[i]))
			if err != nil {
				return t, nil // one that does not open must not hide the others
			}
			opened[i] = tenant.Secret(text)
		}
		t.URL, t.Secret = opened[0], opened[1]
		return t, nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the targets of alerts: %w", err)
	}
	return targets, nil
}
