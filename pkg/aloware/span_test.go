package aloware_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
)

// spans notes all that is said to spans, without an SDK.
type spans struct {
	noop.TracerProvider
	mu   sync.Mutex
	said []string
}

func (s *spans) say(v ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, fmt.Sprint(v...))
}

func (s *spans) Tracer(string, ...trace.TracerOption) trace.Tracer { return tracer{spans: s} }

type tracer struct {
	noop.Tracer
	spans *spans
}

func (t tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	cfg := trace.NewSpanStartConfig(options...)
	t.spans.say(name)
	for _, a := range cfg.Attributes() {
		t.spans.say(a.Key, "=", a.Value.Emit())
	}
	return ctx, span{spans: t.spans}
}

type span struct {
	noop.Span
	spans *spans
}

func (s span) IsRecording() bool { return true }

func (s span) SetAttributes(attributes ...attribute.KeyValue) {
	for _, a := range attributes {
		s.spans.say(a.Key, "=", a.Value.Emit())
	}
}

func (s span) RecordError(err error, _ ...trace.EventOption) { s.spans.say(err) }

// Not parallel: the tracer provider is the process's own.
func TestSpansTellNeitherTokenNorPhone(t *testing.T) {
	before := otel.GetTracerProvider()
	noted := &spans{}
	otel.SetTracerProvider(noted)
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	c := play(t, aloware.Documented, &budget{}, step{call: "GET contact/phone-number?phone_number=%2B13125550187", status: http.StatusNotFound, answer: `{"error":"Contact not found."}`})
	aloware.NewDestination(c, aloware.Options{}).Deliver(t.Context(), []contact.Patch{{Create: &contact.Create{Phones: []string{"+13125550187"}}}})
	all := strings.Join(noted.said, "\n")
	if !strings.Contains(all, "GET aloware") || !strings.Contains(all, "/api/v1/webhook/contact/phone-number") {
		t.Errorf("the call made no span:\n%s", all)
	}
	if strings.Contains(all, token) || strings.Contains(all, "3125550187") || strings.Contains(all, "?") {
		t.Errorf("a span tells the query:\n%s", all)
	}
}
