package mapper_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
)

// TestAFieldThatIsSetBackIsStoppedNamedAndGoesOn: what was counted outlives the
// mapper, the problem names who does it, the observer hears of it once, and a
// retry writes again.
func TestAFieldThatIsSetBackIsStoppedNamedAndGoesOn(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.stop()
	heard := &listener{repaired: make(map[string]int64)}
	e.heard = heard
	e.set.ByKey("city").Direction = contact.Both
	e.start()
	const begin contact.Millis = 1_700_000_000_000
	const key contact.Key = "hubspot:1"
	e.say(snapshot(contact.HubSpot, "1", begin, "phone", "+12025550142", "city", "Austin"))
	e.say(made(e.newest(contact.Aloware, key), contact.Made, "2", begin+1000))
	at := begin + 10_000
	agent := func(value string) {
		at += 10_000
		e.say(snapshot(contact.Aloware, "2", at, "phone_number", "+12025550142", "city", value))
	}
	workflow := func() {
		patch := e.newest(contact.HubSpot, key)
		e.say(made(patch, contact.Written, "1", at+1000))
		e.say(contact.Incoming{Change: &contact.Change{
			System: contact.HubSpot, ID: "1", Event: contact.Changed, Channel: contact.Webhook, OccurredAt: at + 2000, ReceivedAt: at + 2000,
			Origin: contact.Others, Cause: "AUTOMATION_PLATFORM 118", Values: []contact.Value{{Name: "city", Text: "Austin"}},
		}})
	}
	const rounds = 5
	for i := range rounds {
		agent(fmt.Sprint("city", i))
		if i == 2 {
			e.stop() // what was counted is stored
			e.start()
		}
		workflow()
		if i < rounds-1 {
			e.say(made(e.newest(contact.Aloware, key), contact.Written, "2", at+3000))
		}
	}
	field := func() *contact.CardField {
		card := e.mustCard(key)
		at := slices.IndexFunc(card.Fields, func(f contact.CardField) bool { return f.Key == "city" })
		return &card.Fields[at]
	}
	if f := field(); f.State != contact.FieldRewritten || !strings.Contains(f.Stopped, "AUTOMATION_PLATFORM 118") || f.Sides[0].Value != "Austin" || f.Sides[1].Value != "city4" {
		t.Fatalf("the field is %+v", f)
	}
	problems := e.problems()
	if len(problems) != 1 || problems[0].Kind != contact.ProblemRewritten || problems[0].Reason != "REWRITTEN" || problems[0].System != contact.HubSpot || problems[0].Field != "city" {
		t.Fatalf("problems are %+v", problems)
	}
	for _, words := range []string{"5 times", `"city4" by "Austin"`, "by AUTOMATION_PLATFORM 118", `HubSpot holds "Austin", Aloware "city4"`} {
		if !strings.Contains(problems[0].Message, words) {
			t.Errorf("the problem says %q, without %q", problems[0].Message, words)
		}
	}
	before := len(e.patches(contact.HubSpot)) + len(e.patches(contact.Aloware))
	e.say(snapshot(contact.HubSpot, "1", at+5000, "phone", "+12025550142", "city", "Austin"), snapshot(contact.Aloware, "2", at+5000, "phone_number", "+12025550142", "city", "city4"))
	if now := len(e.patches(contact.HubSpot)) + len(e.patches(contact.Aloware)); now != before {
		t.Errorf("%d patches go out while the field rests", now-before)
	}
	e.say(contact.Incoming{Command: &contact.Command{Kind: contact.Retry, Contact: key, System: contact.HubSpot, Fields: []string{"city"}, Author: "ada"}})
	if value, _ := property(e.newest(contact.Aloware, key), "city"); value != "Austin" || field().State == contact.FieldRewritten || len(e.problems()) != 0 {
		t.Errorf("after a retry Aloware gets %q, the field is %s, problems are %+v", value, field().State, e.problems())
	}
	rows, err := e.db.History(t.Context(), acme, key, "city", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, row := range rows {
		told[row.Rule] = row.Reason
	}
	if !strings.Contains(told["stopped"], "5 times") || !strings.Contains(told["rewritten"], "round") || told["resumed"] != "tried again by ada" {
		t.Errorf("the history tells %q", told)
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if heard.rewritten != [2]int64{1, 0} {
		t.Errorf("the observer heard of %v", heard.rewritten)
	}
}
