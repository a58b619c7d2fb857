package resolve

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestTheSecondEditOfASecondCountsThoughItsWebhookIsLate: two edits in one
// second of Aloware's clock, the second told only after that second was over.
func TestTheSecondEditOfASecondCountsThoughItsWebhookIsLate(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	state := &State{}
	state.Sides[0].ID, state.Sides[0].Read = "501", true
	second := contact.Millis(1_700_000_000_000)
	hear := func(id, email string, occurred, received contact.Millis) Verdict {
		j := NewJudge(rules, "hubspot:501", state, Decision{Version: state.Version + 1, Now: received, EventID: id})
		j.Observe(&contact.Change{
			System: contact.Aloware, ID: "9", EventID: id, Event: contact.Snapshot, OccurredAt: occurred, Precision: 999, ReceivedAt: received,
			Values: []contact.Value{{Name: "email", Text: email}},
		})
		return j.Conclude()
	}
	hear("a", "old@example.com", second-60_000, second-60_000)
	hear("b", "first@example.com", second, second+300)
	verdict := hear("c", "second@example.com", second, second+1_010)
	var written []string
	for _, p := range verdict.Patches {
		for _, property := range p.Properties {
			written = append(written, p.System.String()+" "+property.Name+" "+property.Value)
		}
	}
	if len(written) != 1 || written[0] != "hubspot email second@example.com" {
		t.Errorf("the second edit leads to %q, want it written to HubSpot", written)
	}
}

// TestAConfirmingReadDoesNotMakeAnEditEarlier: an Aloware edit in the second of
// a HubSpot edit, and after it, stays the later one when a read that was made
// to be sure shows it again.
func TestAConfirmingReadDoesNotMakeAnEditEarlier(t *testing.T) {
	t.Parallel()
	set := mapping.Default(nil)
	set.ByKey("city").Direction = contact.Both
	rules := &Rules{Set: set, Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	state := &State{}
	for i, id := range []string{"501", "9"} {
		state.Sides[i].ID, state.Sides[i].Read = id, true
	}
	second := contact.Millis(1_700_000_000_000)
	judge := func(now contact.Millis, do func(*Judge)) []contact.Patch {
		j := NewJudge(rules, "hubspot:501", state, Decision{Version: state.Version + 1, Now: now, EventID: "x"})
		do(j)
		return j.Conclude().Patches
	}
	judge(second+520, func(j *Judge) {
		j.Observe(&contact.Change{System: contact.HubSpot, ID: "501", EventID: "h", Event: contact.Changed, OccurredAt: second + 517, ReceivedAt: second + 519, Values: []contact.Value{{Name: "city", Text: "one"}}})
	})
	judge(second+555, func(j *Judge) {
		j.Settle(&contact.Outcome{System: contact.Aloware, TargetID: "9", Result: contact.Written, Version: state.Version, AppliedAt: second, Precision: 999, AnsweredAt: second + 554, EventID: "o1",
			Properties: []contact.PropertyOutcome{{Name: "city", Version: state.Version, Value: "one"}}})
	})
	judge(second+571, func(j *Judge) {
		j.Observe(&contact.Change{System: contact.Aloware, ID: "9", EventID: "a", Event: contact.Snapshot, OccurredAt: second, Precision: 999, ReceivedAt: second + 570, Values: []contact.Value{{Name: "city", Text: "two"}}})
	})
	patches := judge(second+2200, func(j *Judge) {
		j.Settle(&contact.Outcome{System: contact.Aloware, TargetID: "9", Result: contact.Fetched, Version: state.Version, AppliedAt: second, Precision: 999, AnsweredAt: second + 2200, EventID: "o2",
			Holds: []contact.Value{{Name: "city", Text: "two"}}})
	})
	if edit := state.Fields["city"].Edits[1]; edit.Value != "two" || edit.At <= second+517 {
		t.Errorf("the edit is %+v, want it later than HubSpot's", edit)
	}
	for _, p := range patches {
		for _, property := range p.Properties {
			t.Errorf("%s is written back into %s", property.Value, p.System)
		}
	}
}
