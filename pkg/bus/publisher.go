package bus

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
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
	// inProcess is how long the server is believed that a copy of a message is
	// about to be stored.
	inProcess = 5 * time.Second
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
// order cannot undo that. Different subjects are in flight together, and what
// callers bring while one is out goes along in one message: each message costs the
// server a write to disk.
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
	waiting []*call // in order; the first is in turn
}

// call is what one caller publishes to one subject.
type call struct {
	parcels []parcel
	turn    chan struct{} // closed when it is its turn
	done    chan struct{} // closed when another caller has sent it along
	failed  error         // by then
	refused []error
	left    bool // who sent it along gave up
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
	msg    *nats.Msg
	prefix int // bytes of its payload that every payload of the subject begins with
	span   trace.Span
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
	return parcel{msg: msg, prefix: load.prefix, span: p.bus.tracer.start(ctx, p.stream, p.partition, m.Tenant, msg, load.events)}
}

// deliver sends what one caller has for a subject when it is its turn, or lets
// another caller send it along.
func (p *Publisher) deliver(ctx context.Context, subject string, parcels []parcel) (failed error, refused []error) {
	c := &call{parcels: parcels, turn: make(chan struct{}), done: make(chan struct{})}
	p.enter(subject, c)
	select {
	case <-c.done:
		if c.left && ctx.Err() == nil {
			return p.deliver(ctx, subject, parcels)
		}
		return c.failed, c.refused
	case <-c.turn:
		defer p.leave(subject, c)
		p.carryOut(ctx, c, p.along(subject))
		return c.failed, c.refused
	case <-ctx.Done():
		failed = unavailable("publish "+subject+": wait for earlier messages", ctx.Err())
		if p.leave(subject, c) {
			c.end(failed)
		}
		return failed, nil
	}
}

// carryOut sends a caller's parcels, in one message with those of others that go
// along. One that the server will never take is left out; after any other failure
// nothing is sent.
func (p *Publisher) carryOut(ctx context.Context, c *call, along []*call) {
	if len(along) > 0 {
		err := p.send(ctx, joined(c, along))
		if !fault.Is(err, fault.Permanent) {
			for _, each := range append(along, c) {
				each.failed, each.left = err, err != nil && ctx.Err() != nil
				each.end(err)
			}
		} else { // it may be that nothing but the whole is too large for the server
			for _, each := range append([]*call{c}, along...) {
				p.sendAll(ctx, each)
				each.left = each.failed != nil && ctx.Err() != nil
			}
		}
		for _, each := range along {
			close(each.done)
		}
		return
	}
	p.sendAll(ctx, c)
}

func (p *Publisher) sendAll(ctx context.Context, c *call) {
	for _, each := range c.parcels {
		err := c.failed
		if err == nil {
			err = p.send(ctx, each.msg)
		}
		endSpan(each.span, err)
		if fault.Is(err, fault.Permanent) {
			c.refused = append(c.refused, err)
		} else {
			c.failed = err
		}
	}
}

// end ends the spans of a call's parcels.
func (c *call) end(err error) {
	for _, each := range c.parcels {
		endSpan(each.span, err)
	}
}

// joined is one message of the single ones of several callers: joined encodings of a
// run are the encoding of the joined run.
func joined(c *call, along []*call) *nats.Msg {
	first := c.parcels[0].msg
	msg := &nats.Msg{Subject: first.Subject, Data: slices.Clone(first.Data), Header: maps.Clone(first.Header)}
	msg.Header[nats.MsgIdHdr] = []string{nuid.Next()}
	for _, each := range along {
		one := &each.parcels[0]
		msg.Data = append(msg.Data, one.msg.Data[one.prefix:]...)
		if span := one.msg.Header[parent]; len(span) > 0 {
			msg.Header[parent] = append(slices.Clip(msg.Header[parent]), span...)
		}
	}
	return msg
}

// enter stands a caller in the line of a subject.
func (p *Publisher) enter(subject string, c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.lanes[subject]
	if !ok {
		l = &lane{}
		p.lanes[subject] = l
	}
	if l.waiting = append(l.waiting, c); len(l.waiting) == 1 {
		close(c.turn)
	}
}

// along takes out of the line who goes along with the caller in turn: those behind
// it, as long as all is one message. A caller with several messages goes alone, as
// copies of a split run are recognised by its parts.
func (p *Publisher) along(subject string) (calls []*call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lanes[subject]
	first := l.waiting[0]
	if len(first.parcels) != 1 {
		return nil
	}
	size := len(first.parcels[0].msg.Data)
	for _, c := range l.waiting[1:] {
		if len(c.parcels) != 1 {
			break
		}
		if size += len(c.parcels[0].msg.Data) - c.parcels[0].prefix; size > runLimit {
			break
		}
		calls = append(calls, c)
	}
	l.waiting = append(l.waiting[:1], l.waiting[1+len(calls):]...)
	return calls
}

// leave takes a caller out of the line and lets the next one have its turn. It gives
// false for one that went along with another.
func (p *Publisher) leave(subject string, c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lanes[subject]
	if l == nil {
		return false
	}
	at := slices.Index(l.waiting, c)
	if at < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, at, at+1)
	switch {
	case len(l.waiting) == 0:
		delete(p.lanes, subject)
	case at == 0:
		close(l.waiting[0].turn)
	}
	return true
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
//
// A server that stops leading while it stores a message may keep its id as being
// in process for the whole window of deduplication, and take no copy (error 10158,
// seen where leaders stepped down). The message then goes on under another id: a
// second copy of an event is known by the event's own id.
func (b *Bus) send(ctx context.Context, msg *nats.Msg) error {
	var since time.Time // of the first answer that a copy is in process
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
		case errors.As(err, &api) && api.ErrorCode == 10158:
			if since.IsZero() {
				since = time.Now()
			} else if time.Since(since) > inProcess {
				msg.Header[nats.MsgIdHdr] = []string{nuid.Next()}
			}
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
