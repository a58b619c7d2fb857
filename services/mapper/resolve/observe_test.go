package resolve

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// TestALateWriteOverTheTargetsOwnEditIsFollowedByTheSource: the source's edit was
// told late, and its write landed after somebody's own edit of the target, which
// is gone: what stays there is the source's newest value, not the older one.
func TestALateWriteOverTheTargetsOwnEditIsFollowedByTheSource(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	at := contact.Millis(1_700_000_000_000)
	state := &State{Sides: [2]Side{{ID: "501", Read: true}, {ID: "9", Read: true}}}
	version := contact.Version(0)
	judge := func(do func(j *Judge)) (written []contact.Property) {
		version++
		j := NewJudge(rules, "hubspot:501", state, Decision{Version: version, Now: at + 60_000, EventID: "event"})
		do(j)
		for _, p := range j.Conclude().Patches {
			written = append(written, p.Properties...)
		}
		return written
	}
	hear := func(system contact.System, id, property, value string, occurred contact.Millis) []contact.Property {
		return judge(func(j *Judge) {
			j.Observe(&contact.Change{
				System: system, ID: id, EventID: value, Event: contact.Changed, OccurredAt: occurred, ReceivedAt: at + 60_000,
				Values: []contact.Value{{Name: property, Text: value}},
			})
		})
	}
	hear(contact.HubSpot, "501", "aloware_lead_source", "before", at)
	late := hear(contact.Aloware, "9", "lead_source", "source", at+5000)
	if len(late) != 1 || late[0].Value != "source" {
		t.Fatalf("the source's edit leads to %+v", late)
	}
	hear(contact.Aloware, "9", "lead_source", "source again", at+7000)
	hear(contact.HubSpot, "501", "aloware_lead_source", "own", at+9000)
	back := judge(func(j *Judge) {
		j.Settle(&contact.Outcome{
			System: contact.HubSpot, Contact: "hubspot:501", Version: version, TargetID: "501", Result: contact.Written, AppliedAt: at + 11_000, AnsweredAt: at + 60_000,
			Properties: []contact.PropertyOutcome{{Name: "aloware_lead_source", Version: late[0].Version, Value: "source"}},
		})
	})
	if will, _ := state.Fields["lead_source"].Sides[0].will(); will != "source again" {
		t.Errorf("HubSpot will hold %q after %+v, want the source's newest value", will, back)
	}
}

// tick is a contact in both systems whose Aloware side is told by snapshots with
// a clock of whole seconds.
type tick struct {
	t       *testing.T
	rules   *Rules
	state   *State
	version contact.Version
}

const tickBase contact.Millis = 1_700_000_000_000

func newTick(t *testing.T) *tick {
	set := mapping.Default(nil)
	set.ByKey("city").Direction = contact.Both
	return &tick{
		t: t, rules: &Rules{Set: set, Region: "US", Creation: FlowBoth, Updates: FlowBoth},
		state: &State{Sides: [2]Side{{ID: "501", Read: true}, {ID: "9", Read: true}}},
	}
}

func (k *tick) judge(now contact.Millis, do func(j *Judge)) (cities []string) {
	k.version += 10
	j := NewJudge(k.rules, "hubspot:501", k.state, Decision{Version: k.version, Now: tickBase + now, EventID: "event"})
	do(j)
	for _, p := range j.Conclude().Patches {
		for _, property := range p.Properties {
			cities = append(cities, p.System.String()+" "+property.Value)
		}
	}
	return cities
}

// hubSpot is somebody's edit there, and the write that follows, applied in
// Aloware's second of that time.
func (k *tick) hubSpot(city string, at contact.Millis) {
	k.answer(city, k.edit(city, at), at/1000*1000, at+300)
}

// edit is somebody's edit in HubSpot; it gives the version of the write.
func (k *tick) edit(city string, at contact.Millis) contact.Version {
	k.judge(at+100, func(j *Judge) {
		j.Observe(&contact.Change{
			System: contact.HubSpot, ID: "501", EventID: "h" + city, Event: contact.Changed, Origin: contact.Others, OccurredAt: tickBase + at, ReceivedAt: tickBase + at + 50,
			Values: []contact.Value{{Name: "city", Text: city}},
		})
	})
	return k.version
}

