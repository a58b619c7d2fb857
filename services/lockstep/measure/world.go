package measure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus/embedded"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/local"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/services/lockstep/fleet"
)

const partitions = 8

// world is one installation: a bus, a PostgreSQL, and the services, each a
// process of its own; the simulated systems are in this process.
type world struct {
	dir       string
	say       fleet.Speaker
	ports     fleet.Ports
	processes []*fleet.Process
	database  *local.Server
	db        *postgres.DB
	tenants   []*account

	stopSystems context.CancelFunc
	systems     *errgroup.Group
}

// layout is what a scenario runs on.
type layout struct {
	hubspotWriters int
	console        bool // runs too: it renews tokens
	tenants        []fleet.Tenant
}

// BusArgument as a program's first argument, followed by a folder and a port,
// makes it run a bus server: Bus.
const BusArgument = "bus"

// Bus runs a server of the bus, until ctx ends.
func Bus(ctx context.Context, dir string, port int) error {
	server, err := embedded.Start(ctx, embedded.Config{Dir: dir, Port: port, Name: "bus", Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	if err != nil {
		return err
	}
	<-ctx.Done()
	server.Stop()
	return nil
}

// build starts everything and waits until it is ready.
func build(ctx context.Context, config Config, name string, l layout, say fleet.Speaker) (w *world, err error) {
	w = &world{dir: filepath.Join(config.Dir, name), say: say}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	// PostgreSQL may run as another account, which must get to its folder.
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return w, err
	}
	logFile, err := os.Create(filepath.Join(w.dir, "postgres.log"))
	if err != nil {
		return w, err
	}
	port, err := w.ports.Take()
	if err != nil {
		return w, err
	}
	w.database, err = local.Start(ctx, local.Config{Dir: filepath.Join(w.dir, "postgres"), Port: port, Logger: slog.New(slog.NewTextHandler(logFile, nil))})
	if err != nil {
		return w, err
	}
	key, err := seal.NewKey()
	if err != nil {
		return w, err
	}
	webhooks, err := w.makeProcesses(config, port, key, l)
	if err != nil {
		return w, err
	}
	if err := w.connect(ctx, l.tenants, webhooks, key); err != nil {
		return w, err
	}
	for _, p := range w.processes {
		p.Start()
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, p := range w.processes {
		for p.Probe != "" {
			err := p.Ready(ready)
			if err == nil {
				break
			}
			if ready.Err() != nil {
				return w, fmt.Errorf("%s is not ready: %w; last words: %s", p.Name, err, p.LastWords())
			}
			pause(ready, 100*time.Millisecond)
		}
	}
	return w, nil
}

// makeProcesses prepares the bus and the services; it tells where webhooks go.
func (w *world) makeProcesses(config Config, postgresPort int, key string, l layout) (webhooks string, err error) {
	busPort, err := w.ports.Take()
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	bus, err := fleet.NewProcess(w.dir, "bus", self, nil, w.say)
	if err != nil {
		return "", err
	}
	bus.Args = []string{BusArgument, filepath.Join(w.dir, "bus"), fmt.Sprint(busPort)}
	w.processes = append(w.processes, bus)
	settings := fleet.Settings{
		DatabaseURL: fmt.Sprintf("postgres://lockstep@127.0.0.1:%d/lockstep?sslmode=disable", postgresPort),
		Bus:         []string{fmt.Sprintf("nats://127.0.0.1:%d", busPort)}, SealKey: key, Partitions: partitions, Replicas: 1, StreamBytes: 256 << 20,
	}
	add := func(name string, env ...string) error {
		probe, err := w.ports.Take()
		if err != nil {
			return err
		}
		settings.Owner, settings.Probe = name, fmt.Sprintf("127.0.0.1:%d", probe)
		program, _, _ := strings.Cut(name, "-")
		p, err := fleet.NewProcess(w.dir, name, filepath.Join(config.Programs, program), append(settings.Env(), env...), w.say)
		if err != nil {
			return err
		}
		p.Probe = settings.Probe
		w.processes = append(w.processes, p)
		return nil
	}
	ingest, err := w.ports.Take()
	if err != nil {
		return "", err
	}
	webhooks = fmt.Sprintf("http://127.0.0.1:%d", ingest)
	if err := add("ingest", fmt.Sprintf("LOCKSTEP_INGEST_ADDR=127.0.0.1:%d", ingest), "LOCKSTEP_PUBLIC_URL="+webhooks,
		"LOCKSTEP_SPOOL="+filepath.Join(w.dir, "spool")); err != nil {
		return "", err
	}
	if err := add("mapper"); err != nil {
		return "", err
	}
	if err := add("writer-aloware", "LOCKSTEP_SYSTEM=aloware"); err != nil {
		return "", err
	}
	for n := range l.hubspotWriters {
		if err := add(fmt.Sprintf("writer-hubspot-%d", n+1), "LOCKSTEP_SYSTEM=hubspot"); err != nil {
			return "", err
		}
	}
	if l.console {
		port, err := w.ports.Take()
		if err != nil {
			return "", err
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if err := add("console", "LOCKSTEP_CONSOLE_ADDR="+address); err != nil {
			return "", err
		}
		w.process("console").Probe = address // it tells its health there
	}
	return webhooks, nil
}

// connect makes the schema and the tenants, and runs their simulated systems.
func (w *world) connect(ctx context.Context, list []fleet.Tenant, webhooks, key string) error {
	sealer, err := seal.FromText(key)
	if err != nil {
		return err
	}
	if w.db, err = postgres.Open(ctx, w.database.URL(), postgres.Options{}); err != nil {
		return err
	}
	if err := w.db.Migrate(ctx); err != nil {
		return err
	}
	if err := fleet.SaveApp(ctx, w.db, sealer); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stopSystems = stop
	w.systems, running = errgroup.WithContext(running)
	for _, t := range list {
		t.HubSpotWebhooks, t.AlowareWebhooks = webhooks, webhooks
		a := &account{Tenant: t}
		hubspot, aloware, err := a.Simulators()
		if err != nil {
			return err
		}
		var at [2]net.Listener
		for i := range at {
			if at[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return err
			}
		}
		a.hubspot, a.aloware = at[0].Addr().String(), at[1].Addr().String()
		w.systems.Go(func() error { return fleet.Serve(running, hubspot, at[0], aloware, at[1]) })
		if err := a.Connect(ctx, w.db, sealer, "http://"+a.hubspot, "http://"+a.aloware, "measure"); err != nil {
			return err
		}
		w.tenants = append(w.tenants, a)
	}
	return nil
}

// process is the process of a name.
func (w *world) process(name string) *fleet.Process {
	for _, p := range w.processes {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// usage is what each kind of process used so far.
func (w *world) usage() map[string]fleet.Usage {
	all := map[string]fleet.Usage{"PostgreSQL": fleet.Tree("postgres"), "simulators": fleet.Self()}
	for _, p := range w.processes {
		kind, _, _ := strings.Cut(p.Name, "-")
		if kind == "bus" {
			kind = "NATS"
		}
		u, one := all[kind], p.Usage()
		all[kind] = fleet.Usage{CPU: u.CPU + one.CPU, Memory: u.Memory + one.Memory}
	}
	return all
}

// close ends everything that was started.
func (w *world) close() {
	if len(w.processes) > 0 {
		bus := w.processes[:1] // it comes last
		if err := errors.Join(fleet.StopAll(w.processes[1:]), fleet.StopAll(bus)); err != nil {
			w.say("%v", err)
		}
	}
	if w.stopSystems != nil {
		w.stopSystems()
		if err := w.systems.Wait(); err != nil {
			w.say("a simulator ended with an error: %v", err)
		}
	}
	if w.db != nil {
		w.db.Close()
	}
	if w.database != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.database.Stop(ctx); err != nil {
			w.say("%v", err)
		}
	}
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
