package alerts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// history looks again and again, keeping what a look left, as the database
// would.
type history struct {
	t      *testing.T
	rules  rules
	start  time.Time
	states map[stateKey]postgres.AlertState
	last   map[contact.Tenant]time.Time
}

func newHistory(t *testing.T) *history {
	return &history{
		t: t, rules: rules{hold: 30 * time.Second, flap: 10 * time.Minute, gap: time.Minute}, start: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		states: make(map[stateKey]postgres.AlertState), last: make(map[contact.Tenant]time.Time),
	}
}

// look gives what is told at a time, as "+key" and "-key" in their order.
func (h *history) look(after time.Duration, facts ...fact) string {
	h.t.Helper()
	now := h.start.Add(after)
	var states []postgres.AlertState
	for _, s := range h.states {
		states = append(states, s)
	}
	p := compare(now, h.rules, facts, states, h.last, func(id contact.Tenant) bool { return id != "gone" })
	for _, s := range p.remove {
		delete(h.states, stateKey{s.Tenant, s.Kind, s.Key})
	}
	for _, s := range p.save {
		h.states[stateKey{s.Tenant, s.Kind, s.Key}] = s
	}
	var told []string
	for id, changes := range p.tell {
		h.last[id] = now
		for _, c := range changes {
			mark := "-"
			if c.open {
				mark = "+"
			}
			back := ""
			if c.Detail.Back > 0 {
				back = fmt.Sprintf("(%d)", c.Detail.Back)
			}
			told = append(told, mark+c.Key+back)
		}
	}
	return strings.Join(told, " ")
}

func group(key string) fact { return fact{tenant: "acme", kind: Problem, key: key} }

// TestWhatIsTold: schedules of what is the case, by second, and what is told
// then; nothing is told at any other look.
func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	lane := fact{tenant: "acme", kind: Lane, key: "hubspot", after: 5 * time.Minute}
	between := func(f fact, times ...int) func(int) []fact { // from, to, from, to
		return func(at int) []fact {
			for i := 0; i < len(times); i += 2 {
				if at >= times[i] && (i+1 == len(times) || at < times[i+1]) {
					return []fact{f}
				}
			}
			return nil
		}
	}
	for _, test := range []struct {
		name  string
		facts func(second int) []fact
		until int
		told  map[int]string
	}{
		{"a state that lasts is told once, and once when it is over", between(group("a"), 0, 600), 3600, map[int]string{30: "+a", 630: "-a"}},
		{"what lasts shortly is not told", between(group("a"), 0, 20), 3600, nil},
		{"a gap that is short is none", between(group("a"), 0, 300, 315, 600), 3600, map[int]string{30: "+a", 630: "-a"}},
		{"what blinks before it is told does not last", between(group("a"), 0, 5, 60, 65, 120, 125), 3600, nil},
		{"what comes back soon is told again only if it stays", between(group("a"), 0, 100, 200), 3600, map[int]string{30: "+a", 130: "-a", 630: "+a(1)"}},
		{"what goes back and forth is one alert", between(group("a"), 0, 100, 150, 180, 250, 300, 350, 420), 3600, map[int]string{30: "+a", 130: "-a"}},
		{"what comes back late is told again", between(group("a"), 0, 100, 900, 1000), 3600, map[int]string{30: "+a", 130: "-a", 930: "+a", 1030: "-a"}},
		{"a lane must rest for minutes", between(lane, 0, 290, 320, 700), 3600, map[int]string{620: "+hubspot", 730: "-hubspot"}},
		{"a lane whose pauses follow each other rests all the time", between(lane, 0, 60, 65, 180, 190, 400), 3600, map[int]string{300: "+hubspot", 430: "-hubspot"}},
		{"what began long ago is told at once", func(at int) []fact {
			return []fact{{tenant: "acme", kind: Problem, key: "a", since: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}}
		}, 600, map[int]string{0: "+a"}},
		{"many at once are told together, the gravest first", func(at int) []fact {
			facts := []fact{group("c"), group("b"), {tenant: "acme", kind: Connection, key: "aloware"}, {tenant: "acme", kind: Mapping, key: "city"}, group("b")}
			if at >= 300 {
				return facts[2:3]
			}
			return facts
		}, 600, map[int]string{30: "+aloware +city +b +c", 330: "-city -b -c"}},
		{"what follows within a minute comes together a minute later", func(at int) []fact {
			var facts []fact
			for i := range 5 {
				if at >= i*10 {
					facts = append(facts, group(fmt.Sprint(i)))
				}
			}
			return facts
		}, 600, map[int]string{30: "+0", 90: "+1 +2 +3 +4"}},
		{"a tenant that is not there any more is told nothing", func(at int) []fact {
			if at < 300 {
				return []fact{{tenant: "gone", kind: Problem, key: "a"}}
			}
			return nil
		}, 600, map[int]string{30: "+a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory(t)
			for at := 0; at <= test.until; at += 5 {
				if got, want := h.look(time.Duration(at)*time.Second, test.facts(at)...), test.told[at]; got != want {
					t.Errorf("at %d s it tells %q, want %q", at, got, want)
				}
			}
			if test.facts(test.until) == nil && len(h.states) > 0 {
				t.Errorf("states are left of what is over: %+v", h.states)
			}
		})
	}
}

