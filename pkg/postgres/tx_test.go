package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// TestKeptStatements: what a transaction keeps is carried out in its order, before what
// is asked behind it, and as a whole or not at all.
func TestKeptStatements(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), migrated(t), Options{MaxConns: 1}) // so that one that stays open is missed
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	add := func(tx *Tx, n int) error {
		return tx.CountCommunications(t.Context(), []CommunicationID{{Tenant: "acme", ID: fmt.Sprint("call:", n)}}, []contact.Key{"hubspot:1"})
	}
	stored := func(from asker) (n int) {
		t.Helper()
		rows, err := from.Query(t.Context(), `SELECT FROM communication`)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			n++
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const many = 150 // more than are kept at once
	if err := db.InTx(t.Context(), func(tx *Tx) error {
		for i := range many {
			if err := add(tx, i); err != nil {
				return err
			}
		}
		if n := stored(tx.tx); n != many {
			t.Errorf("%d of %d are seen behind them", n, many)
		}
		return add(tx, many)
	}); err != nil {
		t.Fatal(err)
	}
	if n := stored(db.pool); n != many+1 {
		t.Fatalf("%d stored, want %d", n, many+1)
	}

	// One that the database refuses takes all back, whoever sends it.
	for name, behind := range map[string]func(*Tx) error{
		"the end":    func(*Tx) error { return nil },
		"a question": func(tx *Tx) error { return tx.tx.QueryRow(t.Context(), `SELECT 1`).Scan(new(int)) },
		"a statement": func(tx *Tx) error {
			_, err := tx.tx.Exec(t.Context(), `DELETE FROM communication`)
			return err
		},
	} {
		err := db.InTx(t.Context(), func(tx *Tx) error {
			if err := add(tx, many+1); err != nil {
				return err
			}
			if err := tx.tx.put(t.Context(), "store nobody's", `INSERT INTO communication (tenant, communication, contact) VALUES ($1, 'x', 'y')`, nil); err != nil {
				return err
			}
			return behind(tx)
		})
		if !fault.Is(err, fault.Permanent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// So does one whose result is not what it must be, and one that fails by itself.
	save := func(tx *Tx) error {
		if err := add(tx, many+1); err != nil {
			return err
		}
		return tx.SaveContacts(t.Context(), []StoredContact{{Tenant: "acme", Key: "hubspot:1", State: []byte{}}})
	}
	if err := db.InTx(t.Context(), save); err != nil {
		t.Fatal(err)
	}
	if err := db.InTx(t.Context(), func(tx *Tx) error { return errors.Join(add(tx, many+2), save(tx)) }); !errors.Is(err, ErrRevision) {
		t.Errorf("a contact that was saved by somebody else: %v", err)
	}
	stop := errors.New("stop")
	err = db.InTx(t.Context(), func(tx *Tx) error {
		if err := add(tx, many+2); err != nil {
			return err
		}
		stored(tx.tx)
		return stop
	})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	if n := stored(db.pool); n != many+2 {
		t.Errorf("%d stored, want %d as before", n, many+2)
	}

	// An error tells which of them it is about.
	err = db.InTx(t.Context(), func(tx *Tx) error {
		return errors.Join(add(tx, many+2), tx.tx.put(t.Context(), "set nonsense", `SELECT set_config('nonsense', 'x', true)`))
	})
	if err == nil || !strings.Contains(err.Error(), "set nonsense") {
		t.Errorf("of nonsense: %v", err)
	}
}
