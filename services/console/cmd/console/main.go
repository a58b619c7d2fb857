// The console serves the administrators' pages.
package main

import (
	"context"
	"net/http"
	"os"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/platform"
	"lockstep.internal/services/console"
	"lockstep.internal/services/console/access"
)

func main() { daemon.Main("console", run) }

func run(ctx context.Context) error {
	var env daemon.Env
	config := platform.FromEnv("console", &env)
	address := env.String("LOCKSTEP_CONSOLE_ADDR", ":8080")
	publicURL := env.URL("LOCKSTEP_PUBLIC_URL", "")
	token := env.String("LOCKSTEP_OPERATOR_TOKEN", "")
	consoleURL := env.URL("LOCKSTEP_CONSOLE_URL", "")
	oidc := console.OIDCFromEnv(&env, consoleURL)
	alerts := console.AlertsFromEnv(&env)
	traceURL := env.String("LOCKSTEP_TRACE_URL", "")
	if err := env.Err(); err != nil {
		return err
	}
	p, err := platform.Open(ctx, config)
	if err != nil {
		return err
	}
	defer p.Close(ctx)
	service, err := console.New(console.Config{Bus: p.Bus, DB: p.DB, Roster: p.Roster, Health: p.Health, Logger: p.Logger, Token: access.Token(token),
		Seal: p.Seal, PublicURL: publicURL, ConsoleURL: consoleURL, OIDC: oidc, TraceURL: traceURL, Alerts: alerts,
	})
	if err != nil {
		return err
	}
	if err := p.Telemetry.Metrics.Holds(service.OpenHolds); err != nil {
		return err
	}
	if err := service.FirstStart(ctx, os.Stdout); err != nil {
		return err
	}
	listener, err := daemon.Listen("console", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	p.Health.Register(mux, p.Telemetry.Handler())
	mux.Handle("/", service.Handler())
	return p.Run(ctx, service.Run, func(ctx context.Context) error { return daemon.Serve(ctx, listener, mux) })
}
