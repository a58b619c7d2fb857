package mapper

import (
	"slices"
	"testing"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/stage"
)

// TestAnswersAreJudgedBeforeEchoes, in whichever order they came: who does not know yet
// that a record is our own makes a second contact of it. Elsewhere the order holds.
func TestAnswersAreJudgedBeforeEchoes(t *testing.T) {
	t.Parallel()
	heard := bus.Delivery{Incoming: []contact.Incoming{{Change: &contact.Change{}}}}
	answer := bus.Delivery{Incoming: []contact.Incoming{{Outcome: &contact.Outcome{}}}}
	batch := stage.Batch{Deliveries: []bus.Delivery{heard, answer, heard, {}, answer}}
	for stream, want := range map[bus.Stream][]int{bus.ChangesEcho: {1, 4, 0, 2, 3}, bus.Changes: {0, 1, 2, 3, 4}, bus.ChangesBulk: {0, 1, 2, 3, 4}} {
		batch.Stream = stream
		if got := slices.Collect(inOrder(batch)); !slices.Equal(got, want) {
			t.Errorf("stream %v: %v, want %v", stream, got, want)
		}
	}
}
