// The mapper decides, for the tenants of its partitions, what must be written.
package main

import (
	"context"
	"net/http"
	"time"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/platform"
	"lockstep.internal/services/mapper"
)

func main() { daemon.Main("mapper", run) }

func run(ctx context.Context) error {
	var env daemon.Env
	config := platform.FromEnv("mapper", &env)
	probes := env.String("LOCKSTEP_PROBE_ADDR", ":9090")
	history := env.Int("LOCKSTEP_HISTORY_DAYS", 400)
	if err := env.Err(); err != nil {
		return err
	}
	p, err := platform.Open(ctx, config)
	if err != nil {
		return err
	}
	defer p.Close(ctx)
	service, err := mapper.New(mapper.Config{
		Owner: p.Owner, Bus: p.Bus, DB: p.DB, Roster: p.Roster, Logger: p.Logger, KeepHistory: time.Duration(history) * 24 * time.Hour,
		Observer: p.Telemetry.Metrics, StageObserver: p.Telemetry.Metrics,
	})
	if err != nil {
		return err
	}
	p.Health.Alive("mapper", service.Alive)
	p.Health.Note("mapper", service.Troubles)
	listener, err := daemon.Listen("probes", probes)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	p.Health.Register(mux, p.Telemetry.Handler())
	return p.Run(ctx, service.Run, func(ctx context.Context) error { return daemon.Serve(ctx, listener, mux) })
}
