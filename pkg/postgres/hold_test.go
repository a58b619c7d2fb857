package postgres_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
)

func burst(id string) postgres.Hold {
	return postgres.Hold{
		Tenant: "acme", ID: id, Field: "city", Into: contact.Aloware, Source: "IMPORT", MappingVersion: 3, Binding: "0/0",
		Since: time.Now(), Passed: 20, Threshold: 20,
	}
}

// TestAHoldIsAnsweredOnce, however many people answer at the same time; the
// answer that stands may be repeated.
func TestAHoldIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.SaveHolds(t.Context(), []postgres.Hold{burst("h1")}) }); err != nil {
		t.Fatal(err)
	}
	answers := []contact.HoldAnswer{contact.AnswerGo, contact.AnswerDrop, contact.AnswerUndo}
	var all sync.WaitGroup
	taken := make([]error, 12)
	for i := range taken {
		all.Go(func() { taken[i] = db.AnswerHold(t.Context(), "acme", "h1", answers[i%3], "ann") })
	}
	all.Wait()
	holds, err := db.OpenHolds(t.Context(), nil)
	if err != nil || len(holds) != 1 || !holds[0].Answer.Known() || holds[0].AnsweredBy != "ann" {
		t.Fatalf("the holds are %+v, %v", holds, err)
	}
	for i, err := range taken {
		if given := answers[i%3]; given == holds[0].Answer && err != nil || given != holds[0].Answer && !errors.Is(err, postgres.ErrHoldAnswered) {
			t.Errorf("%s was answered while %s stands: %v", given, holds[0].Answer, err)
		}
	}
	if n, err := db.CountOpenHolds(t.Context()); err != nil || n != 0 {
		t.Errorf("%d holds wait for an answer, %v", n, err)
	}
	if err := db.AnswerHold(t.Context(), "acme", "none", contact.AnswerGo, "ann"); !errors.Is(err, postgres.ErrHoldAnswered) {
		t.Errorf("a hold that is not there is answered: %v", err)
	}
}

// TestHeldValuesAreCounted by what they would do, and go with their contact.
func TestHeldValuesAreCounted(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	value := func(key contact.Key, before, after string) postgres.HeldValue {
		return postgres.HeldValue{Tenant: "acme", Contact: key, Field: "city", Hold: "h1", Before: before, After: after, EditedAt: 7}
	}
	save := func(keys []contact.Key, values ...postgres.HeldValue) {
		t.Helper()
		tenants := make([]contact.Tenant, len(keys))
		for i := range tenants {
			tenants[i] = "acme"
		}
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.SaveHeldValues(t.Context(), tenants, keys, values) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.SaveHolds(t.Context(), []postgres.Hold{burst("h1")}) }); err != nil {
		t.Fatal(err)
	}
	save([]contact.Key{"a", "b", "c", "d"}, value("a", "", "x"), value("b", "y", "x"), value("c", "y", ""), value("d", "y", "x"))
	holds, err := db.Holds(t.Context(), "acme", "", false, 10)
	if err != nil || len(holds) != 1 || holds[0].Contacts != 4 || holds[0].Fills != 1 || holds[0].Replaces != 2 || holds[0].Clears != 1 {
		t.Fatalf("the holds are %+v, %v", holds, err)
	}
	save([]contact.Key{"a"}) // it is released
	if keys, err := db.HeldContacts(t.Context(), "acme", "h1", "b", 10); err != nil || len(keys) != 2 || keys[0] != "c" {
		t.Errorf("behind b are held %v, %v", keys, err)
	}
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		return tx.DeleteContacts(t.Context(), []contact.Tenant{"acme"}, []contact.Key{"b"}, true)
	}); err != nil {
		t.Fatal(err)
	}
	values, err := db.HeldValues(t.Context(), "acme", "h1", 10)
	if err != nil || len(values) != 2 || values[0].Contact != "c" || values[0].EditedAt != 7 {
		t.Errorf("held are %+v, %v", values, err)
	}
	ended := burst("h1")
	ended.EndedAt, ended.Lapsed = time.Now(), true
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.EndHolds(t.Context(), []postgres.Hold{ended}) }); err != nil {
		t.Fatal(err)
	}
	if n, err := db.CountHeld(t.Context(), "acme", "h1"); err != nil || n != 0 {
		t.Errorf("%d values of a hold that is over are held, %v", n, err)
	}
	if err := db.AnswerHold(t.Context(), "acme", "h1", contact.AnswerGo, "ann"); !errors.Is(err, postgres.ErrHoldAnswered) {
		t.Errorf("a hold that is over is answered: %v", err)
	}
}

// TestFlowsAddUp by the hour, never below nothing, and windows are replaced.
func TestFlowsAddUp(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	const hour contact.Millis = 3_600_000
	flow := func(at contact.Millis, n int64) postgres.Flow {
		return postgres.Flow{Tenant: "acme", Field: "city", Into: contact.Aloware, Hour: at, Contacts: n}
	}
	window := func(now int64) []postgres.FlowWindow {
		return []postgres.FlowWindow{{Tenant: "acme", Field: "city", Into: contact.Aloware, Source: "IMPORT", Slot: 12, Now: now, Before: 1}}
	}
	for _, step := range []struct {
		flows   []postgres.Flow
		windows []postgres.FlowWindow
	}{
		{[]postgres.Flow{flow(hour, 5), flow(2*hour, 3)}, window(4)},
		{[]postgres.Flow{flow(hour, 2), flow(2*hour, -9)}, window(6)},
		{nil, window(7)},
		{[]postgres.Flow{flow(3*hour, 1)}, nil},
	} {
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.SaveFlows(t.Context(), step.flows, step.windows) }); err != nil {
			t.Fatal(err)
		}
	}
	flows, windows, err := db.Flows(t.Context(), "acme", hour)
	got := make(map[contact.Millis]int64)
	for _, f := range flows {
		got[f.Hour/hour] = f.Contacts
	}
	if err != nil || len(got) != 3 || got[1] != 7 || got[2] != 0 || got[3] != 1 {
		t.Errorf("the hours are %v, %v", got, err)
	}
	if len(windows) != 1 || windows[0].Now != 7 || windows[0].Source != "IMPORT" || windows[0].Slot != 12 {
		t.Errorf("the windows are %+v", windows)
	}
	if err := db.ForgetFlows(t.Context(), 3*hour); err != nil {
		t.Fatal(err)
	}
	if flows, windows, err = db.Flows(t.Context(), "acme", 0); err != nil || len(flows) != 1 || len(windows) != 0 {
		t.Errorf("after the old ones were forgotten there are %v and %v, %v", flows, windows, err)
	}
}
