package mappings_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// option is one of HubSpot's as the stored list has it.
func option(value, label string) contact.DirectoryEntry {
	return contact.DirectoryEntry{Value: value, Match: value, Label: label, Active: true}
}

// TestDispositionsThatContactsHaveAreSuggested: with what HubSpot has of most of
// the contacts, unless that is paired already; pairing one is an edit of the
// option map beside those that are there, and an account that lists its
// dispositions needs none.
func TestDispositionsThatContactsHaveAreSuggested(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.list(contact.HubSpot, contact.OptionList("hs_lead_status"), option("NEW", "New"), option("OPEN", "Open"))
	seen := func(want ...string) {
		t.Helper()
		list, err := e.SeenDispositions(t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range list {
			got = append(got, fmt.Sprintf("%s of %d: %s of %d", d.ID, d.Contacts, d.Suggested.Label, d.Agreeing))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("to pair are %q, want %q", got, want)
		}
	}
	seen()
	e.inTx(func(tx *postgres.Tx) error {
		return tx.CountDispositions(t.Context(), map[postgres.DispositionPair]int64{
			{Tenant: acme, ID: "3", Value: "NEW"}: 7, {Tenant: acme, ID: "3", Value: "OPEN"}: 2, {Tenant: acme, ID: "3"}: 9,
			{Tenant: acme, ID: "12", Value: "NEW"}: 1, {Tenant: acme, ID: "5", Value: "GONE"}: 4, {Tenant: "other", ID: "4", Value: "NEW"}: 1,
		}, time.Now())
	})
	seen("3 of 18: New of 7", "5 of 4:  of 0", "12 of 1: New of 1")
	before, err := e.Get(t.Context(), acme, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(before.Set.ByKey("contact_disposition_status").Options) > 0 {
		t.Error("something was paired by itself")
	}
	if _, err := e.PairDisposition(t.Context(), acme, "3", "NEW", "ada"); err != nil {
		t.Fatal(err)
	}
	seen("5 of 4:  of 0", "12 of 1:  of 0")
	saved, err := e.PairDisposition(t.Context(), acme, "5", "OPEN", "ada")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(saved.Set.ByKey("contact_disposition_status").Options); got != "[{3 NEW} {5 OPEN}]" || saved.Author != "ada" || !strings.Contains(saved.Reason, "5") {
		t.Errorf("saved are the pairs %s by %s: %s", got, saved.Author, saved.Reason)
	}
	if _, err := e.PairDisposition(t.Context(), acme, "5", "NEW", "ada"); err == nil {
		t.Error("an id was paired twice")
	}
	e.list(contact.Aloware, contact.OptionList(aloware.DispositionProperty), contact.DirectoryEntry{Value: "12", Label: "Own", Active: true})
	seen()
}
