package hubspot_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
)

// TestWireComesBack: canonical to wire to canonical is the identity.
func TestWireComesBack(t *testing.T) {
	t.Parallel()
	kinds := map[contact.Type]*rapid.Generator[string]{
		contact.Text: rapid.String(), contact.Multiline: rapid.String(), contact.Option: rapid.String(),
		contact.Email: rapid.StringMatching(`[A-Za-z]{1,8}@[A-Z]{1,5}\.com`), contact.User: rapid.StringMatching(`[0-9]{1,12}`),
		contact.Number:   rapid.StringMatching(`-?[0-9]{1,18}(\.[0-9]{1,9})?`),
		contact.Checkbox: rapid.SampledFrom([]string{"true", "0", "Yes", "no", ""}),
		contact.Phone:    rapid.StringMatching(`\+1415555[0-9]{4}`),
		contact.Date: rapid.Custom(func(t *rapid.T) string {
			return time.Unix(rapid.Int64Range(-2e9, 4e9).Draw(t, "s"), 0).UTC().Format(time.DateOnly)
		}),
		contact.Datetime: rapid.Custom(func(t *rapid.T) string {
			return contact.FormatInstant(contact.Millis(rapid.Int64Range(-2e12, 4e12).Draw(t, "ms")))
		}),
	}
	rapid.Check(t, func(t *rapid.T) {
		for kind, generator := range kinds {
			canonical, err := contact.Canonical(kind, generator.Draw(t, kind.String()), "US")
			if err != nil {
				t.Fatal(err)
			}
			wire, err := hubspot.Wire(kind, canonical)
			if err != nil {
				t.Fatalf("%s %q: %v", kind, canonical, err)
			}
			again, err := contact.Canonical(kind, wire, "US")
			if err != nil || again != canonical {
				t.Fatalf("%s %q: wire %q comes back as %q, %v", kind, canonical, wire, again, err)
			}
		}
	})
}

// TestWireRefuses: what HubSpot cannot hold is refused before it is sent.
func TestWireRefuses(t *testing.T) {
	t.Parallel()
	if _, err := hubspot.Wire(contact.Text, strings.Repeat("ä", 65536)); err != nil {
		t.Errorf("65,536 characters: %v", err)
	}
	for _, c := range []struct {
		t    contact.Type
		text string
	}{{contact.Text, strings.Repeat("a", 65537)}, {contact.Date, "23.11.2026"}, {contact.Checkbox, "perhaps"}, {contact.Number, "1,5"}} {
		if _, err := hubspot.Wire(c.t, c.text); !fault.Is(err, fault.Permanent) {
			t.Errorf("%s: got %v, want permanent", c.t, err)
		}
	}
}

// TestZones: HubSpot's spelling of a time zone leads to its IANA name.
func TestZones(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]string{
		"america_slash_los_angeles":                  "America/Los_Angeles",
		"pacific_slash_pago_pago":                    "Pacific/Pago_Pago",
		"us_slash_samoa":                             "US/Samoa",
		"america_slash_argentina_slash_buenos_aires": "America/Argentina/Buenos_Aires",
		"america_slash_port_hyphen_au_hyphen_prince": "America/Port-au-Prince",
		"america_slash_port-au-prince":               "America/Port-au-Prince",
		"etc_slash_gmt_plus_5":                       "Etc/GMT+5",
		"utc":                                        "UTC",
		"nowhere_slash_land":                         "nowhere_slash_land",
	} {
		if got := hubspot.Zone(option); got != want {
			t.Errorf("%s: got %s, want %s", option, got, want)
		}
	}
}
