package resolve

import (
	"fmt"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// rewrite lets the robots of a script answer what was written.
func (s *script) rewrite(patches []contact.Patch) (edits []*contact.Change) {
	for i := range patches {
		at := index(patches[i].System)
		for _, property := range patches[i].Properties {
			value, there := s.robots[at][property.Name]
			if added, adds := strings.CutPrefix(value, "+"); adds {
				value = s.holds[at][property.Name] + added
			}
			if !there || value == s.holds[at][property.Name] {
				continue
			}
			s.now += 1500
			s.store(at, map[string]string{property.Name: value})
			edit := s.event(patches[i].System, contact.Changed, s.now, map[string]string{property.Name: value}, contact.Unknown)
			edit.Cause = "ROBOT 7"
			edits = append(edits, edit)
		}
	}
	return edits
}

// resting checks that a field is left alone, and what the problem says.
func (s *script) resting(key string, system contact.System, words string) {
	for _, p := range s.state.Problems() {
		if p.Field == key && p.Kind == contact.ProblemRewritten && p.System == system && p.Refusal.Reason == rewritten && strings.Contains(p.Refusal.Message, words) {
			return
		}
	}
	s.fail("it is not left alone: %+v", s.state.Problems())
}

// TestABusyPersonIsNeverStopped: who sets one value after the other, also back and
// forth, also where now and then somebody answers on the other side.
func TestABusyPersonIsNeverStopped(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.step(words("set city direction=both"))
	s.step(words("both"))
	at := 10
	edit := func(system, value string, seconds int) {
		at += seconds
		s.line = fmt.Sprintf("%s sets %q after %d s", system, value, at)
		s.step(words(fmt.Sprintf("%s %d city=%s", system, at, value)))
		if s.state.Fields["city"].rests() || s.holds[0]["city"] != value || s.holds[1]["city"] != value {
			s.fail("HubSpot holds %q, Aloware %q, it rests: %v", s.holds[0]["city"], s.holds[1]["city"], s.state.Fields["city"].rests())
		}
	}
	for i := range 40 { // one side, every half minute, to and fro
		edit("aloware", []string{"A", "B"}[i%2], 30)
	}
	for i := range 9 { // both sides, with a value of its own each time
		edit("aloware", fmt.Sprint("one", i), 60)
		edit("hubspot", fmt.Sprint("two", i), 60)
	}
	at += 2 * 3600
	for i := range 40 { // both sides, to and fro, four times an hour at most
		edit("aloware", "A", 1000)
		edit("hubspot", fmt.Sprint("B", i%2), 1000)
	}
}

// TestTwoPeopleWhoSetEachOthersValueBackAreStopped as well: it is the same to the
// two systems.
func TestTwoPeopleWhoSetEachOthersValueBackAreStopped(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.step(words("both"))
	for i := range 20 {
		s.step(words(fmt.Sprintf("%s %d city=%s", []string{"hubspot", "aloware"}[i%2], 10+60*i, []string{"A", "B"}[i%2])))
		if f := s.state.Fields["city"]; f != nil && f.rests() {
			if f.Tug.Rest.Rounds != mostRounds || i > 2*mostRounds+1 {
				t.Errorf("stopped after %d edits and %d rounds", i+1, f.Tug.Rest.Rounds)
			}
			return
		}
	}
	t.Error("it goes on for ever")
}

// TestTheOrderOfEditAndAnswerDoesNotMatter: a robot's edit is often heard before
// the answer to the write that it replaced.
func TestTheOrderOfEditAndAnswerDoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		s := newScript(t)
		s.step(words("both"))
		rounds := 0
		for i := range mostRounds {
			s.now += 60_000
			at := s.now
			next := func(do func(j *Judge)) []contact.Patch {
				s.now += 10
				j := NewJudge(s.rules, "hubspot:100", s.state, Decision{Version: s.state.Version + 1, Now: s.now})
				do(j)
				return j.Conclude().Patches
			}
			edit := s.event(contact.Aloware, contact.Changed, at, map[string]string{"city": fmt.Sprint("ours", i)}, contact.Unknown)
			patches := next(func(j *Judge) { j.Observe(edit) })
			if len(patches) != 1 || patches[0].System != contact.HubSpot {
				t.Fatalf("round %d: the edit leads to %+v", i, patches)
			}
			outcome := s.carryOut(&patches[0])
			back := s.event(contact.HubSpot, contact.Changed, s.now+20, map[string]string{"city": "theirs"}, contact.Others)
			steps := []func(j *Judge){func(j *Judge) { j.Settle(outcome) }, func(j *Judge) { j.Observe(back) }}
			if late {
				steps[0], steps[1] = steps[1], steps[0]
			}
			s.now += 30
			for len(steps) > 0 {
				more := next(steps[0])
				steps = steps[1:]
				for k := range more {
					o := s.carryOut(&more[k])
					o.AppliedAt, o.AnsweredAt = o.AppliedAt+100, o.AnsweredAt+100
					steps = append(steps, func(j *Judge) { j.Settle(o) })
				}
			}
			f := s.state.Fields["city"]
			switch {
			case f.rests():
				rounds = f.Tug.Rest.Rounds
			case f.Tug == nil || len(f.Tug.Sides[0].Rounds) != i+1:
				t.Fatalf("edit first: %v; after round %d: %+v", late, i, f.Tug)
			}
		}
		if rounds != mostRounds && rounds != 0 {
			t.Errorf("edit first: %v; stopped after %d rounds", late, rounds)
		}
	}
}

// TestARoundNeedsAWriteThatLanded: an edit that came before it, or a refused one,
// is none, and what is late counts once.
func TestARoundNeedsAWriteThatLanded(t *testing.T) {
	t.Parallel()
	m := mapping.Default(nil).ByKey("city")
	w := func(value string, applied contact.Millis) Write {
		return Write{Version: 1, Value: value, After: 5, Applied: applied}
	}
	for name, c := range map[string]struct {
		write Write
		edit  Edit
		doubt bool
		want  bool
	}{
		"after it":                            {w("A", 10), Edit{"B", 11, contact.Aloware}, true, true},
		"within the tick, and there for sure": {w("A", 10), Edit{"B", 10, contact.Aloware}, false, true},
		"within the tick, in doubt":           {w("A", 10), Edit{"B", 10, contact.Aloware}, true, false},
		"before it":                           {w("A", 10), Edit{"B", 4, contact.Aloware}, false, false},
		"the same value":                      {w("B", 10), Edit{"B", 11, contact.Aloware}, false, false},
		"not landed yet":                      {w("A", 0), Edit{"B", 11, contact.Aloware}, false, false},
	} {
		fs := FieldSide{Known: true, Value: "B", Seen: Span{9, 10, 12}, Writes: []Write{c.write}}
		if over, _, _ := fs.replaced(m, c.edit, c.doubt); (over != nil) != c.want {
			t.Errorf("an edit %s: got %+v", name, over)
		}
	}
}