// answer is Aloware's answer to a write, which was applied in a second.
func (k *tick) answer(city string, version contact.Version, second, answered contact.Millis) []string {
	return k.judge(answered+100, func(j *Judge) {
		j.Settle(&contact.Outcome{
			System: contact.Aloware, Contact: "hubspot:501", Version: version, TargetID: "9", Result: contact.Written,
			AppliedAt: tickBase + second, Precision: 999, AnsweredAt: tickBase + answered,
			Properties: []contact.PropertyOutcome{{Name: "city", Version: version, Value: city}},
		})
	})
}

// aloware is a snapshot of the second in which it was received.
func (k *tick) aloware(city string, received contact.Millis) []string {
	return k.judge(received, func(j *Judge) {
		j.Observe(&contact.Change{
			System: contact.Aloware, ID: "9", EventID: city + time.Duration(received).String(), Event: contact.Snapshot,
			OccurredAt: tickBase + received/1000*1000, Precision: 999, ReceivedAt: tickBase + received, Values: []contact.Value{{Name: "city", Text: city}},
		})
	})
}

// read is the confirming read's answer, after the second of the last change.
func (k *tick) read(city string, second, answered contact.Millis) []string {
	return k.judge(answered, func(j *Judge) {
		j.Settle(&contact.Outcome{
			System: contact.Aloware, Contact: "hubspot:501", Version: k.version - 5, TargetID: "9", Result: contact.Fetched,
			AppliedAt: tickBase + second, Precision: 999, AnsweredAt: tickBase + answered, Holds: []contact.Value{{Name: "city", Text: city}},
		})
	})
}

// TestAValueSetBackWithinOneTickIsFollowed: Elko, Reno and Elko again, the last
// two within one second of Aloware's clock. The read after it tells which is
// there, and that somebody set it.
func TestAValueSetBackWithinOneTickIsFollowed(t *testing.T) {
	t.Parallel()
	k := newTick(t)
	k.hubSpot("Reno", 10_540)
	k.aloware("Reno", 10_900)
	k.aloware("Elko", 11_400)
	k.aloware("Reno", 14_684)
	k.aloware("Elko", 14_690)
	written := k.read("Elko", 14_000, 16_280)
	if diff := cmp.Diff([]string{"hubspot Elko"}, written); diff != "" {
		t.Errorf("written after the read (-want +got):\n%s", diff)
	}
}

// TestAnEditInTheSecondAfterOurWritesIsOne: Elko and Reno were written within
// one second of Aloware's clock, and Reno was the last. Who sets Elko again in
// the next second means it, also while the read that was asked for is under way,
// and in whatever order the webhooks of the two writes came.
func TestAnEditInTheSecondAfterOurWritesIsOne(t *testing.T) {
	t.Parallel()
	for _, webhooks := range [][]string{{"Elko", "Reno"}, {"Reno", "Elko"}} {
		k := newTick(t)
		k.hubSpot("Elko", 10_100)
		k.hubSpot("Reno", 10_540)
		k.aloware(webhooks[0], 10_950)
		k.aloware(webhooks[1], 10_960)
		written := k.aloware("Elko", 11_837)
		if diff := cmp.Diff([]string{"hubspot Elko"}, written); diff != "" {
			t.Errorf("%v: written after the edit (-want +got):\n%s", webhooks, diff)
		}
		if written := k.read("Elko", 11_000, 12_300); len(written) != 0 {
			t.Errorf("%v: the read leads to %v", webhooks, written)
		}
	}
}

