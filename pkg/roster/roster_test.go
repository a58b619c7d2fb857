package roster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/pgtest"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
)

var quiet = slog.New(slog.DiscardHandler)

// run runs a roster until the end of the test.
func run(t *testing.T, r *Roster, listen func(string, func()) (func(), error)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx, listen); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// TestAChangeReachesAllWithinASecond, over a real database and bus.
func TestAChangeReachesAllWithinASecond(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(key)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *postgres.DB {
		db, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	}
	console := open()
	if err := console.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	env := bustest.Start(t)
	var rosters []*Roster
	for range 3 {
		db, b := open(), env.Connect()
		r, err := Open(t.Context(), func(ctx context.Context) (postgres.Config, error) { return db.Config(ctx, sealer) }, quiet)
		if err != nil {
			t.Fatal(err)
		}
		run(t, r, b.Listen)
		rosters = append(rosters, r)
	}
	time.Sleep(100 * time.Millisecond) // for the listeners
	if _, known := rosters[0].Tenant("demo"); known {
		t.Fatal("the tenant is known before it is saved")
	}
	err = console.SaveTenant(t.Context(), tenant.Tenant{
		ID: "demo", Name: "Demo", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth, HubSpot: tenant.HubSpot{PortalID: 7, AccessToken: "x"},
	}, sealer)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := env.Bus.Announce(t.Context(), Topic); err != nil {
		t.Fatal(err)
	}
	within(t, time.Second, "all know the tenant", func() bool {
		for _, r := range rosters {
			if _, known := r.ByPortal(7); !known {
				return false
			}
		}
		return true
	})
	t.Logf("the change reached three services in %v", time.Since(start).Round(time.Millisecond))
	got, _ := rosters[2].Tenant("demo")
	if got == nil || got.HubSpot.AccessToken.Reveal() != "x" || len(rosters[2].All()) != 1 {
		t.Errorf("got %+v", got)
	}
}

// source is a configuration that a test changes and takes away.
type source struct {
	mu      sync.Mutex
	config  postgres.Config
	err     error
	loads   int
	running atomic.Int64
	most    atomic.Int64
}

func (s *source) load(context.Context) (postgres.Config, error) {
	if n := s.running.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.running.Add(-1)
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return s.config, s.err
}

func (s *source) set(err error, revision int64, tenants ...tenant.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.config = err, postgres.Config{Tenants: tenants, Revision: revision}
}

// TestOldViewServesWhileTheDatabaseIsAway, and a change that was announced
// meanwhile is taken in soon after it is back.
func TestOldViewServesWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	s := &source{}
	s.set(nil, 1, tenant.Tenant{ID: "a", HubSpot: tenant.HubSpot{PortalID: 1}})
	r, err := Open(t.Context(), s.load, quiet)
	if err != nil {
		t.Fatal(err)
	}
	announce := make(chan func(), 1)
	run(t, r, func(_ string, f func()) (func(), error) { announce <- f; return func() {}, nil })
	call := <-announce
	s.set(errors.New("away"), 0)
	call()
	within(t, 5*time.Second, "it tried", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.loads >= 2 })
	if _, known := r.ByPortal(1); !known || r.Version() != 1 {
		t.Errorf("the old view is gone (version %d)", r.Version())
	}
	s.set(nil, 2, tenant.Tenant{ID: "b", HubSpot: tenant.HubSpot{PortalID: 2}})
	within(t, 5*time.Second, "the change is taken in without another announcement", func() bool { _, known := r.Tenant("b"); return known })
	if _, known := r.ByPortal(1); known {
		t.Error("the old tenant is still there")
	}
	if got := r.Version(); got != 2 {
		t.Errorf("version %d, want 2", got)
	}
}

// TestVersionRisesWithChangesOnly, and loads never overlap.
func TestVersionRisesWithChangesOnly(t *testing.T) {
	t.Parallel()
	s := &source{}
	s.set(nil, 1)
	r, err := Open(t.Context(), s.load, quiet)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := r.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := r.Version(); got != 1 {
		t.Errorf("version %d after loads without a change, want 1", got)
	}
	if got := s.most.Load(); got != 1 {
		t.Errorf("%d loads at once, want 1", got)
	}
}

// TestFirstLoadMustWork: a service does not begin without its tenants.
func TestFirstLoadMustWork(t *testing.T) {
	t.Parallel()
	s := &source{err: errors.New("away")}
	if _, err := Open(t.Context(), s.load, quiet); err == nil {
		t.Error("want the fault of the first load")
	}
}
