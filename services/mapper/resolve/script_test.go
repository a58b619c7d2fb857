package resolve

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// TestRules plays the scripts of testdata/rules: one case for each rule, named
// by it. A case begins with "# name"; its lines are, with times in seconds:
//
//	set KEY direction=D policy=P blank=ignore hubspot=NAME aloware=NAME renewed stopped=WHY transforms=JSON options=A:H,...
//	remove KEY | add KEY     the mapping leaves the set, and comes back as it was
//	profile SYSTEM NAME      the connection can do something else from now on
//	holds SYSTEM TIME NAME=V ...  what a property has come to hold, that nobody told of
//	filter any|all KEY OP TEXT
//	rules creation=F updates=F
//	default KEY=VALUE
//	list SYSTEM users|NAME VALUE=MATCH=LABEL ...   ("!" before VALUE: not active)
//	both                     the contact is linked and was read on both sides
//	only SYSTEM NAME=V ...   it is linked and was read on one side alone
//	exists SYSTEM NAME=V ... its counterpart is there already, unlinked
//	SYSTEM TIME NAME=V ...   a person changed these properties
//	ours SYSTEM TIME NAME=V  we did
//	robot SYSTEM NAME=V ...  something there sets this again whenever we write another value; "+V" adds to ours
//	robot SYSTEM             not any more
//	from CAUSE               HubSpot names this cause from now on; "nobody" none
//	burst KEY SYSTEM SOURCE  a burst into a system is held; "any" is of all sources
//	release KEY go|drop|undo the answer about it
//	held KEY | free KEY      its value waits for the answer, or does not
//	pull TIME | answer SYSTEM TIME | retry KEY ... | recheck KEY ...
//	refuse SYSTEM NAME       the system refuses this property from now on
//	accept SYSTEM NAME       it takes it again
//	writes SYSTEM NAME=V ... what was written there since the last check, all of it
//	writes nothing
//	made SYSTEM NAME=V ...   the contact was created with these
//	refused KEY SYSTEM REASON | asked KEY | settled KEY
//	rests KEY SYSTEM WORDS   it is left alone, as something in the system keeps rewriting it; a problem has the words
//	goes KEY                 it is not
//	why KEY SYSTEM RULE ...  the rules by which the last event was explained, in order
//
// A text with blanks is quoted. Systems are "hubspot" and "aloware".
func TestRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range strings.Split("\n"+string(raw), "\n# ")[1:] {
			name, body, _ := strings.Cut(text, "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newScript(t)
				for number, line := range strings.Split(body, "\n") {
					if line = strings.TrimSpace(line); line != "" {
						s.line = fmt.Sprintf("line %d: %s", number+1, line)
						s.step(words(line))
					}
				}
			})
		}
	}
}

// words splits a line at blanks outside of quotes.
func words(line string) []string {
	var out []string
	quoted := false
	word := ""
	for _, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word != "" {
				out = append(out, word)
			}
			word = ""
		default:
			word += string(r)
		}
	}
	if word != "" {
		out = append(out, word)
	}
	return out
}

// script is one contact and two systems that hold what they are given.
type script struct {
	t      *testing.T
	line   string
	rules  *Rules
	state  *State
	now    contact.Millis
	events int
	holds  [2]map[string]string
	since  [2]map[string]contact.Millis
	exists [2]bool
	refuse [2]map[string]bool
	wrote  [2]map[string]string
	made   [2]map[string]string
	robots [2]map[string]string

	cause   string // of changes in HubSpot
	steps   []Step // of the last event, and of what followed
	removed []mapping.Mapping
}

const scriptBase contact.Millis = 1_700_000_000_000

