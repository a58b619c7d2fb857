// The writer writes into one system, for the tenants of its partitions.
package main

import (
	"context"
	"net/http"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/platform"
	"lockstep.internal/services/writer"
)

func main() { daemon.Main("writer", run) }

func run(ctx context.Context) error {
	var env daemon.Env
	config := platform.FromEnv("writer", &env)
	probes := env.String("LOCKSTEP_PROBE_ADDR", ":9090")
	system, err := contact.ParseSystem(env.Required("LOCKSTEP_SYSTEM", "the system to write to: hubspot or aloware"))
	if err != nil {
		env.Fault(err)
	}
	if err := env.Err(); err != nil {
		return err
	}
	p, err := platform.Open(ctx, config)
	if err != nil {
		return err
	}
	defer p.Close(ctx)
	service, err := writer.New(writer.Config{
		Owner: p.Owner, System: system, Bus: p.Bus, DB: p.DB, Roster: p.Roster, Logger: p.Logger,
		Observer: p.Telemetry.Metrics, StageObserver: p.Telemetry.Metrics,
	})
	if err != nil {
		return err
	}
	p.Health.Alive("writer", service.Alive)
	p.Health.Note("writer", service.Troubles)
	listener, err := daemon.Listen("probes", probes)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	p.Health.Register(mux, p.Telemetry.Handler())
	return p.Run(ctx, service.Run, func(ctx context.Context) error { return daemon.Serve(ctx, listener, mux) })
}
