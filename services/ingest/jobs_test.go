package ingest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/aloware/alowaresim"
	"lockstep.internal/pkg/background"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot/hubspotsim"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/ingest"
)

// world is both simulated systems, a bus, a database and one tenant.
type world struct {
	t       testing.TB
	env     *bustest.Env
	bus     *bus.Bus
	db      *postgres.DB
	roster  *roster.Roster
	sealer  *seal.Sealer
	hubspot string
	aloware string
}

const acme = contact.Tenant("acme")

func newWorld(t testing.TB, contacts int, profile string) *world {
	t.Helper()
	alo, err := alowaresim.New(alowaresim.Config{Profile: profile, Rate: -1, Latency: -1})
	if err != nil {
		t.Fatal(err)
	}
	a := httptest.NewServer(alo.Handler())
	w := &world{t: t, env: bustest.Start(t), db: dbtest.Open(t), hubspot: portal(t), aloware: a.URL}
	w.bus = w.env.Bus
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); a.Close() })
	go func() { _ = alo.Run(ctx) }()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(key)
	if err != nil {
		t.Fatal(err)
	}
	w.sealer = sealer
	w.save(w.tenant(acme, profile))
	w.roster, err = roster.Open(ctx, func(ctx context.Context) (postgres.Config, error) { return w.db.Config(ctx, sealer) }, quiet())
	if err != nil {
		t.Fatal(err)
	}
	w.maps(acme)
	if contacts > 0 {
		w.post(w.hubspot, "/_sim/load", map[string]any{"contacts": contacts, "seed": 1})
	}
	return w
}

// tenant is one that is connected to both simulators.
func (w *world) tenant(id contact.Tenant, profile string) tenant.Tenant {
	return tenant.Tenant{
		ID: id, Name: string(id), Region: "US", TimeZone: "UTC", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth,
		HubSpot: tenant.HubSpot{BaseURL: w.hubspot, PortalID: 2002, AppID: 1001, AccessToken: "demo-hubspot-token", WindowLimit: 10_000_000, State: tenant.Connected},
		Aloware: tenant.Aloware{BaseURL: w.aloware, Token: "demo-aloware-token", Profile: profile, WebhookAuth: "none", Rate: 1e6, Burst: 1_000_000, State: tenant.Connected},
	}
}

// second adds a tenant with a portal of its own.
func (w *world) second(id contact.Tenant) {
	w.t.Helper()
	t := w.tenant(id, "full")
	t.HubSpot.PortalID = 2003
	w.save(t)
	w.maps(id)
}

// save stores a tenant; the services know it at once.
func (w *world) save(t tenant.Tenant) {
	w.t.Helper()
	if err := w.db.SaveTenant(context.Background(), t, w.sealer); err != nil {
		w.t.Fatal(err)
	}
	w.refresh()
}

