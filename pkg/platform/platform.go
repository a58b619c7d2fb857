// Package platform opens what every service works with: the database, the bus,
// the roster of tenants, and telemetry, from one set of settings. A main
// stays a table of contents.
package platform

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/telemetry"
)

// Config is how to reach the shared parts.
type Config struct {
	Service     string // name in telemetry and logs
	Owner       string // unique name of this process; "" makes one
	DatabaseURL string
	Migrate     bool // bring the schema up to date first
	Bus         bus.Config
	Seal        *seal.Sealer
}

// FromEnv reads the settings of a service that runs by itself.
func FromEnv(service string, env *daemon.Env) Config {
	config := Config{
		Service:     service,
		Owner:       env.String("LOCKSTEP_OWNER", ""),
		DatabaseURL: env.Required("DATABASE_URL", "the PostgreSQL database, postgres://user:password@host:5432/name"),
		Migrate:     env.Bool("LOCKSTEP_MIGRATE", false),
		Bus: bus.Config{
			URL: env.String("NATS_URL", "nats://127.0.0.1:4222"), Creds: env.String("NATS_CREDS", ""),
			Partitions: env.Int("LOCKSTEP_PARTITIONS", 16), Replicas: env.Int("LOCKSTEP_REPLICAS", 1),
			MaxBytes: int64(env.Int("LOCKSTEP_STREAM_BYTES", 256<<20)),
		},
	}
	if text := env.Required("LOCKSTEP_SEAL_KEY", "the key that seals credentials; make one with lockstep new-key"); text != "" {
		sealer, err := seal.FromText(text)
		if err != nil {
			env.Fault(err)
		}
		config.Seal = sealer
	}
	return config
}

// Platform is the shared parts, open.
type Platform struct {
	Owner     string
	DB        *postgres.DB
	Bus       *bus.Bus
	Roster    *roster.Roster
	Seal      *seal.Sealer
	Telemetry *telemetry.Telemetry
	Logger    *slog.Logger
	Health    *daemon.Health

	lazy bool // of the bus
}

// Open opens everything, waiting for the database and the bus until ctx ends
// or a minute has passed. A lazy bus is not waited for, and whether the process
// can do without it is for the service's own check to say.
func Open(ctx context.Context, config Config) (p *Platform, err error) {
	opening, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p = &Platform{Owner: config.Owner, Seal: config.Seal, Logger: telemetry.Logger(config.Service), Health: &daemon.Health{}, lazy: config.Bus.Lazy}
	if p.Owner == "" {
		host, _ := os.Hostname() // a name for people; the random part makes it unique
		p.Owner = fmt.Sprintf("%s-%s", host, rand.Text()[:8])
	}
	defer func() {
		if err != nil {
			p.Close(ctx)
		}
	}()
	if p.Telemetry, err = telemetry.Start(opening, config.Service, p.Owner); err != nil {
		return p, err
	}
	if p.DB, err = openDatabase(opening, config.DatabaseURL); err != nil {
		return p, err
	}
	if config.Migrate {
		if err := p.DB.Migrate(opening); err != nil {
			return p, err
		}
	}
	if err := waitFor(opening, p.DB.SchemaReady); err != nil {
		return p, err
	}
	config.Bus.Name, config.Bus.Logger = config.Service, p.Logger
	if p.Bus, err = bus.Connect(opening, config.Bus); err != nil {
		return p, err
	}
	if err := p.Telemetry.Metrics.Bus(p.Bus.Stats); err != nil {
		return p, err
	}
	if !p.lazy {
		if err := p.Bus.Ensure(opening); err != nil {
			return p, err
		}
	}
	load := func(ctx context.Context) (postgres.Config, error) { return p.DB.Config(ctx, p.Seal) }
	if p.Roster, err = roster.Open(opening, load, p.Logger); err != nil {
		return p, err
	}
	p.Health.Add("database", p.DB.Ping)
	if !p.lazy {
		p.Health.Add("bus", p.Bus.Ping)
	}
	return p, nil
}

func openDatabase(ctx context.Context, url string) (db *postgres.DB, err error) {
	err = waitFor(ctx, func(ctx context.Context) (err error) {
		db, err = postgres.Open(ctx, url, postgres.Options{})
		return err
	})
	return db, err
}

// waitFor tries until something succeeds or ctx ends, and tells the last fault.
func waitFor(ctx context.Context, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// Run keeps the roster fresh and runs what a process is for, until ctx ends or
// one of them fails. The end of the bus's connection ends the process.
func (p *Platform) Run(ctx context.Context, run ...func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.Roster.Run(ctx, p.Bus.Listen) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Bus.Closed():
			return errors.New("the connection to the bus ended for good")
		}
	})
	if p.lazy {
		group.Go(func() error {
			if err := p.Bus.Ensure(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			return nil
		})
	}
	for _, f := range run {
		group.Go(func() error { return f(ctx) })
	}
	return group.Wait()
}

// Close closes everything that is open, telemetry last.
func (p *Platform) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if p.Bus != nil {
		if err := p.Bus.Close(ctx); err != nil {
			p.Logger.WarnContext(ctx, "the bus did not close cleanly", "error", err)
		}
	}
	if p.DB != nil {
		p.DB.Close()
	}
	if p.Telemetry != nil {
		if err := p.Telemetry.Shutdown(ctx); err != nil {
			p.Logger.WarnContext(ctx, "the last telemetry was not sent", "error", err)
		}
	}
}
