package writer_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/pgtest"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/writer"
)

// system is a scripted system behind all tenants: it holds values, and checks
// what no writer may ever do to it.
type system struct {
	t testing.TB
	// script answers a call before it is carried out; a nil delivery carries
	// the patch out. It may wait.
	script func(ctx context.Context, tenant contact.Tenant, patches []contact.Patch) []*contact.Delivery
	// after runs when a call is carried out, before it is answered.
	after func(tenant contact.Tenant, patches []contact.Patch)
	batch int
	plain bool // only answers, for benchmarks
	quota bool // each call takes a ticket

	mu       sync.Mutex
	underway map[string]bool
	versions map[string]contact.Version // by tenant, contact and property
	values   map[string]string
	writes   map[string]int // by tenant and contact
	calls    []call
}

type call struct {
	at      time.Time
	tenant  contact.Tenant
	token   string
	patches []contact.Patch
}

func newSystem(t testing.TB) *system {
	return &system{t: t, batch: 100, underway: map[string]bool{}, versions: map[string]contact.Version{}, values: map[string]string{}, writes: map[string]int{}}
}

// destination is one tenant's connection to the system.
type destination struct {
	*system
	tenant contact.Tenant
	token  string
	budget quota.Budget
}

func (d *destination) Batch() int { return d.batch }

func (d *destination) Deliver(ctx context.Context, patches []contact.Patch) []contact.Delivery {
	if d.plain {
		return written(patches)
	}
	if d.quota {
		ticket, err := d.budget.Take(ctx, quota.General)
		if err != nil {
			answers := make([]contact.Delivery, len(patches))
			for i := range answers {
				answers[i].Err = fmt.Errorf("take a ticket: %w", err)
			}
			return answers
		}
		defer ticket.Done(quota.Answer{})
	}
	d.mu.Lock()
	d.calls = append(d.calls, call{time.Now(), d.tenant, d.token, patches})
	for _, p := range patches {
		id := fmt.Sprint(d.tenant, "/", p.Contact)
		if d.underway[id] {
			d.t.Errorf("%s is under way twice at the same time", id)
		}
		d.underway[id] = true
	}
	d.mu.Unlock()
	var scripted []*contact.Delivery
	if d.script != nil {
		scripted = d.script(ctx, d.tenant, patches)
	}
	answers := make([]contact.Delivery, len(patches))
	d.mu.Lock()
	for i, p := range patches {
		id := fmt.Sprint(d.tenant, "/", p.Contact)
		delete(d.underway, id)
		if scripted != nil && scripted[i] != nil {
			answers[i] = *scripted[i]
			continue
		}
		d.writes[id]++
		answers[i].Outcome = contact.Outcome{
			System: p.System, Contact: p.Contact, Version: p.Version, TargetID: "7", Result: contact.Written, AppliedAt: 1, AnsweredAt: 1,
			EventID: fmt.Sprintf("%s/%d/%d", id, p.Version, len(d.calls)),
		}
		if p.Fetch != nil {
			answers[i].Outcome.Result = contact.Fetched
		}
		for _, property := range p.Properties {
			key := id + "/" + property.Name
			if property.Version < d.versions[key] {
				d.t.Errorf("%s: version %d is written after version %d", key, property.Version, d.versions[key])
			}
			d.versions[key], d.values[key] = property.Version, property.Value
			answers[i].Outcome.Properties = append(answers[i].Outcome.Properties, contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value})
		}
	}
	d.mu.Unlock()
	if d.after != nil {
		d.after(d.tenant, patches)
	}
	return answers
}

// written answers that all is written.
func written(patches []contact.Patch) []contact.Delivery {
	answers := make([]contact.Delivery, len(patches))
	for i, p := range patches {
		o := &answers[i].Outcome
		*o = contact.Outcome{System: p.System, Contact: p.Contact, Version: p.Version, TargetID: "7", Result: contact.Written, AppliedAt: 1, AnsweredAt: 1, EventID: rand.Text()}
		o.Properties = make([]contact.PropertyOutcome, len(p.Properties))
		for k, property := range p.Properties {
			o.Properties[k] = contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value}
		}
	}
	return answers
}

func (s *system) seen() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.calls...)
}

func (s *system) value(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key]
}

// refuse answers all patches with one error.
func refuse(patches []contact.Patch, err error) []*contact.Delivery {
	all := make([]*contact.Delivery, len(patches))
	for i := range all {
		all[i] = &contact.Delivery{Err: err}
	}
	return all
}

func faultOf(class fault.Class, wait time.Duration) *fault.Fault {
	f := fault.New(fault.Refusal{Class: class, Reason: "SCRIPTED", Status: 400, Message: "as the test says"})
	f.Wait = wait
	return f
}

// env is a bus, a database and some tenants, for any number of writers.
type env struct {
	t      testing.TB
	server *bustest.Env
	bus    *bus.Bus
	url    string
	db     *postgres.DB
	system *system
	sender *bus.Publisher

	mu      sync.Mutex
	tenants map[contact.Tenant]tenant.Tenant
	rosters []*roster.Roster
}

