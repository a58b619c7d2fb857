package lockstep_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
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

// all are the spans until now.
func (s *spanSink) all() []*tracev1.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.spans)
}

// startTraced starts a demonstration with one contact on both sides, whose
// spans come to a sink.
func startTraced(t *testing.T) (d *demo, sink *spanSink, hubspotID, alowareID string) {
	t.Helper()
	sink = &spanSink{}
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	d = startDemo(t, "LOCKSTEP_DEMO_CONTACTS=1", "LOCKSTEP_POLL_EVERY=-1s", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=200")
	eventually(t, 60*time.Second, func() string {
		for h, a := range d.pairs() {
			hubspotID, alowareID = h, a
			return ""
		}
		return "no contact is on both sides"
	})
	d.settle(30 * time.Second)
	return d, sink, hubspotID, alowareID
}

// hops are the spans of an edit's way until it is decided, each the child of
// the one before.
var hops = []string{"POST /webhooks/hubspot", "publish chg.{pp}.{tenant}", "process chg.{pp}.{tenant}", "publish pat.{pp}.{tenant}.{system}"}

// way follows an edit's spans from its webhook's, as far as they are there. Its
// deliveries stand beside the last hop: they have the decision as parent too.
func way(spans []*tracev1.Span, webhook *tracev1.Span) (found, deliveries []*tracev1.Span) {
	below := func(name string, parent *tracev1.Span) (all []*tracev1.Span) {
		for _, s := range spans {
			if s.Name == name && string(s.TraceId) == string(parent.TraceId) && string(s.ParentSpanId) == string(parent.SpanId) {
				all = append(all, s)
			}
		}
		return all
	}
	found = []*tracev1.Span{webhook}
	for i, name := range hops[1:] {
		next := below(name, found[i])
		if len(next) == 0 {
			return found, nil
		}
		found = append(found, next[0])
	}
	return found, below("deliver contact", found[2])
}

// webhooks are the server spans of HubSpot's webhooks, but for those in known.
func webhooks(spans []*tracev1.Span, known []*tracev1.Span) (fresh []*tracev1.Span) {
	for _, s := range spans {
		if s.Name == hops[0] && len(s.ParentSpanId) == 0 && !slices.ContainsFunc(known, func(k *tracev1.Span) bool { return string(k.SpanId) == string(s.SpanId) }) {
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// linkedTo reports whether a span is linked to one of another trace.
func linkedTo(span, other *tracev1.Span) bool {
	return slices.ContainsFunc(span.Links, func(l *tracev1.Span_Link) bool { return string(l.TraceId) == string(other.TraceId) })
}

// batchOf is the span of the batch that carried out a delivery, if both are
// linked with each other.
func batchOf(spans []*tracev1.Span, delivery *tracev1.Span) *tracev1.Span {
	for _, s := range spans {
		if s.Name == "process pat.{pp}.{tenant}.{system}" && len(s.ParentSpanId) == 0 && linkedTo(s, delivery) && linkedTo(delivery, s) {
			return s
		}
	}
	return nil
}

// attributeOf is the text of a span's attribute.
func attributeOf(span *tracev1.Span, key string) string {
	for _, a := range span.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// TestOneTraceFromTheWebhookToTheCall: the trace of an edit runs through all
// hops to its delivery, and the batch that carried it out, with the call in its
// trace, is linked both ways.
func TestOneTraceFromTheWebhookToTheCall(t *testing.T) {
	t.Parallel()
	d, sink, hubspotID, alowareID := startTraced(t)
	var known []*tracev1.Span
	// edit makes an edit in HubSpot and waits until its patch is on its way.
	edit := func(property, value string) (webhook *tracev1.Span) {
		t.Helper()
		known = append(known, webhooks(sink.all(), known)...)
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{property: value}}, nil)
		eventually(t, 20*time.Second, func() string {
			spans, missing := sink.all(), hops[0]
			for _, w := range webhooks(spans, known) {
				found, _ := way(spans, w)
				if len(found) == len(hops) {
					webhook = w
					return ""
				}
				missing = hops[len(found)]
			}
			return fmt.Sprintf("the edit's trace lacks %q below the hop before", missing)
		})
		return webhook
	}
	// carriedOut waits until an edit's trace tells of a delivery with an outcome,
	// and gives the batch.
	carriedOut := func(webhook *tracev1.Span, outcome string) (batch *tracev1.Span) {
		t.Helper()
		eventually(t, 30*time.Second, func() string {
			spans := sink.all()
			_, deliveries := way(spans, webhook)
			for _, delivery := range deliveries {
				if attributeOf(delivery, "lockstep.outcome") != outcome {
					continue
				}
				if batch = batchOf(spans, delivery); batch != nil {
					return ""
				}
				return "the delivery and its batch are not linked both ways"
			}
			return fmt.Sprintf("of %d deliveries in the edit's trace none was %s", len(deliveries), outcome)
		})
		return batch
	}

	batch := carriedOut(edit("firstname", "Traced"), "written")
	eventually(t, 10*time.Second, func() string {
		for _, s := range sink.all() {
			if s.Kind == tracev1.Span_SPAN_KIND_CLIENT && string(s.TraceId) == string(batch.TraceId) && strings.HasSuffix(s.Name, "aloware") {
				return ""
			}
		}
		return "the call to Aloware is not in the batch's trace"
	})

	// Two edits are in one write, since Aloware is away when they come: the trace
	// of the first tells its end, too.
	d.mustPost(d.aloware, "/_sim/faults", []map[string]any{{"path": "/api/", "status": 500, "rate": 1}}, nil)
	first := edit("lastname", "Merged")
	second := edit("company", "Carried")
	carriedOut(first, "transient")
	d.mustPost(d.aloware, "/_sim/faults", []map[string]any{}, nil)
	if carriedOut(first, "merged") != carriedOut(second, "written") {
		t.Error("the two edits are not linked to the one batch that carried them out")
	}
	if got := d.contacts(d.aloware, "?id="+alowareID)[alowareID]; got["last_name"] != "Merged" || got["company_name"] != "Carried" {
		t.Errorf("Aloware holds %v", got)
	}
}
