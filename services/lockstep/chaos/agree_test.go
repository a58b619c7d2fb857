package chaos

import (
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
)

// TestJudge: what is found wrong, and what cannot be told.
func TestJudge(t *testing.T) {
	t.Parallel()
	ruleOf := make(map[string]*rule)
	for i := range rules {
		ruleOf[rules[i].hubspot] = &rules[i]
	}
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	made := func(seconds float64, value string) edit {
		return edit{at: start.Add(time.Duration(seconds * float64(time.Second))), value: value}
	}
	const ok, differ, lost, ambiguous, standing = "", "differ", "lost", "ambiguous", "standing"
	for _, test := range []struct {
		name             string
		field            string
		hubspot, aloware edit // last made by people
		h, a             string
		unheard          bool // Aloware's webhooks of second 0 were lost
		want             string
	}{
		{"two-way, never edited", "email", edit{}, edit{}, "x", "x", false, ok},
		{"two-way, sides differ", "email", made(0, "x"), edit{}, "x", "y", false, differ},
		{"two-way, the later edit", "email", made(0, "x"), made(9, "y"), "y", "y", false, ok},
		{"two-way, the earlier edit", "email", made(0, "x"), made(9, "y"), "x", "x", false, lost},
		{"two-way, the earlier edit within a tick", "email", made(0, "x"), made(1, "y"), "x", "x", false, ambiguous},
		{"two-way, a value of nobody", "email", made(0, "x"), made(1, "y"), "z", "z", false, lost},
		{"two-way, the earlier edit was unheard of", "email", made(9, "x"), made(0, "y"), "y", "y", true, ambiguous},
		{"two-way, the later edit was unheard of", "email", made(-9, "x"), made(0, "y"), "x", "x", true, lost},
		{"to Aloware, arrived", "city", made(9, "x"), made(0, "y"), "x", "x", false, ok},
		{"to Aloware, not arrived", "city", made(9, "x"), made(0, "y"), "x", "y", false, lost},
		{"to Aloware, its own edit later", "city", made(0, "x"), made(9, "y"), "x", "y", false, standing},
		{"to Aloware, its own edit overwritten", "city", made(0, "x"), made(9, "y"), "x", "x", false, ok},
		{"to Aloware, its own edit a tick earlier", "city", made(1, "x"), made(0, "y"), "x", "y", false, ambiguous},
		{"to Aloware, its own edit unheard of", "city", made(9, "x"), made(0, "y"), "x", "y", true, ambiguous},
		{"to Aloware, source overwritten", "city", made(0, "x"), made(9, "y"), "y", "y", false, lost},
		{"to Aloware, source never edited", "city", edit{}, made(9, "y"), "x", "y", false, ok},
		{"to HubSpot, arrived", "aloware_lead_source", edit{}, made(0, "x"), "x", "x", false, ok},
		{"to HubSpot, a clear not arrived", "aloware_lead_source", edit{}, made(0, ""), "x", "", false, lost},
		{"to HubSpot, its own edit earlier", "aloware_lead_source", made(0, "y"), made(9, "x"), "y", "x", true, lost},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, p, r := &account{alowareWebhooks: &link{}}, newPerson("+14155550100"), ruleOf[test.field]
			if test.unheard {
				a.alowareWebhooks.lost(start, start)
			}
			for side, e := range map[contact.System]edit{contact.HubSpot: test.hubspot, contact.Aloware: test.aloware} {
				if e.made() {
					p.edited(r, side, e.value, e.at)
				}
			}
			var f findings
			a.judge(&f, p, r, map[string]string{r.hubspot: test.h}, map[string]string{r.read: test.a})
			got := map[string]int{differ: f.differ, lost: f.lost, ambiguous: f.ambiguous, standing: f.standing}
			for name, n := range got {
				if want := map[bool]int{true: 1}[name == test.want]; n != want {
					t.Errorf("%s is %d, want %d: %v", name, n, want, f.wrong)
				}
			}
			if len(f.wrong) != f.differ+f.lost {
				t.Errorf("%d findings, said as %v", f.differ+f.lost, f.wrong)
			}
		})
	}
}

// TestEditsOfOneSecond: of edits within one second of Aloware's clock nobody
// can tell the order once their webhooks were in disorder; of edits in HubSpot,
// whose clock is finer, and of those further apart, everybody can.
func TestEditsOfOneSecond(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name      string
		side      contact.System
		apart     time.Duration
		ambiguous int
	}{
		{"in Aloware, within a second", contact.Aloware, 900 * time.Millisecond, 1},
		{"in Aloware, further apart", contact.Aloware, time.Second, 0},
		{"in HubSpot, within a second", contact.HubSpot, 900 * time.Millisecond, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, f := newPerson("+14155550100"), findings{}
			for i := range rules {
				if r := &rules[i]; r.hubspot == "email" {
					p.edited(r, test.side, "first", start)
					p.edited(r, test.side, "second", start.Add(test.apart))
					(&account{alowareWebhooks: &link{}}).judge(&f, p, r, map[string]string{r.hubspot: "first"}, map[string]string{r.read: "first"})
				}
			}
			if f.ambiguous != test.ambiguous || f.lost != 1-test.ambiguous {
				t.Errorf("%d ambiguous and %d lost, want %d and %d: %v", f.ambiguous, f.lost, test.ambiguous, 1-test.ambiguous, f.wrong)
			}
		})
	}
}
