package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/postgres/pgtest"
)

type contactKey = contact.Key

// TestTwoSaversOfOneContact: the second, who did not see the first's save,
// stores nothing at all.
func TestTwoSaversOfOneContact(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	save := func(contacts ...postgres.StoredContact) error {
		return db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.SaveContacts(t.Context(), contacts) })
	}
	row := postgres.StoredContact{Tenant: "demo", Key: "hubspot:1", Version: 1, State: []byte("one")}
	if err := save(row); err != nil {
		t.Fatal(err)
	}
	if err := save(postgres.StoredContact{Tenant: "demo", Key: "hubspot:2", State: []byte("new")}, row); !errors.Is(err, postgres.ErrRevision) {
		t.Fatalf("a save on an old revision gave %v", err)
	}
	stored, err := db.Contacts(t.Context(), []contact.Tenant{"demo", "demo"}, []contact.Key{"hubspot:1", "hubspot:2"})
	if err != nil || len(stored) != 1 || string(stored[0].State) != "one" || stored[0].Revision != 1 {
		t.Fatalf("stored is %+v, %v; want the first save alone", stored, err)
	}
	if err := save(stored[0]); err != nil {
		t.Errorf("a save on the present revision: %v", err)
	}
}

// TestContactsAreFoundByAnyReference of their own tenant only, until it is
// taken away.
func TestContactsAreFoundByAnyReference(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	phone := postgres.Ref{Tenant: "demo", Kind: postgres.RefPhone, Value: "+12025550142"}
	change := func(changes ...postgres.RefChange) {
		t.Helper()
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.ChangeRefs(t.Context(), changes) }); err != nil {
			t.Fatal(err)
		}
	}
	change(postgres.RefChange{Ref: phone, Contact: "hubspot:1"}, postgres.RefChange{Ref: phone, Contact: "aloware:2"}, postgres.RefChange{Ref: phone, Contact: "hubspot:1"})
	other := phone
	other.Tenant = "other"
	found, err := db.ContactKeys(t.Context(), []postgres.Ref{phone, other})
	if err != nil || len(found[phone]) != 2 || len(found[other]) != 0 {
		t.Fatalf("found %v, %v; want both contacts of the tenant and none of the other", found, err)
	}
	change(postgres.RefChange{Ref: phone, Contact: "hubspot:1", Remove: true})
	if found, err = db.ContactKeys(t.Context(), []postgres.Ref{phone}); err != nil || len(found[phone]) != 1 || found[phone][0] != "aloware:2" {
		t.Errorf("found %v, %v after the removal", found, err)
	}
}

// TestHistoryIsKeptByContact and erased with it.
func TestHistoryIsKeptByContact(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	row := postgres.HistoryRow{Tenant: "demo", Contact: "hubspot:1", At: time.Now(), Field: "email", System: contact.HubSpot, Rule: "intent", Value: "a@example.com"}
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.AppendHistory(t.Context(), []postgres.HistoryRow{row, row}) }); err != nil {
		t.Fatal(err)
	}
	if history, err := db.History(t.Context(), "demo", "hubspot:1", "", 0, 10); err != nil || len(history) != 2 || history[0].Value != "a@example.com" {
		t.Fatalf("history is %+v, %v", history, err)
	}
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		return tx.DeleteContacts(t.Context(), []contact.Tenant{"demo"}, []contact.Key{"hubspot:1"}, true)
	}); err != nil {
		t.Fatal(err)
	}
	if history, err := db.History(t.Context(), "demo", "hubspot:1", "", 0, 10); err != nil || len(history) != 0 {
		t.Errorf("after the erasure history is %+v, %v", history, err)
	}
}

// TestOldHistoryGoes with its month's partition, and from the default one;
// what came before its partition was made moves into it.
func TestOldHistoryGoes(t *testing.T) {
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
	owner, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(context.WithoutCancel(t.Context()))
	now := time.Now().UTC()
	next := "contact_history_" + now.AddDate(0, 0, 1-now.Day()).AddDate(0, 1, 0).Format("200601")
	if _, err := owner.Exec(t.Context(), `CREATE TABLE contact_history_202001 PARTITION OF contact_history FOR VALUES FROM ('2020-01-01') TO ('2020-02-01'); DROP TABLE `+next); err != nil {
		t.Fatal(err)
	}
	row := postgres.HistoryRow{Tenant: "demo", Contact: "hubspot:1", System: contact.HubSpot, Rule: "intent"}
	at := map[string]time.Time{
		"month": time.Date(2020, 1, 15, 0, 0, 0, 0, time.UTC), "default": now.AddDate(0, -8, 0), "young": now.AddDate(0, -2, 0), "now": now,
		"ahead": now.AddDate(0, 0, 1-now.Day()).AddDate(0, 1, 0).Add(time.Hour),
	}
	var rows []postgres.HistoryRow
	for value, when := range at {
		row.Value, row.At = value, when
		rows = append(rows, row)
	}
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.AppendHistory(t.Context(), rows) }); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again, it changes nothing
		if err := db.KeepHistory(t.Context(), 100*24*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	left, err := db.History(t.Context(), "demo", "hubspot:1", "", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, h := range left {
		values = append(values, h.Value)
	}
	slices.Sort(values)
	if want := []string{"ahead", "now", "young"}; !slices.Equal(values, want) {
		t.Errorf("left are %v, want %v", values, want)
	}
	var ahead, old int
	if err := owner.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM `+next+`), (SELECT count(*) FROM pg_class WHERE relname = 'contact_history_202001')`).Scan(&ahead, &old); err != nil || ahead != 1 || old != 0 {
		t.Errorf("the next month's partition holds %d rows, and there are %d old partitions, %v", ahead, old, err)
	}
}

// TestContactsAreFoundByTheBeginningOfAName: of the first name or of what
// follows it, in any case, of one tenant only, and a text that means something
// to SQL means nothing.
func TestContactsAreFoundByTheBeginningOfAName(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	var rows []postgres.StoredContact
	for key, name := range map[contact.Key]string{"a:1": "Zoë Müller", "a:2": "Zora van der Berg", "a:3": "Berg", "a:4": "100% sure", "a:5": ""} {
		rows = append(rows, postgres.StoredContact{Tenant: "demo", Key: key, Name: name, State: []byte("x")})
	}
	rows = append(rows, postgres.StoredContact{Tenant: "other", Key: "a:9", Name: "Zoë Other", State: []byte("x")})
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return tx.SaveContacts(t.Context(), rows) }); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][]contact.Key{
		"zo": {"a:1", "a:2"}, "ZOË": {"a:1"}, "mül": {"a:1"}, "van d": {"a:2"}, "berg": {"a:3"}, "zoë müller": {"a:1"},
		"%": nil, "100%": {"a:4"}, "_": nil, "nobody": nil,
	} {
		got, err := db.ContactsNamed(t.Context(), "demo", query, 10)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q finds %v and %v, want %v", query, got, err, want)
		}
	}
	for query, want := range map[string][]contact.Key{"ber": {"a:2", "a:3"}, "ÜLL": {"a:1"}, "%": {"a:4"}, "_": nil, `\\`: nil} {
		got, err := db.ContactsNamedLike(t.Context(), "demo", query, 10)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is held by %v and %v, want %v", query, got, err, want)
		}
	}
	if got, err := db.ContactsNamed(t.Context(), "demo", "zo", 1); err != nil || len(got) != 1 {
		t.Errorf("one of two gives %v and %v", got, err)
	}
}
