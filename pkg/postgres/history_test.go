package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
)

// TestDecisionsComeBackAsTheyWereMade: all of them and each of its own field,
// the newest first, in pages that end anywhere, whether their event decided
// one thing or many.
func TestDecisionsComeBackAsTheyWereMade(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	var all []postgres.HistoryRow
	for event, steps := range []int{1, 3, 2, 40, 1} {
		var batch []postgres.HistoryRow
		for n := range steps {
			batch = append(batch, postgres.HistoryRow{
				Tenant: "demo", Contact: "aloware:7", At: now.Add(time.Duration(event) * time.Second), Field: []string{"city", "email", ""}[n%3],
				System: []contact.System{contact.HubSpot, contact.Aloware, 0}[n%3], Rule: "intent", Value: fmt.Sprint(event, "/", n), EditedAt: contact.Millis(n),
				Version: contact.Version(event), MappingVersion: int64(event), EventID: fmt.Sprint("event ", event), Reason: []string{"", "because"}[event%2], Traceparent: "trace",
			})
		}
		stored := slices.Clone(batch)
		for n := range 1 + event%2*20 { // few rows are stored in another way than many
			other := batch[0]
			other.Contact, other.Value = contact.Key(fmt.Sprint("aloware:8", n)), "somebody else's"
			stored = append(stored, other)
		}
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.AppendHistory(t.Context(), stored) }); err != nil {
			t.Fatal(err)
		}
		all = append(all, batch...)
	}
	slices.Reverse(all)
	for _, field := range []string{"", "email"} {
		for _, page := range []int{2, 7, 100} {
			var got []postgres.HistoryRow
			for before := int64(0); ; {
				rows, err := db.History(t.Context(), "demo", "aloware:7", field, before, page)
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) == 0 {
					break
				}
				got, before = append(got, rows...), rows[len(rows)-1].Number
			}
			var want []postgres.HistoryRow
			for _, h := range all {
				if field == "" || h.Field == field {
					want = append(want, h)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("field %q in pages of %d: %d decisions, want %d", field, page, len(got), len(want))
			}
			for i := range want {
				got[i].Number, got[i].At = 0, got[i].At.UTC()
				if got[i] != want[i] {
					t.Errorf("field %q in pages of %d, decision %d:\n got %+v\nwant %+v", field, page, i, got[i], want[i])
				}
			}
		}
	}
}

// TestLatencyIsOfWritesThatWereAnswered, from the edit to the answer.
func TestLatencyIsOfWritesThatWereAnswered(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	now := time.Now()
	edited := contact.Millis(now.UnixMilli())
	row := func(n int, field, rule string, at contact.Millis, event string) postgres.HistoryRow {
		return postgres.HistoryRow{
			Tenant: "demo", Contact: contact.Key(fmt.Sprint("aloware:", n)), At: now, Field: field, System: contact.HubSpot, Rule: rule, EditedAt: at, Version: 5, EventID: event,
		}
	}
	var rows []postgres.HistoryRow
	for n := range 10 {
		rows = append(rows, row(n, "city", "write", edited, "edit"), row(n, "email", "write", edited, "edit")) // two of one event
		rows = append(rows, row(n, "city", "settled", edited+contact.Millis(100*(n+1)), "answer"))             // the e-mail is not answered yet
	}
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.AppendHistory(t.Context(), rows) }); err != nil {
		t.Fatal(err)
	}
	l, err := db.Latency(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if want := (postgres.Latency{Writes: 10, P50: 500 * time.Millisecond, P95: time.Second, P99: time.Second}); l != want {
		t.Errorf("got %+v, want %+v", l, want)
	}
}
