package hubspotsim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const contactsPath = "/crm/objects/2026-09/contacts"

// bench is a running simulator with a client.
type bench struct {
	t   *testing.T
	sim *Sim
	url string
}

// start runs a simulator without latency and lag, unless the config says so.
func start(t *testing.T, cfg Config) *bench {
	t.Helper()
	if cfg.Latency == 0 {
		cfg.Latency = -1
	}
	if cfg.SearchLag == 0 {
		cfg.SearchLag = -1
	}
	sim, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	return &bench{t: t, sim: sim, url: server.URL}
}

// run delivers webhooks until the test ends or the returned function is called.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.sim.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
	b.t.Cleanup(stop)
	return stop
}

// post sends a form as the page does.
func (b *bench) post(path string, form url.Values) answer {
	b.t.Helper()
	return b.do("POST", path, form.Encode())
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// do makes a call; a body that is text is sent as it is.
func (b *bench) do(method, path string, body any) answer {
	b.t.Helper()
	return b.doAs("Bearer demo-hubspot-token", method, path, body)
}

func (b *bench) doAs(authorization, method, path string, body any) answer {
	b.t.Helper()
	var in io.Reader
	if text, ok := body.(string); ok {
		in = strings.NewReader(text)
	} else if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, b.url+path, in)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	if text, ok := body.(string); ok && !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{text: err.Error()}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{status: resp.StatusCode, text: err.Error()}
	}
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // not every answer is a JSON object
	return a
}

// want checks the status.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	return a
}

// at walks into the JSON body; numbers index lists.
func (a answer) at(path ...any) any { return walk(a.body, path...) }

func walk(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

// make creates a contact and gives its id.
func (b *bench) make(properties map[string]string) string {
	b.t.Helper()
	return b.do("POST", contactsPath, map[string]any{"properties": properties}).want(b.t, 201).at("id").(string)
}

// read gives one property, "" when it is null.
func (b *bench) read(id, property string) string {
	b.t.Helper()
	v, _ := b.do("GET", contactsPath+"/"+id+"?properties="+property, nil).want(b.t, 200).at("properties", property).(string)
	return v
}

// uniqueProperty makes a custom property with unique values.
func (b *bench) uniqueProperty(name string) {
	b.t.Helper()
	b.do("POST", "/crm/properties/2026-09/contacts", map[string]any{"name": name, "label": name, "type": "string", "fieldType": "text",
		"groupName": "contactinformation", "hasUniqueValue": true}).want(b.t, 201)
}

// inbox receives webhooks on a socket.
type inbox struct {
	server *httptest.Server
	posts  chan post
	answer func(n int) int // status of the nth request, from 0
}

type post struct {
	header http.Header
	body   []byte
	events []map[string]any
}

func newInbox(t *testing.T, answer func(n int) int) *inbox {
	t.Helper()
	in := &inbox{posts: make(chan post, 1000), answer: answer}
	var n atomic.Int64
	in.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := post{header: r.Header}
		p.body, _ = io.ReadAll(r.Body)
		if err := json.Unmarshal(p.body, &p.events); err != nil {
			t.Errorf("webhook body is no array: %v", err)
		}
		status := http.StatusNoContent
		if in.answer != nil {
			status = in.answer(int(n.Add(1)) - 1)
		}
		w.WriteHeader(status)
		in.posts <- p
	}))
	t.Cleanup(in.server.Close)
	return in
}

// next waits for the next delivery.
func (in *inbox) next(t *testing.T) post {
	t.Helper()
	select {
	case p := <-in.posts:
		return p
	case <-time.After(10 * time.Second):
		t.Fatal("no webhook came")
		return post{}
	}
}

// collect waits until n events came.
func (in *inbox) collect(t *testing.T, n int) []map[string]any {
	t.Helper()
	var out []map[string]any
	for len(out) < n {
		out = append(out, in.next(t).events...)
	}
	return out
}

func has(events []map[string]any, kind, property string) map[string]any {
	for _, e := range events {
		if e["subscriptionType"] == kind && (property == "" || e["propertyName"] == property) {
			return e
		}
	}
	return nil
}
