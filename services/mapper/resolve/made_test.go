package resolve

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestWhatWeMadeIsNotReadBack: HubSpot's webhooks of a creation of ours come before
// the call's answer. The contact is not read meanwhile, what HubSpot set by
// itself is kept, and with the answer nothing is left to be read; without one it
// is read after a while.
func TestWhatWeMadeIsNotReadBack(t *testing.T) {
	t.Parallel()
	set := mapping.Default(nil)
	rules := &Rules{Set: set, Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	version := contact.Version(10)
	judge := func(key contact.Key, state *State, do func(j *Judge)) []contact.Patch {
		version += 10
		j := NewJudge(rules, key, state, Decision{Version: version, Now: tickBase + 1000, EventID: "event"})
		do(j)
		return j.Conclude().Patches
	}
	sought := &State{}
	patches := judge("aloware:9", sought, func(j *Judge) {
		j.Observe(&contact.Change{
			System: contact.Aloware, ID: "9", EventID: "a", Event: contact.Snapshot, OccurredAt: tickBase, Precision: 999, ReceivedAt: tickBase,
			Values: []contact.Value{{Name: "first_name", Text: "Ada"}, {Name: "phone_number", Text: "+12025550101"}},
		})
	})
	if len(patches) != 1 || patches[0].Create == nil || !patches[0].Create.MayCreate {
		t.Fatalf("the contact is not created: %+v", patches)
	}
	made := &State{}
	stageFirst := judge("hubspot:501", made, func(j *Judge) {
		j.Observe(&contact.Change{
			System: contact.HubSpot, ID: "501", EventID: "l", Event: contact.Changed, Origin: contact.Others, OccurredAt: tickBase + 500, ReceivedAt: tickBase + 600,
			Values: []contact.Value{{Name: "lifecyclestage", Text: "lead"}},
		})
	})
	if len(stageFirst) != 1 || stageFirst[0].Fetch == nil || stageFirst[0].Fetch.NotBefore <= tickBase+1000 {
		t.Fatalf("before it is known who made it: %+v, want a read a little later", stageFirst)
	}
	waiting := judge("hubspot:501", made, func(j *Judge) {
		j.Observe(&contact.Change{System: contact.HubSpot, ID: "501", EventID: "c", Event: contact.Created, Origin: contact.Ours, OccurredAt: tickBase + 500, ReceivedAt: tickBase + 600})
	})
	if len(waiting) != 1 || waiting[0].Fetch == nil || waiting[0].Fetch.NotBefore < tickBase+30_000 {
		t.Fatalf("before the answer: %+v, want one read, later", waiting)
	}
	after := judge("aloware:9", sought, func(j *Judge) {
		j.Join(made, "hubspot:501")
		j.Settle(&contact.Outcome{
			System: contact.HubSpot, Contact: "aloware:9", Version: patches[0].Version, TargetID: "501", Result: contact.Made,
			AppliedAt: tickBase + 500, AnsweredAt: tickBase + 700,
		})
	})
	forgotten, stage := false, false
	for _, p := range after {
		if p.Fetch != nil && p.System == contact.HubSpot {
			t.Errorf("it is read: %+v", p)
		}
		forgotten = forgotten || p.Unfetch && p.Contact == "hubspot:501" && p.System == contact.HubSpot
		for _, property := range p.Properties {
			stage = stage || p.System == contact.Aloware && property.Value == "lead"
		}
	}
	if !forgotten || !stage {
		t.Errorf("the read that waits is forgotten: %t; what HubSpot set reaches Aloware: %t; %+v", forgotten, stage, after)
	}
}

// TestWhatComesWithAContactOfAJobIsTheJobs: the stage that HubSpot gives to a
// contact that a first sync made goes behind live edits; what a person edits later
// does not, nor what comes with a contact that nobody's job made.
func TestWhatComesWithAContactOfAJobIsTheJobs(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	const madeAt = tickBase + 500
	stage := func(answer string, at contact.Millis) Verdict {
		state := &State{}
		version := contact.Version(10)
		judge := func(do func(j *Judge)) Verdict {
			version += 10
			j := NewJudge(rules, "aloware:9", state, Decision{Version: version, Now: at + 1000, EventID: "event"})
			do(j)
			return j.Conclude()
		}
		sought := judge(func(j *Judge) {
			j.Observe(&contact.Change{
				System: contact.Aloware, ID: "9", EventID: "a", Event: contact.Snapshot, OccurredAt: tickBase, Precision: 999, ReceivedAt: tickBase,
				Values: []contact.Value{{Name: "first_name", Text: "Ada"}, {Name: "phone_number", Text: "+12025550101"}},
			})
		})
		judge(func(j *Judge) {
			j.Settle(&contact.Outcome{
				System: contact.HubSpot, Contact: "aloware:9", EventID: answer, Version: sought.Patches[0].Version, TargetID: "501", Result: contact.Made,
				AppliedAt: madeAt, AnsweredAt: madeAt + 100,
			})
		})
		return judge(func(j *Judge) {
			j.Observe(&contact.Change{
				System: contact.HubSpot, ID: "501", EventID: "l", Event: contact.Changed, Origin: contact.Others, OccurredAt: at, ReceivedAt: at + 100,
				Values: []contact.Value{{Name: "lifecyclestage", Text: "lead"}},
			})
		})
	}
	ofJob := contact.JobOutcome("j1", "x")
	for name, c := range map[string]struct {
		answer string
		at     contact.Millis
		bulk   bool
	}{
		"with a contact of a job": {ofJob, madeAt, true},
		"a person, later":         {ofJob, madeAt + 60_000, false},
		"with a live contact":     {"outcome/x", madeAt, false},
	} {
		got := stage(c.answer, c.at)
		if len(got.Patches) == 0 {
			t.Errorf("%s: the stage leads to nothing", name)
		}
		if got.Bulk != c.bulk {
			t.Errorf("%s: bulk is %t, want %t", name, got.Bulk, c.bulk)
		}
	}
}
