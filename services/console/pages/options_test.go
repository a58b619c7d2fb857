package pages

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/mappings"
)

// choice is what a form of the option map sends for each row.
var choice = regexp.MustCompile(`name="pair-aloware"(?: value="([^"]*)")?|<select name="pair-hubspot"|<option value="([^"]*)" selected|</select>`)

// sent is the option map as a browser sends it when nothing was touched.
func sent(t *testing.T, html string) url.Values {
	t.Helper()
	form, selected := url.Values{}, ""
	for _, part := range choice.FindAllStringSubmatch(html, -1) {
		switch {
		case strings.HasPrefix(part[0], "name="):
			form.Add("pair-aloware", part[1])
		case strings.HasPrefix(part[0], "<select"):
			selected = ""
		case strings.HasPrefix(part[0], "<option"):
			selected = part[2]
		default:
			form.Add("pair-hubspot", selected)
		}
	}
	return form
}

// TestOptionsAreChosenFromBothLists: each option of Aloware with the one that it
// meets, or, where Aloware does not tell its options, each of HubSpot's with an
// id to type; the form that nobody touched keeps the map as it is.
func TestOptionsAreChosenFromBothLists(t *testing.T) {
	t.Parallel()
	templates, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	hubspot := []contact.DirectoryEntry{{Value: "NEW", Match: "NEW", Label: "New"}, {Value: "OPEN", Match: "OPEN", Label: "Open"}, {Value: "WON", Match: "WON", Label: "Won"}}
	aloware := []contact.DirectoryEntry{{Value: "3", Match: "NEW", Label: "Fresh"}, {Value: "4", Label: "open"}, {Value: "5", Label: "Own"}, {Value: "6", Label: "Third"}}
	pairs := []mapping.Pair{{Aloware: "6", HubSpot: "WON"}, {Aloware: "9", HubSpot: "GONE"}}
	for _, c := range []struct {
		name    string
		options [2][]contact.DirectoryEntry
		shows   []string
		fields  int // rows; 0 for lines
	}{
		{"both are known", [2][]contact.DirectoryEntry{hubspot, aloware}, []string{"by itself: New", "by itself: Open", "not paired", "meets nothing", "GONE (not in HubSpot)"}, 5},
		{"Aloware tells none", [2][]contact.DirectoryEntry{hubspot, nil}, []string{`placeholder="id in Aloware"`, ">Open<"}, 5},
		{"neither is known", [2][]contact.DirectoryEntry{}, []string{"6 = WON\n9 = GONE"}, 0},
	} {
		var out bytes.Buffer
		if err := templates.pages["mapping"].ExecuteTemplate(&out, "option-map", optionsOf(pairs, c.options)); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.shows {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is not shown in\n%s", c.name, want, out.String())
			}
		}
		form := sent(t, out.String())
		if len(form["pair-aloware"]) != c.fields || len(form["pair-hubspot"]) != c.fields {
			t.Errorf("%s: %d and %d fields, want %d rows", c.name, len(form["pair-aloware"]), len(form["pair-hubspot"]), c.fields)
		}
		if c.fields == 0 {
			form.Set("options", "6 = WON\n9 = GONE")
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		set, err := fieldsOf(r, "contact_disposition_status")
		if err != nil {
			t.Fatal(err)
		}
		if set.Options == nil || fmt.Sprint(*set.Options) != fmt.Sprint(pairs) {
			t.Errorf("%s: the form sends the pairs %v, want %v", c.name, set.Options, pairs)
		}
	}
}

// TestSeenDispositionsAreOffered with the option that suggests itself, to those
// who may pair them.
func TestSeenDispositionsAreOffered(t *testing.T) {
	t.Parallel()
	templates, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	p := &Pages{Config: Config{Roster: rosterOf(t, "own")}, templates: templates}
	views := []dispositionView{{
		Title: "Contact dispositions", List: []mappings.Disposition{{Value: "NEW", Label: "New", Locked: true}, {Value: "OPEN", Label: "Open", Locked: true}},
		Seen: []mappings.SeenDisposition{{ID: "7", Contacts: 1200, SeenAt: time.Now(), Suggested: contact.DirectoryEntry{Value: "OPEN", Label: "Open"}, Agreeing: 1100}},
	}}
	for role, may := range map[access.Role]bool{access.Viewer: false, access.Administrator: true} {
		r := httptest.NewRequest("GET", "/tenants/own/dispositions", nil)
		r.SetPathValue("tenant", "own")
		r = r.WithContext(access.With(r.Context(), access.Caller{Name: "ada", Tenants: map[contact.Tenant]access.Role{"own": role}}))
		var out bytes.Buffer
		if err := templates.page(&out, "dispositions", p.frame(r, page{name: "dispositions", data: views})); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), `<option value="OPEN" selected>`) && strings.Contains(out.String(), `name="id" value="7"`); got != may {
			t.Errorf("%s is offered the pairing: %v\n%s", role, got, out.String())
		}
		if !strings.Contains(out.String(), "Open of 1") {
			t.Errorf("%s is not told what HubSpot has\n%s", role, out.String())
		}
	}
}
