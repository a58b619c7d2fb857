package postgres_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
)

// TestOneReadingOfASystemAtATime: whoever reads has the readers' part of its
// limits for itself. What is due first comes first, and each gets its turn.
func TestOneReadingOfASystemAtATime(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), dbtest.Open(t)
	var cursors []postgres.Cursor
	for i := range 20 {
		for _, system := range contact.Systems {
			for _, reading := range []string{"changes", "lists"} {
				cursors = append(cursors, postgres.Cursor{Tenant: contact.Tenant(fmt.Sprintf("t%d", i)), System: system, Reading: reading})
			}
		}
	}
	for range 2 { // what is there already stays as it is
		if err := db.EnsureCursors(ctx, cursors); err != nil {
			t.Fatal(err)
		}
	}
	for _, reading := range []string{"changes", "lists"} {
		// Several processes at once share what is due.
		var mu sync.Mutex
		claimed := make(map[string][]postgres.Cursor)
		var claiming sync.WaitGroup
		for p := range 4 {
			owner := fmt.Sprint("process", p)
			claiming.Go(func() {
				for {
					got, err := db.ClaimCursors(ctx, owner, time.Minute, 3)
					if err != nil {
						t.Error(err)
					}
					if len(got) == 0 {
						return
					}
					mu.Lock()
					claimed[owner] = append(claimed[owner], got...)
					mu.Unlock()
				}
			})
		}
		claiming.Wait()
		all := slices.Concat(claimed["process0"], claimed["process1"], claimed["process2"], claimed["process3"])
		slices.SortFunc(all, func(a, b postgres.Cursor) int {
			return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.System, b.System))
		})
		for i, c := range all {
			if c.Reading != reading || i > 0 && c.Tenant == all[i-1].Tenant && c.System == all[i-1].System {
				t.Fatalf("claimed %+v, want the %s of each system once", c, reading)
			}
		}
		// A process that skipped what another was just claiming asks again.
		if len(all) == 0 || len(all) > 40 {
			t.Fatalf("%d readings were claimed", len(all))
		}
		rest, err := db.ClaimCursors(ctx, "process0", time.Minute, 100)
		if err != nil || len(all)+len(rest) != 40 {
			t.Fatalf("%d and then %d readings were claimed, %v; want 40", len(all), len(rest), err)
		}
		claimed["process0"] = append(claimed["process0"], rest...)
		for owner, list := range claimed {
			for _, c := range list {
				c.Since, c.Mark = 5, "page 2"
				if err := db.SaveCursor(ctx, owner, c, time.Hour, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := db.WakeCursors(ctx, "t3", "changes"); err != nil {
		t.Fatal(err)
	}
	got, err := db.ClaimCursors(ctx, "process0", time.Minute, 100)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d readings are due, %v; want the two that were woken", len(got), err)
	}
	for _, c := range got {
		if c.Tenant != "t3" || c.Reading != "changes" || c.Since != 5 || c.Mark != "" {
			t.Errorf("%+v was woken, want it where it stands and from the beginning of a reading", c)
		}
	}
}

// TestAReadingGoesOnAtItsMark, also by another process.
func TestAReadingGoesOnAtItsMark(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), dbtest.Open(t)
	want := postgres.Cursor{Tenant: "acme", System: contact.Aloware, Reading: "changes"}
	if err := db.EnsureCursors(ctx, []postgres.Cursor{want}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ClaimCursors(ctx, "first", time.Minute, 1); err != nil {
		t.Fatal(err)
	}
	want.Since, want.Mark, want.Failures = 7, `{"since":3,"page":"4"}`, 2
	if err := db.SaveCursor(ctx, "other", postgres.Cursor{Tenant: "acme", System: contact.Aloware, Reading: "changes"}, 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := db.SaveCursor(ctx, "first", want, 0, "it was cut"); err != nil {
		t.Fatal(err)
	}
	if got, err := db.ClaimCursors(ctx, "second", time.Minute, 1); err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("claimed %+v, %v; want %+v", got, err, want)
	}
}
