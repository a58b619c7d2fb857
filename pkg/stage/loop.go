package stage

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
)

// loop works on one stream of one partition while it is owned. Two contexts go
// through it: reading ends when no further batch may begin, working when the
// running one must stop too.
type loop struct {
	*run
	stream bus.Stream
	lease  postgres.Lease
	claims *claims       // what the partition's batches work on
	leads  bool          // the others make room for its batches
	led    *atomic.Int64 // when the leading stream had its last batch that was no routine, in Unix ns
	most   int           // messages of a batch
	fits   int           // messages that can be worked on in behindFor, of a stream that does not lead
	ended  time.Time     // of the last batch

	oldest atomic.Pointer[bus.Delivery] // first of the batch under way; nil while there is none
	newest atomic.Uint64                // sequence of the stream's newest message, as last looked up
	behind atomic.Bool                  // the observer was told of something that is behind
}

// outcome is how an ownership ended.
type outcome bool

const (
	given outcome = false // by ourselves
	lost  outcome = true  // to somebody else
)

// own applies the partition's messages until the ownership ends. Every fault
// but the loss of the lease is waited out with growing pauses.
func (l *loop) own(reading, working context.Context) outcome {
	l.handler.Granted(working, l.stream, l.lease.Partition, l.lease.Epoch)
	defer l.handler.Revoked(l.stream, l.lease.Partition)
	watching, stop := context.WithCancel(working)
	watched := make(chan struct{})
	go func() { defer close(watched); l.watch(watching) }()
	defer func() {
		stop()
		<-watched
		l.Observer.Progress(l.lease.Stage, l.lease.Partition, 0, 0)
		l.Status.done(l.place())
	}()
	for pause := newPause(); reading.Err() == nil; {
		applied, err := l.read(reading, working)
		if applied {
			pause.Reset()
		}
		switch {
		case errors.Is(err, postgres.ErrLeaseLost):
			l.Logger.WarnContext(working, "a partition belongs to somebody else now", "stage", l.lease.Stage, "partition", l.lease.Partition)
			return lost
		case err != nil && reading.Err() == nil:
			l.wait(reading, pause, err)
		}
	}
	return given
}

func (l *loop) place() place { return place{l.lease.Stage, l.lease.Partition} }

func newPause() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
}

// wait tells of a fault and lets some time pass.
func (l *loop) wait(reading context.Context, pause *backoff.ExponentialBackOff, err error) {
	wait := pause.NextBackOff()
	l.Observer.Failed(l.lease.Stage, l.lease.Partition)
	l.Status.fails(l.place(), err)
	l.Logger.WarnContext(reading, "a partition cannot go on; trying again", "stage", l.lease.Stage, "partition", l.lease.Partition,
		"watermark", l.lease.Position.Seq, "after", wait, "error", err)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-reading.Done():
	case <-timer.C:
	}
}

// read opens the stream at the watermark and applies batches until something
// fails or the ownership ends.
func (l *loop) read(reading, working context.Context) (applied bool, err error) {
	at, rewound, err := l.Bus.Guard(reading, l.stream, l.lease.Partition, bus.Position(l.lease.Position))
	if err != nil {
		return false, fmt.Errorf("compare the watermark with the stream: %w", err)
	}
	if rewound {
		l.Logger.ErrorContext(working, "the stream is not the one that the watermark is of: reading again from before it",
			"stage", l.lease.Stage, "partition", l.lease.Partition, "watermark", l.lease.Position.Seq, "from", at.Seq)
	}
	if rewound || l.lease.Position.StreamCreated.IsZero() {
		if err := l.DB.Advance(working, &l.lease, postgres.Position(at), nil); err != nil {
			return false, err
		}
	}
	name := fmt.Sprintf("%s-%02d-e%d", l.lease.Stage, l.lease.Partition, l.lease.Epoch)
	reader, err := l.Bus.Read(reading, l.stream, l.lease.Partition, name, at.Seq)
	if err != nil {
		return false, fmt.Errorf("read the partition: %w", err)
	}
	defer reader.Close()
	l.Status.done(l.place()) // what kept it from reading is over
	for {
		first, err := reader.Next(reading)
		if reading.Err() != nil {
			return applied, nil
		}
		if err != nil {
			return applied, fmt.Errorf("read the partition: %w", err)
		}
		// What has come meanwhile is taken along: batches grow under load, and
		// an idle partition waits for nobody.
		batch := l.fill([]bus.Delivery{first}, reader)
		if l.gathers(reading, batch) {
			batch = l.fill(batch, reader)
		}
		l.oldest.Store(&first)
		l.Status.begins(l.place())
		if err := l.work(reading, working, piece{batch, l.positionOf(batch[len(batch)-1])}, l.Tries); err != nil {
			return applied, err
		}
		l.ended = time.Now()
		applied = true
		l.oldest.Store(nil)
		l.Status.done(l.place())
		l.report(&first, batch[len(batch)-1].Seq)
	}
}

