package bus

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// Traceparent is the W3C trace context of ctx's span as text, for what waits
// in a row; "" without a span.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// WithTraceparent gives ctx the remote span of a Traceparent.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}
