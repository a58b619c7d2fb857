// Measure runs the services as processes and measures what the product
// promises; it ends with 0 only if all of it is kept.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/services/lockstep/measure"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == measure.BusArgument { // a child of ours
		daemon.Main("bus", func(ctx context.Context) error {
			port, err := strconv.Atoi(os.Args[3])
			if err != nil {
				return fmt.Errorf("port: %w", err)
			}
			return measure.Bus(ctx, os.Args[2], port)
		})
		return
	}
	var config measure.Config
	here, err := os.Executable()
	if err != nil {
		here = "bin/measure"
	}
	flag.StringVar(&config.Programs, "programs", filepath.Dir(here), "folder of the programs ingest, mapper and writer")
	flag.StringVar(&config.Dir, "dir", "", "folder for data and logs; empty makes one and removes it when all was as promised")
	flag.IntVar(&config.Contacts, "contacts", 0, "contacts of a first sync against a limit (default 100000)")
	flag.IntVar(&config.Million, "million", 0, "contacts of the sync without limits (default 1000000)")
	flag.StringVar(&config.Report, "report", "", "file that gets the results; empty prints them only")
	only := flag.String("only", "", "scenarios, with commas between; empty runs all")
	flag.Parse()
	if *only != "" {
		config.Only = strings.Split(*only, ",")
	}
	daemon.Main("measure", func(ctx context.Context) error { return measure.Run(ctx, config) })
}
