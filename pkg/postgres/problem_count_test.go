package postgres_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/postgres/pgtest"
)

// TestGroupsAreWhatTheirProblemsAre after transactions side by side that save,
// solve and delete, and people who dismiss meanwhile: the numbers that are kept
// say what counting says.
func TestGroupsAreWhatTheirProblemsAre(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	start := time.Now().Truncate(time.Second)
	const workers, rounds, contacts = 4, 60, 12
	random := func(r *rand.Rand, key contact.Key) []postgres.ProblemRow {
		var rows []postgres.ProblemRow
		for _, field := range []string{"", "email", "city"} {
			if r.IntN(2) == 0 {
				rows = append(rows, postgres.ProblemRow{
					Tenant: "demo", Contact: key, Field: field, System: contact.Systems[r.IntN(2)], Kind: contact.ProblemRefused, Class: "permanent",
					Reason: []string{"A", "B", "C"}[r.IntN(3)], Message: "words", Version: contact.Version(r.Int64N(4)), Since: start.Add(time.Duration(r.IntN(9)) * time.Minute),
				})
			}
		}
		return rows
	}
	var group errgroup.Group
	for w := range workers {
		group.Go(func() error {
			r := rand.New(rand.NewPCG(7, uint64(w)))
			for range rounds {
				var err error
				switch what := r.IntN(10); {
				case what == 0:
					_, err = db.Dismiss(t.Context(), postgres.ProblemFilter{Tenant: "demo", Reason: []string{"A", "B"}[r.IntN(2)]}, "ada", start)
				case what == 1:
					_, err = db.Undismiss(t.Context(), postgres.ProblemFilter{Tenant: "demo", Reason: "A"})
				default: // a contact is one worker's alone, as it is one partition's
					var tenants []contact.Tenant
					var keys []contact.Key
					var rows []postgres.ProblemRow
					for range 3 {
						if key := contact.Key(fmt.Sprintf("hubspot:%d-%d", w, r.IntN(contacts))); !slices.Contains(keys, key) {
							tenants, keys, rows = append(tenants, "demo"), append(keys, key), append(rows, random(r, key)...)
						}
					}
					err = db.InTx(t.Context(), func(tx *postgres.Tx) error {
						if what == 2 {
							return tx.DeleteContacts(t.Context(), tenants, keys, false)
						}
						return tx.SaveProblems(t.Context(), tenants, keys, rows)
					})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, dismissed := range []bool{false, true} {
		sameGroups(t, db, dismissed)
	}
}

// sameGroups holds the groups of a tenant against its problems.
func sameGroups(t *testing.T, db *postgres.DB, dismissed bool) {
	t.Helper()
	f := postgres.ProblemFilter{Tenant: "demo", Dismissed: dismissed}
	problems, err := db.Problems(t.Context(), f, postgres.ProblemRow{}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	type cause struct {
		Reason, Field string
		System        contact.System
	}
	want, open := make(map[cause]postgres.ProblemGroup), 0
	for _, p := range problems {
		c := cause{p.Reason, p.Field, p.System}
		g, known := want[c]
		g.Contacts++
		if p.DismissedBy != "" {
			g.Dismissed++
		} else {
			open++
		}
		if !known || p.Since.Before(g.Oldest) {
			g.Oldest = p.Since
		}
		if p.Since.After(g.Newest) {
			g.Newest = p.Since
		}
		want[c] = g
	}
	groups, err := db.ProblemGroups(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != len(want) || len(groups) == 0 {
		t.Errorf("there are %d groups, want %d", len(groups), len(want))
	}
	if !slices.IsSortedFunc(groups, func(a, b postgres.ProblemGroup) int { return cmp.Compare(b.Contacts, a.Contacts) }) {
		t.Error("the largest group is not the first")
	}
	for _, g := range groups {
		w := want[cause{g.Reason, g.Field, g.System}]
		if g.Contacts != w.Contacts || g.Dismissed != w.Dismissed || !g.Oldest.Equal(w.Oldest) || !g.Newest.Equal(w.Newest) || g.Example != "words" || g.Class != "permanent" {
			t.Errorf("dismissed too %v: the group is %+v, its problems say %+v", dismissed, g, w)
		}
	}
	numbers, err := db.ProblemNumbers(t.Context(), []contact.Tenant{"demo", "other"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers["demo"] {
		open -= n.Contacts
	}
	if open != 0 {
		t.Errorf("the numbers by field differ from the problems by %d", open)
	}
}

// TestNumbersThatAreWrongArePutRight by counting again, whatever changed the
// problems without counting them; a console of before tells no reason.
func TestNumbersThatAreWrongArePutRight(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close(context.WithoutCancel(t.Context()))
	for _, sql := range []string{
		`INSERT INTO contact_problem (tenant, contact, field, system, kind, class, reason, message, value, version, since, attempts)
			SELECT 'demo', 'hubspot:' || n, 'email', 'hubspot', 'refused', 'permanent', 'A', 'words', '', 1, now() - n * interval '1 second', 1 FROM generate_series(1, 9) n`,
		`INSERT INTO problem_count (tenant, kind, reason, system, field, contacts) VALUES ('demo', 'refused', 'A', 'hubspot', 'email', 4), ('demo', 'refused', 'GONE', 'hubspot', 'email', 3), ('other', 'refused', 'A', 'hubspot', 'email', 2)`,
		`INSERT INTO problem_dismissal (tenant, contact, field, system, kind, since, author, at)
			SELECT tenant, contact, field, system, kind, since, 'ada', now() FROM contact_problem WHERE contact < 'hubspot:4'`,
	} {
		if _, err := raw.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.RecountProblems(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameGroups(t, db, false)
	sameGroups(t, db, true)
	if numbers, err := db.ProblemNumbers(t.Context(), []contact.Tenant{"demo", "other"}); err != nil || len(numbers) != 1 || len(numbers["demo"]) != 1 || numbers["demo"][0].Contacts != 6 {
		t.Errorf("the numbers are %+v, %v; want 6 of one tenant", numbers, err)
	}
}
