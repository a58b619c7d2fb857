package resolve

import (
	"fmt"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// parting is one contact of both systems whose counterpart may be archived.
type parting struct {
	t       *testing.T
	rules   *Rules
	state   *State
	now     contact.Millis
	version contact.Version
	said    []string         // patches, in words
	newest  [2]contact.Patch // by system
}

func newParting(t *testing.T, archive Flow) *parting {
	return &parting{
		t: t, now: 1_700_000_000_000, rules: &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth, Archive: archive},
		state: &State{Sides: [2]Side{{ID: "501", Read: true, Phone: "+12025550142"}, {ID: "9", Read: true, Phone: "+12025550142"}}},
	}
}

func (p *parting) judge(do func(*Judge)) {
	p.version++
	p.now += 1000
	j := NewJudge(p.rules, "hubspot:501", p.state, Decision{Version: p.version, Now: p.now, EventID: fmt.Sprint("event", p.version)})
	do(j)
	for _, patch := range j.Conclude().Patches {
		words := patch.System.String()
		switch {
		case patch.Archive:
			words += " archive " + patch.TargetID
		case patch.Wake:
			continue
		case patch.Fetch != nil && patch.TargetID != "":
			words += " read " + patch.TargetID
		case patch.Fetch != nil:
			words += " find " + strings.Join(patch.Create.Phones, " ")
		}
		if patch.Fetch != nil && patch.Fetch.NotBefore > p.now {
			words += " later"
		}
		p.said = append(p.said, words)
		p.newest[index(patch.System)] = patch
		p.version = max(p.version, patch.Version)
	}
}

func (p *parting) event(event contact.Event, id string, merged ...string) {
	p.judge(func(j *Judge) {
		j.Observe(&contact.Change{System: contact.HubSpot, ID: id, EventID: fmt.Sprint("e", p.version), Event: event, OccurredAt: p.now, ReceivedAt: p.now, MergedIDs: merged})
	})
}

// answer answers the newest patch of a system, as long after it as it asked.
func (p *parting) answer(system contact.System, result contact.Result, id string, why *fault.Refusal) {
	patch := p.newest[index(system)]
	if patch.Fetch != nil {
		p.now = max(p.now, patch.Fetch.NotBefore)
	}
	p.judge(func(j *Judge) {
		o := &contact.Outcome{System: system, Contact: "hubspot:501", Version: patch.Version, TargetID: id, Result: result, AppliedAt: p.now, AnsweredAt: p.now, Refusal: why}
		if id != "" && patch.TargetID != "" && id != patch.TargetID {
			o.MergedIDs = []string{patch.TargetID}
		}
		j.Settle(o)
	})
}

func (p *parting) wants(want ...string) {
	p.t.Helper()
	if got := strings.Join(p.said, ", "); got != strings.Join(want, ", ") {
		p.t.Fatalf("patches are %q, want %q", got, strings.Join(want, ", "))
	}
	p.said = nil
}

var notThere = &fault.Refusal{Class: fault.Gone, Reason: "NOT_FOUND", Message: "no such contact"}

// TestADeletionIsCarriedOver when it is sure, and once.
func TestADeletionIsCarriedOver(t *testing.T) {
	t.Parallel()
	t.Run("deleted in Aloware", func(t *testing.T) {
		t.Parallel()
		p := newParting(t, FlowToHubSpot)
		p.judge(func(j *Judge) {
			j.Settle(&contact.Outcome{System: contact.Aloware, Contact: "hubspot:501", Version: 1, TargetID: "9", Result: contact.Gone, AnsweredAt: p.now, Refusal: notThere})
		})
		p.wants("aloware find +12025550142")
		p.answer(contact.Aloware, contact.Absent, "", nil)
		p.wants("hubspot archive 501")
		p.judge(func(j *Judge) { j.Command(&contact.Command{Kind: contact.Recheck, EventID: "again"}) })
		p.wants() // it is under way
		p.answer(contact.HubSpot, contact.Archived, "501", nil)
		if !p.state.Sides[0].Gone || len(p.state.Problems()) > 0 {
			t.Errorf("after the archiving the contact is %+v", p.state.Sides[0])
		}
		p.event(contact.Deleted, "501") // HubSpot tells of our own archiving
		p.wants()
	})
	t.Run("deleted in HubSpot, which Aloware refuses", func(t *testing.T) {
		t.Parallel()
		p := newParting(t, FlowBoth)
		p.event(contact.Deleted, "501")
		p.wants("hubspot read 501 later")
		p.answer(contact.HubSpot, contact.Gone, "501", notThere)
		p.wants("aloware archive 9")
		p.answer(contact.Aloware, contact.Rejected, "9", &fault.Refusal{Class: fault.Permanent, Reason: "NOT_CAPABLE", Message: "no way"})
		p.wants()
		problems := p.state.Problems()
		if len(problems) != 1 || problems[0].System != contact.Aloware || problems[0].Refusal.Reason != "NOT_CAPABLE" || !strings.Contains(problems[0].Refusal.Message, "deleted in HubSpot") {
			t.Fatalf("problems are %+v, want why the contact stays in Aloware", problems)
		}
		p.judge(func(j *Judge) { j.Command(&contact.Command{Kind: contact.Retry, EventID: "retry", Author: "ann"}) })
		p.wants("aloware archive 9")
		p.answer(contact.Aloware, contact.Rejected, "9", &fault.Refusal{Class: fault.Permanent, Reason: "NOT_CAPABLE", Message: "no way"})
		p.rules.Archive = FlowNone
		p.judge(func(j *Judge) { j.Command(&contact.Command{Kind: contact.Recheck, EventID: "off"}) })
		if problems := p.state.Problems(); len(problems) > 0 {
			t.Errorf("problems are %+v after the option was switched off", problems)
		}
	})
	t.Run("answers from before the deletion is sure tell nothing", func(t *testing.T) {
		t.Parallel()
		p := newParting(t, FlowBoth)
		p.event(contact.Deleted, "501")
		p.said = nil
		early := p.newest[0]
		p.judge(func(j *Judge) { // a write that was merged with the read, answered at once
			j.Settle(&contact.Outcome{System: contact.HubSpot, Contact: "hubspot:501", Version: early.Version, TargetID: "501", Result: contact.Gone, AnsweredAt: p.now, Refusal: notThere})
		})
		p.wants("hubspot read 501 later")
	})
}

