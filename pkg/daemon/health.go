package daemon

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Health serves a process's probes. Liveness tells only whether the process
// goes on: a database that is away must not restart the fleet. Readiness runs
// the checks and tells what is wrong, also what no other process could do
// better: that is told, and does not make the process unready.
type Health struct {
	mu     sync.Mutex
	checks []check
	alive  []check
	notes  []note
}

type check struct {
	name string
	run  func(context.Context) error
}

type note struct {
	name string
	tell func() []string
}

// Add adds a check of something that the process cannot work without.
func (h *Health) Add(name string, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, run})
}

// Alive adds a check that fails when the process hangs, so that only a new
// start helps. It must not depend on anything outside.
func (h *Health) Alive(name string, run func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alive = append(h.alive, check{name, func(context.Context) error { return run() }})
}

// Note adds what is to be told beside the checks: troubles, none for all well.
func (h *Health) Note(name string, tell func() []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, note{name, tell})
}

// Register serves the probes, and the metrics, on a mux.
func (h *Health) Register(mux *http.ServeMux, metrics http.Handler) {
	mux.HandleFunc("GET /healthz", h.live)
	mux.HandleFunc("GET /healthz/live", h.live)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.HandleFunc("GET /healthz/ready", h.ready)
	mux.HandleFunc("GET /healthz/startup", h.ready)
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
}

// Check runs all checks and gives what each says, "ok" for a good one, and the
// troubles that were noted, one in a line.
func (h *Health) Check(ctx context.Context) (results map[string]string, good bool) {
	h.mu.Lock()
	checks, notes := slices.Clone(h.checks), slices.Clone(h.notes)
	h.mu.Unlock()
	results, good = run(ctx, checks)
	for _, n := range notes {
		if troubles := n.tell(); len(troubles) > 0 {
			results[n.name] = strings.Join(troubles, "\n")
		}
	}
	return results, good
}

func run(ctx context.Context, checks []check) (results map[string]string, good bool) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	results, good = make(map[string]string, len(checks)), true
	for _, c := range checks {
		results[c.name] = "ok"
		if err := c.run(ctx); err != nil {
			results[c.name], good = err.Error(), false
		}
	}
	return results, good
}

func (h *Health) live(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	checks := slices.Clone(h.alive)
	h.mu.Unlock()
	if results, good := run(r.Context(), checks); !good {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		json.NewEncoder(w).Encode(results)
		return
	}
	w.Write([]byte("ok\n"))
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	results, good := h.Check(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(results)
}
