// Package chaos runs the whole pipeline as real processes beside both
// simulated systems, disturbs it, and tells whether everything agrees in the
// end.
//
// It starts services, a cluster of three bus servers, a PostgreSQL and
// simulators of its own, puts a proxy into every connection between them, edits
// contacts on both sides all the time, and kills, stops, cuts, slows and
// restarts at random, by a seed. At rest it compares both sides field by field
// by the rules of the mappings, and what the systems counted with their limits.
// It says what it does as it does it.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/services/lockstep/fleet"
)

// Config is how long and how hard to disturb.
type Config struct {
	// Duration of edits and faults; what comes after, until all is quiet, is
	// not part of it. 0 means one minute.
	Duration time.Duration
	// Seed of everything that is random here; 0 means one.
	Seed uint64
	// Programs is the folder of the programs ingest, mapper and writer.
	Programs string
	// Dir keeps all data and the logs of the processes; it must be empty or
	// missing, and a PostgreSQL account must be able to enter it. "" makes one,
	// which is removed when all agreed.
	Dir string
	// Tenants, each with a simulated HubSpot and Aloware of its own; 0 means 3.
	Tenants int
	// People that each tenant begins with; 0 means 20.
	People int
	// EditsPerSecond of one tenant, both sides together; 0 means 6.
	EditsPerSecond float64
	// Pause is the mean time between the beginnings of two faults; 0 means 4 s.
	Pause time.Duration
	// Quiet bounds the time until all is at rest after the faults; 0 means 5 m.
	Quiet time.Duration
	// Out hears what is done and counted; nil means standard output.
	Out io.Writer
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&c.Duration, time.Minute)
	set(&c.Pause, 4*time.Second)
	set(&c.Quiet, 5*time.Minute)
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Tenants == 0 {
		c.Tenants = 3
	}
	if c.People == 0 {
		c.People = 20
	}
	if c.EditsPerSecond == 0 {
		c.EditsPerSecond = 6
	}
	if c.Out == nil {
		c.Out = os.Stdout
	}
	return c
}

// ErrDisagree is given when something is not as it must be at the end; the
// details were printed.
var ErrDisagree = errors.New("chaos: not everything agrees, see the output")

// Run runs it all. It returns nil only if everything agreed: an end before that
// is an error too.
func Run(ctx context.Context, config Config) error {
	err := run(ctx, config.withDefaults())
	if err != nil && ctx.Err() != nil {
		return errors.New("chaos: ended before all could be judged")
	}
	return err
}

func run(ctx context.Context, config Config) (err error) {
	say := fleet.NewSpeaker(config.Out)
	owned := config.Dir == ""
	if owned {
		if config.Dir, err = os.MkdirTemp("", "lockstep-chaos-"); err != nil {
			return fmt.Errorf("chaos: %w", err)
		}
		defer func() {
			if err == nil {
				os.RemoveAll(config.Dir)
			}
		}()
	}
	say("seed %d, %v of edits and faults; data and logs in %s", config.Seed, config.Duration, config.Dir)
	w, err := build(ctx, config, say)
	if err != nil {
		return fmt.Errorf("chaos: set up: %w", err)
	}
	defer w.close()
	if err := w.settleDown(ctx, "the first contacts are on both sides"); err != nil {
		return err
	}
	for _, a := range w.accounts {
		if err := a.disorder(ctx, true); err != nil {
			return fmt.Errorf("chaos: disorder: %w", err)
		}
	}

	disturbing, stop := context.WithTimeout(ctx, config.Duration)
	defer stop()
	group, disturbing := errgroup.WithContext(disturbing)
	for i, a := range w.accounts {
		group.Go(func() error {
			return a.load(disturbing, rand.New(rand.NewPCG(config.Seed, uint64(i)+1)), config.EditsPerSecond)
		})
	}
	faults := newFaults(w, rand.New(rand.NewPCG(config.Seed, 0)))
	group.Go(func() error { return faults.run(disturbing, config.Pause) })
	group.Go(func() error { return w.tell(disturbing, faults) })
	if err := group.Wait(); err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}

	say("faults off; waiting until all is quiet")
	for _, a := range w.accounts {
		if err := a.disorder(ctx, false); err != nil {
			return fmt.Errorf("chaos: end of disorder: %w", err)
		}
	}
	quietErr := w.settleDown(ctx, "both sides agree and nothing moves")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(quietErr, w.judge(ctx, faults))
}