// TestAnEditBeforeALateAnswerIsOne: the answer to the write of Reno comes after
// Elko, which was there within the same second, was set again in the next one.
func TestAnEditBeforeALateAnswerIsOne(t *testing.T) {
	t.Parallel()
	for _, webhooks := range [][]string{{"Elko", "Reno"}, {"Reno", "Elko"}} {
		k := newTick(t)
		k.hubSpot("Elko", 10_100)
		version := k.edit("Reno", 10_540)
		k.aloware(webhooks[0], 10_950)
		k.aloware(webhooks[1], 10_960)
		written := append(k.aloware("Elko", 11_837), k.answer("Reno", version, 10_000, 12_100)...)
		if diff := cmp.Diff([]string{"hubspot Elko"}, written); diff != "" {
			t.Errorf("%v: written after the edit and the answer (-want +got):\n%s", webhooks, diff)
		}
		if written := k.read("Elko", 11_000, 12_300); len(written) != 0 {
			t.Errorf("%v: the read leads to %v", webhooks, written)
		}
	}
}

// TestADoubtEndsWithTheRead: once a read has told what a second ended with, the
// other value of that second, set again a little later, is an edit.
func TestADoubtEndsWithTheRead(t *testing.T) {
	t.Parallel()
	k := newTick(t)
	k.aloware("Elko", 10_100)
	k.hubSpot("Reno", 10_400)
	k.read("Reno", 10_000, 12_300)
	written := k.aloware("Elko", 14_200)
	if diff := cmp.Diff([]string{"hubspot Elko"}, written); diff != "" {
		t.Errorf("written after the second edit (-want +got):\n%s", diff)
	}
}

// TestAValueThatWasLeftIsSetAgain: Aloware's user cleared a value and set it back
// after an edit in HubSpot, and both are heard behind our write of that.
func TestAValueThatWasLeftIsSetAgain(t *testing.T) {
	t.Parallel()
	second := contact.Millis(1_700_000_000_000)
	at := func(seconds contact.Millis) Span {
		from := second + seconds*1000
		return Span{from, from + 999, from + 999}
	}
	var side FieldSide
	side.observe("mine", at(0), false)
	side.issue(2, "theirs", false)
	side.settle(2, "theirs", at(5).To)
	side.observe("theirs", at(5), true)
	if !side.mayHaveHeld("mine", at(3)) {
		t.Error("before anything else is known, the value may have been there until our write")
	}
	side.observe("", at(2), false)
	if side.mayHaveHeld("mine", at(3)) {
		t.Error("the value was left by then, so that somebody set it again")
	}
}

// TestWhatReplacedAWriteOfOursCameAfterIt: a person gives Aloware's value of
// before back over a write of ours, or another one within the same second; that is
// later than the edit in HubSpot that was written, however coarse Aloware's clock.
func TestWhatReplacedAWriteOfOursCameAfterIt(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(k *tick) []string{
		"the value of before, two seconds later": func(k *tick) []string {
			k.aloware("Elko", 9_100)
			k.aloware("Elko", 10_278) // another field was changed
			version := k.edit("Reno", 10_497)
			k.answer("Reno", version, 10_000, 10_556)
			return k.aloware("Elko", 12_074)
		},
		"what we had written before, in the next second": func(k *tick) []string {
			k.aloware("Ely", 9_100)
			version := k.edit("Elko", 10_237)
			k.answer("Elko", version, 10_000, 10_278)
			version = k.edit("Reno", 10_281)
			k.answer("Reno", version, 10_000, 10_308)
			k.aloware("Elko", 10_315) // the echoes come late
			k.aloware("Reno", 10_330)
			return k.aloware("Elko", 11_906)
		},
		"the same, where we gave the value of before back": func(k *tick) []string {
			k.aloware("Reno", 9_100)
			k.hubSpot("Elko", 10_237)
			k.hubSpot("Reno", 10_281)
			return k.aloware("Elko", 11_906)
		},
		"within the second of the write, as a read tells": func(k *tick) []string {
			k.aloware("Elko", 9_100)
			version := k.edit("Reno", 10_396)
			k.answer("Reno", version, 10_000, 10_454)
			return append(k.aloware("Elko", 10_610), k.read("Elko", 10_000, 12_237)...)
		},
	} {
		if diff := cmp.Diff([]string{"hubspot Elko"}, play(newTick(t))); diff != "" {
			t.Errorf("%s: written after the edit (-want +got):\n%s", name, diff)
		}
	}
}
