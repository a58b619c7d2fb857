package lockstep

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/embedded"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/platform"
	"lockstep.internal/pkg/postgres/local"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/alerts"
	"lockstep.internal/services/console/tenants"
	"lockstep.internal/services/ingest"
	"lockstep.internal/services/mapper"
	"lockstep.internal/services/writer"
)

// settings are what the environment says; README lists them.
type settings struct {
	data        string // folder of everything that is kept
	databaseURL string // "" starts a server of our own
	console     string // addresses
	ingest      string
	publicURL   string // where the systems reach ingest; "" is its address
	oidc        access.OIDC
	consoleURL  string
	traceURL    string
	alerts      alerts.Settings
	pollEvery   time.Duration
	listsEvery  time.Duration
	historyDays int
	demo        demoSettings
}

func readSettings(demo bool) (settings, error) {
	var env daemon.Env
	s := settings{
		data:        env.String("LOCKSTEP_DATA", dataFolder()),
		databaseURL: env.String("DATABASE_URL", ""),
		console:     env.String("LOCKSTEP_CONSOLE_ADDR", "127.0.0.1:8080"),
		ingest:      env.String("LOCKSTEP_INGEST_ADDR", "127.0.0.1:8081"),
		publicURL:   env.URL("LOCKSTEP_PUBLIC_URL", ""),
		pollEvery:   env.Duration("LOCKSTEP_POLL_EVERY", time.Minute),
		listsEvery:  env.Duration("LOCKSTEP_LISTS_EVERY", 5*time.Minute),
		historyDays: env.Int("LOCKSTEP_HISTORY_DAYS", 400),
	}
	s.consoleURL = env.URL("LOCKSTEP_CONSOLE_URL", "http://"+s.console)
	s.oidc = console.OIDCFromEnv(&env, s.consoleURL)
	s.traceURL = env.String("LOCKSTEP_TRACE_URL", "")
	s.alerts = console.AlertsFromEnv(&env)
	s.alerts.Reach.Loopback = demo
	if demo {
		s.demo = readDemoSettings(&env)
	}
	return s, env.Err()
}

// dataFolder is where data is kept unless the environment says otherwise. Root
// keeps it where PostgreSQL's account can get to.
func dataFolder() string {
	if os.Getuid() == 0 {
		return "/var/lib/lockstep"
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "lockstep")
	}
	return filepath.Join(os.TempDir(), "lockstep")
}

// standalone runs everything until ctx ends.
func standalone(ctx context.Context, demo bool) error {
	s, err := readSettings(demo)
	if err != nil {
		return err
	}
	listeners, err := listen(s, demo)
	if err != nil {
		return err
	}
	if s.publicURL == "" {
		s.publicURL = "http://" + listeners.ingest.Addr().String()
	}
	own, err := startOwn(ctx, s)
	if err != nil {
		return err
	}
	defer own.stop(ctx)
	p, err := platform.Open(ctx, own.platform)
	if err != nil {
		return err
	}
	defer p.Close(ctx)
	if own.postgres != nil {
		// The data folder is locked and the bus is inside this process: whoever
		// held a lease is dead.
		if err := p.DB.Reclaim(ctx); err != nil {
			return err
		}
	}

	services, err := newServices(p, s, demo)
	if err != nil {
		return err
	}
	defer services.close()
	run := append(services.run,
		func(ctx context.Context) error { return daemon.Serve(ctx, listeners.console, services.console) },
		func(ctx context.Context) error { return daemon.Serve(ctx, listeners.ingest, services.ingest) },
		own.watch,
	)
	if demo {
		d, err := newDemo(p, services.tenants, s, listeners)
		if err != nil {
			return err
		}
		run = append(run, d.run...)
	}
	run = append(run, func(ctx context.Context) error { return announce(ctx, p, s, demo, services.firstStart) })
	return p.Run(ctx, run...)
}

// listeners are the open addresses.
type listeners struct{ console, ingest, hubspot, aloware net.Listener }

func listen(s settings, demo bool) (l listeners, err error) {
	open := func(name, address string) (listener net.Listener) {
		if err == nil {
			listener, err = daemon.Listen(name, address)
		}
		return listener
	}
	l.console, l.ingest = open("console", s.console), open("ingest", s.ingest)
	if demo {
		l.hubspot, l.aloware = open("HubSpot simulator", s.demo.hubspot), open("Aloware simulator", s.demo.aloware)
	}
	return l, err
}

// own is what a standalone process runs for itself.
type own struct {
	nats     *embedded.Server
	postgres *local.Server // nil with DATABASE_URL
	platform platform.Config
}

// startOwn starts NATS, and PostgreSQL where none is given, side by side.
func startOwn(ctx context.Context, s settings) (*own, error) {
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		return nil, fmt.Errorf("make the data folder: %w; set LOCKSTEP_DATA to a folder that you may write to", err)
	}
	o := &own{}
	group, starting := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		o.nats, err = embedded.Start(starting, embedded.Config{Dir: filepath.Join(s.data, "nats")})
		return err
	})
	group.Go(func() (err error) {
		if s.databaseURL == "" {
			o.postgres, err = local.Start(starting, local.Config{Dir: filepath.Join(s.data, "postgres")})
		}
		return err
	})
	if err := group.Wait(); err != nil {
		o.stop(ctx)
		return nil, err
	}
	sealer, err := seal.FromFile(filepath.Join(s.data, "seal.key"))
	if err != nil {
		o.stop(ctx)
		return nil, err
	}
	const streamBytes = 64 << 20 // the server reserves it for each of 64 streams
	o.platform = platform.Config{
		Service: "lockstep", DatabaseURL: s.databaseURL, Migrate: true, Seal: sealer,
		Bus: bus.Config{InProcess: o.nats, MaxBytes: streamBytes},
	}
	if o.postgres != nil {
		o.platform.DatabaseURL = o.postgres.URL()
	}
	return o, nil
}

