package ingest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/ingest"
)

// polled waits until a condition holds of what was read for acme.
func (w *world) polled(holds func(events []contact.Incoming) bool) []contact.Incoming {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		events := w.events(bus.ChangesBulk, acme)
		if holds(events) {
			return events
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("%d events were read, not what is wanted", len(events))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestAPollGoesOnInTheNextProcess: what one has read is not read again.
func TestAPollGoesOnInTheNextProcess(t *testing.T) {
	t.Parallel()
	const page = 100
	w := newWorld(t, 700, "full")
	stop := w.run(ingest.Config{Owner: "first", PollEvery: time.Hour, HTTP: slow(20 * time.Millisecond)})
	w.polled(func(events []contact.Incoming) bool { return len(events) >= 3*page })
	stop()
	if n := len(w.events(bus.ChangesBulk, acme)); n >= 700 {
		t.Fatalf("the first process read all %d contacts: it must stop in the middle", n)
	}
	w.run(ingest.Config{Owner: "second", PollEvery: time.Hour})
	ids := make(map[string]int)
	read := w.polled(func(events []contact.Incoming) bool {
		clear(ids)
		for _, e := range events {
			if e.Change.System == contact.HubSpot {
				ids[e.Change.ID]++
			}
		}
		return len(ids) == 700
	})
	if again := len(read) - 700; again > page {
		t.Errorf("%d contacts were read again, want the page in between at most", again)
	}
}

// TestALongTextIsRead by the poll and by a walk: each text of HubSpot may have
// 65,536 characters.
func TestALongTextIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "full")
	text := strings.Repeat("x", 65_000)
	w.post(w.hubspot, "/_sim/edit", map[string]any{"properties": map[string]string{"email": "long@example.com", "firstname": text, "lastname": text}})
	w.request("job1", postgres.FirstSync, walkHubSpot)
	w.run(ingest.Config{Owner: "first", PollEvery: 200 * time.Millisecond})
	if got := w.until("job1", walked); !got.Cursor.Walked {
		t.Fatalf("the job is %+v", got)
	}
	w.polled(func(events []contact.Incoming) bool {
		channels := make(map[contact.Channel]bool)
		for _, e := range events {
			for _, v := range e.Change.Values {
				if v.Name == "firstname" && v.Text == text {
					channels[e.Change.Channel] = true
				}
			}
		}
		return channels[contact.Poll] && channels[contact.Walk]
	})
}

// TestAnAccountIsReadOnceItCanBeListed: until then nobody asks, and then nobody
// waits.
func TestAnAccountIsReadOnceItCanBeListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, "full")
	w.post(w.aloware, "/_sim/edit", map[string]any{"fields": map[string]any{"phone_number": "+12025550123", "first_name": "Ada"}})
	profile := func(name string) {
		w.save(w.tenant(acme, name))
	}
	profile("documented")
	w.run(ingest.Config{Owner: "first", PollEvery: 50 * time.Millisecond})
	lists := func() (n int) {
		for _, e := range w.events(bus.Changes, acme) {
			if e.Directory != nil && e.Directory.System == contact.Aloware {
				n++
			}
		}
		return n
	}
	w.polled(func([]contact.Incoming) bool { return lists() > 0 }) // the poll, due before it, has had its turn
	profile("full")
	w.polled(func(events []contact.Incoming) bool {
		for _, e := range events {
			if e.Change != nil && e.Change.System == contact.Aloware && e.Change.Channel == contact.Poll {
				return true
			}
		}
		return false
	})
}

// farAway sends calls to hosts "t<n>.hubspot.test" and "t<n>.aloware.test" to
// simulators, slowly, and counts the polls of each. Of one tenant no call is
// ever answered. A portal takes five searches a second, so there are several.
type farAway struct {
	hubspot []string
	aloware string
	hangs   string

	mu    sync.Mutex
	polls map[string]int
}

func (f *farAway) RoundTrip(r *http.Request) (*http.Response, error) {
	id, system, _ := strings.Cut(r.URL.Host, ".")
	n, err := strconv.Atoi(strings.TrimPrefix(id, "t"))
	if err != nil || id == f.hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	base := f.hubspot[n%len(f.hubspot)]
	if system == "aloware.test" {
		base = f.aloware
	}
	to, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(r.URL.Path, "/search") || r.URL.Query().Has("per_page") {
		f.mu.Lock()
		f.polls[r.URL.Host]++
		f.mu.Unlock()
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = to.Scheme, to.Host, to.Host
	return slowly(100 * time.Millisecond).RoundTrip(r)
}

// behind are the systems that were polled fewer times than wanted.
func (f *farAway) behind(tenants, times int) (hosts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range tenants {
		for _, system := range []string{"hubspot", "aloware"} {
			if host := fmt.Sprintf("t%d.%s.test", i, system); f.polls[host] < times && !strings.HasPrefix(host, f.hangs+".") {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// TestASlowSystemHoldsUpNoOther: many tenants whose systems take their time, and
// one whose systems never answer.
func TestASlowSystemHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	const tenants, period = 100, 5 * time.Second
	w := newWorld(t, 0, "full")
	far := &farAway{aloware: w.aloware, hangs: "t0", polls: make(map[string]int)}
	for range tenants / 10 {
		far.hubspot = append(far.hubspot, portal(t))
	}
	for i := range tenants {
		one := w.tenant(contact.Tenant(fmt.Sprintf("t%d", i)), "full")
		one.HubSpot.PortalID = int64(3000 + i)
		one.HubSpot.BaseURL, one.Aloware.BaseURL = fmt.Sprintf("http://t%d.hubspot.test", i), fmt.Sprintf("http://t%d.aloware.test", i)
		if err := w.db.SaveTenant(context.Background(), one, w.sealer); err != nil {
			t.Fatal(err)
		}
	}
	w.refresh()
	w.run(ingest.Config{Owner: "first", PollEvery: period, ListsEvery: time.Hour, HTTP: &http.Client{Transport: far}})
	// In the first round the lists of all are read too, and every budget begins
	// with a pause; what hangs is given up after 110 seconds.
	for round := range 2 {
		const within = 50 * time.Second
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		began := time.Now()
		for len(far.behind(tenants, round+1)) > 0 {
			select {
			case <-ctx.Done():
				t.Fatalf("round %d: these were not polled within %v: %v", round+1, within, far.behind(tenants, round+1))
			case <-time.After(50 * time.Millisecond):
			}
		}
		t.Logf("round %d of all but one took %v", round+1, time.Since(began))
	}
}
