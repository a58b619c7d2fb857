package writer_test

import (
	"context"
	"fmt"
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

// script is a destination that does as it is told and records what it got.
type script struct {
	mu       sync.Mutex
	calls    [][]contact.Patch
	held     map[contact.Key]map[string]string
	versions map[contact.Key]contact.Version
	answer   func(contact.Patch) error // nil accepts everything
	gate     chan struct{}             // not nil: each call waits for one token
	older    bool                      // an older version came after a newer one
}

func (s *script) Batch() int { return 100 }

func (s *script) Deliver(ctx context.Context, patches []contact.Patch) []contact.Delivery {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, patches)
	answers := make([]contact.Delivery, len(patches))
	for i, p := range patches {
		if s.answer != nil {
			if err := s.answer(p); err != nil {
				answers[i].Err = err
				continue
			}
		}
		if p.Version < s.versions[p.Contact] {
			s.older = true
		}
		s.versions[p.Contact] = p.Version
		if s.held[p.Contact] == nil {
			s.held[p.Contact] = make(map[string]string)
		}
		outcome := contact.Outcome{
			System: p.System, Contact: p.Contact, Version: p.Version, TargetID: "7", Result: contact.Written, AppliedAt: 1, AnsweredAt: 1, EventID: fmt.Sprintf("o/%s/%d", p.Contact, p.Version),
		}
		for _, property := range p.Properties {
			s.held[p.Contact][property.Name] = property.Value
			outcome.Properties = append(outcome.Properties, contact.PropertyOutcome{Name: property.Name, Version: property.Version, Value: property.Value})
		}
		answers[i].Outcome = outcome
	}
	return answers
}

func (s *script) value(key contact.Key, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key][name]
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// stand is a writer on a real bus and database, with a scripted destination.
type stand struct {
	t      *testing.T
	bus    *bus.Bus
	db     *postgres.DB
	roster *roster.Roster
	script *script
	config postgres.Config
}

