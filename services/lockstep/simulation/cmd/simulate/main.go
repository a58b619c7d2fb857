// Command simulate plays schedules of many seeds and prints what came of them.
// A schedule that fails is shrunk and printed as a script for testdata.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"lockstep.internal/services/lockstep/simulation"
)

func main() {
	seeds := flag.Uint64("seeds", 10_000, "how many seeds to play")
	first := flag.Uint64("first", 0, "the first seed")
	step := flag.Uint64("step", 1, "distance of the seeds: every 16th from 5 on has automations")
	seed := flag.String("seed", "", "play this one seed and show each step")
	file := flag.String("script", "", "play this script and show each step")
	most := flag.Int("failures", 1, "stop after so many failures")
	shrink := flag.Bool("shrink", true, "shrink what fails")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "schedules played at once")
	flag.Parse()
	if err := run(*seeds, *first, max(*step, 1), *seed, *file, *most, *workers, *shrink); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(seeds, first, step uint64, seed, file string, most, workers int, shrink bool) error {
	switch {
	case file != "":
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		script, err := simulation.ParseScript(string(raw))
		if err != nil {
			return err
		}
		return show(script)
	case seed != "":
		var one uint64
		if _, err := fmt.Sscan(seed, &one); err != nil {
			return fmt.Errorf("seed %q: want a number", seed)
		}
		return show(simulation.Generate(one))
	}
	var next atomic.Uint64
	var mu sync.Mutex // guards what follows
	var total simulation.Stats
	failed := 0
	start := time.Now()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				number := next.Add(1) - 1
				seed := first + number*step
				mu.Lock()
				enough := failed >= most
				mu.Unlock()
				if number >= seeds || enough {
					return
				}
				script := simulation.Generate(seed)
				stats, failure := simulation.Run(script)
				if failure != nil && shrink {
					script = simulation.Shrink(script)
					_, failure = simulation.Run(script)
				}
				mu.Lock()
				total.Add(stats)
				if failure != nil && failed < most {
					failed++
					if shrink {
						fmt.Println(simulation.Report(seed, script, failure))
					} else {
						fmt.Printf("seed %d: %s\n", seed, failure)
					}
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	fmt.Println(Summary(total, time.Since(start)))
	if failed > 0 {
		return fmt.Errorf("%d schedules failed", failed)
	}
	return nil
}

// show plays one script and prints every step.
func show(script simulation.Script) error {
	fmt.Println(simulation.Trace(script))
	if _, failure := simulation.Run(script); failure != nil {
		return failure
	}
	return nil
}

// Summary is what happened over all schedules.
func Summary(s simulation.Stats, took time.Duration) string {
	perEdit := 0.0
	if s.Edits > 0 {
		perEdit = float64(s.Writes) / float64(s.Edits)
	}
	return fmt.Sprintf(
		"seeds             %d in %s, %.0f a second\nedits             %d\nfields decided    %d\n  ambiguous       %d\n  lost            %d\nwrites            %d, %.2f an edit\nolder after newer %d, over a hand-over",
		s.Schedules, took.Round(time.Millisecond), float64(s.Schedules)/took.Seconds(), s.Edits, s.Decided, s.Ambiguous, s.Lost, s.Writes, perEdit, s.Regressions)
}
