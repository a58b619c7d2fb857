package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus/embedded"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/local"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/services/lockstep/fleet"
)

const (
	nodes      = 3
	partitions = 4
	// streamBytes is what each stream may hold.
	streamBytes = 64 << 20
)

// world is everything that runs.
type world struct {
	config Config
	say    fleet.Speaker
	dir    string

	ports     *fleet.Ports
	links     *links
	accounts  []*account
	processes []*fleet.Process

	mu       sync.Mutex // guards the servers, which come and go
	bus      [nodes]*embedded.Server
	busNodes [nodes]embedded.Config
	database *local.Server
	pg       local.Config

	stopSystems context.CancelFunc
	systems     *errgroup.Group
}

// build starts everything and waits until it is ready.
func build(ctx context.Context, config Config, say fleet.Speaker) (w *world, err error) {
	w = &world{config: config, say: say, ports: &fleet.Ports{}}
	w.links = newLinks(w.ports)
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = filepath.Abs(config.Dir); err != nil {
		return w, err
	}
	// PostgreSQL may run as another account, which must get to its folder.
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return w, err
	}
	if err := os.Chmod(w.dir, 0o755); err != nil {
		return w, err
	}
	if err := w.startServers(ctx); err != nil {
		return w, err
	}
	key, err := seal.NewKey()
	if err != nil {
		return w, err
	}
	if err := w.makeProcesses(key); err != nil {
		return w, err
	}
	if err := w.startSystems(ctx); err != nil {
		return w, err
	}
	if err := w.connect(ctx, key); err != nil {
		return w, err
	}
	for _, p := range w.processes {
		p.Start()
	}
	if err := w.allReady(ctx, 90*time.Second); err != nil {
		return w, err
	}
	say("ready: %d processes, %d bus servers, PostgreSQL, %d tenants, %d proxied ways", len(w.processes), nodes, len(w.accounts), len(w.links.all))
	return w, nil
}

// startServers starts the cluster and the database.
func (w *world) startServers(ctx context.Context) error {
	logFile, err := os.Create(filepath.Join(w.dir, "bus.log"))
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(logFile, nil))
	var clients, routes [nodes]int
	var urls []string
	for i := range nodes {
		if clients[i], err = w.ports.Take(); err != nil {
			return err
		}
		if routes[i], err = w.ports.Take(); err != nil {
			return err
		}
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", routes[i]))
	}
	port, err := w.ports.Take()
	if err != nil {
		return err
	}
	w.pg = local.Config{Dir: filepath.Join(w.dir, "postgres"), Port: port, Logger: logger}
	group, starting := errgroup.WithContext(ctx)
	for i := range nodes {
		w.busNodes[i] = embedded.Config{
			Dir: filepath.Join(w.dir, fmt.Sprintf("bus-%d", i+1)), Port: clients[i], Name: fmt.Sprintf("bus-%d", i+1), Logger: logger,
			Cluster: &embedded.Cluster{Name: "chaos", Port: routes[i], Routes: urls},
		}
		group.Go(func() (err error) {
			w.bus[i], err = embedded.Start(starting, w.busNodes[i])
			return err
		})
	}
	group.Go(func() (err error) {
		w.database, err = local.Start(starting, w.pg)
		return err
	})
	return group.Wait()
}

