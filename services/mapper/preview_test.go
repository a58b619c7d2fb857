package mapper

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/mapper/resolve"
)

// stocked is a mapper over a database with so many linked contacts in step.
func stocked(t testing.TB, contacts int) *Mapper {
	t.Helper()
	db := dbtest.Open(t)
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(key)
	if err != nil {
		t.Fatal(err)
	}
	err = db.SaveTenant(t.Context(), tenant.Tenant{ID: "demo", Name: "Demo", Region: "US", TimeZone: "UTC", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth}, sealer)
	if err != nil {
		t.Fatal(err)
	}
	set := mapping.Default(nil)
	if _, err := db.SaveMapping(t.Context(), "demo", set, "test", "test"); err != nil {
		t.Fatal(err)
	}
	rules := &resolve.Rules{Set: set, Region: "US", Creation: resolve.FlowBoth, Updates: resolve.FlowBoth}
	const page = 5000
	for from := 0; from < contacts; from += page {
		var stored []postgres.StoredContact
		for i := from; i < min(from+page, contacts); i++ {
			stored = append(stored, postgres.StoredContact{Tenant: "demo", Key: contact.NewKey(contact.HubSpot, fmt.Sprintf("%09d", i)), Version: 9, State: encodeState(inStep(rules, i))})
		}
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.SaveContacts(t.Context(), stored) }); err != nil {
			t.Fatal(err)
		}
	}
	r, err := roster.Open(t.Context(), func(ctx context.Context) (postgres.Config, error) { return db.Config(ctx, sealer) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(Config{Owner: "test", Bus: bustest.New(t), DB: db, Roster: r})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// inStep is the state of a contact whose both sides hold the same, but for the
// city: Aloware has another one, which flows nowhere by default.
func inStep(rules *resolve.Rules, n int) *resolve.State {
	state := &resolve.State{}
	for _, system := range contact.Systems {
		change := &contact.Change{System: system, ID: strconv.Itoa(n), EventID: system.String(), Event: contact.Snapshot, OccurredAt: 1_700_000_000_000, ReceivedAt: 1_700_000_000_000}
		for i := range rules.Set.Mappings {
			m := &rules.Set.Mappings[i]
			if m.Category.Computed() {
				continue
			}
			text := ""
			switch {
			case m.Key == "city" && system == contact.Aloware:
				text = "Reno"
			case m.Key == "city":
				text = "Austin"
			case m.Type == contact.Text:
				text = fmt.Sprint(m.Key, n%1000)
			}
			change.Values = append(change.Values, contact.Value{Name: m.Property(system), Text: text})
		}
		j := resolve.NewJudge(rules, "k", state, resolve.Decision{Version: state.Version + 1, Now: 1_700_000_000_000, EventID: "x"})
		j.Observe(change)
		j.Conclude()
	}
	for _, f := range state.Fields { // what was to be written has been written
		for i := range f.Sides {
			f.Sides[i].Writes = nil
		}
	}
	return state
}

func (m *Mapper) tally(t testing.TB, set *mapping.Set) (last mapping.Tally, parts int) {
	t.Helper()
	question, err := json.Marshal(mapping.Proposal{Tenant: "demo", Set: set})
	if err != nil {
		t.Fatal(err)
	}
	err = m.preview(t.Context(), question, func(part []byte) error {
		parts++
		last = mapping.Tally{}
		return json.Unmarshal(part, &last)
	})
	if err != nil {
		t.Fatal(err)
	}
	return last, parts
}

// TestAPreviewCountsEveryWrite: of a field and side, with examples, and of all
// contacts, over more than one page.
func TestAPreviewCountsEveryWrite(t *testing.T) {
	t.Parallel()
	const contacts = previewPage + 500
	m := stocked(t, contacts)
	set := mapping.Default(nil)
	to := contact.ToHubSpot
	next, err := set.Apply(mapping.Schema{}, mapping.SetFields{Key: "city", Direction: &to}, mapping.Remove{Key: "state"})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := m.tally(t, next)
	if got.Looked != contacts || got.Total != contacts || got.Written != [2]int64{contacts, 0} || got.Created != [2]int64{} {
		t.Errorf("got %+v, want each contact written once in HubSpot", got)
	}
	if len(got.Fields) != 1 {
		t.Fatalf("fields %+v, want the city alone", got.Fields)
	}
	f := got.Fields[0]
	if f.Key != "city" || f.System != contact.HubSpot || f.Replaces != contacts || f.Fills+f.Clears != 0 || len(f.Examples) != mapping.MostExamples ||
		f.Examples[0].Before != "Austin" || f.Examples[0].After != "Reno" || f.Examples[0].Contact == "" {
		t.Errorf("got %+v", f)
	}
}

// BenchmarkPreview works out a preview over PREVIEW_CONTACTS stored contacts
// (20,000 unless told otherwise) and reports contacts a second and the most
// memory that it held.
func BenchmarkPreview(b *testing.B) {
	contacts := 20_000
	if text := os.Getenv("PREVIEW_CONTACTS"); text != "" {
		var err error
		if contacts, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	m := stocked(b, contacts)
	set := mapping.Default(nil)
	set.ByKey("city").Direction = contact.ToHubSpot
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	most, stop, done := uint64(0), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}
	}()
	for b.Loop() {
		if got, _ := m.tally(b, set); got.Written[0] != int64(contacts) {
			b.Fatalf("%d contacts would be written, want %d", got.Written[0], contacts)
		}
	}
	close(stop)
	<-done
	b.ReportMetric(float64(contacts)*float64(b.N)/b.Elapsed().Seconds(), "contacts/s")
	b.ReportMetric(float64(max(most, before.HeapAlloc)-before.HeapAlloc)/(1<<20), "MiB-held")
}
