package resolve

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestWhatAnAnswerToldNeedsNoJudging: the webhook of an answered write of ours
// changes nothing that is known. Anything else does, or may.
func TestWhatAnAnswerToldNeedsNoJudging(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	state := func() *State {
		s := &State{}
		for i, id := range []string{"501", "9"} {
			s.Sides[i].ID, s.Sides[i].Read = id, true
		}
		judge := func(do func(*Judge)) []contact.Patch {
			j := NewJudge(rules, "aloware:9", s, Decision{Version: s.Version + 1, Now: tickBase, EventID: "x"})
			do(j)
			return j.Conclude().Patches
		}
		var patches []contact.Patch
		for n, email := range []string{"old@example.com", "ada@example.com"} {
			at := tickBase + contact.Millis(n)*60_000
			patches = judge(func(j *Judge) {
				j.Observe(&contact.Change{
					System: contact.Aloware, ID: "9", EventID: email, Event: contact.Snapshot, OccurredAt: at, Precision: 999, ReceivedAt: at,
					Values: []contact.Value{{Name: "email", Text: email}},
				})
			})
		}
		if len(patches) != 1 || patches[0].System != contact.HubSpot {
			t.Fatalf("patches %+v", patches)
		}
		judge(func(j *Judge) {
			o := contact.Outcome{System: contact.HubSpot, Contact: "aloware:9", Version: patches[0].Version, TargetID: "501", Result: contact.Written, AppliedAt: tickBase + 61_000, AnsweredAt: tickBase + 61_100}
			for _, p := range patches[0].Properties {
				o.Properties = append(o.Properties, contact.PropertyOutcome{Name: p.Name, Version: p.Version, Value: p.Value})
			}
			j.Settle(&o)
		})
		return s
	}
	echo := func(edit func(*contact.Change)) *contact.Change {
		c := &contact.Change{
			System: contact.HubSpot, ID: "501", EventID: "echo", Event: contact.Changed, Origin: contact.Ours, OccurredAt: tickBase + 61_000, ReceivedAt: tickBase + 61_300,
			Values: []contact.Value{{Name: "email", Text: "ada@example.com"}},
		}
		edit(c)
		return c
	}
	for name, c := range map[string]struct {
		change *contact.Change
		heard  bool
	}{
		"the write's own":        {echo(func(*contact.Change) {}), true},
		"of another value":       {echo(func(c *contact.Change) { c.Values[0].Text = "eve@example.com" }), false},
		"by somebody else":       {echo(func(c *contact.Change) { c.Origin = contact.Others }), false},
		"with a value of others": {echo(func(c *contact.Change) { c.Values[0].Origin = contact.Others }), false},
		"by nobody known":        {echo(func(c *contact.Change) { c.Origin = contact.Unknown }), false},
		"of a later time":        {echo(func(c *contact.Change) { c.OccurredAt++ }), false},
		"of an earlier time":     {echo(func(c *contact.Change) { c.OccurredAt -= 5000 }), false},
		"of another property":    {echo(func(c *contact.Change) { c.Values[0].Name = "firstname" }), false},
		"of the mobile number":   {echo(func(c *contact.Change) { c.Values[0].Name = MobilePhone }), false},
		"of an unmapped one":     {echo(func(c *contact.Change) { c.Values[0].Name = "nobody_mapped_this" }), true},
		"of another id":          {echo(func(c *contact.Change) { c.ID = "502" }), false},
		"of a deletion":          {echo(func(c *contact.Change) { c.Event = contact.Deleted }), false},
	} {
		s := state()
		if got := Heard(rules, s, c.change); got != c.heard {
			t.Errorf("%s: heard before is %v, want %v", name, got, c.heard)
		}
		if !c.heard {
			continue
		}
		before := state()
		j := NewJudge(rules, "aloware:9", s, Decision{Version: s.Version + 1, Now: tickBase + 62_000, EventID: "x"})
		j.Observe(c.change)
		verdict := j.Conclude()
		s.Seen, s.Version = before.Seen, before.Version // that it was judged is all that is new
		if diff := cmp.Diff(before, s); diff != "" || len(verdict.Patches) > 0 {
			t.Errorf("%s: judging it gives %+v and changes what is known:\n%s", name, verdict.Patches, diff)
		}
	}
}
