package ingest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/ingest"
)

const globex, secret = contact.Tenant("globex"), "demo-secret"

// hooks is a world whose webhooks are served: two tenants, of which acme is the
// simulators', and one app.
type hooks struct {
	*world
	url     string
	service *ingest.Ingest
	refused counts
}

// counts are the reasons for which something was refused.
type counts struct {
	mu sync.Mutex
	by map[string]int
}

func (c *counts) Refused(_ context.Context, system contact.System, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[string]int)
	}
	c.by[system.String()+" "+reason]++
}

func (c *counts) Received(context.Context, contact.System, string, int) {}

func (c *counts) of(reason string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[reason]
}

func newHooks(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{world: newWorld(t, 0, "full")}
	other := h.tenant(globex, "full")
	other.HubSpot.PortalID = 2003
	h.save(other)
	h.app(false)
	return h
}

// app saves the app that both portals are connected to.
func (h *hooks) app(v1 bool) {
	h.t.Helper()
	if err := h.db.SaveApp(context.Background(), tenant.App{AppID: 1001, ClientSecret: secret, SignatureV1: v1}, h.sealer); err != nil {
		h.t.Fatal(err)
	}
	h.refresh()
}

// serve runs a process of the service on a bus; stop ends it as an operator
// would.
func (h *hooks) serve(b *bus.Bus, spool string) (stop func()) {
	h.t.Helper()
	server := httptest.NewUnstartedServer(nil)
	h.url = "http://" + server.Listener.Addr().String()
	var err error
	h.service, err = ingest.New(ingest.Config{
		Owner: "hooks", Bus: b, DB: h.db, Roster: h.roster, Logger: quiet(), PublicURL: h.url, Spool: spool,
		PublishTimeout: 400 * time.Millisecond, PollEvery: -1, ListsEvery: time.Hour, Observer: &h.refused,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	server.Config.Handler = h.service.Handler()
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.service.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
		server.Close()
		if err := h.service.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			h.t.Error(err)
		}
	})
	h.t.Cleanup(stop)
	return stop
}