func (w *world) refresh() {
	w.t.Helper()
	if w.roster != nil {
		if err := w.roster.Refresh(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// maps gives a tenant its first mappings.
func (w *world) maps(id contact.Tenant) {
	w.t.Helper()
	set := mapping.Default(func(row mapping.Row) string {
		switch row.Key {
		case "phone_number", "email", "first_name", "last_name":
			return row.Names()[0]
		}
		return ""
	})
	if _, err := w.db.SaveMapping(context.Background(), id, set, "test", "connected"); err != nil {
		w.t.Fatal(err)
	}
	w.refresh()
}

// portal is the address of a simulated HubSpot.
func portal(t testing.TB) string {
	t.Helper()
	hub, err := hubspotsim.New(hubspotsim.Config{WindowLimit: 1_000_000, DailyLimit: 100_000_000, SearchLag: -1, Latency: -1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(hub.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); server.Close() })
	go func() { _ = hub.Run(ctx) }()
	return server.URL
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (w *world) post(base, path string, body any) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.Post(base+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		text, _ := io.ReadAll(answer.Body)
		w.t.Fatalf("POST %s: %d %s", path, answer.StatusCode, text)
	}
}

// ingest runs a process of the service; stop ends it as an operator would.
func (w *world) ingest(owner string, client *http.Client) (stop func()) {
	w.t.Helper()
	return w.run(ingest.Config{Owner: owner, HTTP: client})
}

// run is ingest with settings.
func (w *world) run(c ingest.Config) (stop func()) {
	w.t.Helper()
	c.Bus, c.DB, c.Roster, c.Logger, c.Spool, c.PublishTimeout = w.bus, w.db, w.roster, quiet(), w.t.TempDir(), 10*time.Second
	c.PollEvery = cmp.Or(c.PollEvery, -1)
	in, err := ingest.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, in.Close()); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// request asks for a job as the console does.
func (w *world) request(id string, kind postgres.SyncKind, o postgres.SyncOptions) {
	w.t.Helper()
	w.requestOf(acme, id, kind, o)
}

func (w *world) requestOf(tenant contact.Tenant, id string, kind postgres.SyncKind, o postgres.SyncOptions) {
	w.t.Helper()
	if err := w.db.RequestSync(context.Background(), postgres.Sync{ID: id, Tenant: tenant, Kind: kind, Options: o, AskedBy: "ada"}); err != nil {
		w.t.Fatal(err)
	}
}

// until waits until a job is as wanted.
func (w *world) until(id string, holds func(postgres.Sync) bool) postgres.Sync {
	w.t.Helper()
	return w.untilOf(acme, id, holds)
}

func (w *world) untilOf(tenant contact.Tenant, id string, holds func(postgres.Sync) bool) postgres.Sync {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var last postgres.Sync
	for {
		found, err := w.db.FindSync(ctx, tenant, id)
		if err == nil && holds(found) {
			return found
		}
		if err == nil {
			last = found
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("the job did not get there: %+v, %v", last, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// events are what a stream holds for a tenant, in its order.
func (w *world) events(stream bus.Stream, id contact.Tenant) (events []contact.Incoming) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for w.bus.Ping(ctx) != nil { // a server that was just started may not answer at once
		select {
		case <-ctx.Done():
			w.t.Fatal("the bus did not come back")
		case <-time.After(10 * time.Millisecond):
		}
	}
	partition := w.bus.PartitionOf(id)
	last, _, err := w.bus.Last(ctx, stream, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	reader, err := w.bus.Read(ctx, stream, partition, "test", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer reader.Close()
	for at := uint64(0); at < last; {
		d, err := reader.Next(ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		if at = d.Seq; d.Tenant == id {
			events = append(events, d.Incoming...)
		}
	}
	return events
}

// published are the ids of all contacts of a system in the bulk stream.
func (w *world) published(system contact.System) map[string]int {
	w.t.Helper()
	ids := make(map[string]int)
	for _, in := range w.events(bus.ChangesBulk, acme) {
		switch {
		case in.Change != nil && in.Change.System == system:
			if in.Change.Channel != contact.Walk || in.Change.Event != contact.Snapshot {
				w.t.Fatalf("a walk gave %+v", in.Change)
			}
			ids[in.Change.ID]++
		case in.Command != nil && system == 0:
			ids[string(in.Command.Contact)]++
		}
	}
	return ids
}

// walked reports whether a job has published all, or can never.
func walked(s postgres.Sync) bool { return s.Cursor.Walked || s.State.Final() }

var walkHubSpot = postgres.SyncOptions{HubSpot: true}

// TestFirstSyncGoesOnAfterARestart: a process that ends in the middle leaves
// the rest to the next one, and no contact is left out.
func TestFirstSyncGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1200, "full")
	w.request("job1", postgres.FirstSync, walkHubSpot)
	stop := w.ingest("first", slow(20*time.Millisecond))
	w.until("job1", func(s postgres.Sync) bool { return s.Counts.HubSpotRead >= 200 })
	stop()
	middle := w.until("job1", func(postgres.Sync) bool { return true })
	if middle.State != postgres.SyncRunning || middle.Counts.HubSpotRead >= 1200 || middle.Cursor.HubSpot == "" {
		t.Fatalf("the first process must have stopped in the middle: %+v", middle)
	}
	w.ingest("second", nil)
	done := w.until("job1", walked)
	if !done.Cursor.Walked || done.Counts.HubSpotRead != 1200 || done.Counts.HubSpotTotal != 1200 {
		t.Errorf("want all 1200 read of 1200: %+v", done)
	}
	if ids := w.published(contact.HubSpot); len(ids) != 1200 {
		t.Errorf("%d contacts were published, want 1200", len(ids))
	}
}

// TestAJobOfADeadProcessGoesOn when its claim has run out, and what the dead one
// would still say is not heard.
func TestAJobOfADeadProcessGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 300, "full")
	w.request("job1", postgres.FirstSync, walkHubSpot)
	if err := w.db.AdoptSyncs(t.Context()); err != nil {
		t.Fatal(err)
	}
	claimed, err := w.db.ClaimSyncs(t.Context(), "dead", time.Second, 1)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	w.ingest("second", nil)
	done := w.until("job1", walked)
	if !done.Cursor.Walked || done.Counts.HubSpotRead != 300 {
		t.Errorf("want all 300 read: %+v", done)
	}
	if _, _, err := w.db.SaveSync(t.Context(), "dead", &claimed[0], time.Minute, 0); err != postgres.ErrSyncLost {
		t.Errorf("the dead process saved its job: %v, want ErrSyncLost", err)
	}
}

// TestAJobWaitsForWhatIsInItsWay, says what it is, and goes on where it was.
func TestAJobWaitsForWhatIsInItsWay(t *testing.T) {
	t.Parallel()
	fault := func(status int) func(*world) {
		return func(w *world) {
			w.post(w.hubspot, "/_sim/faults", []map[string]any{{"path": "/crm/", "status": status, "rate": 1}})
		}
	}
	heal := func(w *world) { w.post(w.hubspot, "/_sim/faults", []map[string]any{}) }
	change := func(change func(*tenant.Tenant)) func(*world) {
		return func(w *world) {
			t := w.tenant(acme, "full")
			change(&t)
			w.save(t)
		}
	}
	whole := change(func(*tenant.Tenant) {})
	for _, c := range []struct {
		name      string
		ail, mend func(*world)
	}{
		{"a token that is refused", change(func(t *tenant.Tenant) { t.HubSpot.AccessToken = "revoked" }), whole},
		{"a scope that is missing", fault(403), heal},
		{"an outage", fault(503), heal},
		{"an inactive tenant", change(func(t *tenant.Tenant) { t.Active = false }), whole},
		{"a system that is disconnected", change(func(t *tenant.Tenant) { t.HubSpot.State = tenant.Disconnected }), whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 600, "full")
			w.request("job1", postgres.FirstSync, walkHubSpot)
			w.ingest("first", slow(20*time.Millisecond))
			w.until("job1", func(s postgres.Sync) bool { return s.Counts.HubSpotRead >= 100 })
			c.ail(w)
			waits := w.until("job1", func(s postgres.Sync) bool { return s.Error != "" || s.State.Final() })
			if waits.State != postgres.SyncRunning {
				t.Fatalf("it must wait: %+v", waits)
			}
			c.mend(w)
			done := w.until("job1", walked)
			if !done.Cursor.Walked || done.Counts.HubSpotRead != 600 || done.Error != "" {
				t.Errorf("want all 600 read: %+v", done)
			}
		})
	}
}

// TestAFailedJobIsResumed once the connection can do what it needs; not by
// itself, and not beside another job.
func TestAFailedJobIsResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 150, "full")
	w.save(w.tenant(acme, "documented"))
	w.request("job1", postgres.FirstSync, postgres.SyncOptions{HubSpot: true, Aloware: true})
	w.ingest("first", slow(50*time.Millisecond))
	w.until("job1", func(s postgres.Sync) bool { return s.State == postgres.SyncFailed })
	w.save(w.tenant(acme, "full"))
	w.request("job2", postgres.FirstSync, walkHubSpot)
	w.until("job2", func(s postgres.Sync) bool { return s.State == postgres.SyncRunning })
	if got := w.until("job1", func(postgres.Sync) bool { return true }); got.State != postgres.SyncFailed {
		t.Errorf("a failed job went on by itself: %+v", got)
	}
	if err := w.db.WishSync(t.Context(), acme, "job1", postgres.WishRun); err != postgres.ErrSyncBusy {
		t.Errorf("to resume a job beside another gave %v, want ErrSyncBusy", err)
	}
	if err := w.db.WishSync(t.Context(), acme, "job2", postgres.WishCancel); err != nil {
		t.Fatal(err)
	}
	w.until("job2", func(s postgres.Sync) bool { return s.State.Final() })
	if err := w.db.WishSync(t.Context(), acme, "job1", postgres.WishPause); err != postgres.ErrSyncFinal {
		t.Errorf("to pause a failed job gave %v, want ErrSyncFinal", err)
	}
	if err := w.db.WishSync(t.Context(), acme, "job1", postgres.WishRun); err != nil {
		t.Fatal(err)
	}
	if done := w.until("job1", func(s postgres.Sync) bool { return s.Cursor.Walked }); done.Counts.HubSpotRead != 150 || done.Error != "" {
		t.Errorf("want all read: %+v", done)
	}
}

// TestJobsTakeTurns: where one job runs at a time, a small one of another tenant
// does not wait for the end of a large one.
func TestJobsTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2000, "full")
	w.second("zeta")
	w.request("large", postgres.FirstSync, walkHubSpot)
	w.run(ingest.Config{Owner: "first", Jobs: 1, JobTurn: 300 * time.Millisecond, HTTP: slow(50 * time.Millisecond)})
	w.until("large", func(s postgres.Sync) bool { return s.Counts.HubSpotRead > 0 })
	w.requestOf("zeta", "small", postgres.Apply, postgres.SyncOptions{})
	w.untilOf("zeta", "small", func(s postgres.Sync) bool { return s.Cursor.Walked })
	if large := w.until("large", func(postgres.Sync) bool { return true }); large.Cursor.Walked {
		t.Errorf("the large job was done before the small one: %+v", large)
	}
	if large := w.until("large", walked); large.Counts.HubSpotRead != 2000 {
		t.Errorf("want all 2000 read: %+v", large)
	}
}

