package mapping

import (
	"os"
	"slices"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
)

// TestCatalogueIsTheAgreedList holds the product's rows against a copy of the
// list that the product was specified by.
func TestCatalogueIsTheAgreedList(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/catalogue.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")[1:]
	rows := Catalogue()
	if len(lines) != 55 || len(rows) != len(lines) {
		t.Fatalf("got %d rows, list has %d, want 55", len(rows), len(lines))
	}
	types := map[string]contact.Type{
		"phone": contact.Phone, "email": contact.Email, "hubspot_user": contact.User, "radio": contact.Option,
		"text": contact.Text, "dropdown": contact.Option, "custom": contact.Text, "checkbox": contact.Checkbox,
		"multiline": contact.Multiline, "number": contact.Number, "date": contact.Date, "datetime": contact.Datetime,
	}
	for i, line := range lines {
		want := strings.Split(line, "\t")
		row := rows[i]
		if row.Key != want[1] || string(row.Category) != want[0] || row.AlowareLabel != want[2] || row.HubSpotLabel != want[4] {
			t.Errorf("row %d: got %s/%s/%s/%s, want %s/%s/%s/%s", i, row.Category, row.Key, row.AlowareLabel, row.HubSpotLabel, want[0], want[1], want[2], want[4])
		}
		if want[3] == "custom" {
			if !row.Create {
				t.Errorf("%s: a custom property must be ours to create", row.Key)
			}
		} else if row.HubSpot != want[3] || row.Create {
			t.Errorf("%s: HubSpot property %q, want %q", row.Key, row.HubSpot, want[3])
		}
		kind, options, _ := strings.Cut(want[5], ": ")
		wantType := types[kind]
		if row.Key == "date_of_birth" {
			wantType = contact.Date // three spellings of a date are in use there; as a text they would never agree
		}
		if row.Type != wantType {
			t.Errorf("%s: type %s, want %s", row.Key, row.Type, wantType)
		}
		if got := strings.Join(row.Options, "|"); got != options {
			t.Errorf("%s: options %q, want %q", row.Key, got, options)
		}
		var allowed []string
		for _, direction := range row.Allowed {
			allowed = append(allowed, direction.String())
		}
		if got := strings.Join(allowed, ","); got != want[6] {
			t.Errorf("%s: allowed %q, want %q", row.Key, got, want[6])
		}
		if row.Default.String() != want[7] || !slices.Contains(row.Allowed, row.Default) {
			t.Errorf("%s: default %s, want %s", row.Key, row.Default, want[7])
		}
	}
}

// TestDefaultSetUsesEachPropertyOnce: a property of either side is in at most
// one mapping, and all 55 are there.
func TestDefaultSetUsesEachPropertyOnce(t *testing.T) {
	t.Parallel()
	set := Default(nil)
	for _, system := range contact.Systems {
		seen := map[string]string{}
		for _, m := range set.Mappings {
			name := m.Property(system)
			if other, taken := seen[name]; taken {
				t.Errorf("%s property %q is used by %s and %s", system, name, other, m.Key)
			}
			seen[name] = m.Key
			if set.ByProperty(system, name) == nil {
				t.Errorf("%s property %q is not found again", system, name)
			}
		}
		if len(seen) != 55 {
			t.Errorf("%s: %d properties, want 55", system, len(seen))
		}
	}
	if got := set.ByKey("phone_number").HubSpot; got != "phone" {
		t.Errorf("phone number is mapped to %q, want phone", got)
	}
}