func newScript(t *testing.T) *script {
	set := mapping.Default(nil)
	for i := range set.Mappings {
		set.Mappings[i].Direction = contact.Both
		if len(set.Mappings[i].Allowed()) == 1 {
			set.Mappings[i].Direction = set.Mappings[i].Allowed()[0]
		}
	}
	s := &script{
		t: t, state: &State{}, now: scriptBase,
		rules: &Rules{Set: set, Region: "US", Creation: FlowBoth, Updates: FlowBoth, Lists: Lists{}, Defaults: map[string]string{}},
	}
	for i := range 2 {
		s.since[i] = map[string]contact.Millis{}
		s.holds[i], s.refuse[i], s.wrote[i], s.made[i] = map[string]string{}, map[string]bool{}, map[string]string{}, nil
	}
	return s
}

func (s *script) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n  %s", s.line, fmt.Sprintf(format, args...))
}

func (s *script) system(text string) contact.System {
	system, err := contact.ParseSystem(text)
	if err != nil {
		s.fail("%v", err)
	}
	return system
}

func pairs(args []string) map[string]string {
	out := map[string]string{}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		out[name] = value
	}
	return out
}

func (s *script) at(text string) contact.Millis {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.fail("a time in seconds is wanted: %v", err)
	}
	return scriptBase + contact.Millis(seconds*1000)
}

func (s *script) step(args []string) {
	switch args[0] {
	case "set":
		s.set(args[1], args[2:])
	case "profile":
		s.rules.Profiles[index(s.system(args[1]))] = args[2]
	case "remove":
		s.remove(args[1])
	case "add":
		s.add(args[1])
	case "holds":
		i := index(s.system(args[1]))
		s.store(i, pairs(args[3:]))
		s.date(i, s.at(args[2]), pairs(args[3:]))
	case "filter":
		c := mapping.Condition{Key: args[2], Op: mapping.Op(args[3])}
		c.Texts = args[4:]
		if s.rules.Set.Filter == nil {
			s.rules.Set.Filter = &mapping.Filter{Any: args[1] == "any"}
		}
		s.rules.Set.Filter.Conditions = append(s.rules.Set.Filter.Conditions, c)
	case "rules":
		for name, value := range pairs(args[1:]) {
			if name == "creation" {
				s.rules.Creation = Flow(value)
			} else {
				s.rules.Updates = Flow(value)
			}
		}
	case "default":
		for key, value := range pairs(args[1:]) {
			s.rules.Defaults[key] = value
		}
	case "list":
		s.list(s.system(args[1]), args[2], args[3:])
	case "both":
		for i, system := range contact.Systems {
			s.state.Sides[i] = Side{ID: "10" + strconv.Itoa(i), Read: true}
			s.exists[i] = true
			for k := range s.rules.Set.Mappings {
				m := &s.rules.Set.Mappings[k]
				if !m.Category.Computed() {
					if s.state.Fields == nil {
						s.state.Fields = map[string]*Field{}
					}
					if s.state.Fields[m.Key] == nil {
						s.state.Fields[m.Key] = &Field{Binding: m.Binding}
					}
					s.state.Fields[m.Key].Sides[i].observe("", Span{1, 1, 1}, true)
				}
				s.holds[i][m.Property(system)] = ""
			}
		}
	case "only":
		system := s.system(args[1])
		i := index(system)
		s.exists[i] = true
		s.store(i, pairs(args[2:]))
		s.judge(func(j *Judge) {
			j.Observe(s.event(system, contact.Snapshot, scriptBase, pairs(args[2:]), contact.Unknown))
		})
	case "exists":
		i := index(s.system(args[1]))
		s.exists[i] = true
		s.store(i, pairs(args[2:]))
	case "hubspot", "aloware":
		s.change(s.system(args[0]), s.at(args[1]), pairs(args[2:]), contact.Unknown)
	case "ours":
		s.change(s.system(args[1]), s.at(args[2]), pairs(args[3:]), contact.Ours)
	case "from":
		s.cause = args[1]
	case "burst":
		s.burst(FieldInto{args[1], s.system(args[2])}, args[3])
	case "release":
		for _, h := range s.rules.Watch.Holds {
			if h.Field == args[1] {
				h.Answered = true
				s.command(contact.Command{Kind: contact.Release, Hold: h.ID, Answer: contact.HoldAnswer(args[2])})
			}
		}
	case "held", "free":
		if held := s.state.HeldValues(); slices.ContainsFunc(held, func(v HeldValue) bool { return v.Field == args[1] }) != (args[0] == "held") {
			s.fail("what is held: %+v", held)
		}
	case "pull":
		s.command(contact.Command{Kind: contact.Pull, AskedAt: s.at(args[1])})
	case "answer":
		s.command(contact.Command{Kind: contact.Answer, System: s.system(args[1]), AskedAt: s.at(args[2])})
	case "retry":
		s.command(contact.Command{Kind: contact.Retry, Fields: args[1:]})
	case "recheck":
		s.command(contact.Command{Kind: contact.Recheck, Fields: args[1:]})
	case "refuse", "accept":
		s.refuse[index(s.system(args[1]))][args[2]] = args[0] == "refuse"
	case "writes":
		s.writes(args[1:])
	case "made":
		i := index(s.system(args[1]))
		s.same("made", s.made[i], pairs(args[2:]))
		s.made[i] = nil
	case "why":
		s.why(args[1], s.system(args[2]), args[3:])
	case "robot":
		s.robots[index(s.system(args[1]))] = pairs(args[2:])
	case "rests":
		s.resting(args[1], s.system(args[2]), args[3])
	case "goes":
		if s.state.Fields[args[1]].rests() {
			s.fail("it rests: %s", s.state.Fields[args[1]].Tug.Rest.words())
		}
	case "refused", "asked", "settled":
		s.check(args)
	default:
		s.fail("unknown line")
	}
}

