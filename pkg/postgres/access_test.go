package postgres_test

import (
	"context"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
)

func inTx(t *testing.T, db *postgres.DB, f func(ctx context.Context, tx *postgres.Tx) error) {
	t.Helper()
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// TestPeopleKeepTheirRolesByTenant: saved roles replace the former ones, only
// people who can sign in count, and a session leads to its person.
func TestPeopleKeepTheirRolesByTenant(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	now := time.Now().Truncate(time.Microsecond)
	inTx(t, db, func(ctx context.Context, tx *postgres.Tx) error {
		for _, p := range []postgres.PersonRow{{ID: "1", Login: "ada", Password: "hash", Created: now}, {ID: "2", Login: "ben", Issuer: "i", Subject: "s", Created: now}, {ID: "3", Login: "cy", Created: now}} {
			if err := tx.AddPerson(ctx, p); err != nil {
				return err
			}
			if err := tx.SaveRoles(ctx, p.ID, postgres.Roles{postgres.Everywhere: 4, "acme": 1}); err != nil {
				return err
			}
		}
		if all, everywhere, err := tx.CountPeople(ctx, 4); err != nil || all != 3 || everywhere != 2 {
			t.Errorf("%d people, %d of whom can sign in and operate everywhere, %v; want 3 and 2", all, everywhere, err)
		}
		if unknown, err := tx.UnknownTenant(ctx, postgres.Roles{postgres.Everywhere: 4, "acme": 1}); err != nil || unknown != "acme" {
			t.Errorf("the unknown tenant is %q, %v", unknown, err)
		}
		if err := tx.AddSession(ctx, postgres.SessionRow{Hash: []byte("h"), Created: now, Expires: now.Add(time.Hour), Person: postgres.PersonRow{ID: "1"}}); err != nil {
			return err
		}
		return tx.SaveRoles(ctx, "1", postgres.Roles{"beta": 2})
	})
	s, err := db.Session(t.Context(), []byte("h"))
	if err != nil || s == nil || s.Person.Login != "ada" || len(s.Person.Roles) != 1 || s.Person.Roles["beta"] != 2 || !s.Used.Equal(now) || !s.Person.Seen.Equal(now) {
		t.Fatalf("the session is %+v, %v", s, err)
	}
	if p, err := db.Person(t.Context(), postgres.PersonBy{Issuer: "i", Subject: "s"}); err != nil || p == nil || p.Login != "ben" {
		t.Errorf("found %+v, %v", p, err)
	}
	if err := db.CleanAccess(t.Context(), now, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if s, err := db.Session(t.Context(), []byte("h")); err != nil || s == nil {
		t.Errorf("a session in use is gone: %v", err)
	}
	if err := db.CleanAccess(t.Context(), now, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if s, err := db.Session(t.Context(), []byte("h")); err != nil || s != nil {
		t.Errorf("a session out of use is still there: %v", err)
	}
}

// TestTheAuditKeepsWhatCameOfAChange, is read by tenant, person, time and
// page, and loses what is too old.
func TestTheAuditKeepsWhatCameOfAChange(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	now := time.Now().Truncate(time.Microsecond)
	var numbers []int64
	for i, a := range []postgres.AuditRow{
		{Tenant: "acme", At: now.AddDate(-3, 0, 0), Caller: "ada"}, {Tenant: "acme", At: now, Caller: "ada", Detail: []byte(`{"a": 1}`)},
		{Tenant: "beta", At: now, Caller: "ben"}, {At: now.Add(time.Second), Caller: "ada"},
	} {
		a.Kind, a.Action, a.Outcome = "person", "Do", "begun"
		n, err := db.AddAudit(t.Context(), &a)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		numbers = append(numbers, n)
	}
	for _, outcome := range []string{"done", "failed"} { // the second comes too late
		if err := db.EndAudit(t.Context(), "acme", now, numbers[1], outcome, ""); err != nil {
			t.Fatal(err)
		}
	}
	read := func(f postgres.AuditFilter) (found []postgres.AuditRow) {
		t.Helper()
		if f.Limit == 0 {
			f.Limit = 10
		}
		found, err := db.Audit(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	acme, installation := contact.Tenant("acme"), contact.Tenant("")
	for name, c := range map[string]struct {
		filter postgres.AuditFilter
		want   []int
	}{
		"all":          {postgres.AuditFilter{}, []int{3, 2, 1, 0}},
		"tenant":       {postgres.AuditFilter{Tenant: &acme}, []int{1, 0}},
		"installation": {postgres.AuditFilter{Tenant: &installation}, []int{3}},
		"person":       {postgres.AuditFilter{Caller: "ben"}, []int{2}},
		"time":         {postgres.AuditFilter{From: now, To: now.Add(time.Second)}, []int{2, 1}},
		"page":         {postgres.AuditFilter{Before: numbers[2], Limit: 1}, []int{1}},
	} {
		found := read(c.filter)
		if len(found) != len(c.want) {
			t.Errorf("%s: found %+v", name, found)
			continue
		}
		for i, want := range c.want {
			if found[i].Number != numbers[want] {
				t.Errorf("%s: entry %d is number %d, want %d", name, i, found[i].Number, numbers[want])
			}
		}
	}
	if got := read(postgres.AuditFilter{Tenant: &acme, From: now})[0]; got.Outcome != "done" || string(got.Detail) != `{"a": 1}` {
		t.Errorf("the entry is %+v", got)
	}
	if err := db.KeepAudit(t.Context(), 400*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if left := read(postgres.AuditFilter{}); len(left) != 3 || left[2].Number != numbers[1] {
		t.Errorf("left are %+v, want all but the oldest", left)
	}
}
