package resolve

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestWhatIsWithdrawnIsNotSentAgainByItself, but by whatever is heard of the
// contact next: nothing is believed to be there, and nothing to be refused.
func TestWhatIsWithdrawnIsNotSentAgainByItself(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	at := contact.Millis(1_700_000_000_000)
	version := contact.Version(0)
	judge := func(state *State, do func(*Judge)) []contact.Patch {
		version += 10
		j := NewJudge(rules, "hubspot:501", state, Decision{Version: version, Now: at, EventID: "event"})
		do(j)
		return j.Conclude().Patches
	}
	reading := func(id string) func(*Judge) {
		return func(j *Judge) {
			j.Observe(&contact.Change{System: contact.HubSpot, ID: "501", EventID: id, Event: contact.Snapshot, Channel: contact.Walk, OccurredAt: at, ReceivedAt: at, Values: []contact.Value{
				{Name: "phone", Text: "+14155550199", OccurredAt: at - 5000}, {Name: "lastname", Text: "Lovelace", OccurredAt: at - 5000}, {Name: "city", Text: "Reno", OccurredAt: at - 5000},
			}})
		}
	}
	withdrawn := func(p contact.Patch) func(*Judge) {
		return func(j *Judge) {
			o := &contact.Outcome{System: p.System, Contact: p.Contact, Version: p.Version, TargetID: p.TargetID, Result: contact.Dropped, AnsweredAt: at}
			for _, property := range p.Properties {
				o.Properties = append(o.Properties, contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value})
			}
			j.Settle(o)
		}
	}
	linked := &State{Sides: [2]Side{{ID: "501", Read: true}, {ID: "9", Read: true}}}
	for name, state := range map[string]*State{"a creation": {}, "an update": linked} {
		first := judge(state, reading("walk1"))
		if len(first) != 1 || len(first[0].Properties) == 0 {
			t.Fatalf("%s: the walk leads to %+v", name, first)
		}
		if again := judge(state, reading("walk2")); len(again) != 0 {
			t.Fatalf("%s: what is under way is sent again: %+v", name, again)
		}
		if after := judge(state, withdrawn(first[0])); len(after) != 0 {
			t.Errorf("%s: what is withdrawn is sent again at once: %+v", name, after)
		}
		next := judge(state, reading("walk3"))
		if len(next) != 1 || len(next[0].Properties) != len(first[0].Properties) || (next[0].Create != nil && next[0].Create.MayCreate) != (first[0].Create != nil && first[0].Create.MayCreate) {
			t.Errorf("%s: the next walk leads to %+v, want the same as the first", name, next)
		}
	}
}

// TestAnEarlierWriteIsDoubtfulBehindAWithdrawnOne: it may have been sent, so that
// its echo is nobody's edit; it is not counted on, so that its value is sent where
// it is wanted again; and an answer to something later settles it.
func TestAnEarlierWriteIsDoubtfulBehindAWithdrawnOne(t *testing.T) {
	t.Parallel()
	at := Span{From: 5000, At: 5400, To: 5999}
	f := FieldSide{Known: true, Value: "Oslo", Since: 1, Seen: Span{1, 1, 1}}
	f.issue(2, "Reno", false)
	f.issue(3, "Dallas", false)
	f.withdraw(3)
	if will, _ := f.will(); will != "Oslo" {
		t.Errorf("it will hold %q, want what is known", will)
	}
	if !f.mayHaveWritten("Reno", at) || f.mayHaveWritten("Dallas", at) {
		t.Error("the earlier write may have been carried out, and the withdrawn one was not")
	}
	f.ended(2, 4000)
	if !f.mayHaveWritten("Reno", at) {
		t.Error("its own answer tells nothing of what comes before it alone")
	}
	f.ended(4, 4000)
	if f.mayHaveWritten("Reno", at) {
		t.Error("after a later call was answered, a value is no echo of it any more")
	}
}
