package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/quota"
)

// start sets up telemetry, which is the process's: these tests follow each
// other.
func start(t *testing.T) *Telemetry {
	t.Helper()
	telemetry, err := Start(t.Context(), "test", "one")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { telemetry.Shutdown(context.Background()) })
	return telemetry
}

func scrape(t *testing.T, telemetry *Telemetry, accept string) string {
	t.Helper()
	server := httptest.NewServer(telemetry.Handler())
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestASlowEditLeadsToItsTrace: the time of an edit has an exemplar with the
// trace that it was written in.
func TestASlowEditLeadsToItsTrace(t *testing.T) {
	telemetry := start(t)
	ctx, span := otel.Tracer("test").Start(t.Context(), "process")
	span.End()
	telemetry.Metrics.Written(ctx, contact.HubSpot, 4*time.Second, time.Second)
	text := scrape(t, telemetry, "application/openmetrics-text; version=1.0.0")
	for _, name := range []string{"lockstep_sync_latency_seconds_bucket", "lockstep_sync_processing_seconds_bucket"} {
		found := false
		for _, line := range strings.Split(text, "\n") {
			found = found || strings.HasPrefix(line, name) && strings.Contains(line, `trace_id="`+span.SpanContext().TraceID().String()+`"`)
		}
		if !found {
			t.Errorf("%s has no exemplar with the trace:\n%s", name, text)
		}
	}
}

// TestObservedMetricsAreReadWhenTheyAreScraped, with the values of that moment.
func TestObservedMetricsAreReadWhenTheyAreScraped(t *testing.T) {
	telemetry := start(t)
	m := telemetry.Metrics
	stats, waiting, since := bus.Stats{Reconnects: 2, Missed: 5, DeadLetters: 1}, 3, time.Now().Add(-time.Minute)
	if err := m.Bus(func() bus.Stats { return stats }); err != nil {
		t.Fatal(err)
	}
	if err := m.Spool(func() (int, time.Time) { return waiting, since }); err != nil {
		t.Fatal(err)
	}
	m.Quota(t.Context(), contact.HubSpot, 7, 1, quota.Total{Used: 30, Max: 200, Highest: 0.25})
	m.Quota(t.Context(), contact.HubSpot, 4, 0, quota.Total{Used: 20, Max: 200, Highest: 0.5})
	m.Progress("mapper", 3, 0, 0)
	m.Judged(t.Context(), 1, 0, 0, 0)
	want := func(lines ...string) {
		t.Helper()
		text := scrape(t, telemetry, "text/plain")
		for _, line := range lines {
			name, value, _ := strings.Cut(line, " ")
			name, label, _ := strings.Cut(name, "{")
			found := false
			for _, got := range strings.Split(text, "\n") {
				found = found || strings.HasPrefix(got, name+"{") && strings.Contains(got, label) && strings.HasSuffix(got, "} "+value)
			}
			if !found {
				t.Errorf("%s is not told:\n%s", line, text)
			}
		}
	}
	want("lockstep_bus_reconnects_total 2", "lockstep_bus_missed_total 5", "lockstep_bus_dead_letters_total 1", "lockstep_bus_refused_total 0",
		`lockstep_quota_used_total{system="hubspot" 11`, `lockstep_quota_refused_total{system="hubspot" 1`, `lockstep_quota_window_used{system="hubspot" 20`,
		`lockstep_quota_used_ratio{system="hubspot" 0.5`, "lockstep_spool_depth 3",
		`lockstep_stage_repeated_total{stage="mapper" 0`, `lockstep_sync_repaired_total{cause="missed_edit" 0`)
	stats.Reconnects, waiting = 3, 0
	want("lockstep_bus_reconnects_total 3", "lockstep_spool_depth 0", "lockstep_spool_oldest_age_seconds 0")
}

// TestALogLineNamesItsTrace, also with attributes and groups of its logger.
func TestALogLineNamesItsTrace(t *testing.T) {
	start(t)
	ctx, span := otel.Tracer("test").Start(t.Context(), "process")
	defer span.End()
	var out bytes.Buffer
	logger := slog.New(spanHandler{slog.NewJSONHandler(&out, nil)}).With("service", "test")
	logger.InfoContext(ctx, "inside")
	logger.Info("outside")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var inside, outside map[string]any
	for i, into := range []*map[string]any{&inside, &outside} {
		if err := json.Unmarshal([]byte(lines[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	if inside["trace_id"] != span.SpanContext().TraceID().String() || inside["span_id"] != span.SpanContext().SpanID().String() || inside["service"] != "test" {
		t.Errorf("a line inside a span is %v", inside)
	}
	if _, ok := outside["trace_id"]; ok {
		t.Errorf("a line outside of spans is %v", outside)
	}
}
