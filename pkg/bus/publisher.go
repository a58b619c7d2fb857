package bus

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.opentelemetry.io/otel/trace"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

const (
	// window is how many messages one publisher has in flight; the server
	// refuses more than 10,000 per stream over all processes.
	window = 256
	// attemptTime is how long one attempt may wait for its acknowledgement.
	attemptTime = 5 * time.Second
)

// Message is one run of events or patches of one tenant. The bus cuts it into
// several where it is too long for one message.
type Message struct {
	Tenant   contact.Tenant
	System   contact.System     // of patches: who they are for
	Incoming []contact.Incoming // on Changes and ChangesBulk
	Patches  []contact.Patch    // on Patches and PatchesBulk
	// ID is equal for copies of the same run, of which the server stores one
	// within two minutes; "" for a run that is published once.
	ID string
	// Context holds the span that caused the run; nil means the context of
	// Publish.
	Context context.Context
}

type publisherKey struct {
	stream    Stream
	partition int
}

// Publisher publishes to one partition of one kind of stream. There is one per
// process, which keeps the order of its callers.
//
// Order is kept per subject, that is per tenant and, for patches, system: the
// next message of a subject is sent only after the one before is acknowledged
// or given up. Sending ahead would be faster for one tenant alone, but after
// an error in the middle the later ones are already stored, and resending in
// order cannot undo that. Different subjects are in flight together.
type Publisher struct {
	bus       *Bus
	stream    Stream
	partition int
	slots     chan struct{}

	mu    sync.Mutex
	lanes map[string]*lane
}

// lane is the turn of one subject: whoever is in turn may publish to it.
type lane struct {
	turn    chan struct{} // capacity 1; waiting senders are served in order
	waiting int           // callers in or before their turn; under Publisher.mu
}

// Publisher is the process's publisher for a stream. An unknown stream or
// partition is a programming error.
func (b *Bus) Publisher(s Stream, partition int) *Publisher {
	if err := b.check(s, partition); err != nil {
		panic(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key := publisherKey{s, partition}
	p, ok := b.publishers[key]
	if !ok {
		p = &Publisher{bus: b, stream: s, partition: partition, slots: make(chan struct{}, window), lanes: map[string]*lane{}}
		b.publishers[key] = p
	}
	return p
}

// parcel is one NATS message on its way.
type parcel struct {
	msg  *nats.Msg
	span trace.Span
}

// Publish stores messages and returns once all are acknowledged. What cannot
// be reached is tried again until ctx is done (ErrUnavailable); a full stream
// or busy server is told at once (ErrFull). After either, nothing later of the
// same subject was sent by this call; publish again with the same ids.
//
// Events that cannot travel (ErrTooLarge, ErrInvalid) are left out and told,
// everything else goes out. If there is another error too, it comes first, so
// that the class of the whole is Transient while a retry makes sense, and
// Permanent only where nothing but them is missing.
func (p *Publisher) Publish(ctx context.Context, messages ...Message) error {
	select {
	case <-p.bus.checked:
	case <-ctx.Done():
		return unavailable("publish to "+p.stream.name(p.partition)+": the streams were not looked at yet", ctx.Err())
	}
	var order []string
	runs := map[string][]parcel{}
	var refused []error
	for i := range messages {
		m := &messages[i]
		payloads, errs := encodeRun(p.stream, *m)
		refused = append(refused, errs...)
		subject := p.stream.subject(p.partition, m.Tenant, m.System)
		for n, load := range payloads {
			if _, ok := runs[subject]; !ok {
				order = append(order, subject)
			}
			runs[subject] = append(runs[subject], p.parcel(ctx, subject, m, load, n, len(payloads)))
		}
	}

	failures := make([]error, len(order))
	refusals := make([][]error, len(order)+1)
	refusals[len(order)] = refused
	if len(order) == 1 {
		failures[0], refusals[0] = p.deliver(ctx, order[0], runs[order[0]])
	} else {
		var wg sync.WaitGroup
		for i, subject := range order {
			wg.Go(func() { failures[i], refusals[i] = p.deliver(ctx, subject, runs[subject]) })
		}
		wg.Wait()
	}
	if left := slices.Concat(refusals...); len(left) > 0 {
		failures = append(failures, fault.Wrap(fault.Permanent, errors.Join(left...)))
	}
	return errors.Join(failures...)
}

func (p *Publisher) parcel(ctx context.Context, subject string, m *Message, load payload, n, of int) parcel {
	id := m.ID
	switch {
	case id == "":
		id = nuid.Next() // resends must still be recognised
	case of > 1:
		// A part is named by its content too: were the run cut elsewhere next
		// time, an equal name would hide events.
		hash := fnv.New64a()
		hash.Write(load.data)
		id += "-" + strconv.Itoa(n+1) + "-" + strconv.FormatUint(hash.Sum64(), 36)
	}
	msg := &nats.Msg{Subject: subject, Data: load.data, Header: nats.Header{nats.MsgIdHdr: {id}}}
	if m.Context != nil {
		ctx = m.Context
	}
	return parcel{msg: msg, span: p.bus.tracer.start(ctx, p.stream, p.partition, m.Tenant, msg, load.events)}
}

// deliver sends the parcels of one subject one after another. One that the
// server will never take is left out; after any other failure nothing is sent.
func (p *Publisher) deliver(ctx context.Context, subject string, parcels []parcel) (failed error, refused []error) {
	release, failed := p.enter(ctx, subject)
	if failed == nil {
		defer release()
	}
	for _, each := range parcels {
		err := failed
		if err == nil {
			err = p.send(ctx, each.msg)
		}
		endSpan(each.span, err)
		if fault.Is(err, fault.Permanent) {
			refused = append(refused, err)
		} else {
			failed = err
		}
	}
	return failed, refused
}

// enter waits for the turn of a subject.
func (p *Publisher) enter(ctx context.Context, subject string) (release func(), err error) {
	p.mu.Lock()
	l, ok := p.lanes[subject]
	if !ok {
		l = &lane{turn: make(chan struct{}, 1)}
		p.lanes[subject] = l
	}
	l.waiting++
	p.mu.Unlock()
	leave := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if l.waiting--; l.waiting == 0 {
			delete(p.lanes, subject)
		}
	}
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, unavailable("publish "+subject+": wait for earlier messages", ctx.Err())
	}
}

