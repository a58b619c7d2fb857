package lockstep_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/bus/embedded"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/pgtest"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/services/lockstep/fleet"
)

// TestEachServiceRunsByItself: the programs that an installation runs, each as
// a process of its own and told only what docker-compose.yml tells them. A
// tenant is connected by the console's API, an edit goes both ways, each says
// that it is ready, and each ends cleanly when it is told to.
func TestEachServiceRunsByItself(t *testing.T) {
	t.Parallel()
	w := startProcesses(t)
	d := w.demo

	connected := w.connect()
	if got, want := connected["webhookUrl"], "http://"+d.ingest+"/webhooks/aloware/acme"; got != want {
		t.Errorf("the console says that Aloware's webhooks go to %v, ingest takes them at %s", got, want)
	}

	hubspotID, alowareID := w.pair()
	d.follow(func() {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"firstname": "Augusta"}}, nil)
	}, d.aloware, alowareID, "first_name", "Augusta")
	d.follow(func() {
		d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"email": "ada@example.com"}}, nil)
	}, d.hubspot, hubspotID, "email", "ada@example.com")

	for _, p := range w.processes {
		var checks map[string]any
		if raw, err := fleet.Get(t.Context(), p.Probe, "/readyz"); err != nil {
			t.Error(err)
		} else if err := json.Unmarshal(raw, &checks); err != nil || checks["database"] != "ok" {
			t.Errorf("%s says %s", p.Name, raw)
		}
		if raw, err := fleet.Get(t.Context(), p.Probe, "/metrics"); err != nil || !strings.Contains(string(raw), `service_namespace="lockstep"`) {
			t.Errorf("%s has no metrics: %v", p.Name, err)
		}
		if starts, byItself := p.Counts(); starts+byItself > 0 {
			t.Errorf("%s was started again %d times and ended %d times by itself", p.Name, starts, byItself)
		}
	}
	if err := fleet.StopAll(w.processes); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	w.processes = nil
}

// connect connects the tenant by the console's API.
func (w *processes) connect() map[string]any {
	d := w.demo
	d.t.Helper()
	d.must("TenantService/SaveTenant", map[string]any{"tenant": "acme", "settings": map[string]any{
		"name": "Acme", "region": "US", "timeZone": "America/New_York", "active": true, "creation": "both", "updates": "both",
	}})
	d.must("TenantService/ConnectHubSpot", map[string]any{
		"tenant": "acme", "accessToken": w.tenant.HubSpotToken(), "appId": fleet.AppID, "baseUrl": "http://" + d.hubspot,
	})
	return d.must("TenantService/ConnectAloware", map[string]any{
		"tenant": "acme", "token": w.tenant.AlowareToken(), "profile": "full", "baseUrl": "http://" + d.aloware,
		"webhookAuth": "bearer", "webhookSecret": fleet.WebhookToken,
	})
}

// pair makes a contact in HubSpot and waits until Aloware has it.
func (w *processes) pair() (hubspotID, alowareID string) {
	d := w.demo
	d.t.Helper()
	var made struct{ ID string }
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": "Ada", "phone": "+12025550142"}}, &made)
	eventually(d.t, 20*time.Second, func() string {
		alowareID = d.pairs()[made.ID]
		if alowareID == "" {
			return "the contact of HubSpot is not in Aloware"
		}
		return ""
	})
	return made.ID, alowareID
}

// processes are the services as an installation runs them, beside one tenant's
// two systems.
type processes struct {
	tenant    fleet.Tenant
	processes []*fleet.Process
	bus       embedded.Config
	server    *embedded.Server
	demo      *demo // for the calls of its API and its simulators
}