func newEnv(t testing.TB, names ...contact.Tenant) *env {
	t.Helper()
	e := &env{t: t, server: bustest.Start(t, bustest.Partitions(1)), system: newSystem(t), tenants: map[contact.Tenant]tenant.Tenant{}}
	e.bus = e.server.Bus
	e.url = pgtest.NewFrom(t, "writer", func(url string) error {
		db, err := postgres.Open(context.Background(), url, postgres.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Migrate(context.Background())
	})
	e.db = e.open()
	for _, name := range names {
		e.tenants[name] = tenant.Tenant{ID: name, Active: true, HubSpot: tenant.HubSpot{AccessToken: "token", WindowLimit: 1_000_000}}
	}
	return e
}

func (e *env) open() *postgres.DB {
	db, err := postgres.Open(e.t.Context(), e.url, postgres.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(db.Close)
	return db
}

// change changes a tenant's configuration, as the console does.
func (e *env) change(name contact.Tenant, change func(*tenant.Tenant)) {
	e.mu.Lock()
	t := e.tenants[name]
	change(&t)
	e.tenants[name] = t
	rosters := e.rosters
	e.mu.Unlock()
	for _, r := range rosters {
		if err := r.Refresh(e.t.Context()); err != nil {
			e.t.Error(err)
		}
	}
}

// process is one running writer.
type process struct {
	*writer.Writer
	bus  *bus.Bus
	db   *postgres.DB
	stop func() // as by SIGTERM; returns when it has ended
}

// start runs a writer with connections of its own.
func (e *env) start(owner string, change ...func(*writer.Config)) *process {
	e.t.Helper()
	view, err := roster.Open(e.t.Context(), func(context.Context) (postgres.Config, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		var config postgres.Config
		for _, t := range e.tenants {
			config.Tenants = append(config.Tenants, t)
		}
		return config, nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		e.t.Fatal(err)
	}
	e.mu.Lock()
	e.rosters = append(e.rosters, view)
	e.mu.Unlock()
	p := &process{bus: e.server.Connect(), db: e.open()}
	config := writer.Config{
		Owner: owner, System: contact.HubSpot, Bus: p.bus, DB: p.db, Roster: view, Logger: testLogger, CallsPerLane: 4,
		Destination: func(t *tenant.Tenant, budget quota.Budget) (writer.Destination, error) {
			return &destination{e.system, t.ID, t.HubSpot.AccessToken.Reveal(), budget}, nil
		},
	}
	for _, c := range change {
		c(&config)
	}
	if p.Writer, err = writer.New(config); err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.Run(ctx); err != nil {
			e.t.Errorf("writer %s: %v", owner, err)
		}
	}()
	p.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			e.t.Errorf("writer %s does not end", owner)
		}
	})
	e.t.Cleanup(p.stop)
	return p
}

// send publishes patches of one tenant, as the mapper does.
func (e *env) send(stream bus.Stream, name contact.Tenant, patches ...contact.Patch) {
	e.t.Helper()
	for i := range patches {
		patches[i].System = contact.HubSpot
	}
	if err := e.bus.Publisher(stream, 0).Publish(e.t.Context(), bus.Message{Tenant: name, System: contact.HubSpot, Patches: patches}); err != nil {
		e.t.Fatal(err)
	}
}

// outcomes gives the outcomes that were reported, until there are some.
func (e *env) outcomes(stream bus.Stream, want int) []contact.Outcome {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	reader, err := e.bus.Read(ctx, stream, 0, "test", 0)
	if err != nil {
		e.t.Fatal(err)
	}
	defer reader.Close()
	var outcomes []contact.Outcome
	for len(outcomes) < want {
		d, err := reader.Next(ctx)
		if err != nil {
			e.t.Fatalf("%d of %d outcomes: %v", len(outcomes), want, err)
		}
		if d.Err != nil {
			e.t.Fatal(d.Err)
		}
		for _, in := range d.Incoming {
			outcomes = append(outcomes, *in.Outcome)
		}
	}
	return outcomes
}

// await waits until something holds.
func (e *env) await(what string, holds func() bool) {
	e.t.Helper()
	patience := 25 * time.Second
	if _, ok := e.t.(*testing.B); ok {
		patience = 10 * time.Minute
	}
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			if os.Getenv("LOCKSTEP_TEST_LOG") != "" {
				pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			}
			e.t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// rows are how many rows wait.
func (e *env) rows() int {
	counts, err := e.db.LaneCounts(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	sum := 0
	for _, c := range counts {
		sum += c.Rows
	}
	return sum
}

// awaitEmpty waits until all that was sent has become rows and the rows are
// done.
func (e *env) awaitEmpty() {
	e.t.Helper()
	for stream, lease := range map[bus.Stream]string{bus.Patches: "writer-hubspot", bus.PatchesBulk: "writer-hubspot-bulk"} {
		last, _, err := e.bus.Last(e.t.Context(), stream, 0)
		if err != nil {
			e.t.Fatal(err)
		}
		e.await(string(stream)+" is read", func() bool {
			stages, err := e.db.Stages(e.t.Context())
			if err != nil {
				e.t.Fatal(err)
			}
			for _, s := range stages {
				if s.Stage == lease && s.Seq >= last {
					return true
				}
			}
			return last == 0
		})
	}
	e.await("all rows are done", func() bool { return e.rows() == 0 })
}

// write is a patch of one contact with some values, all of one version.
func write(key contact.Key, version contact.Version, pairs ...string) contact.Patch {
	p := contact.Patch{Contact: key, Version: version, TargetID: "7"}
	for i := 0; i < len(pairs); i += 2 {
		p.Properties = append(p.Properties, contact.Property{Name: pairs[i], Type: contact.Text, Value: pairs[i+1], Version: version})
	}
	return p
}

var testLogger = slog.New(slog.DiscardHandler)

func init() {
	if os.Getenv("LOCKSTEP_TEST_LOG") != "" {
		testLogger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
}
