package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"lockstep.internal/pkg/contact"
)

// Delivery is one message of a stream.
type Delivery struct {
	Stream    Stream
	Partition int
	Seq       uint64
	StoredAt  time.Time // whole microseconds, for Position
	Tenant    contact.Tenant
	System    contact.System // of patches
	Incoming  []contact.Incoming
	Patches   []contact.Patch
	Size      int // bytes of the payload
	// Missed is how many messages before this one the stream no longer held
	// when the reader came to them: expired, or purged. They are lost to this
	// reader; it is 0 unless the reader was down for longer than the stream
	// keeps messages.
	Missed uint64
	// Err tells that the message, or some events of it, could not be decoded;
	// it is ErrUndecodable. Incoming and Patches hold those that could. Give
	// the delivery to DeadLetter, and go on.
	Err error

	subject string
	header  nats.Header
	data    []byte
}

// Context gives ctx the remote span that published the message, to go on from
// the first of Links.
func (d Delivery) Context(ctx context.Context) context.Context {
	if d.header == nil {
		return ctx
	}
	return traceContext.Extract(ctx, headerCarrier(d.header))
}

// Links are links to all spans that published the message, more than one where it
// was put together of what several callers brought.
func (d Delivery) Links() (links []trace.Link) {
	for _, span := range d.header[parent] {
		remote := trace.SpanContextFromContext(WithTraceparent(context.Background(), span))
		if remote.IsValid() {
			links = append(links, trace.Link{SpanContext: remote})
		}
	}
	return links
}

// decode fills in what the subject and the payload say.
func (d *Delivery) decode() {
	if d.Tenant, d.System, d.Err = d.Stream.parseSubject(d.subject); d.Err != nil {
		return
	}
	if d.Stream.carriesPatches() {
		d.Patches, d.Err = decodePatches(d.data, d.Tenant, d.System)
	} else {
		d.Incoming, d.Err = decodeChanges(d.data, d.Tenant)
	}
}
