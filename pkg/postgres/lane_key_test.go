package postgres

import (
	"fmt"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres/pgtest"
)

// TestAFewRowsOfABacklogAreFoundByTheirKey, also where the database last counted the
// table when nothing waited, and where there are no such rows.
func TestAFewRowsOfABacklogAreFoundByTheirKey(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t))
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec := func(statement string) {
		t.Helper()
		if _, err := db.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	const backlog, few = 4000, 20
	keys, tenants := make([]contact.Key, few), make([]contact.Tenant, few)
	for i := range keys {
		keys[i], tenants[i] = contact.Key(fmt.Sprintf("aloware:%d", backlog+i-few/2)), "large" // half of them wait
	}
	fill := func() {
		t.Helper()
		rows := make([]LaneRow, backlog)
		for i := range rows {
			rows[i] = LaneRow{Tenant: "large", Contact: contact.Key(fmt.Sprintf("aloware:%d", i)), Partition: 1, Bulk: true, Version: 1, Job: "first", Patch: make([]byte, 100)}
		}
		if err := db.InTx(t.Context(), func(tx *Tx) error { return tx.AddLaneRows(t.Context(), contact.HubSpot, rows) }); err != nil {
			t.Fatal(err)
		}
	}
	exec("ALTER TABLE lane_row SET (autovacuum_enabled = off)")
	fill()
	exec("DELETE FROM lane_row")
	exec("ANALYZE lane_row")
	fill()
	if err := db.InTx(t.Context(), func(tx *Tx) error {
		looked := func() (rows int) { // of this connection, so far
			if err := tx.tx.QueryRow(t.Context(), "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = 'lane_row'").Scan(&rows); err != nil {
				t.Error(err)
			}
			return rows
		}
		before := looked()
		locked, err := tx.LockLaneRows(t.Context(), contact.HubSpot, tenants, keys)
		if rows := looked() - before; len(locked) != few/2 || rows > 10*few {
			t.Errorf("%d of %d rows were locked, and %d looked at", len(locked), few, rows)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