// makeProcesses prepares the services, each with ways of its own to the
// database and to every server of the bus.
func (w *world) makeProcesses(key string) error {
	type service struct {
		name, program string
		env           []string
	}
	list := []service{
		{"ingest-1", "ingest", nil}, {"ingest-2", "ingest", nil},
		{"mapper-1", "mapper", nil}, {"mapper-2", "mapper", nil}, {"mapper-3", "mapper", nil},
	}
	for _, system := range contact.Systems {
		for n := range 2 {
			list = append(list, service{fmt.Sprintf("writer-%v-%d", system, n+1), "writer", []string{"LOCKSTEP_SYSTEM=" + system.String()}})
		}
	}
	for _, s := range list {
		database, err := w.links.open(s.name+" to PostgreSQL", fmt.Sprintf("127.0.0.1:%d", w.pg.Port))
		if err != nil {
			return err
		}
		var urls []string
		for i := range nodes {
			way, err := w.links.open(fmt.Sprintf("%s to %s", s.name, w.busNodes[i].Name), fmt.Sprintf("127.0.0.1:%d", w.busNodes[i].Port))
			if err != nil {
				return err
			}
			urls = append(urls, "nats://"+way.address())
		}
		probe, err := w.ports.Take()
		if err != nil {
			return err
		}
		settings := fleet.Settings{
			DatabaseURL: "postgres://lockstep@" + database.address() + "/lockstep?sslmode=disable&connect_timeout=5", Bus: urls, SealKey: key,
			Partitions: partitions, Replicas: nodes, StreamBytes: streamBytes, Probe: fmt.Sprintf("127.0.0.1:%d", probe),
		}
		env := append(s.env, settings.Env()...)
		if s.program == "ingest" {
			port, err := w.ports.Take()
			if err != nil {
				return err
			}
			webhooks, err := w.links.open("webhooks to "+s.name, fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return err
			}
			env = append(env, fmt.Sprintf("LOCKSTEP_INGEST_ADDR=127.0.0.1:%d", port), "LOCKSTEP_PUBLIC_URL=http://"+webhooks.address(),
				"LOCKSTEP_SPOOL="+filepath.Join(w.dir, "spool-"+s.name), "LOCKSTEP_POLL_EVERY=5s")
		}
		p, err := fleet.NewProcess(w.dir, s.name, filepath.Join(w.config.Programs, s.program), env, w.say)
		if err != nil {
			return err
		}
		p.Probe = settings.Probe
		w.processes = append(w.processes, p)
	}
	return nil
}

// webhooksTo is the way of the systems' webhooks to an ingest.
func (w *world) webhooksTo(process string) *link {
	for _, one := range w.links.all {
		if one.name == "webhooks to "+process {
			return one
		}
	}
	return nil
}

// startSystems starts the simulators. One tenant's two systems send to two
// different ingests.
func (w *world) startSystems(ctx context.Context) error {
	ways := []*link{w.webhooksTo("ingest-1"), w.webhooksTo("ingest-2")}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stopSystems = stop
	w.systems, running = errgroup.WithContext(running)
	for n := range w.config.Tenants {
		a, err := newAccount(n+1, ways[n%2], ways[(n+1)%2])
		if err != nil {
			return err
		}
		var listeners [2]net.Listener
		for i := range listeners {
			port, err := w.ports.Take()
			if err != nil {
				return err
			}
			if listeners[i], err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
				return err
			}
		}
		if a.hubspotLink, err = w.links.open("services to HubSpot of "+string(a.ID), listeners[0].Addr().String()); err != nil {
			return err
		}
		if a.alowareLink, err = w.links.open("services to Aloware of "+string(a.ID), listeners[1].Addr().String()); err != nil {
			return err
		}
		a.hubspot, a.alo = listeners[0].Addr().String(), listeners[1].Addr().String()
		w.accounts = append(w.accounts, a)
		w.systems.Go(func() error { return a.serve(running, listeners[0], listeners[1]) })
	}
	return nil
}

// connect makes the schema and the tenants, prepares their portals, and fills
// HubSpot with the first people.
func (w *world) connect(ctx context.Context, key string) error {
	sealer, err := seal.FromText(key)
	if err != nil {
		return err
	}
	db, err := postgres.Open(ctx, w.database.URL(), postgres.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	if err := fleet.SaveApp(ctx, db, sealer); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, a := range w.accounts {
		group.Go(func() error {
			return a.Connect(ctx, db, sealer, "http://"+a.hubspotLink.address(), "http://"+a.alowareLink.address(), "chaos")
		})
	}
	return group.Wait()
}

// allReady waits until every process says that it is ready.
func (w *world) allReady(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, p := range w.processes {
		for {
			err := p.Ready(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s is not ready within %v: %w; last words: %s", p.Name, within, err, p.LastWords())
			}
			wait(ctx, 100*time.Millisecond)
		}
	}
	return nil
}

// close ends everything that was started.
func (w *world) close() {
	if err := fleet.StopAll(w.processes); err != nil {
		w.say("%v", err)
	}
	if w.stopSystems != nil {
		w.stopSystems()
		if err := w.systems.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			w.say("a simulator ended with an error: %v", err)
		}
	}
	w.links.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, server := range w.bus {
		if server != nil {
			server.Stop()
			w.bus[i] = nil
		}
	}
	if w.database != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if err := w.database.Stop(ctx); err != nil {
			w.say("%v", err)
		}
	}
}
