package mapper_test

import (
	"fmt"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestDispositionsAreLearntFromWhatPassesBy: by how many contacts have which id
// of Aloware that nobody paired, beside what HubSpot has of them; each contact
// counts once, and no more when it has another one, is paired, or is erased.
func TestDispositionsAreLearntFromWhatPassesBy(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	counts := func(want ...string) {
		t.Helper()
		seen, err := e.db.SeenDispositions(t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range seen {
			got = append(got, fmt.Sprintf("%s with %q: %d", c.ID, c.Value, c.Contacts))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("counted are %v, want %v", got, want)
		}
	}
	const at contact.Millis = 1_700_000_000_000
	aloware := func(n int, at contact.Millis, disposition, city string) contact.Incoming {
		return snapshot(contact.Aloware, fmt.Sprint(10+n), at, "phone_number", fmt.Sprintf("+1202555014%d", n), "disposition_status_id", disposition, "city", city)
	}
	list := &contact.Directory{System: contact.HubSpot, List: contact.OptionList("hs_lead_status"), ReadAt: at}
	for _, value := range []string{"NEW", "OPEN"} {
		list.Entries = append(list.Entries, contact.DirectoryEntry{Value: value, Match: value, Label: value, Active: true})
	}
	e.say(contact.Incoming{Directory: list})
	for n, status := range []string{"NEW", "NEW", "OPEN"} {
		e.say(snapshot(contact.HubSpot, fmt.Sprint(n), at, "phone", fmt.Sprintf("+1202555014%d", n), "hs_lead_status", status))
		e.say(made(e.newest(contact.Aloware, contact.Key(fmt.Sprint("hubspot:", n))), contact.Made, fmt.Sprint(10+n), at+1000))
		e.say(aloware(n, at+2000, "3", ""))
	}
	counts(`3 with "NEW": 2`, `3 with "OPEN": 1`)
	e.say(aloware(0, at+3000, "3", "Reno"), aloware(1, at+3000, "7", ""))
	counts(`3 with "NEW": 1`, `3 with "OPEN": 1`, `7 with "NEW": 1`)
	e.say(erased("1", at+4000))
	counts(`3 with "NEW": 1`, `3 with "OPEN": 1`)

	e.stop()
	pairs := []mapping.Pair{{Aloware: "3", HubSpot: "NEW"}}
	next, err := e.set.Apply(mapping.Schema{}, mapping.SetFields{Key: "contact_disposition_status", Options: &pairs})
	if err != nil {
		t.Fatal(err)
	}
	next.Version = e.set.Version + 1
	e.set = next
	e.start()
	e.say(aloware(0, at+5000, "3", "Elko"), aloware(2, at+5000, "3", "Elko"))
	counts()
}