// TestAnUnchangedStateIsNotWritten: a tenant whose state stays the same costs
// nothing.
func TestAnUnchangedStateIsNotWritten(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.look(0, group("a"))
	h.look(time.Minute, group("a"))
	var states []postgres.AlertState
	for _, s := range h.states {
		states = append(states, s)
	}
	p := compare(h.start.Add(time.Hour), h.rules, []fact{group("a")}, states, nil, func(contact.Tenant) bool { return true })
	if len(p.save)+len(p.remove)+len(p.tell) > 0 {
		t.Errorf("an hour later it does %+v", p)
	}
}

// TestToldIsTrueInTheEnd: however a state goes back and forth, what was told
// last is what is the case, once that lasts; and no key is told more than one
// opening and one end within the time that counts as one.
func TestToldIsTrueInTheEnd(t *testing.T) {
	t.Parallel()
	for seed := range 200 {
		h := newHistory(t)
		var openings []int
		present, told := false, false
		for at := 0; at < 7200; at += 5 {
			if at < 5400 && (at*7919+seed*104729)%97 < 9 {
				present = !present
			}
			var facts []fact
			if present {
				facts = []fact{group("a")}
			}
			switch got := h.look(time.Duration(at)*time.Second, facts...); strings.TrimRight(got, "(0123456789)") {
			case "+a":
				if told {
					t.Fatalf("seed %d: opened twice", seed)
				}
				told, openings = true, append(openings, at)
			case "-a":
				if !told {
					t.Fatalf("seed %d: ended twice", seed)
				}
				told = false
			case "":
			default:
				t.Fatalf("seed %d: told %q", seed, got)
			}
		}
		if told != present {
			t.Errorf("seed %d: told last is %v, the case is %v", seed, told, present)
		}
		for i := 1; i < len(openings); i++ {
			if openings[i]-openings[i-1] < 600 {
				t.Errorf("seed %d: openings at %v", seed, openings)
			}
		}
	}
}

// TestWordsHoldNoValues of contacts, and say what they say all the same.
func TestWordsHoldNoValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ words, value, want string }{
		{`Property values were not valid: Email address ada@@example is invalid`, "ada@@example", "Property values were not valid: Email address … is invalid"},
		{`"GOLD" was not one of the allowed options: [label: Silver]`, "gold", `"…" was not one of the allowed options: [label: Silver]`},
		{"Contact already exists. Existing ID: 15051 (bob@example.com)", "+12025550142", "Contact already exists. Existing ID: … (…)"},
		{"the number (202) 555-0142 is taken", "", "the number … is taken"},
		{"TX is no state of the STATES", "TX", "… is no state of the STATES"},
		{"the limit is 65 characters", "", "the limit is 65 characters"},
		{"Aloware answered 422", "", "Aloware answered 422"},
	} {
		if got := masked(test.words, test.value); got != test.want {
			t.Errorf("%q without %q is %q, want %q", test.words, test.value, got, test.want)
		}
	}
	if got := masked(strings.Repeat("long ", 1000), ""); len(got) > mostWords+len(hidden) {
		t.Errorf("words of %d bytes are kept", len(got))
	}
	set := problem(postgres.ProblemRow{
		Tenant: "acme", Contact: "hubspot:1", Field: "city", System: contact.HubSpot, Kind: contact.ProblemRewritten, Reason: "REWRITTEN", Value: "Reno",
		Message: `what is written to hubspot is replaced there again and again: 5 times within 9 seconds, the last time "Reno" by "Au\"stin", by AUTOMATION_PLATFORM; now HubSpot holds "Au\"stin", Aloware "Reno".`,
	})
	if words := set.detail.Words; strings.Contains(words, "Reno") || strings.Contains(words, "stin") || !strings.Contains(words, "5 times within 9 seconds") || !strings.Contains(words, "by AUTOMATION_PLATFORM") {
		t.Errorf("of a value that is set back it says %q", words)
	}
	review := problem(postgres.ProblemRow{Tenant: "acme", Contact: "hubspot:1", Field: "city", System: contact.HubSpot, Kind: contact.ProblemReview, Reason: "REVIEW", Message: `HubSpot holds "Rome"`, Value: "Paris"})
	if review.kind != Decision || review.detail.Words != "" {
		t.Errorf("a question is told as %+v, want a decision without both sides' values", review)
	}
}

