package mappings_test

import (
	"strings"
	"testing"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
)

func user(id, email string, active bool) contact.DirectoryEntry {
	return contact.DirectoryEntry{Value: id, Match: email, Label: "User " + id, Active: active}
}

// TestOnlyUsersOfBothSystemsAreOffered, matched by e-mail and active in both;
// of each other one it is told why not.
func TestOnlyUsersOfBothSystemsAreOffered(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.list(contact.HubSpot, contact.UserList, user("1", "both@example.com", true), user("2", "hub@example.com", true), user("3", "left@example.com", false), user("4", "gone@example.com", true), user("6", "again@example.com", false), user("7", "again@example.com", true))
	e.list(contact.Aloware, contact.UserList, user("21", "both@example.com", true), user("25", "alo@example.com", true), user("23", "left@example.com", true), user("24", "gone@example.com", false), user("26", "again@example.com", true), user("27", "", false), user("28", "", true))
	users, err := e.Users(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	why := make(map[string]string)
	for i, u := range users {
		name := u.Email
		if name == "" {
			name = u.Sides[1].Value
		}
		why[name] = u.WhyNot
		if i < 2 != (u.WhyNot == "") {
			t.Errorf("place %d is %s (%s); want those that are offered first", i, name, u.WhyNot)
		}
		if u.Email == "again@example.com" && u.Sides[0].Value != "7" {
			t.Errorf("of two users with one address %s is taken, want the active one", u.Sides[0].Value)
		}
	}
	for name, want := range map[string]string{
		"both@example.com": "", "again@example.com": "", "hub@example.com": "Aloware has no user", "alo@example.com": "HubSpot has no user",
		"left@example.com": "deactivated in HubSpot", "gone@example.com": "deactivated in Aloware", "27": "deactivated in Aloware", "28": "no e-mail address",
	} {
		if got, ok := why[name]; !ok || want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s is not offered because %q, want %q", name, got, want)
		}
	}
	offered, err := e.Offered(t.Context(), acme)
	if err != nil || strings.Join(offered, " ") != "again@example.com both@example.com" {
		t.Errorf("offered are %v, %v", offered, err)
	}
}

// TestAgentsPickFromHubSpotsList alone, of contacts and of calls: what HubSpot
// hides, what Aloware has not yet, and what Aloware alone has are not offered.
func TestAgentsPickFromHubSpotsList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		calls          bool
		hubspot, other string
	}{
		{false, "hs_lead_status", aloware.DispositionProperty},
		{true, "hs_call_disposition", aloware.CallDispositionProperty},
	} {
		e := newEnv(t)
		hidden := option("OLD", "Old")
		hidden.Active = false
		offered := func() (names []string, why map[string]string) {
			t.Helper()
			list, _, cannot, err := e.Dispositions(t.Context(), acme, c.calls)
			if err != nil || cannot == "" { // the public API lists none
				t.Fatalf("%v, %q", err, cannot)
			}
			why = make(map[string]string)
			for _, d := range list {
				if why[d.Label] = d.WhyNot; d.WhyNot == "" {
					names = append(names, d.Label)
				}
				if d.Locked != (d.Value != "") {
					t.Errorf("%s is HubSpot's own: %v", d.Label, d.Locked)
				}
			}
			return names, why
		}
		e.list(contact.HubSpot, contact.OptionList(c.hubspot), option("NEW", "New"), option("OPEN", "Open"), option("LATE", "Late"), hidden)
		if names, why := offered(); c.calls != (len(names) == 3) || !c.calls && !strings.Contains(why["New"], "not known") {
			t.Errorf("calls %v: without Aloware's list %v are offered: %v", c.calls, names, why)
		}
		e.list(contact.Aloware, contact.OptionList(c.other), contact.DirectoryEntry{Value: "3", Match: "NEW", Label: "New", Active: true},
			contact.DirectoryEntry{Value: "4", Label: "open", Active: true}, contact.DirectoryEntry{Value: "9", Label: "Own", Active: true})
		names, why := offered()
		if strings.Join(names, " ") != "New Open" || !strings.Contains(why["Own"], "HubSpot does not have it") || !strings.Contains(why["Late"], "not have it yet") || !strings.Contains(why["Old"], "hides") {
			t.Errorf("calls %v: %v are offered; others are not: %v", c.calls, names, why)
		}
		e.list(contact.HubSpot, contact.OptionList(c.hubspot), option("OPEN", "Open"))
		if names, why := offered(); strings.Join(names, " ") != "Open" || !strings.Contains(why["New"], "HubSpot does not have it") {
			t.Errorf("calls %v: after HubSpot removed one, %v are offered: %v", c.calls, names, why)
		}
	}
}

// TestThePickerSaysWhyNot of each property that cannot be chosen, and puts those
// that can first.
func TestThePickerSaysWhyNot(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	list, complete, err := e.Properties(t.Context(), acme, nil, contact.HubSpot, "city", "", "")
	if err != nil || !complete {
		t.Fatalf("%v, complete: %v", err, complete)
	}
	why, barred := make(map[string]string), false
	for _, c := range list {
		why[c.Name] = c.WhyNot
		if barred = barred || c.WhyNot != ""; barred && c.WhyNot == "" {
			t.Errorf("%s can be chosen and comes after one that cannot", c.Name)
		}
	}
	for name, want := range map[string]string{
		"jobtitle": "", "city": "", "email": `already mapped by "Email"`, "lifecyclestage": "already mapped",
	} {
		if got, ok := why[name]; !ok || want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s cannot be chosen because %q, want %q", name, got, want)
		}
	}
	dates, _, err := e.Properties(t.Context(), acme, nil, contact.HubSpot, "date_of_birth", "", "createdate")
	if err != nil || len(dates) == 0 || !strings.Contains(dates[0].WhyNot, "time of day") {
		t.Errorf("of a date with a time for one without it is said %v, %v", dates, err)
	}
	if found, _, err := e.Properties(t.Context(), acme, nil, contact.HubSpot, "", "csf9", "job title"); err != nil || len(found) != 1 || found[0].Name != "jobtitle" {
		t.Errorf("a search finds %v, %v", found, err)
	}
	if _, complete, err := e.Properties(t.Context(), acme, nil, contact.Aloware, "", "jobtitle", ""); err != nil || complete {
		t.Errorf("an account that does not tell its fields gives a complete list: %v, %v", complete, err)
	}
}
