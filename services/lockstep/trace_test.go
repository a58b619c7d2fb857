package lockstep_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spanSink is an OTLP receiver that keeps what it gets.
type spanSink struct {
	mu    sync.Mutex
	spans []*tracev1.Span
}

func (s *spanSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err == nil && r.URL.Path == "/v1/traces" {
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(raw, &request); err == nil {
			s.mu.Lock()
			for _, resource := range request.ResourceSpans {
				for _, scope := range resource.ScopeSpans {
					s.spans = append(s.spans, scope.Spans...)
				}
			}
			s.mu.Unlock()
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// traceOf gives the names of the spans of each trace, and which traces a span
// of each trace links to.
func (s *spanSink) traces() (names map[string]map[string]bool, links map[string]map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, links = map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, span := range s.spans {
		id := hex.EncodeToString(span.TraceId)
		if names[id] == nil {
			names[id], links[id] = map[string]bool{}, map[string]bool{}
		}
		names[id][span.Name] = true
		for _, link := range span.Links {
			links[id][hex.EncodeToString(link.TraceId)] = true
		}
	}
	return names, links
}

// TestOneTraceFromTheWebhookToTheCall: the trace of an edit runs through all
// hops to its delivery, and the batch that carried it out is linked both ways.
func TestOneTraceFromTheWebhookToTheCall(t *testing.T) {
	sink := &spanSink{}
	server := httptest.NewServer(sink)
	defer server.Close()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=1", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=200")
	var hubspotID, alowareID string
	eventually(t, 60*time.Second, func() string {
		for h, a := range d.pairs() {
			hubspotID, alowareID = h, a
			return ""
		}
		return "no contact is on both sides"
	})
	d.follow(func() {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"firstname": "Traced"}}, nil)
	}, d.aloware, alowareID, "first_name", "Traced")
	want := []string{
		"POST /webhooks/hubspot", "publish chg.{pp}.{tenant}", "process chg.{pp}.{tenant}", "publish pat.{pp}.{tenant}.{system}", "deliver contact",
	}
	eventually(t, 20*time.Second, func() string {
		names, links := sink.traces()
		best := "no trace has reached the sink"
		for id, spans := range names {
			if !spans["POST /webhooks/hubspot"] {
				continue
			}
			missing := ""
			for _, name := range want {
				if !spans[name] {
					missing = name
				}
			}
			if missing != "" {
				best = fmt.Sprintf("a webhook's trace has %d names and misses %q", len(spans), missing)
				continue
			}
			for batch := range links[id] {
				if names[batch]["process pat.{pp}.{tenant}.{system}"] && links[batch][id] {
					return ""
				}
			}
			best = "the delivery and its batch are not linked both ways"
		}
		return best
	})
}
