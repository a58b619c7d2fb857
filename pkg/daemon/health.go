package daemon

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Health serves a process's probes. Liveness tells only that the process
// answers: a database that is away must not restart the fleet. Readiness runs
// the checks and tells what is wrong.
type Health struct {
	mu     sync.Mutex
	checks []check
}

type check struct {
	name string
	run  func(context.Context) error
}

// Add adds a check of something that the process cannot work without.
func (h *Health) Add(name string, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, run})
}

// Register serves the probes, and the metrics, on a mux.
func (h *Health) Register(mux *http.ServeMux, metrics http.Handler) {
	live := func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) }
	mux.HandleFunc("GET /healthz", live)
	mux.HandleFunc("GET /healthz/live", live)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.HandleFunc("GET /healthz/ready", h.ready)
	mux.HandleFunc("GET /healthz/startup", h.ready)
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
}

// Check runs all checks and gives what each says; "ok" for a good one.
func (h *Health) Check(ctx context.Context) (results map[string]string, good bool) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	h.mu.Lock()
	checks := append([]check(nil), h.checks...)
	h.mu.Unlock()
	results, good = make(map[string]string, len(checks)), true
	for _, c := range checks {
		results[c.name] = "ok"
		if err := c.run(ctx); err != nil {
			results[c.name], good = err.Error(), false
		}
	}
	return results, good
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	results, good := h.Check(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(results)
}