func (h *hooks) send(path string, body []byte, header map[string]string) int {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodPost, h.url+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Error(err)
		return 0
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// edit is an event of HubSpot.
type edit struct {
	portal int64
	n      int
	value  string
}

func hubspotBody(t testing.TB, edits ...edit) []byte {
	t.Helper()
	var events []map[string]any
	for _, e := range edits {
		events = append(events, map[string]any{
			"eventId": e.n, "subscriptionId": 1, "portalId": e.portal, "appId": 1001, "occurredAt": time.Now().UnixMilli(),
			"subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectId": 500 + e.n,
			"propertyName": "firstname", "propertyValue": e.value, "changeSource": "CRM_UI",
		})
	}
	raw, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (h *hooks) signV3(path string, body []byte) map[string]string {
	at := strconv.FormatInt(time.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "POST%s%s%s%s", h.url, path, body, at)
	return map[string]string{"X-HubSpot-Signature-v3": base64.StdEncoding.EncodeToString(mac.Sum(nil)), "X-HubSpot-Request-Timestamp": at}
}

func signV1(body []byte) map[string]string {
	sum := sha256.Sum256(append([]byte(secret), body...))
	return map[string]string{"X-HubSpot-Signature": hex.EncodeToString(sum[:]), "X-HubSpot-Signature-Version": "v1"}
}

func (h *hooks) hubspotHook(edits ...edit) int {
	h.t.Helper()
	const path = "/webhooks/hubspot"
	body := hubspotBody(h.t, edits...)
	return h.send(path, body, h.signV3(path, body))
}

// alowareBody is a contact's n-th state.
func alowareBody(n int, name string) []byte {
	return fmt.Appendf(nil, `{"event":"Contact-Updated","body":{"id":7100,"first_name":%q,"phone_number":"+13125550187","updated_at":%q}}`,
		name, time.Unix(1_780_000_000+int64(n), 0).UTC().Format(time.DateTime))
}

func (h *hooks) alowareHook(id contact.Tenant, n int) int {
	h.t.Helper()
	return h.send("/webhooks/aloware/"+string(id), alowareBody(n, strconv.Itoa(n)), nil)
}

// names are the first names that the live stream holds for a tenant, in its
// order.
func (h *hooks) names(id contact.Tenant) (names []string) {
	h.t.Helper()
	for _, in := range h.events(bus.Changes, id) {
		if in.Change == nil {
			continue
		}
		for _, v := range in.Change.Values {
			if v.Name == "first_name" || v.Name == "firstname" {
				names = append(names, v.Text)
			}
		}
	}
	return names
}

// drained waits until nothing is in the spool.
func (h *hooks) drained() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		waiting, oldest := h.service.Spooled()
		if waiting == 0 {
			if told := h.service.Troubles(); len(told) != 0 {
				h.t.Errorf("with an empty spool its health tells %q", told)
			}
			return
		}
		select {
		case <-ctx.Done():
			h.t.Fatalf("%d deliveries still wait, the oldest since %v", waiting, oldest)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func numbered(from, to int) (texts []string) {
	for i := from; i < to; i++ {
		texts = append(texts, strconv.Itoa(i))
	}
	return texts
}

// outage posts while the bus is away: HubSpot is asked to send again, Aloware's
// deliveries are taken, and the process says that it is ready.
func (h *hooks) outage(from, to int) {
	h.t.Helper()
	if got := h.hubspotHook(edit{2002, 1, "again"}); got != http.StatusServiceUnavailable {
		h.t.Errorf("HubSpot got %d, want 503, so that it sends again", got)
	}
	for n := from; n < to; n++ {
		for _, id := range []contact.Tenant{acme, globex} {
			if got := h.alowareHook(id, n); got != http.StatusOK {
				h.t.Fatalf("Aloware got %d, want 200: it never sends again", got)
			}
		}
	}
	if waiting, oldest := h.service.Spooled(); waiting != 2*(to-from) || oldest.IsZero() {
		h.t.Errorf("%d deliveries wait since %v, want %d", waiting, oldest, 2*(to-from))
	}
	if err := h.service.Ready(context.Background()); err != nil {
		h.t.Errorf("a process whose spool takes deliveries is not ready: %v", err)
	}
	if told := h.service.Troubles(); len(told) != 1 || !strings.HasPrefix(told[0], strconv.Itoa(2*(to-from))+" deliveries wait in the spool") {
		h.t.Errorf("its health tells %q", told)
	}
}

// TestDeliveriesOutlastTheBus: what comes while the bus is away is answered
// from the spool and published in its order, once, when the bus is back.
func TestDeliveriesOutlastTheBus(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.serve(h.bus, t.TempDir())
	for n := range 3 {
		if a, b := h.alowareHook(acme, n), h.alowareHook(globex, n); a != 200 || b != 200 {
			t.Fatalf("with the bus there: %d, %d", a, b)
		}
	}
	h.env.StopServer()
	h.outage(3, 10)
	h.env.StartServer()
	h.drained()
	if a, b := h.alowareHook(acme, 10), h.alowareHook(globex, 10); a != 200 || b != 200 {
		t.Fatalf("with the bus back: %d, %d", a, b)
	}
	for _, id := range []contact.Tenant{acme, globex} {
		if got := h.names(id); !slices.Equal(got, numbered(0, 11)) {
			t.Errorf("%s: published %v, want each once and in order", id, got)
		}
	}
	if got := h.hubspotHook(edit{2002, 1, "again"}); got != http.StatusOK {
		t.Errorf("HubSpot's next attempt got %d", got)
	}
}

// TestAProcessStartsWhileTheBusIsAway, and another goes on with what the one
// before it has left in the spool.
func TestAProcessStartsWhileTheBusIsAway(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.env.StopServer()
	spool := t.TempDir()
	stop := h.serve(h.env.ConnectLazily(), spool)
	h.outage(0, 4)
	stop()
	second := h.env.ConnectLazily()
	h.serve(second, spool)
	if got := h.alowareHook(acme, 4); got != http.StatusOK {
		t.Errorf("the next process answers %d", got)
	}
	h.env.StartServer()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := second.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	h.drained()
	if a, g := h.names(acme), h.names(globex); !slices.Equal(a, numbered(0, 5)) || !slices.Equal(g, numbered(0, 4)) {
		t.Errorf("published %v and %v, want five and four in order", a, g)
	}
}

// TestNoDeliveryOvertakesAnother: many at once, over a bus that goes and comes,
// stay in the order in which they were answered.
func TestNoDeliveryOvertakesAnother(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.serve(h.bus, t.TempDir())
	const each = 60
	var posting sync.WaitGroup
	reached := make(chan struct{}, 2*each)
	for _, id := range []contact.Tenant{acme, globex} {
		posting.Go(func() {
			for n := range each {
				if got := h.alowareHook(id, n); got != http.StatusOK {
					t.Errorf("delivery %d of %s got %d", n, id, got)
				}
				reached <- struct{}{}
			}
		})
	}
	for range each / 2 {
		<-reached
	}
	h.env.StopServer()
	for range each / 2 {
		<-reached
	}
	h.env.StartServer()
	posting.Wait()
	h.drained()
	for _, id := range []contact.Tenant{acme, globex} {
		if got := h.names(id); !slices.Equal(got, numbered(0, each)) {
			t.Errorf("%s: published %v", id, got)
		}
	}
}

// TestWithoutBusAndSpoolNobodyIsTold200, and the process says that it is not
// ready.
func TestWithoutBusAndSpoolNobodyIsTold200(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.serve(h.bus, t.TempDir())
	h.env.StopServer()
	if err := h.service.Close(); err != nil {
		t.Fatal(err)
	}
	if got := h.alowareHook(acme, 1); got != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", got)
	}
	if err := h.service.Ready(context.Background()); err == nil || !strings.Contains(err.Error(), "spool") {
		t.Errorf("ready says %v", err)
	}
}

// TestTooLargeHoldsUpNothing: an event that can never be published costs the
// others neither their place nor their time.
func TestTooLargeHoldsUpNothing(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.serve(h.bus, t.TempDir())
	large := strings.Repeat("x", 800<<10)
	if got := h.hubspotHook(edit{2002, 1, large}, edit{2002, 2, "beside"}, edit{2003, 3, "behind"}); got != http.StatusOK {
		t.Errorf("a webhook of two portals got %d, want 200: to send it again would not help", got)
	}
	if a, g := h.names(acme), h.names(globex); !slices.Equal(a, []string{"beside"}) || !slices.Equal(g, []string{"behind"}) {
		t.Errorf("published %v and %v", a, g)
	}
	h.env.StopServer()
	for i, body := range [][]byte{alowareBody(1, "first"), alowareBody(2, large), alowareBody(3, "last")} {
		if got := h.send("/webhooks/aloware/globex", body, nil); got != http.StatusOK {
			t.Fatalf("delivery %d got %d", i, got)
		}
	}
	h.env.StartServer()
	h.drained()
	if got := h.names(globex); !slices.Equal(got, []string{"behind", "first", "last"}) {
		t.Errorf("the spool published %v", got)
	}
	if h.refused.of("hubspot too large") != 1 || h.refused.of("aloware too large") != 1 {
		t.Errorf("refused are %v", h.refused.by)
	}
}

// TestAnOldSignatureCountsWhereTheAppAllowsIt: v1 knows neither time nor
// address, so an app takes it only when it says so and v3 is absent.
func TestAnOldSignatureCountsWhereTheAppAllowsIt(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.serve(h.bus, t.TempDir())
	const path = "/webhooks/hubspot/1001"
	for _, v1 := range []bool{false, true} {
		h.app(v1)
		body := hubspotBody(t, edit{2002, 1, fmt.Sprint("v1 ", v1)})
		wrongV3 := h.signV3("/elsewhere", body)
		for name, value := range signV1(body) {
			wrongV3[name] = value
		}
		old := map[bool]int{false: 401, true: 200}[v1]
		for _, c := range []struct {
			name   string
			header map[string]string
			want   int
		}{
			{"v1", signV1(body), old},
			{"v1 of another body", signV1([]byte("[]")), 401},
			{"v3", h.signV3(path, body), 200},
			{"v1 beside a wrong v3", wrongV3, 401},
			{"none", nil, 401},
		} {
			if got := h.send(path, body, c.header); got != c.want {
				t.Errorf("the app allows v1: %t; signed with %s: got %d, want %d", v1, c.name, got, c.want)
			}
		}
	}
	if got := h.names(acme); !slices.Equal(got, []string{"v1 false", "v1 true"}) {
		t.Errorf("published %v, want each taken delivery once", got)
	}
}

// TestAlowareProvesItself as the tenant's settings say.
func TestAlowareProvesItself(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.serve(h.bus, t.TempDir())
	basic := func(user, password string) map[string]string {
		return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
	}
	bearer := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	for _, c := range []struct {
		scheme string
		header map[string]string
		want   int
	}{
		{"none", nil, 200},
		{"basic", basic("hook", "right"), 200},
		{"basic", basic("hook", "wrong"), 401},
		{"basic", bearer("token"), 401},
		{"basic", nil, 401},
		{"bearer", bearer("token"), 200},
		{"bearer", bearer("other"), 401},
		{"bearer", basic("hook", "right"), 401},
		{"", nil, 401},
	} {
		changed := h.tenant(acme, "full")
		changed.Aloware.WebhookAuth, changed.Aloware.WebhookUser = c.scheme, "hook"
		changed.Aloware.WebhookPassword, changed.Aloware.WebhookToken = "right", "token"
		h.save(changed)
		if got := h.send("/webhooks/aloware/acme", alowareBody(1, "Ada"), c.header); got != c.want {
			t.Errorf("scheme %q with %v: got %d, want %d", c.scheme, c.header, got, c.want)
		}
	}
	if got := h.send("/webhooks/aloware/nobody", alowareBody(1, "Ada"), nil); got != http.StatusNotFound {
		t.Errorf("an unknown tenant got %d", got)
	}
}

// TestEchoesOfOurWritesHoldUpNoEdit: what HubSpot tells of our own writes, and what it
// made of them, is on a stream of its own; what people did, also to the same contact,
// is not.
func TestEchoesOfOurWritesHoldUpNoEdit(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.serve(h.bus, t.TempDir())
	var events []map[string]any
	for n, e := range []struct {
		object              int
		name, source, other string
	}{
		{501, "ours", "INTEGRATION", "1001"}, {501, "derived", "CALCULATED", ""}, {501, "a person", "CRM_UI", "userId:7"},
		{502, "another app", "INTEGRATION", "9"}, {503, "derived of another's", "CALCULATED", ""},
	} {
		events = append(events, map[string]any{
			"eventId": n, "subscriptionId": 1, "portalId": 2002, "appId": 1001, "occurredAt": time.Now().UnixMilli() + int64(n),
			"subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectId": e.object,
			"propertyName": "firstname", "propertyValue": e.name, "changeSource": e.source, "sourceId": e.other,
		})
	}
	body, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	if status := h.send("/webhooks/hubspot", body, h.signV3("/webhooks/hubspot", body)); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	for stream, want := range map[bus.Stream][]string{
		bus.ChangesEcho: {"ours", "derived", "derived of another's"}, bus.Changes: {"a person", "another app"},
	} {
		var got []string
		for _, in := range h.events(stream, acme) {
			for _, v := range in.Change.Values {
				got = append(got, v.Text)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s holds %q, want %q", stream, got, want)
		}
	}
}