// gathers waits for more of what nobody waits for: a batch costs as much for a contact
// as for ten, and much of what a first sync brings about a contact comes together. What
// comes alone waits for nothing. The leading stream, as long as it brings only what is
// routine, waits for the batch that another one is at.
func (l *loop) gathers(reading context.Context, batch []bus.Delivery) bool {
	if l.leads {
		return !l.atWork() && len(batch) < l.room() && l.claims.rest(reading, restFor)
	}
	if time.Since(l.ended) > busyWithin || len(batch) >= l.room() {
		return false
	}
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	select {
	case <-reading.Done():
		return false
	case <-timer.C:
		return true
	}
}

// fill adds to a batch what is here already, as long as there is room.
func (l *loop) fill(batch []bus.Delivery, reader *bus.Reader) []bus.Delivery {
	return append(batch, reader.Buffered(l.room()-len(batch))...)
}

// room is how many messages a batch may have.
func (l *loop) room() int {
	if l.leads || !l.atWork() {
		return l.most
	}
	return l.fits
}

// atWork reports whether the leading stream has brought something lately that somebody
// may wait for.
func (l *loop) atWork() bool { return time.Since(time.Unix(0, l.led.Load())) <= ledWithin }

// took learns from a batch how many messages fit into the time for which the
// leading stream may wait.
func (l *loop) took(messages int, time time.Duration) {
	if l.leads || messages == 0 {
		return
	}
	fits := l.most
	if time > 0 {
		fits = int(int64(messages) * int64(behindFor) / int64(time))
	}
	l.fits = max(1, min(l.most, fits, 2*max(messages, l.fits)))
}

// piece is a batch or a part of one, with the watermark behind it.
type piece struct {
	deliveries []bus.Delivery
	to         postgres.Position
}

func (l *loop) positionOf(d bus.Delivery) postgres.Position {
	return postgres.Position{Seq: d.Seq, StoredAt: d.StoredAt, StreamCreated: l.lease.Position.StreamCreated}
}

// work applies a piece, again and again while that can help. One that is
// refused for good is cut in two.
func (l *loop) work(reading, working context.Context, p piece, tries int) error {
	for pause := newPause(); ; {
		err := l.try(working, &p)
		if err == nil || working.Err() != nil || errors.Is(err, postgres.ErrLeaseLost) {
			return err
		}
		if fault.Is(err, fault.Permanent) {
			if tries--; tries <= 0 {
				return l.cut(reading, working, p, err)
			}
		}
		if l.wait(reading, pause, err); reading.Err() != nil {
			return err
		}
	}
}

// cut applies the halves of a piece that is refused for good: of its messages,
// then of the one message's events. What is to blame for itself is put aside.
func (l *loop) cut(reading, working context.Context, p piece, reason error) error {
	var first, second piece
	switch n := len(p.deliveries); {
	case n > 1:
		first = piece{p.deliveries[:n/2], l.positionOf(p.deliveries[n/2-1])}
		second = piece{p.deliveries[n/2:], p.to}
	case n == 1 && size(p.deliveries[0]) > 1:
		a, b := halves(p.deliveries[0])
		first = piece{[]bus.Delivery{a}, l.lease.Position} // the message is not done yet
		second = piece{[]bus.Delivery{b}, p.to}
	default:
		return l.putAside(reading, working, p, reason)
	}
	for _, half := range []piece{first, second} {
		tries := 1
		if len(half.deliveries) == 1 && size(half.deliveries[0]) == 1 {
			tries = l.Tries
		}
		if err := l.work(reading, working, half, tries); err != nil {
			return err
		}
	}
	return nil
}

func size(d bus.Delivery) int { return len(d.Incoming) + len(d.Patches) }

// halves cuts a message's run of events, of which it has at least two.
func halves(d bus.Delivery) (a, b bus.Delivery) {
	a, b = d, d
	a.Incoming, b.Incoming = d.Incoming[:len(d.Incoming)/2], d.Incoming[len(d.Incoming)/2:]
	a.Patches, b.Patches = d.Patches[:len(d.Patches)/2], d.Patches[len(d.Patches)/2:]
	return a, b
}

// putAside dead-letters a message for one of its events and goes on behind it.
func (l *loop) putAside(reading, working context.Context, p piece, reason error) error {
	for pause := newPause(); ; {
		err := l.Bus.DeadLetter(working, l.Name, p.deliveries[0], reason)
		if err == nil {
			err = l.DB.Advance(working, &l.lease, p.to, nil)
		}
		if err == nil || working.Err() != nil || errors.Is(err, postgres.ErrLeaseLost) {
			return err
		}
		if l.wait(reading, pause, err); reading.Err() != nil {
			return err
		}
	}
}