// TestNobodyIsArchivedWhoWasNotDeleted: a merge, a restoration, a changed
// setting, or a tenant who did not ask for it.
func TestNobodyIsArchivedWhoWasNotDeleted(t *testing.T) {
	t.Parallel()
	alive := func(p *parting) {
		p.t.Helper()
		for _, said := range p.said {
			if strings.Contains(said, "archive") {
				p.t.Errorf("patches are %q", p.said)
			}
		}
		for _, side := range p.state.Sides {
			if !side.Linked() || side.Leaving != 0 || side.Left || side.Archiving != 0 {
				p.t.Errorf("a side is %+v", side)
			}
		}
	}
	for name, play := range map[string]func(p *parting){
		"merge told after the deletion": func(p *parting) {
			p.event(contact.Deleted, "501")
			p.event(contact.Merged, "503", "501", "502")
		},
		"merge told before the deletion": func(p *parting) {
			p.event(contact.Merged, "503", "501", "502")
			p.event(contact.Deleted, "501")
		},
		"merge told by the read": func(p *parting) {
			p.event(contact.Deleted, "501")
			p.answer(contact.HubSpot, contact.Fetched, "503", nil)
		},
		"restored in time": func(p *parting) {
			p.event(contact.Deleted, "501")
			p.event(contact.Restored, "501")
		},
		"restored, and nothing told of it": func(p *parting) {
			p.event(contact.Deleted, "501")
			p.answer(contact.HubSpot, contact.Fetched, "501", nil)
		},
		"merged in Aloware": func(p *parting) {
			p.judge(func(j *Judge) {
				j.Settle(&contact.Outcome{System: contact.Aloware, Contact: "hubspot:501", Version: 1, TargetID: "9", Result: contact.Gone, AnsweredAt: p.now, Refusal: notThere})
			})
			p.answer(contact.Aloware, contact.Fetched, "10", nil)
		},
		"restored while it is archived": func(p *parting) {
			p.event(contact.Deleted, "501")
			p.answer(contact.HubSpot, contact.Gone, "501", notThere)
			if last := p.said[len(p.said)-1]; last != "aloware archive 9" {
				p.t.Fatalf("the last patch is to %s", last)
			}
			p.said = nil
			p.event(contact.Restored, "501")
			if !strings.Contains(strings.Join(p.said, ","), "aloware read 9") {
				p.t.Errorf("patches are %q, want a read that takes the archiving back", p.said)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParting(t, FlowBoth)
			play(p)
			alive(p)
		})
	}
	t.Run("not asked for", func(t *testing.T) {
		t.Parallel()
		p := newParting(t, FlowToHubSpot)
		p.event(contact.Deleted, "501")
		p.wants()
		p.rules.Archive = FlowBoth // what was deleted before is none of it
		p.judge(func(j *Judge) { j.Command(&contact.Command{Kind: contact.Recheck, EventID: "later"}) })
		p.wants("aloware read 9")
	})
	t.Run("switched off in between", func(t *testing.T) {
		t.Parallel()
		p := newParting(t, FlowBoth)
		p.event(contact.Deleted, "501")
		p.rules.Archive = FlowNone
		p.said = nil
		p.answer(contact.HubSpot, contact.Gone, "501", notThere)
		p.wants()
	})
	t.Run("in doubt for people to settle", func(t *testing.T) {
		t.Parallel()
		p := newParting(t, FlowBoth)
		p.judge(func(j *Judge) {
			j.Settle(&contact.Outcome{System: contact.Aloware, Contact: "hubspot:501", Version: 1, TargetID: "9", Result: contact.Gone, AnsweredAt: p.now, Refusal: notThere})
		})
		p.wants("aloware find +12025550142")
		p.judge(func(j *Judge) {
			j.Settle(&contact.Outcome{System: contact.Aloware, Contact: "hubspot:501", Version: p.newest[1].Version, Result: contact.Conflict, Candidates: []string{"10", "11"}, AnsweredAt: p.now})
		})
		p.wants()
		if problems := p.state.Problems(); len(problems) != 1 || problems[0].Kind != contact.ProblemConflict {
			t.Errorf("problems are %+v", problems)
		}
	})
}
