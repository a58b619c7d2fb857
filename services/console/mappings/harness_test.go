package mappings_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/hubspot/hubspotsim"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/mappings"
	"lockstep.internal/services/console/tenants"
)

const (
	acme contact.Tenant = "acme"
	zone                = "America/New_York" // of the tenant
)

// free is a budget without limits: these tests are about something else.
type free struct{}

func (free) Take(context.Context, quota.Pool) (quota.Ticket, error) { return free{}, nil }
func (free) Done(quota.Answer)                                      {}

// env is the room with a tenant, a simulated portal, a bus and a database.
type env struct {
	*mappings.Mappings
	t   *testing.T
	db  *postgres.DB
	now time.Time // by the room's clock; zero is the real one
}

func newEnv(t *testing.T) *env {
	t.Helper()
	sim, err := hubspotsim.New(hubspotsim.Config{Latency: -1, WindowLimit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	portal := hubspot.NewClient(hubspot.ClientConfig{BaseURL: server.URL, Token: hubspot.StaticToken("demo-hubspot-token"), Budget: free{}})
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(key)
	if err != nil {
		t.Fatal(err)
	}
	db := dbtest.Open(t)
	one := tenant.Tenant{ID: acme, Name: "Acme", Region: "US", TimeZone: zone, Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth}
	if err := db.SaveTenant(t.Context(), one, sealer); err != nil {
		t.Fatal(err)
	}
	set, _, err := tenants.Prepare(t.Context(), portal)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SaveMapping(t.Context(), acme, set, "test", "test"); err != nil {
		t.Fatal(err)
	}
	known, err := roster.Open(t.Context(), func(ctx context.Context) (postgres.Config, error) { return db.Config(ctx, sealer) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	account, err := aloware.NewClient(aloware.ClientConfig{BaseURL: server.URL, Token: "none", Budget: free{}, Profile: aloware.Documented}) // which makes no call here
	if err != nil {
		t.Fatal(err)
	}
	e := &env{t: t, db: db}
	e.Mappings = mappings.New(mappings.Config{
		DB: db, Bus: bustest.New(t), Roster: known, Logger: slog.New(slog.DiscardHandler),
		Portal:  func(*tenant.Tenant) mappings.Portal { return portal },
		Account: func(*tenant.Tenant) (mappings.Account, error) { return account, nil },
		Now: func() time.Time {
			if e.now.IsZero() {
				return time.Now()
			}
			return e.now
		},
	})
	return e
}

// list stores a list as the mapper would.
func (e *env) list(system contact.System, name string, entries ...contact.DirectoryEntry) {
	e.t.Helper()
	e.inTx(func(tx *postgres.Tx) error {
		return tx.SaveList(e.t.Context(), acme, contact.Directory{System: system, List: name, ReadAt: contact.Millis(time.Now().UnixMilli()), Entries: entries})
	})
}

func (e *env) inTx(f func(tx *postgres.Tx) error) {
	e.t.Helper()
	if err := e.db.InTx(e.t.Context(), f); err != nil {
		e.t.Fatal(err)
	}
}