// startProcesses starts an installation; ingest has settings of its own.
func startProcesses(t *testing.T, ingest ...string) *processes {
	t.Helper()
	dir := dataFolder(t)
	d := &demo{t: t, data: dir, console: freeAddress(t), ingest: freeAddress(t)}
	w := &processes{demo: d, tenant: fleet.Tenant{
		ID: "acme", Portal: 3003, Window: 190, Rate: 50, Burst: 50, HubSpotWebhooks: "http://" + d.ingest, AlowareWebhooks: "http://" + d.ingest,
	}}
	if err := os.WriteFile(filepath.Join(dir, "operator.token"), []byte("an operator's token"), 0o600); err != nil {
		t.Fatal(err)
	}
	starting, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.bus = embedded.Config{Dir: filepath.Join(dir, "nats"), Port: portOf(t, freeAddress(t)), Name: "bus", Logger: slog.New(slog.DiscardHandler)}
	w.startBus(starting)
	t.Cleanup(func() { w.server.Stop() })
	w.startSystems(t)

	key, err := exec.Command(program(t, "lockstep"), "new-key").Output()
	if err != nil {
		t.Fatal(err)
	}
	settings := fleet.Settings{
		DatabaseURL: pgtest.New(t), Bus: []string{w.server.URL()}, SealKey: strings.TrimSpace(string(key)), Partitions: 4, Replicas: 1, StreamBytes: 16 << 20,
	}
	migrate := exec.Command(program(t, "lockstep"), "migrate")
	migrate.Env = append(os.Environ(), settings.Env()...)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("lockstep migrate: %v\n%s", err, out)
	}
	saveApp(t, settings)

	say := fleet.NewSpeaker(d)
	for _, p := range []struct {
		name, program string
		env           []string
	}{
		{"ingest", "ingest", append(ingest, "LOCKSTEP_INGEST_ADDR="+d.ingest, "LOCKSTEP_SPOOL="+filepath.Join(dir, "spool"))},
		{"mapper", "mapper", nil},
		{"writer-hubspot", "writer", []string{"LOCKSTEP_SYSTEM=hubspot"}},
		{"writer-aloware", "writer", []string{"LOCKSTEP_SYSTEM=aloware"}},
		{"console", "console", []string{"LOCKSTEP_CONSOLE_ADDR=" + d.console, "LOCKSTEP_OPERATOR_TOKEN=an operator's token"}},
	} {
		settings.Probe = d.console
		if p.program != "console" {
			settings.Probe = freeAddress(t)
		}
		env := append(settings.Env(), "LOCKSTEP_PUBLIC_URL=http://"+d.ingest)
		process, err := fleet.NewProcess(dir, p.name, program(t, p.program), append(env, p.env...), say)
		if err != nil {
			t.Fatal(err)
		}
		process.Probe = settings.Probe
		w.processes = append(w.processes, process)
		process.Start()
	}
	t.Cleanup(func() {
		fleet.StopAll(w.processes)
		if t.Failed() {
			t.Logf("the processes: %s", d.output.String())
		}
	})
	for _, p := range w.processes {
		eventually(t, 30*time.Second, func() string {
			if err := p.Ready(starting); err != nil {
				return fmt.Sprintf("%s is not ready: %v; last words: %s", p.Name, err, p.LastWords())
			}
			return ""
		})
	}
	return w
}

// startBus starts the bus, or starts it again.
func (w *processes) startBus(ctx context.Context) {
	w.demo.t.Helper()
	var err error
	if w.server, err = embedded.Start(ctx, w.bus); err != nil {
		w.demo.t.Fatal(err)
	}
}

// startSystems starts the tenant's simulators.
func (w *processes) startSystems(t *testing.T) {
	t.Helper()
	hubspot, aloware, err := w.tenant.Simulators()
	if err != nil {
		t.Fatal(err)
	}
	var at [2]net.Listener
	for i := range at {
		if at[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	w.demo.hubspot, w.demo.aloware = at[0].Addr().String(), at[1].Addr().String()
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- fleet.Serve(running, hubspot, at[0], aloware, at[1]) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the simulators ended with %v", err)
		}
	})
}

// saveApp stores the HubSpot app that the portal has installed.
func saveApp(t *testing.T, settings fleet.Settings) {
	t.Helper()
	sealer, err := seal.FromText(settings.SealKey)
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), settings.DatabaseURL, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := fleet.SaveApp(t.Context(), db, sealer); err != nil {
		t.Fatal(err)
	}
}

// portOf is the port of an address.
func portOf(t *testing.T, address string) int {
	t.Helper()
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return at.Port
}
