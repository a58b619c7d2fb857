package writer

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

var tracer = otel.Tracer("lockstep.internal/services/writer")

// startDelivery begins the span of a batch: one trace of its own, linked to
// the traces of all edits in it.
func startDelivery(ctx context.Context, system contact.System, tenant contact.Tenant, patches []contact.Patch) (context.Context, trace.Span) {
	var links []trace.Link
	for i := range patches {
		for _, traceparent := range edits(&patches[i]) {
			if edit := trace.SpanContextFromContext(bus.WithTraceparent(context.Background(), traceparent)); edit.IsValid() {
				links = append(links, trace.Link{SpanContext: edit})
			}
		}
	}
	return tracer.Start(ctx, "process pat.{pp}.{tenant}.{system}", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.name", "process"), attribute.String("messaging.operation.type", "process"),
			attribute.Int("messaging.batch.message_count", len(patches)),
			attribute.String("lockstep.tenant", string(tenant)), attribute.String("lockstep.system", system.String()),
		))
}

// edits are the traces of the edits in a patch, the newest last.
func edits(patch *contact.Patch) []string {
	if patch.Traceparent == "" {
		return patch.Merged
	}
	return append(slices.Clone(patch.Merged), patch.Traceparent)
}

// endDelivery ends the batch's span and puts a short span into each edit's own
// trace, linked to the batch, so that both ends find each other. An edit that
// was merged into a later one has its end there too.
func endDelivery(batch trace.Span, start time.Time, system contact.System, patches []contact.Patch, answers []contact.Delivery) {
	batch.End()
	for i := range patches {
		for _, traceparent := range edits(&patches[i]) {
			ctx := bus.WithTraceparent(context.Background(), traceparent)
			_, span := tracer.Start(ctx, "deliver contact", trace.WithTimestamp(start), trace.WithLinks(trace.Link{SpanContext: batch.SpanContext()}),
				trace.WithAttributes(attribute.String("lockstep.system", system.String()), attribute.Int("lockstep.properties", len(patches[i].Properties))))
			switch err := answers[i].Err; {
			case err != nil:
				class := fault.As(err).Class.String()
				span.SetAttributes(attribute.String("lockstep.outcome", class))
				span.SetStatus(codes.Error, class)
			case traceparent != patches[i].Traceparent:
				span.SetAttributes(attribute.String("lockstep.outcome", "merged"))
			default:
				span.SetAttributes(attribute.String("lockstep.outcome", resultName(answers[i].Outcome.Result)))
			}
			span.End()
		}
	}
}