// slow is a client whose calls take a while, so that a test can act between.
func slow(by time.Duration) *http.Client { return &http.Client{Transport: slowly(by)} }

type slowly time.Duration

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(time.Duration(s)):
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestPauseHoldsResumeGoesOnCancelEnds: what an operator wishes happens, and a
// second job of the tenant is refused meanwhile.
func TestPauseHoldsResumeGoesOnCancelEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3000, "full")
	ctx := context.Background()
	w.request("job1", postgres.FirstSync, walkHubSpot)
	w.ingest("first", slow(10*time.Millisecond))
	w.until("job1", func(s postgres.Sync) bool { return s.Counts.HubSpotRead > 0 })
	if err := w.db.RequestSync(ctx, postgres.Sync{ID: "job2", Tenant: acme, Kind: postgres.Apply}); err != postgres.ErrSyncBusy {
		t.Errorf("a second job gave %v, want ErrSyncBusy", err)
	}
	wish := func(wish postgres.SyncWish) {
		if err := w.db.WishSync(ctx, acme, "job1", wish); err != nil {
			t.Fatal(err)
		}
	}
	wish(postgres.WishPause)
	paused := w.until("job1", func(s postgres.Sync) bool { return s.State == postgres.SyncPaused })
	quiet := time.NewTimer(700 * time.Millisecond) // longer than the loop's tick
	<-quiet.C
	if later := w.until("job1", func(postgres.Sync) bool { return true }); later.State != postgres.SyncPaused || later.Counts.HubSpotRead != paused.Counts.HubSpotRead {
		t.Errorf("a paused job went on: %+v, then %+v", paused, later)
	}
	wish(postgres.WishRun)
	w.until("job1", func(s postgres.Sync) bool { return s.Counts.HubSpotRead > paused.Counts.HubSpotRead })
	wish(postgres.WishCancel)
	ended := w.until("job1", func(s postgres.Sync) bool { return s.State.Final() })
	if ended.State != postgres.SyncCancelled || ended.FinishedAt.IsZero() || ended.Counts.HubSpotRead >= 3000 {
		t.Errorf("want it cancelled before its end: %+v", ended)
	}
	if err := w.db.WishSync(ctx, acme, "job1", postgres.WishRun); err != postgres.ErrSyncFinal {
		t.Errorf("to resume a cancelled job gave %v, want ErrSyncFinal", err)
	}
}

