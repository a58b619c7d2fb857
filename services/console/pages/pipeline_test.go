package pages

import (
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/console/pipeline"
)

// TestTheBusiestLanesAreShown: those that rest first, then those with most that
// waits, and so many only as people can look at.
func TestTheBusiestLanesAreShown(t *testing.T) {
	t.Parallel()
	lanes := []pipeline.Lane{{Tenant: "calm"}, {Tenant: "uses", Used: 9}, {Tenant: "waits", Rows: 5}, {Tenant: "rests", Pause: time.Now()}}
	for most, want := range map[int][]contact.Tenant{2: {"rests", "waits"}, 9: {"rests", "waits", "uses", "calm"}} {
		shown, left := busiest(lanes, most)
		if left != len(lanes)-len(want) || len(shown) != len(want) {
			t.Fatalf("of %d lanes %d are shown and %d left out", len(lanes), len(shown), left)
		}
		for i := range want {
			if shown[i].Tenant != want[i] {
				t.Errorf("lane %d is %s, want %s", i, shown[i].Tenant, want[i])
			}
		}
	}
}