// watch ends the process when its database has ended.
func (o *own) watch(ctx context.Context) error {
	if o.postgres == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-o.postgres.Done():
		return fmt.Errorf("the local PostgreSQL ended")
	}
}

func (o *own) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if o.nats != nil {
		o.nats.Stop()
	}
	if o.postgres != nil {
		o.postgres.Stop(ctx)
	}
}

// services are the services, ready to run.
type services struct {
	run             []func(context.Context) error
	console, ingest http.Handler
	close           func() error
	tenants         *tenants.Tenants
	firstStart      func(context.Context, io.Writer) error
}

// newServices composes the same services that run as processes of their own.
func newServices(p *platform.Platform, s settings, demo bool) (*services, error) {
	out := &services{}
	in, err := ingest.New(ingest.Config{
		Owner: p.Owner, Bus: p.Bus, DB: p.DB, Roster: p.Roster, Logger: p.Logger, PublicURL: s.publicURL,
		Spool: filepath.Join(s.data, "spool"), PollEvery: s.pollEvery, ListsEvery: s.listsEvery, Observer: p.Telemetry.Metrics,
	})
	if err != nil {
		return nil, err
	}
	if err := p.Telemetry.Metrics.Spool(in.Spooled); err != nil {
		return nil, err
	}
	m, err := mapper.New(mapper.Config{
		Owner: p.Owner, Bus: p.Bus, DB: p.DB, Roster: p.Roster, Logger: p.Logger, KeepHistory: time.Duration(s.historyDays) * 24 * time.Hour,
		Observer: p.Telemetry.Metrics, StageObserver: p.Telemetry.Metrics,
	})
	if err != nil {
		return nil, err
	}
	p.Health.Note("spool", in.Troubles)
	p.Health.Alive("mapper", m.Alive)
	p.Health.Note("mapper", m.Troubles)
	out.run, out.close = append(out.run, in.Run, m.Run), in.Close
	for _, system := range contact.Systems {
		w, err := writer.New(writer.Config{
			Owner: p.Owner, System: system, Bus: p.Bus, DB: p.DB, Roster: p.Roster, Logger: p.Logger,
			Observer: p.Telemetry.Metrics, StageObserver: p.Telemetry.Metrics,
		})
		if err != nil {
			return nil, err
		}
		p.Health.Alive(writer.StageName(system), w.Alive)
		p.Health.Note(writer.StageName(system), w.Troubles)
		out.run = append(out.run, w.Run)
	}
	var links []console.Link
	if demo {
		links = s.demo.links()
	}
	token, err := operatorToken(filepath.Join(s.data, operatorTokenFile))
	if err != nil {
		return nil, err
	}
	c, err := console.New(console.Config{
		Bus: p.Bus, DB: p.DB, Roster: p.Roster, Health: p.Health, Logger: p.Logger, Links: links, Token: access.Token(token),
		Seal: p.Seal, PublicURL: s.publicURL, ConsoleURL: s.consoleURL, OIDC: s.oidc, TraceURL: s.traceURL, Alerts: s.alerts,
	})
	if err != nil {
		return nil, err
	}
	if err := p.Telemetry.Metrics.Holds(c.OpenHolds); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	p.Health.Register(mux, p.Telemetry.Handler())
	mux.Handle("/", c.Handler())
	out.console, out.ingest, out.tenants, out.firstStart = mux, in.Handler(), c.Tenants(), c.FirstStart
	out.run = append(out.run, c.Run)
	return out, nil
}

// operatorTokenFile is the file in the data folder that holds the token of the
// operator's command line.
const operatorTokenFile = "operator.token"

// operatorToken reads the token of the operator's command line, and makes one
// on the first start.
func operatorToken(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw = []byte(rand.Text())
		err = os.WriteFile(path, raw, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("operator's token: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// connected reports whether a tenant has both connections and its mappings.
func connected(p *platform.Platform) bool {
	for _, t := range p.Roster.All() {
		if t.Mapping.Version > 0 && t.HubSpot.State != tenant.Disconnected && t.Aloware.State != tenant.Disconnected {
			return true
		}
	}
	return false
}

// announce prints that all is up once every partition is owned, and on the
// first start how to sign in.
func announce(ctx context.Context, p *platform.Platform, s settings, demo bool, firstStart func(context.Context, io.Writer) error) error {
	want := 6 * p.Bus.Partitions() // mapper and two writers, live and bulk
	for {
		stages, err := p.DB.Stages(ctx)
		owned := 0
		for _, stage := range stages {
			if stage.Owner == p.Owner {
				owned++
			}
		}
		_, good := p.Health.Check(ctx)
		if err == nil && owned >= want && good && (!demo || connected(p)) {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
	fmt.Printf("ready\n  console            http://%s\n  webhooks           %s\n", s.console, s.publicURL)
	if err := firstStart(ctx, os.Stdout); err != nil && ctx.Err() == nil {
		return err
	}
	if demo {
		fmt.Printf("  HubSpot simulator  http://%s\n  Aloware simulator  http://%s\n", s.demo.hubspot, s.demo.aloware)
		fmt.Println("Change a contact in one simulator and watch it in the other. Ctrl-C ends everything; data stays in " + s.data)
	}
	return nil
}
