package mapper

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/mapper/resolve"
)

// TestStateIsStoredWhole: every member of the state survives, also one that
// somebody adds later and forgets here.
func TestStateIsStoredWhole(t *testing.T) {
	t.Parallel()
	refusal := fault.Refusal{Class: fault.Permanent, Reason: "R", Message: "M", Status: 400, CorrelationID: "C"}
	side := resolve.FieldSide{
		Known: true, Value: "v", Since: 1, Seen: resolve.Span{From: 2, At: 3, To: 4},
		Past:     []resolve.Past{{Value: "p", Since: 5, Last: 6, Until: 7}},
		Writes:   []resolve.Write{{Version: 8, Value: "w", After: 9, Applied: 10, Sought: true, Replaced: true, Doubtful: true}},
		Rejected: &resolve.Rejection{Value: "r", Version: 11, Refusal: refusal, Profile: "full"}, Forgotten: true, Native: "n", Stale: true,
	}
	line := resolve.Line{
		Count: 1, Base: 2, First: 3, Last: 4, LastID: "5", LastBody: "b", Disposed: 6, DisposedID: "7", DisposedUpdated: 8, Disposition: "d", Told: 9,
		Based: true, BasedAt: 10, Open: []string{"11"},
	}
	contactSide := resolve.Side{
		ID: "1", Aliases: []string{"2"}, Read: true, Gone: true, Creating: 3, Fetching: 4, Doubt: 5, Refused: &refusal,
		Candidates: []string{"6"}, Phone: "+1", Mobile: "+2", Email: "e", Sought: "s", Pull: 6, Apart: []string{"7"},
		Leaving: 7, Left: true, Archiving: 8, Made: 9,
	}
	rewriting := resolve.Rewriting{Rounds: []resolve.Round{{At: 1}, {At: 2, Back: true}}, Last: "l", By: "b", Edited: 3}
	rest := resolve.Rest{Side: contact.Aloware, Rounds: 5, Took: 6, By: "b", Ours: "o", Theirs: "t", Apart: true, Form: 1 << 63}
	want := &resolve.State{
		Version: 42, Sides: [2]resolve.Side{contactSide, contactSide}, Seen: []uint64{1, 2},
		Fields: map[string]*resolve.Field{"k": {
			Edits:   [2]resolve.Edit{{Value: "a", At: 1, Side: contact.HubSpot}, {Value: "b", At: 2, Side: contact.Aloware}},
			Former:  [2]resolve.Edit{{Value: "f", At: 1, Side: contact.HubSpot}, {Value: "g", At: 1, Side: contact.Aloware}},
			Guessed: [2]bool{true, true},
			Sides:   [2]resolve.FieldSide{side, side}, Asked: true, Approved: resolve.Edit{Value: "c", At: 3, Side: contact.HubSpot},
			Held:    &resolve.Held{Hold: "h", Edit: resolve.Edit{Value: "d", At: 4, Side: contact.HubSpot}, Text: "e", Former: "f"},
			LetBe:   resolve.Edit{Value: "g", At: 5, Side: contact.HubSpot},
			Undone:  resolve.Edit{Value: "h", At: 6, Side: contact.Aloware},
			Counted: 7,
			Binding: mapping.Binding{Since: [2]int64{1, 2}, Formed: 3, Renewed: 4},
			Tug:     &resolve.Tug{Sides: [2]resolve.Rewriting{rewriting, rewriting}, Values: []string{"x", "y"}, Last: 4, Rest: &rest},
		}},
		Outside:  true,
		Activity: &resolve.Activity{InboundCalls: line, OutboundCalls: line, InboundTexts: line, OutboundTexts: line},
	}
	for _, part := range []any{side, line, contactSide, refusal, side.Past[0], side.Writes[0], *side.Rejected, rewriting, rest, *want.Fields["k"].Tug, *want, *want.Fields["k"], *want.Fields["k"].Held} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Fatalf("%T.%s is not filled: this test would miss it", part, v.Type().Field(i).Name)
			}
		}
	}
	got, err := decodeState(encodeState(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state differs after storage (-want +got):\n%s", diff)
	}
}
