// Chaos runs the whole pipeline as real processes, disturbs it for a while, and
// ends with 0 only if everything agrees in the end.
package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"time"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/services/lockstep/chaos"
)

func main() {
	var config chaos.Config
	here, err := os.Executable()
	if err != nil {
		here = "bin/chaos"
	}
	flag.DurationVar(&config.Duration, "duration", 10*time.Minute, "time of edits and faults")
	flag.Uint64Var(&config.Seed, "seed", uint64(time.Now().Unix()), "seed of everything that is random")
	flag.StringVar(&config.Programs, "programs", filepath.Dir(here), "folder of the programs ingest, mapper and writer")
	flag.StringVar(&config.Dir, "dir", "", "folder for data and logs; empty makes one and removes it when all agreed")
	flag.IntVar(&config.Tenants, "tenants", 0, "tenants (default 3)")
	flag.Float64Var(&config.EditsPerSecond, "edits", 0, "edits a second of each tenant (default 6)")
	flag.DurationVar(&config.Pause, "pause", 0, "mean time between two faults (default 4s)")
	flag.DurationVar(&config.Quiet, "quiet", 0, "longest time until all is at rest after the faults (default 5m)")
	flag.Parse()
	daemon.Main("chaos", func(ctx context.Context) error { return chaos.Run(ctx, config) })
}