// burst opens a hold; another one of the field is over.
func (s *script) burst(on FieldInto, source string) {
	if s.rules.Watch == nil {
		s.rules.Watch = &Watch{Floor: 1000}
	}
	if source == "any" {
		source = ""
	}
	s.events++
	s.rules.Watch.Holds = append(slices.DeleteFunc(s.rules.Watch.Holds, func(h *Hold) bool { return h.Field == on.Field }),
		&Hold{ID: fmt.Sprint("h", s.events), FieldSource: FieldSource{on, source}})
}

func (s *script) store(i int, values map[string]string) {
	for name, value := range values {
		s.holds[i][name] = value
	}
}

// date keeps since when a system has values; HubSpot tells that when it is read.
func (s *script) date(i int, at contact.Millis, values map[string]string) {
	for name := range values {
		s.since[i][name] = at
	}
}

func (s *script) set(key string, args []string) {
	m := s.rules.Set.ByKey(key)
	if m == nil {
		s.rules.Set.Mappings = append(s.rules.Set.Mappings, mapping.Mapping{
			Key: key, Category: mapping.Custom, Aloware: key, HubSpot: key, Type: contact.Text, Direction: contact.Both,
		})
		s.rules.Set.Index()
		m = s.rules.Set.ByKey(key)
	}
	before := *m
	for name, value := range pairs(args) {
		var err error
		switch name {
		case "direction":
			m.Direction, err = contact.ParseDirection(value)
		case "policy":
			m.Policy = mapping.Policy(value)
		case "blank":
			m.IgnoreBlank = value == "ignore"
		case "hubspot":
			m.HubSpot = value
		case "aloware":
			m.Aloware = value
		case "renewed":
			m.Binding.Renewed++
		case "type":
			m.Type, err = contact.ParseType(value)
		case "stopped":
			m.Stopped = value
		case "transforms":
			m.Transforms = nil
			err = json.Unmarshal([]byte(strings.ReplaceAll(value, "'", `"`)), &m.Transforms)
		case "options":
			m.Options = nil
			for _, pair := range strings.Split(value, ",") {
				a, h, _ := strings.Cut(pair, ":")
				m.Options = append(m.Options, mapping.Pair{Aloware: a, HubSpot: h})
			}
		default:
			err = fmt.Errorf("unknown setting %q", name)
		}
		if err != nil {
			s.fail("%v", err)
		}
	}
	s.bind(m, &before)
}

