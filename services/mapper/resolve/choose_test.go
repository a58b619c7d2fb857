package resolve

import (
	"slices"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestAMergedContactKeepsWhatIsNotGivenAway: HubSpot merged two contacts, so that one
// has two counterparts in Aloware. Whichever of them is given to somebody else, the
// other one stays or takes its place; with the last one it has none.
func TestAMergedContactKeepsWhatIsNotGivenAway(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, given, left string
		apart             []string
	}{
		{"the one that is linked", "8", "24", []string{"8"}},
		{"the one besides", "24", "8", []string{"24"}},
	} {
		state := &State{Sides: [2]Side{{ID: "26", Read: true}, {ID: "8", Aliases: []string{"24"}, Read: true}}}
		judge := NewJudge(&Rules{Set: mapping.Default(nil), Region: "US"}, "aloware:8", state, Decision{Version: 10, Now: tickBase, EventID: "event"})
		judge.Unlink(contact.Aloware, test.given)
		side := state.Side(contact.Aloware)
		if side.ID != test.left || len(side.Aliases) > 0 || side.Refused != nil || !slices.Equal(side.Apart, test.apart) {
			t.Errorf("%s is given away: %+v, want %s linked and apart from %v", test.name, side, test.left, test.apart)
		}
		judge.Unlink(contact.Aloware, test.left)
		if side.ID != "" || side.Refused == nil {
			t.Errorf("%s and then the other are given away: %+v, want none", test.name, side)
		}
	}
}
