package resolve

import (
	"slices"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestAFoundContactKeepsItsOwnNames: the last name flows to Aloware only. A new
// contact of HubSpot is given it all the same, one that was found is not.
func TestAFoundContactKeepsItsOwnNames(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	at := contact.Millis(1_700_000_000_000)
	state := &State{}
	j := NewJudge(rules, "aloware:9", state, Decision{Version: 1, Now: at, EventID: "made"})
	j.Observe(&contact.Change{System: contact.Aloware, ID: "9", EventID: "made", Event: contact.Snapshot, OccurredAt: at, Precision: 999, ReceivedAt: at, Values: []contact.Value{
		{Name: "phone_number", Text: "+14155550199"}, {Name: "last_name", Text: "L."}, {Name: "csf1", Text: "gold"},
	}})
	verdict := j.Conclude()
	if len(verdict.Patches) != 1 || verdict.Patches[0].Create == nil || verdict.Patches[0].Fetch == nil {
		t.Fatalf("the new contact leads to %+v, want it sought, and read where it is found", verdict.Patches)
	}
	j = NewJudge(rules, "aloware:9", state, Decision{Version: 2, Now: at + 1000, EventID: "found"})
	j.Observe(&contact.Change{System: contact.HubSpot, ID: "501", EventID: "read", Event: contact.Snapshot, OccurredAt: at + 400, Values: []contact.Value{
		{Name: "aloware_custom_field_1", Text: "", OccurredAt: at + 400},
	}})
	j.Settle(&contact.Outcome{
		System: contact.HubSpot, Contact: "aloware:9", Version: 1, TargetID: "501", Result: contact.Fetched, AppliedAt: at + 500, AnsweredAt: at + 600,
		Holds: []contact.Value{{Name: "phone", Text: "+14155550199"}, {Name: "lastname", Text: "Lovelace", OccurredAt: at - 9000}, {Name: "aloware_custom_field_1", Text: ""}},
	})
	written := map[string]string{}
	for _, p := range j.Conclude().Patches {
		for _, property := range p.Properties {
			written[p.System.String()+" "+property.Name] = property.Value
		}
	}
	if len(written) != 2 || written["aloware last_name"] != "Lovelace" || written["hubspot aloware_custom_field_1"] != "gold" {
		t.Errorf("written is %v, want HubSpot's name in Aloware and Aloware's own field in HubSpot", written)
	}
}

// TestTheSurvivingRecordsValuesCountThoughTheyAreOlder: the other record was
// taken for the survivor, because a read by its id was answered by that one.
func TestTheSurvivingRecordsValuesCountThoughTheyAreOlder(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	at := contact.Millis(1_700_000_000_000)
	state := &State{Sides: [2]Side{{ID: "503", Aliases: []string{"501", "502"}, Read: true}, {ID: "9", Read: true}}}
	version := contact.Version(0)
	read := func(city string, when, modified contact.Millis) string {
		version++
		j := NewJudge(rules, "hubspot:502", state, Decision{Version: version, Now: modified, EventID: "read"})
		j.Observe(&contact.Change{
			System: contact.HubSpot, ID: "503", EventID: city + string(rune('0'+version)), Event: contact.Snapshot, OccurredAt: modified, ReceivedAt: modified,
			Values: []contact.Value{{Name: "city", Text: city, OccurredAt: when}},
		})
		j.Conclude()
		will, _ := state.Fields["city"].Sides[1].will()
		return will
	}
	if got := read("Elko", at+1000, at+1000); got != "Elko" {
		t.Fatalf("Aloware will hold %q", got)
	}
	if got := read("Reno", at, at+900); got != "Elko" {
		t.Errorf("after an older reading that came late Aloware will hold %q, want no change", got)
	}
	if got := read("Reno", at, at+2000); got != "Reno" {
		t.Errorf("Aloware will hold %q, want what the surviving record holds", got)
	}
}

// TestAMergedAwayRecordsValuesDoNotWin: in HubSpot the primary record's values
// survive a merge, also those that are older than the other record's; that one's
// events may even come after the merge's.
func TestAMergedAwayRecordsValuesDoNotWin(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	at := contact.Millis(1_700_000_000_000)
	version := contact.Version(0)
	judge := func(state *State, changes ...contact.Change) Verdict {
		version++
		j := NewJudge(rules, "hubspot:501", state, Decision{Version: version, Now: at, EventID: "event"})
		for i := range changes {
			changes[i].System, changes[i].EventID = contact.HubSpot, string(rune('a'+int(version)))+string(rune('0'+i))
			j.Observe(&changes[i])
		}
		return j.Conclude()
	}
	snapshot := func(id, city string, when, modified contact.Millis) contact.Change {
		return contact.Change{ID: id, Event: contact.Snapshot, OccurredAt: modified, Values: []contact.Value{{Name: "city", Text: city, OccurredAt: when}}}
	}
	person, twin := &State{}, &State{}
	person.Sides[1] = Side{ID: "9", Read: true}
	judge(person, snapshot("501", "Reno", at, at))
	judge(twin, snapshot("502", "Elko", at+1000, at+1000))

	version++
	j := NewJudge(rules, "hubspot:501", person, Decision{Version: version, Now: at + 2000, EventID: "merge"})
	j.Absorb(twin, "hubspot:502", contact.HubSpot)
	j.Observe(&contact.Change{System: contact.HubSpot, ID: "503", MergedIDs: []string{"501", "502"}, EventID: "merge", Event: contact.Merged, OccurredAt: at + 2000})
	verdicts := []Verdict{j.Conclude()}
	verdicts = append(verdicts,
		judge(person, contact.Change{ID: "502", Event: contact.Changed, OccurredAt: at + 1000, Values: []contact.Value{{Name: "city", Text: "Elko", OccurredAt: at + 1000}}}),
		judge(person, snapshot("503", "Reno", at, at+2000)))

	reads := 0
	for _, v := range verdicts {
		for _, p := range v.Patches {
			if p.Fetch != nil {
				reads++
			}
			for _, property := range p.Properties {
				if p.System == contact.Aloware && property.Name == "city" && property.Value != "Reno" {
					t.Errorf("Aloware is given %q, which the surviving record does not hold", property.Value)
				}
			}
		}
	}
	if reads == 0 {
		t.Error("the surviving record is never read")
	}
	if got, _ := person.Fields["city"].Sides[1].will(); got != "Reno" {
		t.Errorf("Aloware will hold %q, want what the surviving record holds", got)
	}
}

// TestASearchUnderWayIsToldOfTheContact: somebody made a person in HubSpot, and
// its counterpart in Aloware was heard of first, so that it is looked for in
// HubSpot under its own name. As soon as the two are known to be one, the
// writer is told: a search that runs late, with keys that have changed, would
// make the person a second time.
func TestASearchUnderWayIsToldOfTheContact(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		into, from Side // in HubSpot
		redirected []contact.Key
	}{
		{"the other one is looked for", Side{ID: "501", Read: true}, Side{Creating: 7, Sought: "x"}, []contact.Key{"aloware:9"}},
		{"this one is looked for", Side{Creating: 7, Sought: "x"}, Side{ID: "501", Read: true}, []contact.Key{"hubspot:501"}},
		{"nobody is looked for", Side{ID: "501", Read: true}, Side{}, nil},
		{"both are there", Side{ID: "501", Read: true}, Side{ID: "502", Read: true, Creating: 7}, nil},
		{"both are looked for, and nobody is there", Side{Creating: 7, Sought: "x"}, Side{Creating: 8, Sought: "x"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
			into, from := &State{Version: 9}, &State{Version: 8}
			into.Sides[0], from.Sides[0] = test.into, test.from
			into.Sides[1] = Side{ID: "9", Read: true}
			j := NewJudge(rules, "hubspot:501", into, Decision{Version: 20, Now: 1_700_000_000_000, EventID: "match"})
			j.Join(from, "aloware:9")
			verdict := j.Conclude()
			var redirected []contact.Key
			for _, p := range verdict.Patches {
				switch {
				case p.System == contact.HubSpot && p.TargetID == "" && p.Create != nil && p.Create.MayCreate:
					t.Errorf("the contact is looked for again, as %s", p.Contact)
				case p.System == contact.HubSpot && p.Fetch != nil && len(p.Properties) == 0:
					if p.TargetID != "501" {
						t.Errorf("the writer is sent to %q", p.TargetID)
					}
					redirected = append(redirected, p.Contact)
				}
			}
			if !slices.Equal(redirected, test.redirected) {
				t.Errorf("the writer is told of %v, want %v", redirected, test.redirected)
			}
		})
	}
}

// TestAJoinKeepsWhatSomebodySaidOfWhoIsSomebodyElse, of either contact.
func TestAJoinKeepsWhatSomebodySaidOfWhoIsSomebodyElse(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	chosen := &State{Sides: [2]Side{{Apart: []string{"502"}}, {ID: "9", Read: true}}}
	other := &State{Sides: [2]Side{{ID: "501", Read: true}, {Apart: []string{"8"}}}}
	NewJudge(rules, "aloware:9", chosen, Decision{Version: 1}).Join(other, "hubspot:501")
	for at, id := range []string{"502", "8"} {
		if !slices.Equal(chosen.Sides[at].Apart, []string{id}) {
			t.Errorf("apart on side %d is %q, want %s", at, chosen.Sides[at].Apart, id)
		}
	}
}