// bind dates a mapping that was changed, as saving it would, and gives the
// properties that no contact has yet a blank.
func (s *script) bind(m, before *mapping.Mapping) {
	s.rules.Set.Version++
	for i, system := range contact.Systems {
		if m.Property(system) != before.Property(system) || m.Type != before.Type {
			m.Binding.Since[i] = s.rules.Set.Version
		}
		if _, there := s.holds[i][m.Property(system)]; !there {
			s.holds[i][m.Property(system)] = ""
		}
	}
	if !slices.Equal(m.Transforms, before.Transforms) || !slices.Equal(m.Options, before.Options) {
		m.Binding.Formed = s.rules.Set.Version
	}
	s.rules.Set.Index()
}

// remove takes a mapping out of the set, and add brings it back.
func (s *script) remove(key string) {
	s.removed = append(s.removed, *s.rules.Set.ByKey(key))
	s.rules.Set.Version++
	s.rules.Set.Mappings = slices.DeleteFunc(s.rules.Set.Mappings, func(m mapping.Mapping) bool { return m.Key == key })
	s.rules.Set.Index()
}

func (s *script) add(key string) {
	at := slices.IndexFunc(s.removed, func(m mapping.Mapping) bool { return m.Key == key })
	s.rules.Set.Mappings = append(s.rules.Set.Mappings, s.removed[at])
	s.rules.Set.Index()
	s.bind(s.rules.Set.ByKey(key), &mapping.Mapping{})
}

func (s *script) list(system contact.System, list string, args []string) {
	if list != contact.UserList {
		list = contact.OptionList(list)
	}
	var entries []contact.DirectoryEntry
	for _, arg := range args {
		parts := append(strings.Split(arg, "="), "", "")
		value, away := strings.CutPrefix(parts[0], "!")
		entries = append(entries, contact.DirectoryEntry{Value: value, Match: parts[1], Label: parts[2], Active: !away})
	}
	s.rules.Lists[ListKey{system, list}] = entries
	if s.state.Fields != nil {
		s.judge(func(j *Judge) { j.Refresh() })
	}
}

func (s *script) event(system contact.System, event contact.Event, at contact.Millis, values map[string]string, origin contact.Origin) *contact.Change {
	s.events++
	c := &contact.Change{
		System: system, ID: "10" + strconv.Itoa(index(system)), EventID: fmt.Sprint("e", s.events), Event: event,
		OccurredAt: at, ReceivedAt: at, Origin: origin,
	}
	if system == contact.HubSpot && s.cause != "" {
		c.Origin, c.Channel = contact.Others, contact.Webhook
		if s.cause != "nobody" {
			c.Cause = s.cause
		}
	}
	for name, value := range values {
		c.Values = append(c.Values, contact.Value{Name: name, Text: value})
	}
	return c
}

func (s *script) change(system contact.System, at contact.Millis, values map[string]string, origin contact.Origin) {
	s.now = max(s.now, at)
	s.store(index(system), values)
	s.date(index(system), at, values)
	s.judge(func(j *Judge) { j.Observe(s.event(system, contact.Changed, at, values, origin)) })
}

func (s *script) command(c contact.Command) {
	s.events++
	c.EventID, c.Author = fmt.Sprint("c", s.events), "ann"
	s.now = max(s.now, c.AskedAt)
	s.judge(func(j *Judge) { j.Command(&c) })
}

// judge lets the decision be made, and the systems carry out what follows
// until nothing does.
func (s *script) judge(do func(j *Judge)) {
	for round := 0; ; round++ {
		if round == 60 {
			s.fail("the writes find no end")
		}
		s.now += 10
		j := NewJudge(s.rules, "hubspot:100", s.state, Decision{Version: s.state.Version + 1, Now: s.now, EventID: "x"})
		do(j)
		verdict := j.Conclude()
		patches := verdict.Patches
		if round == 0 {
			s.steps = s.steps[:0]
		}
		s.steps = append(s.steps, verdict.Steps...)
		if len(patches) == 0 {
			return
		}
		var outcomes []*contact.Outcome
		for i := range patches {
			outcomes = append(outcomes, s.carryOut(&patches[i]))
		}
		edits := s.rewrite(patches)
		do = func(j *Judge) {
			for _, o := range outcomes {
				j.Settle(o)
			}
			for _, e := range edits {
				j.Observe(e)
			}
		}
	}
}

