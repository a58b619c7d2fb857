// Package dbtest gives tests a database with the present schema.
package dbtest

import (
	"context"
	"testing"

	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/pgtest"
)

// Open gives a database of the test's own with the present schema.
func Open(t testing.TB) *postgres.DB {
	t.Helper()
	url := pgtest.NewFrom(t, "lockstep", func(url string) error {
		db, err := postgres.Open(context.Background(), url, postgres.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Migrate(context.Background())
	})
	db, err := postgres.Open(context.Background(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}
