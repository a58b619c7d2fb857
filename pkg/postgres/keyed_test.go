package postgres

import (
	"fmt"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
)

// TestPlansThatWereMadeForAnEmptyTableServeALargeOne: each statement about rows looks
// at what it is about, and not at all that was stored since it was planned.
func TestPlansThatWereMadeForAnEmptyTableServeALargeOne(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), migrated(t), Options{MaxConns: 1}) // so that the same connection has the plans
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	held, _, err := db.Renew(t.Context(), []string{"writer"}, "owner", 1, time.Minute)
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	lease := held[0]
	const few, many = 20, 20_000
	underway := make([]contact.Key, few)
	for i := range underway {
		underway[i] = contact.Key(fmt.Sprintf("aloware:%d", many/2+i))
	}
	// work runs each statement, for rows that do not exist, or for few of many.
	work := func(round int) (found int) {
		t.Helper()
		rows, err := db.DueRows(t.Context(), "large", contact.HubSpot, 1, underway, false, few)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.LiveRows(t.Context(), "large", contact.HubSpot, 1, underway, false, few); err != nil {
			t.Fatal(err)
		}
		refs := []Ref{{Tenant: "large", Kind: contact.RefPhone, Value: "+1500"}, {Tenant: "large", Kind: contact.RefKey, Value: "none"}}
		known, contacts, err := db.FindContacts(t.Context(), refs)
		if err != nil || len(known) != len(contacts) {
			t.Fatal(known, contacts, err)
		}
		finished, err := db.FinishLaneRows(t.Context(), "large", contact.HubSpot, append(rows, LaneRow{Contact: "aloware:none", Revision: 1}))
		if err != nil {
			t.Fatal(err)
		}
		var add []LaneRow
		for i := range few {
			add = append(add, LaneRow{Tenant: "small", Contact: contact.Key(fmt.Sprint("aloware:", i, "/", round)), Partition: 2, Version: 1, Patch: []byte("p")})
		}
		if done, err := db.AdvanceAdding(t.Context(), &lease, Position{Seq: lease.Position.Seq + 1}, contact.HubSpot, add); !done || err != nil {
			t.Fatal(done, err)
		}
		lanes, _, err := db.DueLanes(t.Context(), contact.HubSpot, []int{0, 1}, []contact.Tenant{"held"})
		if err != nil {
			t.Fatal(err)
		}
		return len(rows) + len(finished) + len(contacts) + len(lanes)
	}
	exec("ALTER TABLE lane_row SET (autovacuum_enabled = off)")
	exec("ALTER TABLE contact_state SET (autovacuum_enabled = off)")
	exec("ALTER TABLE contact_ref SET (autovacuum_enabled = off)")
	exec("ANALYZE lane_row, contact_state, contact_ref")
	if found := work(1); found != 0 {
		t.Fatalf("%d were found in an empty table", found)
	}
	exec(fmt.Sprintf(`INSERT INTO lane_row (tenant, system, contact, partition, bulk, version, revision, patch)
		SELECT 'large', 'hubspot', 'aloware:' || n, 1, true, 1, nextval('lane_revision'), '' FROM generate_series(1, %d) n`, many))
	exec(fmt.Sprintf(`INSERT INTO contact_state (tenant, contact, revision, version, waits_list, state)
		SELECT 'large', 'aloware:' || n, 1, 1, false, '' FROM generate_series(1, %d) n`, many))
	exec(fmt.Sprintf(`INSERT INTO contact_ref (tenant, kind, value, contact)
		SELECT 'large', kind, prefix || n, 'aloware:' || n FROM generate_series(1, %d) n, (VALUES ('aloware', ''), ('phone', '+1')) AS k(kind, prefix)`, many))
	looked := func() (rows int) {
		t.Helper()
		if _, err := db.keyed.Exec(t.Context(), "SELECT pg_stat_force_next_flush()"); err != nil {
			t.Fatal(err)
		}
		if err := db.pool.QueryRow(t.Context(), `SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if _, err := db.pool.Exec(t.Context(), "SELECT pg_stat_force_next_flush()"); err != nil { // what filling them looked at
		t.Fatal(err)
	}
	before := looked()
	found := work(2)
	rows := looked() - before
	if found != 2*few+2 || rows > 20*few {
		t.Errorf("%d of %d were found, and %d rows looked at", found, 2*few+2, rows)
	}
}