func (s *script) carryOut(p *contact.Patch) *contact.Outcome {
	i := index(p.System)
	s.now += 10
	s.events++
	o := &contact.Outcome{
		System: p.System, Contact: p.Contact, Version: p.Version, TargetID: "10" + strconv.Itoa(i), Result: contact.Written,
		AppliedAt: s.now, AnsweredAt: s.now, EventID: fmt.Sprint("o", s.events),
	}
	read := p.Fetch != nil
	properties := p.Properties
	switch {
	case p.TargetID != "":
	case !s.exists[i] && !p.Create.MayCreate:
		o.Result, o.TargetID = contact.Absent, ""
		return o
	case !s.exists[i]:
		o.Result, s.exists[i], s.made[i], read = contact.Made, true, map[string]string{}, false
	case read:
		properties, read = nil, true
	}
	for _, property := range properties {
		out := contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value}
		if s.refuse[i][property.Name] {
			out.Refusal = &fault.Refusal{Class: fault.Permanent, Reason: "INVALID", Message: "no"}
		} else {
			s.holds[i][property.Name], s.since[i][property.Name] = property.Value, s.now
			if o.Result == contact.Made {
				s.made[i][property.Name] = property.Value
			} else {
				s.wrote[i][property.Name] = property.Value
			}
		}
		o.Properties = append(o.Properties, out)
	}
	if read {
		if len(properties) == 0 {
			o.Result = contact.Fetched
		}
		for _, name := range p.Fetch.Properties {
			value := contact.Value{Name: name, Text: s.holds[i][name]}
			if p.System == contact.HubSpot {
				value.OccurredAt = s.since[i][name]
			}
			o.Holds = append(o.Holds, value)
		}
	}
	return o
}

func (s *script) writes(args []string) {
	if args[0] == "nothing" {
		for i, system := range contact.Systems {
			s.same("writes to "+system.String(), s.wrote[i], map[string]string{})
		}
		return
	}
	i := index(s.system(args[0]))
	s.same("writes", s.wrote[i], pairs(args[1:]))
	s.wrote[i] = map[string]string{}
}

func (s *script) same(what string, got, want map[string]string) {
	show := func(m map[string]string) string {
		var out []string
		for name, value := range m {
			out = append(out, name+"="+value)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	if show(got) != show(want) {
		s.fail("%s: got %q, want %q", what, show(got), show(want))
	}
}

// why checks by which rules a field was explained on one side.
func (s *script) why(key string, system contact.System, want []string) {
	var got []string
	for _, step := range s.steps {
		if step.Field == key && step.Side == system {
			got = append(got, step.Rule)
			if step.Reason == "" && slices.Contains([]string{"own", "kept", "ignored", "refused", "rebound", "held"}, step.Rule) {
				s.fail("%s gives no reason", step.Rule)
			}
		}
	}
	if !slices.Equal(got, want) {
		s.fail("explained by %v, want %v", got, want)
	}
}

func (s *script) check(args []string) {
	f := s.state.Fields[args[1]]
	if f == nil {
		s.fail("nothing is known of %s", args[1])
	}
	switch args[0] {
	case "asked":
		if !f.Asked {
			s.fail("nobody is asked")
		}
	case "settled":
		if f.Asked || f.Sides[0].Rejected != nil || f.Sides[1].Rejected != nil {
			s.fail("it is not settled: %+v %+v", f.Sides[0].Rejected, f.Sides[1].Rejected)
		}
	case "refused":
		r := f.Sides[index(s.system(args[2]))].Rejected
		if r == nil || r.Refusal.Reason != args[3] {
			s.fail("got %+v", r)
		}
	}
}
