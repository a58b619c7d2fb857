package simulation

import (
	"strings"
	"sync"
	"testing"

	"lockstep.internal/pkg/contact"
)

// TestBothSystemsComeToAgree plays the schedules of many seeds; make simulate
// plays more.
func TestBothSystemsComeToAgree(t *testing.T) {
	t.Parallel()
	seeds := uint64(8_000 / raceFactor)
	if testing.Short() {
		seeds = 500
	}
	const workers = 4
	var mu sync.Mutex // guards total
	var total Stats
	var group sync.WaitGroup
	for worker := range uint64(workers) {
		group.Go(func() {
			var mine Stats
			for seed := worker; seed < seeds && !t.Failed(); seed += workers {
				script := Generate(seed)
				stats, failure := Run(script)
				mine.Add(stats)
				if failure != nil {
					script = Shrink(script)
					_, failure = Run(script)
					t.Errorf("a schedule fails; keep it in testdata:\n%s", Report(seed, script, failure))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.Add(mine)
		})
	}
	group.Wait()
	t.Logf("%+v", total)
	if total.Edits < int(seeds)*5 || total.Decided < int(seeds) || total.Writes < int(seeds) {
		t.Errorf("the schedules do too little to tell anything: %+v", total)
	}
	if total.Ambiguous*4 > total.Decided {
		t.Errorf("%d of %d fields are ambiguous: the check has become too lenient", total.Ambiguous, total.Decided)
	}
}

// TestShrinkingKeepsTheFailure and leaves only what it takes.
func TestShrinkingKeepsTheFailure(t *testing.T) {
	t.Parallel()
	needed := []string{"create hubspot 0 0 0", "edit hubspot city 0 1 0"}
	fails := func(s Script) bool {
		at := 0
		for _, step := range s {
			if at < len(needed) && step.Op == strings.Fields(needed[at])[0] && step.System == contact.HubSpot {
				at++
			}
		}
		return at == len(needed)
	}
	for seed := range uint64(50) {
		script := Generate(seed)
		if !fails(script) {
			continue
		}
		if short := reduce(script, fails); !fails(short) || len(short) != len(needed) {
			t.Errorf("seed %d was shrunk to\n%s", seed, short)
		}
	}
}

// BenchmarkSchedule tells how many schedules are played in a second.
func BenchmarkSchedule(b *testing.B) {
	var total Stats
	seed := uint64(0)
	for b.Loop() {
		stats, failure := Run(Generate(seed))
		if failure != nil {
			b.Fatalf("seed %d: %s", seed, failure)
		}
		total.Add(stats)
		seed++
	}
	b.ReportMetric(float64(total.Schedules)/b.Elapsed().Seconds(), "schedules/s")
}
