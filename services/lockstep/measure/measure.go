// Package measure runs the services as processes, beside a bus, a PostgreSQL
// and simulated systems, and measures what the product promises: that a first
// sync uses a portal's quota to the full and never overruns it, that live edits
// do not wait behind it, and what a contact costs.
//
// Each figure and what it is compared with come from the same run.
package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"lockstep.internal/services/lockstep/fleet"
)

// Config is what to measure.
type Config struct {
	// Programs is the folder of the programs ingest, mapper and writer.
	Programs string
	// Dir keeps data and logs; "" makes a folder, which is removed when all was
	// as promised.
	Dir string
	// Contacts of a first sync against a limit; 0 means 100,000.
	Contacts int
	// Million is how many contacts the sync without limits has; 0 means 1,000,000.
	Million int
	// Only runs the scenarios of these names; none means all.
	Only []string
	// Out hears what is done; nil means standard output.
	Out io.Writer
	// Report gets the results; "" prints them only.
	Report string
}

// scenario measures one thing and says it in lines of a table.
type scenario struct {
	name, title string
	run         func(ctx context.Context, config Config, say fleet.Speaker) ([]line, error)
}

// line is one result.
type line struct {
	what, value string
	promised    string // what it must be; "" promises nothing
	broken      bool
}

// ErrBroken tells that a promise was not kept; the report says which.
var ErrBroken = errors.New("measure: not everything is as promised, see the report")

// Run measures, and writes the report.
func Run(ctx context.Context, config Config) (err error) {
	if config.Contacts == 0 {
		config.Contacts = 100_000
	}
	if config.Million == 0 {
		config.Million = 1_000_000
	}
	if config.Out == nil {
		config.Out = os.Stdout
	}
	if config.Dir == "" {
		if config.Dir, err = os.MkdirTemp("", "lockstep-measure-"); err != nil {
			return fmt.Errorf("measure: %w", err)
		}
		if err := os.Chmod(config.Dir, 0o755); err != nil {
			return fmt.Errorf("measure: %w", err)
		}
		defer func() {
			if err == nil {
				os.RemoveAll(config.Dir)
			}
		}()
	}
	say := fleet.NewSpeaker(config.Out)
	say("data and logs in %s", config.Dir)
	var report strings.Builder
	fmt.Fprintf(&report, "# What was measured\n\n`make bench` writes this file: all services as processes of their own, with one NATS server, PostgreSQL and\n")
	fmt.Fprintf(&report, "both simulators on one machine. %s, %d processors, %s.\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.Version())
	leave, err := shareAlike()
	defer leave()
	if err != nil {
		fmt.Fprintf(&report, "\nThe kernel shared the processors among sessions first, which makes whoever asks PostgreSQL wait: %v.\n", err)
		say("the kernel shares the processors among sessions first, which makes whoever asks PostgreSQL wait: %v", err)
	}
	broken := false
	for _, s := range scenarios {
		if len(config.Only) > 0 && !slices.Contains(config.Only, s.name) {
			continue
		}
		say("%s: %s", s.name, s.title)
		lines, err := s.run(ctx, config, say)
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("measure: %s: %w", s.name, err)
			}
			lines = append(lines, line{what: "was not measured to the end", value: err.Error(), promised: "an end", broken: true})
		}
		fmt.Fprintf(&report, "\n## %s\n\n| | measured | promised |\n|---|---|---|\n", s.title)
		for _, l := range lines {
			promised := l.promised
			if l.broken {
				promised, broken = "**"+promised+"**", true
			}
			fmt.Fprintf(&report, "| %s | %s | %s |\n", l.what, l.value, promised)
			say("  %-60s %s  %s", l.what, l.value, promised)
		}
	}
	if config.Report != "" {
		if err := os.WriteFile(config.Report, []byte(report.String()), 0o644); err != nil {
			return fmt.Errorf("measure: write the report: %w", err)
		}
	}
	if broken {
		return ErrBroken
	}
	return nil
}

// least is a line whose figure must be a number at least.
func least(what string, value, promised float64, format string) line {
	return line{what: what, value: fmt.Sprintf(format, value), promised: "at least " + fmt.Sprintf(format, promised), broken: value < promised}
}

// most is a line whose figure must be a number at most.
func most(what string, value, promised float64, format string) line {
	return line{what: what, value: fmt.Sprintf(format, value), promised: "at most " + fmt.Sprintf(format, promised), broken: value > promised}
}
