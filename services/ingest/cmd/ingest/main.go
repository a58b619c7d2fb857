// Ingest takes the webhooks of both systems and reads what they do not send.
package main

import (
	"context"
	"net/http"
	"time"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/platform"
	"lockstep.internal/services/ingest"
)

func main() { daemon.Main("ingest", run) }

func run(ctx context.Context) error {
	var env daemon.Env
	config := platform.FromEnv("ingest", &env)
	config.Bus.Lazy = true // its spool takes Aloware's deliveries meanwhile
	address := env.String("LOCKSTEP_INGEST_ADDR", ":8081")
	probes := env.String("LOCKSTEP_PROBE_ADDR", ":9090")
	settings := ingest.Config{
		PublicURL:  env.URL("LOCKSTEP_PUBLIC_URL", "http://127.0.0.1:8081"),
		Spool:      env.String("LOCKSTEP_SPOOL", "/var/lib/lockstep/spool"),
		PollEvery:  env.Duration("LOCKSTEP_POLL_EVERY", time.Minute),
		ListsEvery: env.Duration("LOCKSTEP_LISTS_EVERY", 5*time.Minute),
	}
	if err := env.Err(); err != nil {
		return err
	}
	p, err := platform.Open(ctx, config)
	if err != nil {
		return err
	}
	defer p.Close(ctx)
	settings.Owner, settings.Bus, settings.DB, settings.Roster, settings.Logger = p.Owner, p.Bus, p.DB, p.Roster, p.Logger
	settings.Observer = p.Telemetry.Metrics
	service, err := ingest.New(settings)
	if err != nil {
		return err
	}
	defer service.Close()
	if err := p.Telemetry.Metrics.Spool(service.Spooled); err != nil {
		return err
	}
	p.Health.Add("webhooks", service.Ready)
	p.Health.Note("spool", service.Troubles)
	webhooks, err := daemon.Listen("webhooks", address)
	if err != nil {
		return err
	}
	listener, err := daemon.Listen("probes", probes)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	p.Health.Register(mux, p.Telemetry.Handler())
	return p.Run(ctx, service.Run,
		func(ctx context.Context) error { return daemon.Serve(ctx, webhooks, service.Handler()) },
		func(ctx context.Context) error { return daemon.Serve(ctx, listener, mux) })
}
