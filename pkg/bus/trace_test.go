package bus_test

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
)

// recorder notes the spans that are started, without the SDK.
type recorder struct {
	mu    sync.Mutex
	spans []started
}

type started struct {
	name         string
	kind         trace.SpanKind
	self, parent trace.SpanID
}

func (r *recorder) provider() trace.TracerProvider { return provider{r: r} }

type provider struct {
	noop.TracerProvider
	r *recorder
}

func (p provider) Tracer(string, ...trace.TracerOption) trace.Tracer { return tracer{r: p.r} }

type tracer struct {
	noop.Tracer
	r *recorder
}

func (t tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	parent := trace.SpanContextFromContext(ctx)
	var id trace.SpanID
	binary.BigEndian.PutUint64(id[:], uint64(len(t.r.spans)+1))
	config := trace.NewSpanStartConfig(options...)
	t.r.spans = append(t.r.spans, started{name: name, kind: config.SpanKind(), self: id, parent: parent.SpanID()})
	ctx = trace.ContextWithSpanContext(ctx, parent.WithSpanID(id))
	return ctx, trace.SpanFromContext(ctx)
}

// Not parallel: it sets the process's tracer.
func TestATraceGoesThroughTheBus(t *testing.T) {
	r := &recorder{}
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(r.provider())
	defer otel.SetTracerProvider(before)

	b := bustest.New(t)
	root := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{7}, TraceFlags: trace.FlagsSampled})
	m := changes("acme", 1)
	m.ID, m.Context = "id", trace.ContextWithSpanContext(context.Background(), root)
	publish(t, b, bus.Changes, m)
	remote := trace.SpanContextFromContext(next(t, read(t, b, bus.Changes, 0)).Context(t.Context()))

	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spans) != 1 {
		t.Fatalf("got %d spans, want one", len(r.spans))
	}
	span := r.spans[0]
	if span.name != "publish chg.{pp}.{tenant}" || span.kind != trace.SpanKindProducer || span.parent != root.SpanID() {
		t.Errorf("got %+v", span)
	}
	if remote.TraceID() != root.TraceID() || remote.SpanID() != span.self || !remote.IsRemote() || !remote.IsSampled() {
		t.Errorf("the reader goes on from %v, published by %v", remote.SpanID(), span.self)
	}
}