// send publishes one message until it is acknowledged.
func (p *Publisher) send(ctx context.Context, msg *nats.Msg) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return unavailable("publish "+msg.Subject+": wait for a slot", ctx.Err())
	}
	return p.bus.send(ctx, msg)
}

// send publishes one message until it is acknowledged, refused, or ctx is done.
func (b *Bus) send(ctx context.Context, msg *nats.Msg) error {
	for wait := newBackoff(); ; {
		err := b.attempt(ctx, msg)
		if err == nil {
			return nil
		}
		var api *jetstream.APIError
		switch {
		case errors.Is(err, nats.ErrConnectionClosed):
			return unavailable("publish "+msg.Subject, errors.Join(ErrClosed, err))
		case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject):
			return fault.Wrap(fault.Permanent, fmt.Errorf("publish %s: %w: %w", msg.Subject, ErrInvalid, err))
		case errors.As(err, &api) && full(api):
			return fault.Wrap(fault.Transient, fmt.Errorf("publish %s: %w: %w", msg.Subject, ErrFull, err))
		case errors.As(err, &api) && api.Code == 400:
			return fault.Wrap(fault.Permanent, fmt.Errorf("publish %s: %w: %w", msg.Subject, ErrInvalid, err))
		}
		if wait.pause(ctx) != nil {
			return unavailable("publish "+msg.Subject, err)
		}
		b.counts.resends.Add(1)
	}
}

// attempt sends a message once. It does not wait over a change of the
// connection, after which no answer would come.
func (b *Bus) attempt(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	defer context.AfterFunc(b.linked(), cancel)()
	_, err := b.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	return err
}

// full tells whether a refusal means that there is no room now: the store's
// limits (10077, 10047, 10023) or too many requests (429).
func full(api *jetstream.APIError) bool {
	switch api.ErrorCode {
	case 10077, 10047, 10023:
		return true
	}
	return api.Code == 429
}
