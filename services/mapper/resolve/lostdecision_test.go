package resolve

import (
	"testing"

	"lockstep.internal/pkg/contact"
)

// TestAnEditIsNotTakenForTheWriteThatItLedTo: the mapper had published a write and was
// killed before it stored the decision. Its successor hears of the edit, and then of
// the answer of that write, in the same second of Aloware's clock. Where nobody set this
// value in HubSpot, it can only have come of the edit.
func TestAnEditIsNotTakenForTheWriteThatItLedTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hubspot string // what was set there a while before
		want    string
	}{
		"nobody set it in HubSpot":  {"two", "one"},
		"it was set in HubSpot too": {"one", "one"},
	} {
		s := newScript(t)
		s.step(words("set city direction=both"))
		s.step(words("both"))
		judge := func(what func(*Judge)) {
			s.events++
			j := NewJudge(s.rules, "hubspot:100", s.state, Decision{Version: contact.Version(100 * s.events), Now: s.now, EventID: name + string(rune('a'+s.events))})
			what(j)
			j.Conclude()
		}
		edited := s.at("16")
		s.now = edited + 20_000
		judge(func(j *Judge) {
			j.Observe(s.event(contact.HubSpot, contact.Changed, s.at("10"), map[string]string{"city": c.hubspot}, contact.Unknown))
		})
		judge(func(j *Judge) {
			j.Observe(s.event(contact.Aloware, contact.Snapshot, edited, map[string]string{"city": "one"}, contact.Unknown))
		})
		judge(func(j *Judge) {
			j.Settle(&contact.Outcome{
				System: contact.Aloware, Contact: "hubspot:100", Version: 150, TargetID: "101", Result: contact.Written, EventID: "answer",
				AppliedAt: edited, Precision: 1000, AnsweredAt: edited + 500,
				Properties: []contact.PropertyOutcome{{Name: "city", Version: 150, Value: "one"}},
			})
		})
		m := s.rules.Set.ByKey("city")
		if got := NewJudge(s.rules, "hubspot:100", s.state, Decision{Version: 900}).desired(m, s.state.Fields["city"]); got.Value != c.want {
			t.Errorf("%s: %q counts, want %q", name, got.Value, c.want)
		}
	}
}
