package alerts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
)

const acme contact.Tenant = "acme"

// env is a database with a tenant, and rooms over it whose clock tests move.
type env struct {
	t      testing.TB
	db     *postgres.DB
	sealer *seal.Sealer
	roster *roster.Roster
	ahead  atomic.Int64 // of the clocks of all rooms
}

func newEnv(t testing.TB) *env {
	t.Helper()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	e := &env{t: t, db: dbtest.Open(t)}
	if e.sealer, err = seal.FromText(key); err != nil {
		t.Fatal(err)
	}
	e.save(e.tenant())
	if e.roster, err = roster.Open(t.Context(), func(ctx context.Context) (postgres.Config, error) { return e.db.Config(ctx, e.sealer) }, nil); err != nil {
		t.Fatal(err)
	}
	return e
}

// tenant is Acme, connected, as tests begin.
func (e *env) tenant() tenant.Tenant {
	t := tenant.Tenant{ID: acme, Name: "Acme", Region: "US", TimeZone: "UTC", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth}
	t.HubSpot.State, t.Aloware.State = tenant.Connected, tenant.Connected
	if e.roster != nil {
		known, _ := e.roster.Tenant(acme)
		t.Revision = known.Revision
	}
	return t
}

// save stores the tenant as the console does, for the rooms to see.
func (e *env) save(t tenant.Tenant) {
	e.t.Helper()
	if err := e.db.SaveTenant(e.t.Context(), t, e.sealer); err != nil {
		e.t.Fatal(err)
	}
	if e.roster != nil {
		if err := e.roster.Refresh(e.t.Context()); err != nil {
			e.t.Fatal(err)
		}
	}
}

// maps gives Acme mappings, of which the portal lacks the properties that are
// not named.
func (e *env) maps(set *mapping.Set) {
	e.t.Helper()
	if _, err := e.db.SaveMapping(e.t.Context(), acme, set, "test", "test"); err != nil {
		e.t.Fatal(err)
	}
	if err := e.roster.Refresh(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
}

// room is one console's.
func (e *env) room(settings Settings) *Alerts {
	logger := slog.New(slog.DiscardHandler)
	a := New(Config{DB: e.db, Roster: e.roster, Seal: e.sealer, Logger: logger, ConsoleURL: "https://lockstep.example.com", Settings: settings})
	a.clock = func(now time.Time) time.Time { return now.Add(time.Duration(e.ahead.Load())) }
	a.every, a.share, a.first = 0, 0, 10*time.Millisecond
	return a
}

// after moves the clock on, and looks.
func (e *env) after(a *Alerts, d time.Duration) (alerts int) {
	e.t.Helper()
	e.ahead.Add(int64(d))
	n, err := a.look(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

// send delivers what is due now.
func (e *env) send(a *Alerts) {
	e.t.Helper()
	var running sync.WaitGroup
	if err := a.send(e.t.Context(), &running); err != nil {
		e.t.Fatal(err)
	}
	running.Wait()
}

// problems makes the given ones those of their contacts.
func (e *env) problems(keys []contact.Key, rows ...postgres.ProblemRow) {
	e.t.Helper()
	tenants := make([]contact.Tenant, len(keys))
	for i := range tenants {
		tenants[i] = acme
	}
	for i := range rows {
		rows[i].Tenant = acme
		if rows[i].Since.IsZero() {
			rows[i].Since = time.Now().Add(time.Duration(e.ahead.Load()))
		}
	}
	if err := e.db.InTx(e.t.Context(), func(tx *postgres.Tx) error { return tx.SaveProblems(e.t.Context(), tenants, keys, rows) }); err != nil {
		e.t.Fatal(err)
	}
}

// refused is an e-mail of a contact that HubSpot refuses.
func refused(key contact.Key) postgres.ProblemRow {
	return postgres.ProblemRow{
		Contact: key, Field: "email", System: contact.HubSpot, Kind: contact.ProblemRefused, Class: "permanent", Reason: "INVALID_EMAIL",
		Message: "Email address ada@nowhere is invalid", Value: "ada@nowhere",
	}
}

// receiver is a webhook's other end: a real server that keeps what it gets and
// answers as it is told.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	got      []received
	statuses []int // of the next answers; then 200
	headers  http.Header
}

type received struct {
	header http.Header
	body   []byte
	status int
	Message
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{headers: make(http.Header)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		one := received{header: request.Header, body: body, status: 200}
		if len(r.statuses) > 0 {
			one.status, r.statuses = r.statuses[0], r.statuses[1:]
		}
		if err := json.Unmarshal(body, &one.Message); err != nil {
			one.Text = fmt.Sprintf("no JSON: %v", err)
		}
		r.got = append(r.got, one)
		for name, values := range r.headers {
			w.Header()[name] = values
		}
		w.WriteHeader(one.status)
	}))
	t.Cleanup(r.Close)
	return r
}

// take gives what came since the last time.
func (r *receiver) take() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

func (r *receiver) answers(statuses ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses = statuses
}

// local lets tests call themselves.
var local = Settings{Reach: Reach{Loopback: true}}

// webhook adds a target that leads to a receiver.
func (e *env) webhook(a *Alerts, r *receiver, change TargetChange) (*Target, tenant.Secret) {
	e.t.Helper()
	change.Kind, change.URL = postgres.AlertWebhook, tenant.Secret(r.URL+"/hooks/do-not-tell")
	target, secret, err := a.Save(e.t.Context(), acme, change, "ada")
	if err != nil {
		e.t.Fatal(err)
	}
	return target, secret
}
