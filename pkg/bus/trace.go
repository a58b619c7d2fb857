package bus

import (
	"context"
	"strconv"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lockstep.internal/pkg/contact"
)

// All names of OpenTelemetry's messaging conventions are here; they are still
// in development and may be renamed.
const (
	attrSystem      = attribute.Key("messaging.system")
	attrOperation   = attribute.Key("messaging.operation.name")
	attrType        = attribute.Key("messaging.operation.type")
	attrDestination = attribute.Key("messaging.destination.name")
	attrTemplate    = attribute.Key("messaging.destination.template")
	attrPartition   = attribute.Key("messaging.destination.partition.id")
	attrMessageID   = attribute.Key("messaging.message.id")
	attrBodySize    = attribute.Key("messaging.message.body.size")
	attrTenant      = attribute.Key("lockstep.tenant")
	attrEvents      = attribute.Key("lockstep.run.events")
)

// headerCarrier puts trace context into NATS headers. It keeps the lower case
// of the W3C names: NATS headers are case-sensitive, and the usual carrier's
// "Traceparent" would not be found by anyone.
type headerCarrier nats.Header

func (c headerCarrier) Get(key string) string {
	if values := c[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func (c headerCarrier) Set(key, value string) { c[key] = []string{value} }

func (c headerCarrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}

// parent is the header of the span that published a message; a message that was put
// together of several has a value of each.
const parent = "traceparent"

// traceContext carries no baggage: nothing but the two W3C headers.
var traceContext propagation.TraceContext

// producer makes the spans of published messages.
type producer struct{ tracer trace.Tracer }

func newProducer() producer { return producer{otel.Tracer("lockstep.internal/pkg/bus")} }

// start begins the span of one message and puts its context into the headers.
func (p producer) start(ctx context.Context, s Stream, partition int, tenant contact.Tenant, msg *nats.Msg, events int) trace.Span {
	ctx, span := p.tracer.Start(ctx, "publish "+s.Template(),
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			attrSystem.String("nats"), attrOperation.String("publish"), attrType.String("send"),
			attrDestination.String(msg.Subject), attrTemplate.String(s.Template()), attrPartition.String(strconv.Itoa(partition)),
			attrMessageID.String(msg.Header.Get(nats.MsgIdHdr)), attrBodySize.Int(len(msg.Data)),
			attrTenant.String(string(tenant)), attrEvents.Int(events),
		))
	traceContext.Inject(ctx, headerCarrier(msg.Header))
	return span
}

func endSpan(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
