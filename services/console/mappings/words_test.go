package mappings_test

import (
	"testing"

	"lockstep.internal/pkg/contact"
)

// TestValuesAreReadInWords: an option by HubSpot's label, one that only Aloware
// has by Aloware's, and what is no option as it is.
func TestValuesAreReadInWords(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.list(contact.HubSpot, contact.OptionList("hs_lead_status"), option("IN_PROGRESS", "In Progress"))
	e.list(contact.Aloware, contact.OptionList("disposition_status_id"), option("5503", "In progress"), option("5599", "Called back"))
	words, err := e.Words(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ field, value, want string }{
		{"contact_disposition_status", "IN_PROGRESS", "In Progress"},
		{"contact_disposition_status", "5599", "Called back"},
		{"contact_disposition_status", "GONE", "GONE"},
		{"contact_disposition_status", "", ""},
		{"tcpa_approved", "true", "yes"},
		{"dnc", "false", "no"},
		{"last_inbound_call_datetime", "2026-01-02T15:04:05.000Z", "2026-01-02 15:04:05 UTC"},
		{"first_name", "true", "true"},
		{"nothing", "IN_PROGRESS", "IN_PROGRESS"},
	} {
		if got := words.Of(c.field, c.value); got != c.want {
			t.Errorf("%s of %s reads %q, want %q", c.value, c.field, got, c.want)
		}
	}
}
