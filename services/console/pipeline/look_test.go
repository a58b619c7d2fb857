package pipeline

import (
	"testing"
	"time"

	"lockstep.internal/pkg/postgres"
)

// TestAgeOfWhatWaits: it grows while the same messages wait, also when others
// come behind them, and begins anew when those that waited are done.
func TestAgeOfWhatWaits(t *testing.T) {
	t.Parallel()
	p, start := New(Config{}), time.Now()
	for i, step := range []struct {
		applied, last uint64
		at, want      time.Duration
	}{
		{10, 12, 0, 0},
		{10, 12, 2 * time.Second, 2 * time.Second},
		{11, 20, 4 * time.Second, 4 * time.Second},
		{12, 20, 6 * time.Second, 0}, // what waited at first is done
		{12, 20, 9 * time.Second, 3 * time.Second},
	} {
		if got := p.waits(postgres.Progress{Stage: "mapper", Partition: 3, Seq: step.applied}, step.last, start.Add(step.at)); got != step.want {
			t.Errorf("look %d: it waits for %v, want %v", i, got, step.want)
		}
	}
	if got := p.waits(postgres.Progress{Stage: "mapper", Partition: 4, Seq: 1}, 2, start.Add(time.Minute)); got != 0 {
		t.Errorf("another partition waits for %v", got)
	}
}
