package hubspot_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/quota"
)

// ledger is a budget that gives out every call and keeps what was told of it.
type ledger struct {
	mu    sync.Mutex
	taken map[quota.Pool]int
	told  []quota.Answer
	next  time.Time // when the next search may go out
	// eager gives out searches without HubSpot's pace of five a second.
	eager bool
}

func (l *ledger) Take(ctx context.Context, pool quota.Pool) (quota.Ticket, error) {
	l.mu.Lock()
	if l.taken == nil {
		l.taken = map[quota.Pool]int{}
	}
	l.taken[pool]++
	at := time.Now()
	if pool == quota.Search && !l.eager {
		at = latest(at, l.next)
		l.next = at.Add(220 * time.Millisecond)
	}
	l.mu.Unlock()
	select {
	case <-time.After(time.Until(at)):
	case <-ctx.Done():
	}
	return ledgerTicket{l}, ctx.Err()
}

func (l *ledger) last(t *testing.T) quota.Answer {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.told) == 0 || len(l.told) != l.taken[quota.General]+l.taken[quota.Search] {
		t.Fatalf("%d tickets taken, %d returned", l.taken[quota.General]+l.taken[quota.Search], len(l.told))
	}
	return l.told[len(l.told)-1]
}

func (l *ledger) calls() (general, search int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken[quota.General], l.taken[quota.Search]
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

type ledgerTicket struct{ l *ledger }

func (t ledgerTicket) Done(answer quota.Answer) {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	t.l.told = append(t.l.told, answer)
}

// serve answers with a handler on a real socket, and gives a client of it.
func serve(t *testing.T, handler http.HandlerFunc) (*hubspot.Client, *ledger) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	budget := &ledger{}
	return hubspot.NewClient(hubspot.ClientConfig{
		BaseURL: server.URL, Token: hubspot.StaticToken("secret-token"), Budget: budget, AppID: 1001, Timeout: 5 * time.Second,
	}), budget
}

// loadJSON reads a file of testdata.
func loadJSON(t testing.TB, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// answerJSON answers with a status and a JSON body.
func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// bodyOf decodes a request's body.
func bodyOf(t *testing.T, r *http.Request) map[string]any {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Errorf("%s %s: body: %v", r.Method, r.URL.Path, err)
	}
	return body
}
