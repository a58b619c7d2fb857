package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// TestFirstProblemsAreThoseOfTheInbox: of random problems and dismissals, there
// is one for each group that the inbox shows, the oldest that nobody dismissed,
// with the inbox's number; and each conflict.
func TestFirstProblemsAreThoseOfTheInbox(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	tenants := []contact.Tenant{"acme", "beta", "zeta"}
	var all []postgres.ProblemRow
	for i := range 400 {
		p := postgres.ProblemRow{
			Tenant: tenants[random.IntN(3)], Contact: contact.Key(fmt.Sprintf("hubspot:%d", i)), Field: pick("", "email", "city"), System: contact.Systems[random.IntN(2)],
			Kind: contact.ProblemKind(pick("refused", "conflict", "review")), Class: "permanent", Reason: pick("A", "B", "a/b"), Message: "words", Since: start.Add(time.Duration(random.IntN(50)) * time.Minute),
		}
		all = append(all, p)
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			return tx.SaveProblems(t.Context(), []contact.Tenant{p.Tenant}, []contact.Key{p.Contact}, []postgres.ProblemRow{p})
		}); err != nil {
			t.Fatal(err)
		}
	}
	dismissed := make(map[contact.Key]bool)
	for _, p := range all {
		if random.IntN(3) > 0 && p.Reason != "B" || p.Reason == "A" {
			dismissed[p.Contact] = true
			if _, err := db.Dismiss(t.Context(), postgres.ProblemFilter{Tenant: p.Tenant, Contact: p.Contact}, "ada", start); err != nil {
				t.Fatal(err)
			}
		}
	}
	type group struct {
		Tenant         contact.Tenant
		Kind           contact.ProblemKind
		Reason, System string
		Field          string
	}
	want, open := make(map[group]contact.Key), make(map[group]int)
	since := make(map[group]time.Time)
	conflicts := make(map[contact.Key]bool)
	for _, p := range all {
		g := group{p.Tenant, p.Kind, p.Reason, p.System.String(), p.Field}
		if dismissed[p.Contact] {
			continue
		}
		if p.Kind == contact.ProblemConflict {
			conflicts[p.Contact] = true
			continue
		}
		if open[g]++; want[g] == "" || p.Since.Before(since[g]) || p.Since.Equal(since[g]) && p.Contact < want[g] {
			want[g], since[g] = p.Contact, p.Since
		}
	}
	got, counted, found := make(map[group]contact.Key), make(map[group]int), make(map[contact.Key]bool)
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		first, err := tx.FirstProblems(t.Context(), []contact.ProblemKind{contact.ProblemConflict}, 1000)
		if err != nil {
			return err
		}
		counts, err := tx.CountProblems(t.Context(), first)
		if err != nil {
			return err
		}
		for i, p := range first {
			if p.Kind == contact.ProblemConflict {
				found[p.Contact] = true
				continue
			}
			g := group{p.Tenant, p.Kind, p.Reason, p.System.String(), p.Field}
			got[g], counted[g] = p.Contact, counts[i].Open
		}
		few, err := tx.FirstProblems(t.Context(), []contact.ProblemKind{contact.ProblemConflict}, 1)
		if err != nil || len(few) >= len(first) {
			t.Errorf("with one of each group there are %d, with all %d, %v", len(few), len(first), err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 || len(conflicts) == 0 {
		t.Fatal("the test makes nothing to look for")
	}
	for name, diff := range map[string]string{"first contacts": cmp.Diff(want, got), "numbers": cmp.Diff(open, counted), "conflicts": cmp.Diff(conflicts, found)} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTheTurnIsOneProcessS: while one looks, no other does, nor before it is
// time; and a look that fails is made again at once.
func TestTheTurnIsOneProcessS(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	turn := func(every time.Duration, during func() error) (mine bool, err error) {
		err = db.InTx(t.Context(), func(tx *postgres.Tx) error {
			var err error
			if _, mine, err = tx.AlertTurn(t.Context(), every); err != nil || !mine || during == nil {
				return err
			}
			return during()
		})
		return mine, err
	}
	failed := fmt.Errorf("failed")
	if mine, err := turn(time.Hour, func() error {
		if mine, err := turn(time.Hour, nil); mine || err != nil {
			t.Errorf("two have the turn at once: %v, %v", mine, err)
		}
		return failed
	}); !mine || err == nil {
		t.Errorf("the first turn is mine: %v, %v", mine, err)
	}
	if mine, err := turn(time.Hour, nil); !mine || err != nil {
		t.Errorf("after a look that failed the turn is mine: %v, %v", mine, err)
	}
	if mine, err := turn(time.Hour, nil); mine || err != nil {
		t.Errorf("before it is time the turn is mine: %v, %v", mine, err)
	}
}
