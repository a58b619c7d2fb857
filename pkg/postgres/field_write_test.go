package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
)

// TestWritesOfFieldsAreCounted by the hour, live and bulk ones together; old
// hours go, and the last write of a field stays however old it is.
func TestWritesOfFieldsAreCounted(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	count := func(at time.Time, bulk bool, writes map[postgres.WrittenField]int64) {
		t.Helper()
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.CountFieldWrites(t.Context(), writes, bulk, at) }); err != nil {
			t.Fatal(err)
		}
	}
	city, email := postgres.WrittenField{Tenant: "demo", Field: "city", System: contact.HubSpot}, postgres.WrittenField{Tenant: "demo", Field: "email", System: contact.Aloware}
	count(noon.Add(-80*time.Hour), false, map[postgres.WrittenField]int64{city: 5, email: 9})
	count(noon.Add(-13*time.Hour), false, map[postgres.WrittenField]int64{city: 7})
	count(noon.Add(-2*time.Hour), true, map[postgres.WrittenField]int64{city: 100})
	count(noon.Add(10*time.Minute), false, map[postgres.WrittenField]int64{city: 2, {Tenant: "other", Field: "city", System: contact.HubSpot}: 50})
	count(noon.Add(20*time.Minute), true, map[postgres.WrittenField]int64{city: 30})
	count(noon.Add(15*time.Minute), false, map[postgres.WrittenField]int64{city: 1})
	count(noon, false, nil)
	look := func() string {
		t.Helper()
		writes, err := db.FieldWrites(t.Context(), "demo", noon, noon.Add(-12*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, w := range writes {
			text += fmt.Sprintf("%s %s: %d, %d, %s; ", w.Field, w.System, w.ThisHour, w.Today, w.Last.UTC().Format("02 15:04"))
		}
		return text
	}
	want := "city hubspot: 33, 133, 04 12:20; email aloware: 0, 0, 01 04:00; "
	if diff := cmp.Diff(want, look()); diff != "" {
		t.Error(diff)
	}
	if err := db.KeepFieldWrites(t.Context(), noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, look()); diff != "" {
		t.Errorf("after old hours went: %s", diff)
	}
	old, err := db.FieldWrites(t.Context(), "demo", noon.Add(-1000*time.Hour), noon.Add(-1000*time.Hour))
	if err != nil || len(old) != 2 || old[0].Today != 140 || old[1].Today != 9 {
		t.Errorf("kept are %+v, %v; want the 140 of two days, and the only hour of the e-mail", old, err)
	}
}

// BenchmarkCountFieldWrites is what counting adds to a batch that wrote twelve
// fields of one tenant.
func BenchmarkCountFieldWrites(b *testing.B) {
	db := dbtest.Open(b)
	writes := make(map[postgres.WrittenField]int64)
	for i := range 12 {
		writes[postgres.WrittenField{Tenant: "demo", Field: fmt.Sprint("field", i), System: contact.HubSpot}] = 40
	}
	if err := db.InTx(b.Context(), func(tx *postgres.Tx) error {
		for b.Loop() {
			if err := tx.CountFieldWrites(b.Context(), writes, false, time.Now()); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}
