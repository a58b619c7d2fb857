package mapper_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// TestWhatASystemTookIsCountedByField, also where its own word of the write comes
// before the answer; what it refused is not.
func TestWhatASystemTookIsCountedByField(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	at := contact.Millis(time.Now().UnixMilli()) - 60_000
	e.say(snapshot(contact.HubSpot, "1", at, "phone", "+12025550142", "city", "Austin", "state", "TX"))
	answer := made(e.newest(contact.Aloware, "hubspot:1"), contact.Made, "2", at+1000)
	answer.Outcome.EventID = "answer"
	refuse := func(o *contact.Outcome) {
		for i := range o.Properties {
			if p := &o.Properties[i]; p.Name == "state" {
				p.Refusal = &fault.Refusal{Class: fault.Permanent, Reason: "INVALID_OPTION", Message: "no such state"}
			}
		}
	}
	refuse(answer.Outcome)
	e.say(snapshot(contact.Aloware, "2", at+1000, "phone_number", "+12025550142", "city", "Austin"))
	e.say(answer)
	e.say(snapshot(contact.HubSpot, "1", at+2000, "phone", "+12025550142", "city", "Reno", "state", "TX"))
	second := made(e.newest(contact.Aloware, "hubspot:1"), contact.Written, "2", at+3000)
	refuse(second.Outcome)
	e.say(second)
	day := time.Now().Add(-time.Hour)
	writes, err := e.db.FieldWrites(t.Context(), acme, day, day)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, w := range writes {
		got[fmt.Sprint(w.Field, " ", w.System)] = w.Today
		if time.Since(w.Last) > time.Minute {
			t.Errorf("the last write of %s was at %v", w.Field, w.Last)
		}
	}
	if got["city aloware"] != 2 || got["phone_number aloware"] == 0 || got["state aloware"] != 0 {
		t.Errorf("counted are %v; want the city twice, the number, and not the refused state", got)
	}
}