// TestBothSidesAreWalked, and the documented profile refuses Aloware's side in
// words that a person can act on.
func TestBothSidesAreWalked(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"full", "documented"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 150, profile)
			w.post(w.aloware, "/_sim/load", map[string]any{"contacts": 450, "seed": 2})
			w.request("job1", postgres.FirstSync, postgres.SyncOptions{HubSpot: true, Aloware: true})
			w.ingest("first", nil)
			got := w.until("job1", walked)
			if profile == "documented" {
				if got.State != postgres.SyncFailed || got.Error == "" || got.Counts.HubSpotRead != 0 {
					t.Errorf("want a refusal before anything is read: %+v", got)
				}
				return
			}
			if !got.Cursor.Walked || got.Counts.AlowareTotal != got.Counts.AlowareRead || got.Counts.AlowareRead != 450 {
				t.Errorf("want both sides read whole: %+v", got)
			}
			if h, a := len(w.published(contact.HubSpot)), len(w.published(contact.Aloware)); h != 150 || a != 450 {
				t.Errorf("published %d and %d, want 150 and 450", h, a)
			}
		})
	}
}

// TestThePortalIsListedForTheWriter, so that it need not search for each
// contact that comes from Aloware: on the way where all is read, in fewer calls
// where only Aloware is, and not at all where searching is less work.
func TestThePortalIsListedForTheWriter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		hubspot, aloware int
		options          postgres.SyncOptions
		published        int // of HubSpot
		listed           bool
	}{
		{"both sides", 150, 50, postgres.SyncOptions{HubSpot: true, Aloware: true}, 151, true},
		{"only Aloware", 150, 50, postgres.SyncOptions{Aloware: true}, 0, true},
		{"only Aloware, few into many", 2300, 5, postgres.SyncOptions{Aloware: true}, 0, false},
		{"only HubSpot", 150, 50, postgres.SyncOptions{HubSpot: true}, 151, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.hubspot, "full")
			w.post(w.aloware, "/_sim/load", map[string]any{"contacts": c.aloware, "seed": 2})
			w.post(w.hubspot, "/_sim/edit", map[string]any{"properties": map[string]string{"email": "Ada@Example.com", "firstname": "Ada", "phone": "(202) 555-0101"}})
			w.request("job1", postgres.FirstSync, c.options)
			w.ingest("first", nil)
			if got := w.until("job1", walked); !got.Cursor.Walked {
				t.Fatalf("the job is %+v", got)
			}
			byNumber, complete, err := w.db.PortalIDs(t.Context(), acme, 2002, []string{"+12025550101"}, time.Hour)
			if err != nil || complete != c.listed || len(byNumber) == 1 != c.listed {
				t.Errorf("by number: %v, complete %t, %v", byNumber, complete, err)
			}
			byEmail, _, err := w.db.PortalIDs(t.Context(), acme, 2002, []string{"ada@example.com"}, time.Hour)
			if err != nil || !slices.Equal(byEmail, byNumber) {
				t.Errorf("by e-mail: %v, by number: %v, %v", byEmail, byNumber, err)
			}
			if n := len(w.published(contact.HubSpot)); n != c.published {
				t.Errorf("%d contacts of HubSpot were published, want %d", n, c.published)
			}
		})
	}
}

