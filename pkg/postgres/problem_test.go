package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
)

// TestAProblemKeepsItsBeginning until its reason is another one, and goes when
// it is solved; a dismissal holds for the reason that was dismissed.
func TestAProblemKeepsItsBeginning(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	start := time.Now().Truncate(time.Second)
	row := func(reason string, version contact.Version, minutes int) postgres.ProblemRow {
		return postgres.ProblemRow{
			Tenant: "demo", Contact: "hubspot:1", Field: "email", System: contact.HubSpot, Kind: contact.ProblemRefused, Class: "permanent",
			Reason: reason, Message: "words", Version: version, Since: start.Add(time.Duration(minutes) * time.Minute),
		}
	}
	save := func(problems ...postgres.ProblemRow) {
		t.Helper()
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			return tx.SaveProblems(t.Context(), []contact.Tenant{"demo"}, []contact.Key{"hubspot:1"}, problems)
		}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(dismissed bool) []postgres.ProblemRow {
		t.Helper()
		rows, err := db.Problems(t.Context(), postgres.ProblemFilter{Tenant: "demo", Dismissed: dismissed}, postgres.ProblemRow{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	whole := postgres.ProblemRow{Tenant: "demo", Contact: "hubspot:1", System: contact.Aloware, Kind: contact.ProblemConflict, Reason: "SEVERAL_CONTACTS", Since: start}
	save(row("INVALID_EMAIL", 1, 0), whole)
	save(row("INVALID_EMAIL", 2, 5), whole)
	if got := list(false); len(got) != 2 || got[1].Attempts != 2 || !got[1].Since.Equal(start) || got[0].Attempts != 1 {
		t.Fatalf("problems are %+v; want the e-mail refused twice since the beginning, and the conflict", got)
	}
	filter := postgres.ProblemFilter{Tenant: "demo", Reason: "INVALID_EMAIL"}
	if n, err := db.Dismiss(t.Context(), filter, "ada", start); err != nil || n != 1 {
		t.Fatalf("dismissed %d, %v", n, err)
	}
	groups, err := db.ProblemGroups(t.Context(), postgres.ProblemFilter{Tenant: "demo", Dismissed: true})
	if err != nil || len(groups) != 2 || groups[0].Reason != "INVALID_EMAIL" || groups[0].Dismissed != 1 || groups[0].Example != "words" {
		t.Fatalf("groups are %+v, %v", groups, err)
	}
	if got := list(false); len(got) != 1 || list(true)[1].DismissedBy != "ada" {
		t.Fatalf("after the dismissal %+v is open", got)
	}
	if n, err := db.Undismiss(t.Context(), filter); err != nil || n != 1 || len(list(false)) != 2 {
		t.Fatalf("took back %d dismissals, %v", n, err)
	}
	if _, err := db.Dismiss(t.Context(), filter, "ada", start); err != nil {
		t.Fatal(err)
	}
	save(row("READ_ONLY", 3, 9))
	if got := list(false); len(got) != 1 || got[0].Reason != "READ_ONLY" || got[0].Attempts != 1 || !got[0].Since.Equal(start.Add(9*time.Minute)) {
		t.Fatalf("problems are %+v; want the new reason alone, not dismissed", got)
	}
	save()
	if got := list(true); len(got) != 0 {
		t.Fatalf("problems are %+v after they were solved", got)
	}
}

// TestAGroupIsReadPageByPage in the order in which its contacts met the problem,
// without those that somebody dismissed.
func TestAGroupIsReadPageByPage(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	start := time.Now().Truncate(time.Second)
	field := "email"
	var tenants []contact.Tenant
	var keys []contact.Key
	var rows []postgres.ProblemRow
	for n := range 25 {
		key := contact.Key(fmt.Sprintf("hubspot:%d", 100-n))
		tenants, keys = append(tenants, "demo"), append(keys, key)
		for _, f := range []string{field, "city"} {
			rows = append(rows, postgres.ProblemRow{
				Tenant: "demo", Contact: key, Field: f, System: contact.HubSpot, Kind: contact.ProblemRefused, Class: "permanent", Reason: "A", Message: "words",
				Since: start.Add(time.Duration(n/3) * time.Minute), // several at once
			})
		}
	}
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.SaveProblems(t.Context(), tenants, keys, rows) }); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Dismiss(t.Context(), postgres.ProblemFilter{Tenant: "demo", Contact: keys[4]}, "ada", start); err != nil || n != 2 {
		t.Fatalf("dismissed %d, %v", n, err)
	}
	for _, dismissed := range []bool{false, true} {
		f := postgres.ProblemFilter{Tenant: "demo", Kind: contact.ProblemRefused, Reason: "A", System: contact.HubSpot, Field: &field, Dismissed: dismissed}
		var got []postgres.ProblemRow
		for after := (postgres.ProblemRow{}); ; after = got[len(got)-1] {
			page, err := db.Problems(t.Context(), f, after, 4)
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, page...); len(page) < 4 {
				break
			}
		}
		want := 24
		if dismissed {
			want = 25
		}
		seen := make(map[contact.Key]bool)
		for i, p := range got {
			seen[p.Contact] = true
			if p.Field != field || (p.DismissedBy != "") != (p.Contact == keys[4]) || i > 0 && p.Since.Before(got[i-1].Since) {
				t.Errorf("dismissed too %v: problem %d of the group is %+v", dismissed, i, p)
			}
		}
		if len(got) != want || len(seen) != want {
			t.Errorf("dismissed too %v: %d problems of %d contacts, want %d", dismissed, len(got), len(seen), want)
		}
	}
}
