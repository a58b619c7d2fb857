package postgres

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/postgres/pgtest"
)

// TestMigrateRunsOnceForManyProcesses: processes that start together apply
// each file once, and doing it again changes nothing.
func TestMigrateRunsOnceForManyProcesses(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, url)
	err := db.SchemaReady(t.Context())
	if err == nil || !strings.Contains(err.Error(), "0001_lease") || !strings.Contains(err.Error(), "0002_config") {
		t.Fatalf("empty database: got %v, want the missing migrations", err)
	}
	var group sync.WaitGroup
	for range 4 {
		process := open(t, url)
		group.Go(func() {
			if err := process.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if err := db.Migrate(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := db.SchemaReady(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := db.pool.Exec(t.Context(), `DELETE FROM schema_migration WHERE name = '0002_config'`); err != nil {
		t.Fatal(err)
	}
	if err := db.SchemaReady(t.Context()); err == nil || !strings.Contains(err.Error(), "0002_config") || strings.Contains(err.Error(), "0001_lease") {
		t.Errorf("one missing: got %v, want its name alone", err)
	}
}

// TestChangedMigrationIsRefused, and a failing one leaves nothing behind.
func TestChangedMigrationIsRefused(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t))
	first := migration{name: "1", sql: `CREATE TABLE a (x integer)`, sum: "one"}
	if err := db.migrate(t.Context(), []migration{first, {name: "2", sql: `CREATE TABLE b (x integer); SELECT 1/0`, sum: "two"}}); err == nil {
		t.Fatal("a failing migration must be told")
	}
	var left *string
	if err := db.pool.QueryRow(t.Context(), `SELECT to_regclass('b')::text`).Scan(&left); err != nil || left != nil {
		t.Errorf("the failed migration left %v, %v", left, err)
	}
	first.sum = "other"
	if err := db.migrate(t.Context(), []migration{first}); err == nil || !strings.Contains(err.Error(), "another text") {
		t.Errorf("got %v, want a refusal", err)
	}
	var timeout string
	if err := db.pool.QueryRow(t.Context(), `SHOW statement_timeout`).Scan(&timeout); err != nil || timeout != "30s" {
		t.Errorf("statement_timeout is %q afterwards, %v; want 30s", timeout, err)
	}
}

// TestMigrationsNameTheirWriter holds that the head of each file names who
// alone writes its tables, and that numbers are not used twice.
func TestMigrationsNameTheirWriter(t *testing.T) {
	t.Parallel()
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	head := regexp.MustCompile(`^-- Written by (the )?(console|mapper|writers?|ingest|every service)`)
	seen := make(map[string]string)
	for _, m := range all {
		if !head.MatchString(m.sql) {
			t.Errorf("%s does not begin with who writes its tables", m.name)
		}
		number := m.name[:4]
		if other := seen[number]; other != "" {
			t.Errorf("%s and %s have the same number", other, m.name)
		}
		seen[number] = m.name
	}
}

// TestOtherRolesSeeOneTenant: the second wall stands on every table with a
// tenant, lets the services pass, and shows other roles one tenant at most.
func TestOtherRolesSeeOneTenant(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	db := open(t, url)
	rows, _ := db.pool.Query(t.Context(), `
		SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attname = 'tenant'
		  AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))`)
	if open, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(open) != 0 {
		t.Errorf("tables without the wall: %v, %v", open, err)
	}
	see := func(role, tenant string) (n int) {
		t.Helper()
		err := db.InTx(t.Context(), func(tx *Tx) error {
			if _, err := tx.tx.Exec(t.Context(), `SET LOCAL ROLE `+role); err != nil {
				return err
			}
			if _, err := tx.tx.Exec(t.Context(), `SELECT set_config('lockstep.tenant', $1, true)`, tenant); err != nil {
				return err
			}
			return tx.tx.QueryRow(t.Context(), `SELECT count(*) FROM tenant`).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, sql := range []string{
		`INSERT INTO tenant (tenant, name) VALUES ('a', 'A'), ('b', 'B')`,
		`CREATE ROLE wall_reader`, `GRANT SELECT ON tenant TO wall_reader`,
	} {
		if _, err := db.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := db.pool.Exec(context.Background(), `DROP OWNED BY wall_reader; DROP ROLE wall_reader`); err != nil {
			t.Error(err)
		}
	})
	if got := see("NONE", ""); got != 2 {
		t.Errorf("the owner sees %d tenants, want 2", got)
	}
	if got := see("wall_reader", "a"); got != 1 {
		t.Errorf("another role sees %d tenants, want 1", got)
	}
	if got := see("wall_reader", ""); got != 0 {
		t.Errorf("another role without a tenant sees %d, want none", got)
	}
}
