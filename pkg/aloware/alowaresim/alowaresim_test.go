package alowaresim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/aloware/alowaresim"
)

const (
	token = "demo-aloware-token"
	dana  = "+12025550142"
)

// object is a JSON object.
type object = map[string]any

// account is a simulator on a socket with a receiver of its webhooks.
type account struct {
	*testing.T
	sim   *alowaresim.Sim
	url   string
	inbox *inbox
	stop  func()
}

// quick is a configuration without waiting and without a limit.
func quick() alowaresim.Config {
	plain := alowaresim.DefaultSwitches()
	plain.ShapeNoise = false
	return alowaresim.Config{Rate: -1, Latency: -1, TimeScale: 0.001, Switches: &plain}
}

// open starts an account whose webhooks come to the account's inbox. Hooks
// change the one webhook that it has.
func open(t *testing.T, cfg alowaresim.Config, hooks ...func(*alowaresim.Webhook)) *account {
	t.Helper()
	a := &account{T: t, inbox: &inbox{came: make(chan received, 1000), status: http.StatusNoContent}}
	receiver := httptest.NewServer(a.inbox)
	t.Cleanup(receiver.Close)
	if cfg.Webhooks == nil {
		cfg.Webhooks = []alowaresim.Webhook{{URL: receiver.URL + "/hooks"}}
		for _, change := range hooks {
			change(&cfg.Webhooks[0])
		}
	}
	sim, err := alowaresim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.sim = sim
	server := httptest.NewServer(sim.Handler())
	a.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sim.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		server.Close()
		if err := sim.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(a.stop)
	return a
}

// inbox receives webhooks.
type inbox struct {
	came chan received

	mu     sync.Mutex // guards status
	status int
}

type received struct {
	header http.Header
	raw    string
	event  string
	body   object
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var whole struct {
		Event string `json:"event"`
		Body  object `json:"body"`
	}
	_ = json.Unmarshal(raw, &whole)
	i.mu.Lock()
	status := i.status
	i.mu.Unlock()
	select {
	case i.came <- received{r.Header, string(raw), whole.Event, whole.Body}:
		w.WriteHeader(status)
	case <-r.Context().Done(): // nobody takes the deliveries any more
	}
}

func (i *inbox) answer(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

// next waits for the next delivery.
func (a *account) next() received {
	a.Helper()
	select {
	case got := <-a.inbox.came:
		return got
	case <-time.After(10 * time.Second):
		a.Fatal("no delivery came within 10 s")
		return received{}
	}
}

// expect waits for deliveries with these names and gives the last one.
func (a *account) expect(events ...string) received {
	a.Helper()
	var last received
	for _, want := range events {
		if last = a.next(); last.event != want {
			a.Fatalf("delivery %q, want %q", last.event, want)
		}
	}
	return last
}

// nothing makes sure that no delivery is waiting: what is sent later arrives next.
func (a *account) nothing() {
	a.Helper()
	a.control("webhooks/test", object{})
	if got := a.next(); got.raw != `{"test_payload":true}` {
		a.Fatalf("a delivery came that should not: %s", got.raw)
	}
}

type response struct {
	status int
	header http.Header
	raw    string
	body   object
}

func (a *account) do(method, address string, body any) response {
	a.Helper()
	got, err := send(method, a.url+address, body)
	if err != nil {
		a.Fatalf("%s %s: %v", method, address, err)
	}
	return got
}

func send(method, address string, body any) (response, error) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return response{}, err
		}
		reader = bytes.NewReader(raw)
	}
	r, err := http.NewRequest(method, address, reader)
	if err != nil {
		return response{}, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return response{}, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	got := response{status: answer.StatusCode, header: answer.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &got.body)
	return got, err
}

// get and write call the API with the token in its place.
func (a *account) get(path string, query ...string) response {
	a.Helper()
	values := url.Values{"api_token": {token}}
	for i := 0; i+1 < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	return a.do("GET", "/api/v1/webhook/"+path+"?"+values.Encode(), nil)
}

func (a *account) write(method, path string, fields object) response {
	a.Helper()
	whole := object{"api_token": token}
	for name, value := range fields {
		whole[name] = value
	}
	return a.do(method, "/api/v1/webhook/"+path, whole)
}

// control makes a control call, which must succeed.
func (a *account) control(path string, body any) response {
	a.Helper()
	got := a.do("POST", "/_sim/"+path, body)
	if got.status != http.StatusOK {
		a.Fatalf("POST /_sim/%s: %d %s", path, got.status, got.raw)
	}
	return got
}

// contact creates a contact as a person would and takes its event.
func (a *account) contact(fields object) string {
	a.Helper()
	id := number(a.control("edit", fields).body["id"])
	a.expect("Contact-Created")
	return id
}

// shown is a contact as the control calls show it.
func (a *account) shown(id string) object {
	a.Helper()
	return a.do("GET", "/_sim/contacts?id="+id, nil).body
}

func (a *account) stats() object {
	a.Helper()
	return a.do("GET", "/_sim/stats", nil).body
}

func (a *account) lines(path string) []object {
	a.Helper()
	var all []object
	scan := bufio.NewScanner(strings.NewReader(a.do("GET", path, nil).raw))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var o object
		if err := json.Unmarshal(scan.Bytes(), &o); err != nil {
			a.Fatalf("line %q: %v", scan.Text(), err)
		}
		all = append(all, o)
	}
	return all
}

func number(v any) string {
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprint(v)
}

// want compares a member of an object as text.
func want(t *testing.T, o object, name, value string) {
	t.Helper()
	if got := number(o[name]); got != value {
		t.Errorf("%s is %q, want %q", name, got, value)
	}
}