// try handles, publishes and stores one piece.
func (l *loop) try(ctx context.Context, p *piece) error {
	claim, err := l.claims.begin(ctx, l.leads)
	if err != nil {
		return err
	}
	defer l.claims.give(claim)
	start, messages := time.Now(), len(p.deliveries)
	defer func() { l.took(messages, time.Since(start)) }()
	if err := l.screen(ctx, p); err != nil {
		return err
	}
	var result Result
	if len(p.deliveries) > 0 {
		if result, err = l.handle(ctx, claim, p.deliveries); err != nil {
			return fmt.Errorf("handle a batch: %w", postgres.Classify(err))
		}
	}
	if err := l.publish(ctx, result.Publish); err != nil {
		return err
	}
	if result.Quick == nil && result.Commit == nil {
		l.claims.give(claim) // nothing is being stored that another stream could decide on
	}
	if err := l.store(ctx, &result, p.to); err != nil {
		return err
	}
	if l.leads && !result.Routine {
		l.led.Store(time.Now().UnixNano())
	}
	if result.After != nil {
		result.After()
	}
	return nil
}

// store stores a batch's effects and moves the watermark.
func (l *loop) store(ctx context.Context, result *Result, to postgres.Position) error {
	if result.Quick != nil {
		if done, err := result.Quick(ctx, &l.lease, to); done || err != nil {
			return err
		}
	}
	if result.Commit == nil {
		return l.DB.Advance(ctx, &l.lease, to, nil)
	}
	return l.DB.Advance(ctx, &l.lease, to, func(tx *postgres.Tx) error { return result.Commit(ctx, tx) })
}

// screen dead-letters the messages that could not be decoded, and keeps of
// them the events that could.
func (l *loop) screen(ctx context.Context, p *piece) error {
	for i := 0; i < len(p.deliveries); {
		d := &p.deliveries[i]
		if d.Err == nil {
			i++
			continue
		}
		if err := l.Bus.DeadLetter(ctx, l.Name, *d, d.Err); err != nil {
			return err
		}
		if d.Err = nil; size(*d) == 0 {
			p.deliveries = append(p.deliveries[:i:i], p.deliveries[i+1:]...)
		}
	}
	return nil
}

// handle calls the handler. A panic is a refusal of what it was given, so that
// one event cannot end every process that takes its partition over.
func (l *loop) handle(ctx context.Context, claim *Claim, deliveries []bus.Delivery) (result Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			l.Logger.ErrorContext(ctx, "the handler panicked", "stage", l.lease.Stage, "partition", l.lease.Partition,
				"from", deliveries[0].Seq, "stack", string(debug.Stack()))
			err = fault.Wrap(fault.Permanent, errors.New("the handler panicked"))
		}
	}()
	return l.handler.Handle(ctx, Batch{Stream: l.stream, Partition: l.lease.Partition, Epoch: l.lease.Epoch, Claim: claim, Deliveries: deliveries})
}

// publish sends the outputs in order and waits for their acknowledgements.
func (l *loop) publish(ctx context.Context, outputs []Output) error {
	for start := 0; start < len(outputs); {
		stream, end := outputs[start].Stream, start
		var messages []bus.Message
		for end < len(outputs) && outputs[end].Stream == stream {
			messages = append(messages, outputs[end].Message)
			end++
		}
		if err := l.Bus.Publisher(stream, l.lease.Partition).Publish(ctx, messages...); err != nil {
			return fmt.Errorf("publish %d messages: %w", len(messages), err)
		}
		start = end
	}
	return nil
}

// report tells the observer how far the stream is behind, given the oldest
// message of what was worked on last and the last one applied.
func (l *loop) report(oldest *bus.Delivery, applied uint64) {
	l.behind.Store(true)
	newest := max(l.newest.Load(), applied)
	l.Observer.Progress(l.lease.Stage, l.lease.Partition, newest-applied, time.Since(oldest.StoredAt))
}

// watch looks now and then how much is stored, keeps telling of a batch that
// takes long or fails, and tells when nothing is left.
func (l *loop) watch(ctx context.Context) {
	ticker := time.NewTicker(l.Renew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if oldest := l.oldest.Load(); oldest != nil {
			if newest, _, err := l.Bus.Last(ctx, l.stream, l.lease.Partition); err == nil {
				l.newest.Store(newest)
			}
			l.report(oldest, oldest.Seq-1)
		} else if l.behind.Swap(false) {
			l.Observer.Progress(l.lease.Stage, l.lease.Partition, 0, 0)
		}
	}
}
