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

// TestAnOlderWebhookDoesNotUndoWhatWasFirstSeen: a poll is the first to tell of
// a new contact, with an edit in it; the webhook of its creation comes late.
func TestAnOlderWebhookDoesNotUndoWhatWasFirstSeen(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	state := &State{}
	state.Sides[0] = Side{ID: "501", Read: true}
	second := contact.Millis(1_700_000_000_000)
	hear := func(id string, event contact.Event, email string, occurred, received contact.Millis) (written []string) {
		j := NewJudge(rules, "aloware:9", state, Decision{Version: state.Version + 1, Now: received, EventID: id})
		j.Observe(&contact.Change{
			System: contact.Aloware, ID: "9", EventID: id, Event: event, OccurredAt: occurred, Precision: 999, ReceivedAt: received,
			Values: []contact.Value{{Name: "email", Text: email}},
		})
		for _, p := range j.Conclude().Patches {
			for _, property := range p.Properties {
				written = append(written, p.System.String()+" "+property.Name+" "+property.Value)
			}
		}
		return written
	}
	written := hear("poll", contact.Snapshot, "second@example.com", second+3000, second+4100)
	written = append(written, hear("webhook", contact.Created, "first@example.com", second, second+5800)...)
	if len(written) != 1 || written[0] != "hubspot email second@example.com" {
		t.Errorf("written is %q, want the second address in HubSpot alone", written)
	}
}
