package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// wall puts row-level security on every table with a tenant that has none; see
// the head of the package.
const wall = `
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = current_schema::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND a.attname = 'tenant' AND NOT a.attisdropped AND NOT c.relrowsecurity
        ORDER BY c.oid
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %s USING (tenant = current_setting(''lockstep.tenant'', true))', name);
    END LOOP;
END
$$`

// Migrate brings the schema up to this program's. It may run in any number of
// processes at once; each file is applied once, in its own transaction, and
// may take as long as it needs.
func (db *DB) Migrate(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return db.migrate(ctx, all)
}

func (db *DB) migrate(ctx context.Context, all []migration) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Release()
	defer conn.Exec(context.WithoutCancel(ctx), `RESET statement_timeout; RESET lock_timeout`)
	// Another process may be at it for long: wait for it.
	if _, err := conn.Exec(ctx, `SET statement_timeout = 0; SET lock_timeout = 0`); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return fmt.Errorf("migrate: wait for the lock: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock)
	// A table that is in use, though, must not be blocked for those behind us.
	if _, err := conn.Exec(ctx, `SET lock_timeout = '10s'`); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migration (
		name text PRIMARY KEY, sum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, m := range all {
		if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return m.apply(ctx, tx) }); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	if _, err := conn.Exec(ctx, wall); err != nil {
		return fmt.Errorf("migrate: row-level security: %w", err)
	}
	return nil
}

func (m migration) apply(ctx context.Context, tx pgx.Tx) error {
	var sum string
	switch err := tx.QueryRow(ctx, `SELECT sum FROM schema_migration WHERE name = $1`, m.name).Scan(&sum); {
	case err == nil && sum != m.sum:
		return errors.New("was applied with another text: a migration is never changed, add a new one")
	case err == nil:
		return nil
	case !errors.Is(err, pgx.ErrNoRows):
		return err
	}
	if _, err := tx.Exec(ctx, m.sql); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO schema_migration (name, sum) VALUES ($1, $2)`, m.name, m.sum)
	return err
}

// SchemaReady tells whether all migrations of this program are applied, and
// which are missing. A schema that is ahead of the program is ready.
func (db *DB) SchemaReady(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.name
	}
	var missing []string
	err = db.pool.QueryRow(ctx, `
		SELECT coalesce(array_agg(n ORDER BY n), '{}') FROM unnest($1::text[]) n
		WHERE NOT EXISTS (SELECT FROM schema_migration m WHERE m.name = n)`, names).Scan(&missing)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P01" { // no such table
		missing, err = names, nil
	}
	if err != nil {
		return fmt.Errorf("read the schema's state: %w", err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("the schema lacks %s: run lockstep migrate", strings.Join(missing, ", "))
	}
	return nil
}