func newStand(t *testing.T) *stand {
	t.Helper()
	db := pgtest.Open(t)
	s := &stand{t: t, bus: bustest.New(t), db: db, script: &script{held: make(map[contact.Key]map[string]string), versions: make(map[contact.Key]contact.Version)}}
	s.config.Tenants = []tenant.Tenant{{ID: "demo", Active: true, HubSpot: tenant.HubSpot{AccessToken: "one"}}}
	var err error
	if s.roster, err = roster.Open(t.Context(), func(context.Context) (postgres.Config, error) { return s.config, nil }, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs a writer until the test ends or the returned function is called.
func (s *stand) start(owner string) (stop func()) {
	s.t.Helper()
	w, err := writer.New(writer.Config{
		Owner: owner, System: contact.HubSpot, Bus: s.bus, DB: s.db, Roster: s.roster, LeaseTTL: 1500 * time.Millisecond,
		Destination: func(*tenant.Tenant, quota.Budget) (writer.Destination, error) { return s.script, nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Error(err)
			}
		})
	}
	s.t.Cleanup(stop)
	return stop
}

// patch publishes a patch that sets one property.
func (s *stand) patch(key contact.Key, version contact.Version, name, value string) {
	s.t.Helper()
	p := contact.Patch{Contact: key, System: contact.HubSpot, Version: version, TargetID: "7", Properties: []contact.Property{{Name: name, Type: contact.Text, Value: value, Version: version}}}
	message := bus.Message{Tenant: "demo", System: contact.HubSpot, Patches: []contact.Patch{p}, ID: fmt.Sprintf("%s/%d", key, version), Context: s.t.Context()}
	if err := s.bus.Publisher(bus.Patches, s.bus.PartitionOf("demo")).Publish(s.t.Context(), message); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) eventually(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			s.t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

// rows is how many rows wait.
func (s *stand) rows() int {
	counts, err := s.db.LaneCounts(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	rows := 0
	for _, c := range counts {
		rows += c.Rows
	}
	return rows
}

// outcomes reads the outcomes that were published.
func (s *stand) outcomes() map[contact.Key]contact.Outcome {
	s.t.Helper()
	reader, err := s.bus.Read(s.t.Context(), bus.Changes, s.bus.PartitionOf("demo"), "test", 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reader.Close()
	last, _, err := s.bus.Last(s.t.Context(), bus.Changes, s.bus.PartitionOf("demo"))
	if err != nil {
		s.t.Fatal(err)
	}
	outcomes := make(map[contact.Key]contact.Outcome)
	for seq := uint64(0); seq < last; {
		d, err := reader.Next(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		seq = d.Seq
		for _, in := range d.Incoming {
			outcomes[in.Outcome.Contact] = *in.Outcome
		}
	}
	return outcomes
}

// TestAHundredEditsOfOneContactAreFewWrites, the last one wins, and an older
// value is never sent after a newer one.
func TestAHundredEditsOfOneContactAreFewWrites(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.script.gate = make(chan struct{}, 100)
	for i := range 100 {
		s.patch("hubspot:1", contact.Version(i+1), "city", fmt.Sprint(i))
	}
	s.start("one")
	for range 5 {
		s.script.gate <- struct{}{}
	}
	s.eventually("the last value is written", func() bool { return s.script.value("hubspot:1", "city") == "99" && s.rows() == 0 })
	if n := s.script.count(); n > 3 {
		t.Errorf("%d writes for one contact, want the hundred merged into a few", n)
	}
	if s.script.older {
		t.Error("an older version was sent after a newer one")
	}
	if o := s.outcomes()["hubspot:1"]; o.Version != 100 || o.Result != contact.Written {
		t.Errorf("the outcome is %+v, want version 100 written", o)
	}
}

// TestOneRefusedContactStopsNoOther.
func TestOneRefusedContactStopsNoOther(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.script.answer = func(p contact.Patch) error {
		if p.Contact == "hubspot:5" {
			return fault.New(fault.Refusal{Class: fault.Permanent, Reason: "VALIDATION_ERROR", Message: "no"})
		}
		return nil
	}
	for i := range 10 {
		s.patch(contact.NewKey(contact.HubSpot, fmt.Sprint(i)), 1, "city", "x")
	}
	s.start("one")
	s.eventually("no row waits", func() bool { return s.script.count() > 0 && s.rows() == 0 })
	outcomes := s.outcomes()
	for i := range 10 {
		key := contact.NewKey(contact.HubSpot, fmt.Sprint(i))
		want := contact.Written
		if i == 5 {
			want = contact.Rejected
		}
		if got := outcomes[key]; got.Result != want || i == 5 && (got.Refusal == nil || got.Refusal.Reason != "VALIDATION_ERROR") {
			t.Errorf("%s: outcome %+v, want %d", key, got, want)
		}
	}
}

// TestFailedCallsAreRepeated until they succeed; nothing is lost, also when the
// writer is stopped in between and another takes over.
func TestFailedCallsAreRepeated(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	fails := 6
	s.script.answer = func(contact.Patch) error {
		if fails--; fails >= 0 {
			return fault.Wrap(fault.Transient, fmt.Errorf("answered 503"))
		}
		return nil
	}
	for i := range 3 {
		s.patch(contact.NewKey(contact.HubSpot, fmt.Sprint(i)), 1, "city", "x")
	}
	stop := s.start("one")
	s.eventually("a first call has failed", func() bool { return s.script.count() > 0 })
	stop()
	s.start("two")
	s.eventually("all are written", func() bool { return s.rows() == 0 })
	for i := range 3 {
		if got := s.script.value(contact.NewKey(contact.HubSpot, fmt.Sprint(i)), "city"); got != "x" {
			t.Errorf("contact %d holds %q", i, got)
		}
	}
}

// TestAThrottledLaneRestsAndGoesOn.
func TestAThrottledLaneRestsAndGoesOn(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	var refusedAt time.Time
	s.script.answer = func(contact.Patch) error {
		if refusedAt.IsZero() {
			refusedAt = time.Now()
			f := fault.New(fault.Refusal{Class: fault.Throttled, Reason: "429", Status: 429})
			f.Wait = 2 * time.Second
			return f
		}
		return nil
	}
	s.patch("hubspot:1", 1, "city", "x")
	s.start("one")
	s.eventually("the value is written", func() bool { return s.script.value("hubspot:1", "city") == "x" })
	if waited := time.Since(refusedAt); waited < 2*time.Second {
		t.Errorf("the lane went on after %v, it was asked to rest for 2 s", waited)
	}
	if n := s.script.count(); n != 2 {
		t.Errorf("%d calls, want one before and one after the rest", n)
	}
}

// TestRefusedCredentialsStopTheLaneUntilNewOnesCome, and nothing is lost.
func TestRefusedCredentialsStopTheLaneUntilNewOnesCome(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	var mu sync.Mutex
	good := false
	s.script.answer = func(contact.Patch) error {
		mu.Lock()
		defer mu.Unlock()
		if !good {
			return fault.New(fault.Refusal{Class: fault.Unauthorized, Reason: "401", Status: 401})
		}
		return nil
	}
	s.patch("hubspot:1", 1, "city", "x")
	s.start("one")
	s.eventually("the pause is stored", func() bool {
		pauses, err := s.db.Pauses(t.Context(), contact.HubSpot)
		return err == nil && len(pauses) == 1 && pauses[0].Class == "unauthorized"
	})
	if n := s.script.count(); n != 1 {
		t.Errorf("%d calls with refused credentials, want 1", n)
	}
	mu.Lock()
	good = true
	mu.Unlock()
	s.config = postgres.Config{Tenants: []tenant.Tenant{{ID: "demo", Active: true, HubSpot: tenant.HubSpot{AccessToken: "two"}}}}
	if err := s.roster.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually("the value is written", func() bool { return s.script.value("hubspot:1", "city") == "x" && s.rows() == 0 })
}
