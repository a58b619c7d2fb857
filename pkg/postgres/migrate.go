package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock serialises migrations of all processes.
const migrationLock = 0x10c57e9

type migration struct{ name, sql, sum string }

func migrations() ([]migration, error) {
	paths, err := fs.Glob(migrationFiles, "migrations/*.sql") // in name order
	if err != nil {
		return nil, err
	}
	all := make([]migration, len(paths))
	for i, path := range paths {
		raw, err := migrationFiles.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(raw)
		all[i] = migration{name: strings.TrimSuffix(strings.TrimPrefix(path, "migrations/"), ".sql"), sql: string(raw), sum: hex.EncodeToString(sum[:])}
	}
	return all, nil
}

// Migrate brings the schema up to this program's. It may run in any number of
// processes at once; each file is applied once, in its own transaction.
func (db *DB) Migrate(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return fmt.Errorf("migrate: wait for the lock: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock)
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migration (
		name text PRIMARY KEY, sum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, m := range all {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var sum string
			switch err := tx.QueryRow(ctx, `SELECT sum FROM schema_migration WHERE name = $1`, m.name).Scan(&sum); {
			case err == nil && sum != m.sum:
				return fmt.Errorf("was applied with another text: a migration is never changed, add a new one")
			case err == nil:
				return nil
			case err != pgx.ErrNoRows:
				return err
			}
			if _, err := tx.Exec(ctx, m.sql); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO schema_migration (name, sum) VALUES ($1, $2)`, m.name, m.sum)
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}

// SchemaReady tells whether all migrations of this program are applied.
func (db *DB) SchemaReady(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	var newest string
	if err := db.pool.QueryRow(ctx, `SELECT coalesce(max(name), '') FROM schema_migration`).Scan(&newest); err != nil {
		return fmt.Errorf("the schema is not there: run lockstep migrate: %w", err)
	}
	if want := all[len(all)-1].name; newest < want {
		return fmt.Errorf("the schema is at %q, this program needs %q: run lockstep migrate", newest, want)
	}
	return nil
}
