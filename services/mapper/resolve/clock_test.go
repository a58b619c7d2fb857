package resolve

import (
	"testing"

	"lockstep.internal/pkg/contact"
)

// TestOnlyItsSystemsClockEndsATick, or a read that was asked for after the doubt arose:
// our clock may be a minute ahead of Aloware's.
func TestOnlyItsSystemsClockEndsATick(t *testing.T) {
	t.Parallel()
	const second, ours = contact.Millis(10_000), contact.Millis(70_000)
	for name, c := range map[string]struct {
		clock, doubt contact.Millis
		want         bool
	}{
		"Aloware's clock shows the same second": {clock: second},
		"Aloware tells no time":                 {},
		"Aloware's clock shows the next one":    {clock: second + 1000, want: true},
		"it was asked for later":                {clock: second, doubt: ours, want: true},
		"it was asked for before that":          {clock: second, doubt: ours + 1},
	} {
		o := &contact.Outcome{Result: contact.Fetched, AppliedAt: second, Precision: 999, AnsweredAt: ours, ClockAt: c.clock}
		if got := readAfter(o, &Side{Doubt: c.doubt}); got != c.want {
			t.Errorf("%s: the second counts as over: %v, want %v", name, got, c.want)
		}
	}
}

// TestWhatIsUnderWayToADeletedContactMayStillLand: a contact that is merged away is told
// to be deleted, and the write comes to the one that is left.
func TestWhatIsUnderWayToADeletedContactMayStillLand(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.step(words("set city direction=both"))
	s.step(words("both"))
	judge := func(id string, what func(*Judge)) []contact.Patch {
		s.events++
		s.now += 1000
		j := NewJudge(s.rules, "hubspot:100", s.state, Decision{Version: contact.Version(100 * s.events), Now: s.now, EventID: id})
		what(j)
		return j.Conclude().Patches
	}
	patches := judge("edit", func(j *Judge) {
		j.Observe(s.event(contact.Aloware, contact.Snapshot, s.now, map[string]string{"city": "Reno"}, contact.Unknown))
	})
	if len(patches) == 0 || patches[0].System != contact.HubSpot {
		t.Fatalf("the edit leads to %+v", patches)
	}
	judge("deleted", func(j *Judge) {
		j.Observe(&contact.Change{System: contact.HubSpot, ID: "100", EventID: "deleted", Event: contact.Deleted, OccurredAt: s.now, ReceivedAt: s.now})
	})
	fs := &s.state.Fields["city"].Sides[index(contact.HubSpot)]
	if now := (Span{s.now, s.now, s.now}); !fs.mayHaveWritten("Reno", now) {
		t.Error("what was under way counts as never written")
	}
	if fs.outstanding() != nil {
		t.Error("it is counted on")
	}
}
