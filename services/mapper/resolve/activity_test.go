package resolve

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

func at(text string) contact.Millis {
	t, err := time.Parse(time.DateTime, text)
	if err != nil {
		panic(err)
	}
	return contact.Millis(t.UnixMilli())
}

// conversation is a call that is restated and corrected, a missed call, and
// two texts.
func conversation() []contact.Communication {
	call := contact.Communication{ID: "1", ContactID: "9", EventID: "e1", Inbound: false, StartedAt: at("2026-08-05 20:58:49"), UpdatedAt: at("2026-08-05 20:58:49"), Counters: contact.UnknownCounters}
	done, corrected := call, call
	done.EventID, done.UpdatedAt, done.Disposition, done.Finished = "e2", at("2026-08-05 21:00:00"), "Connected", true
	corrected.EventID, corrected.UpdatedAt, corrected.Disposition, corrected.Finished = "e3", at("2026-08-05 21:00:06"), "Left voicemail", true
	return []contact.Communication{
		call, done, corrected,
		{ID: "2", ContactID: "9", EventID: "e4", Inbound: true, StartedAt: at("2026-08-06 03:10:00"), UpdatedAt: at("2026-08-06 03:10:22"), Finished: true, Counters: contact.UnknownCounters},
		{ID: "3", ContactID: "9", EventID: "e5", Text: true, Inbound: true, Body: "Yes, call me tomorrow", StartedAt: at("2026-08-06 02:00:00"), UpdatedAt: at("2026-08-06 02:00:01"), Finished: true, Counters: contact.UnknownCounters},
		{ID: "4", ContactID: "9", EventID: "e6", Text: true, Inbound: true, Body: "Earlier", StartedAt: at("2026-08-01 02:00:00"), UpdatedAt: at("2026-08-01 02:00:01"), Finished: true, Counters: contact.UnknownCounters},
	}
}

// count plays communications and gives the values of the computed fields.
func count(communications []contact.Communication, zone *time.Location) map[string]string {
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Zone: zone, Creation: FlowBoth, Updates: FlowBoth}
	state, seen := &State{}, map[string]bool{}
	for i := range communications {
		c := communications[i]
		j := NewJudge(rules, "aloware:9", state, Decision{Version: contact.Version(i + 1), Now: c.UpdatedAt, EventID: c.EventID})
		j.Observe(&contact.Change{System: contact.Aloware, ID: "9", EventID: c.EventID, Event: contact.Snapshot, OccurredAt: c.UpdatedAt, Precision: 999})
		j.Count(&c, !seen[c.ID])
		seen[c.ID] = true
		j.Conclude()
	}
	values := map[string]string{}
	for key, f := range state.Fields {
		if rules.Set.ByKey(key).Category.Computed() {
			values[key] = rules.desiredValue(f, key)
		}
	}
	return values
}

func (r *Rules) desiredValue(f *Field, key string) string {
	j := NewJudge(r, "", &State{}, Decision{})
	return j.desired(r.Set.ByKey(key), f).Value
}

// TestActivityIsExact: counted once by id, first is the earliest, last the
// latest, a corrected outcome counts, and days are the tenant's.
func TestActivityIsExact(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	got := count(conversation(), zone)
	want := map[string]string{
		"total_outbound_calls": "1", "total_inbound_calls": "1", "total_inbound_text_messages": "2",
		"last_inbound_text_message": "Yes, call me tomorrow", "last_call_disposition": "Left voicemail", "last_outbound_call_disposition": "Left voicemail",
		"last_inbound_call_date": "2026-08-05", "last_inbound_call_time": "23:10:00", "last_inbound_call_datetime": "2026-08-06T03:10:00.000Z",
		"first_inbound_text_message_datetime": "2026-08-01T02:00:00.000Z", "last_inbound_engagement": "2026-08-06T03:10:00.000Z",
		"first_inbound_engagement_datetime": "2026-08-01T02:00:00.000Z", "last_inbound_and_outbound_engagement": "2026-08-06T03:10:00.000Z",
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
}

// TestActivityIsTheSameInAnyOrder, and however often each delivery comes.
func TestActivityIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	want := count(conversation(), time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 500 {
		all := append(conversation(), conversation()[random.IntN(6)])
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if diff := cmp.Diff(want, count(all, time.UTC)); diff != "" {
			order := ""
			for _, c := range all {
				order += fmt.Sprint(c.EventID, " ")
			}
			t.Fatalf("round %d, order %s: values differ (-want +got):\n%s", round, order, diff)
		}
	}
}
