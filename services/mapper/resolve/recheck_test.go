package resolve

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestANamedSideIsReadAnew, and no other: what a walk of it has not seen.
func TestANamedSideIsReadAnew(t *testing.T) {
	t.Parallel()
	rules := &Rules{Set: mapping.Default(nil), Region: "US", Creation: FlowBoth, Updates: FlowBoth}
	state := &State{Sides: [2]Side{{ID: "501", Read: true}, {ID: "9", Read: true}}}
	j := NewJudge(rules, "hubspot:501", state, Decision{Version: 1, Now: 1, EventID: "event"})
	j.Command(&contact.Command{EventID: "event", Contact: "hubspot:501", Kind: contact.Recheck, System: contact.Aloware})
	patches := j.Conclude().Patches
	if len(patches) != 1 || patches[0].System != contact.Aloware || patches[0].Fetch == nil || len(patches[0].Properties) > 0 {
		t.Errorf("it leads to %+v, want a read in Aloware", patches)
	}
}
