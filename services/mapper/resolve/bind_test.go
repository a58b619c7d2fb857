package resolve

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// bound are the built-in mappings in version 2, the city mapped to another
// property of HubSpot since then.
func bound(direction contact.Direction) *Rules {
	set := mapping.Default(nil)
	set.Version = 2
	m := set.ByKey("city")
	m.HubSpot, m.Direction, m.Binding.Since = "city2", direction, [2]int64{2, 0}
	return &Rules{Set: set.Index(), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
}

// inStep is a contact whose city both sides hold, as version 1 knew it.
func inStep() *State {
	side := FieldSide{Known: true, Value: "Austin", Since: 1, Seen: Span{10, 10, 10}}
	return &State{
		Version: 5, Sides: [2]Side{{ID: "1", Read: true}, {ID: "2", Read: true}},
		Fields: map[string]*Field{"city": {Edits: [2]Edit{{"Austin", 10, contact.HubSpot}, {}}, Sides: [2]FieldSide{side, side}}},
	}
}

// decide judges what do does and gives the patches by system.
func decide(rules *Rules, s *State, do func(*Judge)) (patches [2][]contact.Patch) {
	j := NewJudge(rules, "hubspot:1", s, Decision{Version: s.Version + 1, Now: 1000, EventID: "e"})
	do(j)
	for _, p := range j.Conclude().Patches {
		patches[index(p.System)] = append(patches[index(p.System)], p)
	}
	return patches
}

// TestAnAnswerFromBeforeAMappingChangeTellsNothing: a read and a write that
// were under way to the property of before say nothing of the present one.
func TestAnAnswerFromBeforeAMappingChangeTellsNothing(t *testing.T) {
	t.Parallel()
	rules, s := bound(contact.Both), inStep()
	s.Sides[0].Fetching = 5
	s.Fields["city"].Sides[0].issue(5, "Dallas", false)
	got := decide(rules, s, func(j *Judge) {
		j.Settle(&contact.Outcome{
			System: contact.HubSpot, Version: 5, TargetID: "1", Result: contact.Fetched, AppliedAt: 20, AnsweredAt: 21,
			Properties: []contact.PropertyOutcome{{Name: "city", Version: 5, Value: "Dallas"}},
			Holds:      []contact.Value{{Name: "city", Text: "Dallas", OccurredAt: 20}, {Name: "firstname", Text: "Ann", OccurredAt: 5}},
		})
	})
	f := s.Fields["city"]
	if f.Sides[0].Known || !f.Sides[0].Forgotten || len(f.Sides[0].Writes) > 0 {
		t.Errorf("of the new property is believed %+v", f.Sides[0])
	}
	if len(got[0]) == 0 || got[0][0].Fetch == nil || len(got[0][0].Properties) > 0 {
		t.Fatalf("HubSpot gets %+v, want a read before anything is written", got[0])
	}
	for _, p := range append(got[0], got[1]...) {
		for _, property := range p.Properties {
			if property.Name == "city" || property.Name == "city2" {
				t.Errorf("%s is written over what was not read", property.Name)
			}
		}
	}
	// The read finds no such property at all: the value is sent, and the
	// system's answer is what people see. It does not go round in circles.
	version := got[0][0].Version
	got = decide(rules, s, func(j *Judge) {
		j.Settle(&contact.Outcome{System: contact.HubSpot, Version: version, TargetID: "1", Result: contact.Fetched, AppliedAt: 30, AnsweredAt: 31})
	})
	if len(got[0]) != 1 || got[0][0].Fetch != nil || len(got[0][0].Properties) != 1 || got[0][0].Properties[0].Name != "city2" {
		t.Errorf("after the read HubSpot gets %+v, want city2 written once", got[0])
	}
}

// TestAReadThatIsRefusedIsNotAskedAgainAtOnce.
func TestAReadThatIsRefusedIsNotAskedAgainAtOnce(t *testing.T) {
	t.Parallel()
	rules, s := bound(contact.Both), inStep()
	got := decide(rules, s, func(j *Judge) { j.Command(&contact.Command{Kind: contact.Recheck, EventID: "c"}) })
	if len(got[0]) != 1 || got[0][0].Fetch == nil {
		t.Fatalf("HubSpot gets %+v, want a read", got[0])
	}
	got = decide(rules, s, func(j *Judge) {
		j.Settle(&contact.Outcome{System: contact.HubSpot, Version: got[0][0].Version, TargetID: "1", Result: contact.Rejected, Refusal: refusal("NO", "no")})
	})
	if len(got[0]) > 0 {
		t.Errorf("after a refusal HubSpot gets %+v", got[0])
	}
}

// TestWhoIsJoinedIsBoundToo: a contact that was last judged before a mapping
// change brings none of the old property's values with him.
func TestWhoIsJoinedIsBoundToo(t *testing.T) {
	t.Parallel()
	rules, other := bound(contact.ToAloware), inStep()
	other.Sides[1] = Side{}
	s := &State{Version: 3, Sides: [2]Side{{}, {ID: "2", Read: true}}}
	decide(rules, s, func(j *Judge) { j.Join(other, "hubspot:1") })
	f := s.Fields["city"]
	if f.Binding.Since != [2]int64{2, 0} || f.Sides[0].Known || f.Edits[0].Side != 0 || f.Sides[1].Value != "Austin" {
		t.Errorf("the city is %+v", f)
	}
	got := decide(rules, s, func(j *Judge) {
		j.Settle(&contact.Outcome{
			System: contact.HubSpot, Version: s.Sides[0].Fetching, TargetID: "1", Result: contact.Fetched, AppliedAt: 30, AnsweredAt: 31,
			Holds: []contact.Value{{Name: "city2", Text: ""}},
		})
	})
	for _, p := range got[1] {
		for _, property := range p.Properties {
			if property.Name == "city" {
				t.Errorf("a blank that was always there writes %q", property.Value)
			}
		}
	}
}

// TestTotalsThatAreMappedAgainAreSent, and those that grew while their property
// was away.
func TestTotalsThatAreMappedAgainAreSent(t *testing.T) {
	t.Parallel()
	set := mapping.Default(nil)
	rules := &Rules{Set: set, Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	s := &State{Version: 1, Sides: [2]Side{{ID: "1", Read: true}, {ID: "2", Read: true}}, Activity: &Activity{InboundCalls: Line{Count: 3}}}
	recheck := func(id string) (written []string) {
		t.Helper()
		for _, p := range decide(rules, s, func(j *Judge) { j.Command(&contact.Command{Kind: contact.Recheck, EventID: id}) })[0] {
			for _, property := range p.Properties {
				if property.Name == set.ByKey("total_inbound_calls").HubSpot {
					written = append(written, property.Value)
				}
			}
		}
		return written
	}
	if got := recheck("a"); len(got) != 1 || got[0] != "3" {
		t.Errorf("totals that were never published: wrote %v", got)
	}
	if got := recheck("b"); len(got) > 0 {
		t.Errorf("once more: wrote %v", got)
	}
	set.ByKey("total_inbound_calls").Binding.Since = [2]int64{2, 2}
	if got := recheck("c"); len(got) != 1 || got[0] != "3" {
		t.Errorf("mapped again: wrote %v", got)
	}
}
