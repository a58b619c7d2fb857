package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres/pgtest"
)

// migrated gives the URL of a database with the schema in it.
func migrated(t testing.TB) string {
	return pgtest.NewFrom(t, "postgres_room", func(url string) error {
		db, err := Open(context.Background(), url, Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Migrate(context.Background())
	})
}

// open opens a database as one process does.
func open(t testing.TB, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// TestRefusedDataArePermanent: what the database refuses for the data's sake
// has a class, and its error does not repeat the data.
func TestRefusedDataArePermanent(t *testing.T) {
	t.Parallel()
	db := open(t, migrated(t))
	const secret = "jane@example.com"
	for name, sql := range map[string]string{
		"no number":     `SELECT '` + secret + `'::text::integer`,
		"zero byte":     `SELECT E'` + secret + `' || convert_from('\x00', 'UTF8')`,
		"check":         `INSERT INTO tenant (tenant, name, creation) VALUES ('t', 'x', '` + secret + `')`,
		"key too large": `INSERT INTO contact_ref SELECT 't', 'email', '` + secret + `' || string_agg(md5(n::text), ''), 'k' FROM generate_series(1, 2000) n`,
	} {
		t.Run(name, func(t *testing.T) {
			err := db.InTx(t.Context(), func(tx *Tx) error {
				_, err := tx.tx.Exec(t.Context(), sql)
				return err
			})
			if !fault.Is(err, fault.Permanent) {
				t.Errorf("got class %v (%v), want permanent", fault.As(err).Class, err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error repeats the data: %v", err)
			}
		})
	}
	for name, err := range map[string]error{
		"a lost lease":  ErrLeaseLost,
		"a deadlock":    &pgconn.PgError{Code: "40P01"},
		"no connection": errors.New("connection refused"),
	} {
		if got := Classify(err); got != err {
			t.Errorf("%s: got %v, want the error as it is", name, got)
		}
	}
	if Classify(nil) != nil {
		t.Error("no error must stay none")
	}
}

// TestFailedTransactionStoresNothing, and the connection can be used again.
func TestFailedTransactionStoresNothing(t *testing.T) {
	t.Parallel()
	db := open(t, migrated(t))
	stop := errors.New("stop")
	err := db.InTx(t.Context(), func(tx *Tx) error {
		if _, err := tx.tx.Exec(t.Context(), `INSERT INTO tenant (tenant, name) VALUES ('t', 'x')`); err != nil {
			t.Error(err)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatalf("got %v, want the error of the function", err)
	}
	var n int
	if err := db.pool.QueryRow(t.Context(), `SELECT count(*) FROM tenant`).Scan(&n); err != nil || n != 0 {
		t.Errorf("got %d rows, %v; want none", n, err)
	}
}