// TestApplyAsksForEachContactOnce: every known contact is judged again.
func TestApplyAsksForEachContactOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "full")
	ctx := context.Background()
	var contacts []postgres.StoredContact
	for i := range 1234 {
		contacts = append(contacts, postgres.StoredContact{Tenant: acme, Key: contact.Key(fmt.Sprintf("hubspot:%d", i)), State: []byte{}})
	}
	if err := w.db.InTx(ctx, func(tx *postgres.Tx) error { return tx.SaveContacts(ctx, contacts) }); err != nil {
		t.Fatal(err)
	}
	w.request("job1", postgres.Apply, postgres.SyncOptions{})
	w.ingest("first", nil)
	got := w.until("job1", walked)
	if !got.Cursor.Walked || got.Counts.Asked != 1234 || got.Counts.ContactTotal != 1234 {
		t.Errorf("want 1234 commands: %+v", got)
	}
	for key, n := range w.published(0) {
		if n != 1 {
			t.Errorf("%s was asked for %d times", key, n)
		}
	}
	if n := len(w.published(0)); n != 1234 {
		t.Errorf("%d contacts were asked for, want 1234", n)
	}
}

// callers notes the niceness of the threads that make calls.
type callers struct{ nicest atomic.Int64 }

func (c *callers) RoundTrip(r *http.Request) (*http.Response, error) {
	now, err := background.Niceness()
	if err != nil {
		return nil, err
	}
	c.nicest.Store(max(c.nicest.Load(), int64(now)))
	return http.DefaultTransport.RoundTrip(r)
}

// TestAJobWorksInTheBackground: a webhook has the processor before it.
func TestAJobWorksInTheBackground(t *testing.T) {
	usual, err := background.Niceness()
	if err != nil {
		t.Skip("threads have no niceness here: ", err)
	}
	w := newWorld(t, 100, "full")
	w.request("job1", postgres.FirstSync, walkHubSpot)
	calls := &callers{}
	w.ingest("first", &http.Client{Transport: calls})
	w.until("job1", walked)
	if nicest := calls.nicest.Load(); nicest <= int64(usual) {
		t.Errorf("the job calls HubSpot with niceness %d, want more than %d", nicest, usual)
	}
}