// TestSentences are said for each kind, opening and end, and differ.
func TestSentences(t *testing.T) {
	t.Parallel()
	problem := func(kind, reason, field string) postgres.AlertDetail {
		return postgres.AlertDetail{System: "hubspot", Problem: kind, Reason: reason, Field: field}
	}
	var said []string
	for _, test := range []struct {
		c          postgres.AlertChange
		open, over string
	}{
		{postgres.AlertChange{Kind: Connection, Detail: postgres.AlertDetail{System: "aloware"}}, "Aloware refuses the credentials: nothing is written or read there until somebody connects it again", "Aloware is connected again, and goes on where it was"},
		{postgres.AlertChange{Kind: Lane, Detail: postgres.AlertDetail{System: "hubspot", Problem: "throttled", Reason: "DAILY", Until: time.Date(2026, 1, 2, 15, 4, 0, 0, time.UTC)}},
			"Nothing was written to HubSpot for a while: its limit of calls is reached (DAILY). It goes on by itself, at 15:04 UTC at the earliest", "Writing to HubSpot goes on"},
		{postgres.AlertChange{Kind: Mapping, Detail: postgres.AlertDetail{Field: "city", Reason: "HubSpot has no property city"}}, "The mapping of City rests: HubSpot has no property city", "The mapping of City is at work again"},
		{postgres.AlertChange{Kind: Sync, Detail: postgres.AlertDetail{Job: "first_sync", Problem: "failed", Reason: "no such tenant"}}, "First sync: the job failed: no such tenant", "First sync: the job goes on, has ended, or another one was begun"},
		{postgres.AlertChange{Kind: Sync, Detail: postgres.AlertDetail{Job: "reconcile", Problem: "waiting", Reason: "503"}},
			"Reconciliation: the job has not got on for a while: 503. It is tried again by itself", "Reconciliation: the job goes on, has ended, or another one was begun"},
		{postgres.AlertChange{Kind: Burst, Detail: postgres.AlertDetail{System: "aloware", Field: "city", Reason: "IMPORT"}},
			"City suddenly changes far more contacts than usual: it is held and not written in Aloware until somebody says whether it goes on", "The burst of changes of City waits for no answer any more"},
		{postgres.AlertChange{Kind: Decision, Contacts: 1, Detail: problem("conflict", "SEVERAL_CONTACTS", "")}, "Several contacts of HubSpot could be this one, and somebody must choose", "Who this contact is in HubSpot is settled"},
		{postgres.AlertChange{Kind: Decision, Contacts: 3, Detail: problem("review", "REVIEW", "company_name")}, "Company Name of 3 contacts differs between HubSpot and Aloware, and somebody must say which value stands", "Company Name of 3 contacts: no more difference to decide"},
		{postgres.AlertChange{Kind: Problem, Contacts: 12, Detail: problem("refused", "INVALID_EMAIL", "email")}, "HubSpot did not take Email of 12 contacts: an invalid e-mail address", "Email of 12 contacts in HubSpot: solved (An invalid e-mail address)"},
		{postgres.AlertChange{Kind: Problem, Contacts: 1, Detail: problem("refused", "NO_NAME_OR_EMAIL", "")}, "HubSpot did not take a contact as a whole: HubSpot needs a name or an e-mail address", "A contact as a whole in HubSpot: solved (HubSpot needs a name or an e-mail address)"},
		{postgres.AlertChange{Kind: Problem, Contacts: 2, Detail: problem("absent", "ABSENT", "")}, "2 contacts as a whole in HubSpot: No counterpart, and none may be made", "2 contacts as a whole in HubSpot: solved (No counterpart, and none may be made)"},
	} {
		test.c.Open = true
		if got := Sentence(test.c); got != test.open {
			t.Errorf("it opens with %q, want %q", got, test.open)
		}
		said = append(said, Sentence(test.c))
		test.c.Open = false
		if got := Sentence(test.c); got != test.over {
			t.Errorf("it ends with %q, want %q", got, test.over)
		}
	}
	for _, k := range Kinds {
		c := postgres.AlertChange{Kind: k.Kind, Open: true, Detail: postgres.AlertDetail{System: "hubspot", Field: "email", Reason: "R", Problem: "conflict"}}
		open := Sentence(c)
		if c.Open = false; Sentence(c) == open {
			t.Errorf("%s begins and ends with the same sentence %q", k.Kind, open)
		}
	}
	slices.Sort(said)
	if len(slices.Compact(said)) != len(said) {
		t.Errorf("two kinds say the same: %q", said)
	}
}
