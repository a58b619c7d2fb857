package daemon

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestAllWrongSettingsAreToldAtOnce, each with its name and what is wanted.
func TestAllWrongSettingsAreToldAtOnce(t *testing.T) {
	t.Setenv("LOCKSTEP_A", "many")
	t.Setenv("LOCKSTEP_B", "soon")
	var env Env
	if got := env.Int("LOCKSTEP_A", 3); got != 3 {
		t.Errorf("a wrong number gives %d, want the fallback", got)
	}
	env.Duration("LOCKSTEP_B", time.Second)
	env.Required("LOCKSTEP_MISSING", "the database's URL")
	err := env.Err()
	for _, want := range []string{"LOCKSTEP_A", "many", "LOCKSTEP_B", "duration", "LOCKSTEP_MISSING", "the database's URL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell %q", err, want)
		}
	}
}

// TestReadinessTellsWhatIsWrong while liveness stays good.
func TestReadinessTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	var health Health
	health.Add("bus", func(context.Context) error { return nil })
	health.Add("database", func(context.Context) error { return errors.New("connection refused") })
	mux := http.NewServeMux()
	health.Register(mux, nil)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503} {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != want {
			t.Errorf("%s: %d, want %d", path, answer.Code, want)
		}
		if path == "/readyz" && !strings.Contains(answer.Body.String(), "connection refused") {
			t.Errorf("readiness says %q, want the reason", answer.Body)
		}
	}
}

// TestTroublesAreToldAndDoNotMakeUnready, but a process that hangs is not
// alive.
func TestTroublesAreToldAndDoNotMakeUnready(t *testing.T) {
	t.Parallel()
	var health Health
	health.Add("bus", func(context.Context) error { return nil })
	var troubles []string
	var hangs error
	health.Note("mapper", func() []string { return troubles })
	health.Alive("mapper", func() error { return hangs })
	mux := http.NewServeMux()
	health.Register(mux, nil)
	ask := func(path string) (int, string) {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		return answer.Code, answer.Body.String()
	}
	if code, body := ask("/readyz"); code != 200 || strings.Contains(body, "mapper") {
		t.Errorf("without troubles: %d %s", code, body)
	}
	troubles = []string{"partition 3 fails", "partition 4 fails"}
	if code, body := ask("/readyz"); code != 200 || !strings.Contains(body, `partition 3 fails\npartition 4 fails`) {
		t.Errorf("with troubles: %d %s", code, body)
	}
	if code, _ := ask("/healthz"); code != 200 {
		t.Errorf("a process with troubles is not alive: %d", code)
	}
	hangs = errors.New("hangs")
	if code, body := ask("/healthz/live"); code != 503 || !strings.Contains(body, "hangs") {
		t.Errorf("a process that hangs is alive: %d %s", code, body)
	}
	if code, _ := ask("/readyz"); code != 200 {
		t.Errorf("liveness is no part of readiness: %d", code)
	}
}

// TestServeStopsWhenItsContextEnds and lets a running request finish.
func TestServeStopsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	listener, err := Listen("test", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	started, served := make(chan bool), make(chan error, 1)
	go func() {
		served <- Serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(started)
			cancel()
			w.Write([]byte("done"))
		}))
	}()
	answer, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	<-started
	if err := <-served; err != nil || answer.StatusCode != 200 {
		t.Errorf("serve ended with %v, the request with %d", err, answer.StatusCode)
	}
}
