package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
)

// loop works on one partition while it is owned.
type loop struct {
	*streamRun
	*ownership
	refused int // times in a row that the batch was refused for good
}

// run reads and applies until the ownership ends. Every fault but the loss of
// the lease is waited out with growing pauses.
func (l *loop) run(ctx context.Context) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil && !l.finishing() {
		applied, err := l.read(ctx)
		if applied {
			pause.Reset()
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, postgres.ErrLeaseLost) {
			l.Logger.WarnContext(ctx, "a partition belongs to somebody else now", "stage", l.lease(), "partition", l.ownership.lease.Partition)
			return
		}
		l.Observer.Failed(l.lease(), l.ownership.lease.Partition)
		wait := pause.NextBackOff()
		l.Logger.WarnContext(ctx, "a partition is read again from its watermark", "stage", l.lease(),
			"partition", l.ownership.lease.Partition, "after", wait, "error", err)
		select {
		case <-ctx.Done():
		case <-l.finish:
		case <-time.After(wait):
		}
	}
}

func (l *loop) lease() string { return l.streamRun.lease }

func (l *loop) finishing() bool {
	select {
	case <-l.finish:
		return true
	default:
		return false
	}
}

// read opens the partition at its watermark and applies batches until
// something fails or the ownership ends.
func (l *loop) read(ctx context.Context) (applied bool, err error) {
	lease := &l.ownership.lease
	at, rewound, err := l.Bus.Guard(ctx, l.stream, lease.Partition, bus.Position(lease.Position))
	if err != nil {
		return false, fmt.Errorf("compare the watermark with the stream: %w", err)
	}
	if rewound {
		l.Logger.ErrorContext(ctx, "the stream is not the one that the watermark is of: reading again from before it",
			"stage", l.lease(), "partition", lease.Partition, "watermark", lease.Position.Seq, "from", at.Seq)
	}
	if at != bus.Position(lease.Position) {
		if err := l.DB.Advance(ctx, lease, postgres.Position(at), nil); err != nil {
			return false, err
		}
	}
	name := fmt.Sprintf("%s-%02d-e%d", l.lease(), lease.Partition, lease.Epoch)
	reader, err := l.Bus.Read(ctx, l.stream, lease.Partition, name, at.Seq)
	if err != nil {
		return false, fmt.Errorf("read the partition: %w", err)
	}
	defer reader.Close()
	for !l.finishing() {
		batch, err := l.next(ctx, reader)
		if err != nil || len(batch) == 0 {
			return applied, err
		}
		if err := l.apply(ctx, batch); err != nil {
			return applied, err
		}
		applied = true
	}
	return applied, nil
}

// next waits for a message and takes what has come with it. Under load batches
// grow by themselves, and an idle partition waits for nobody.
func (l *loop) next(ctx context.Context, reader *bus.Reader) ([]bus.Delivery, error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-l.finish:
			cancel()
		case <-waiting.Done():
		}
	}()
	first, err := reader.Next(waiting)
	if err != nil {
		if waiting.Err() != nil {
			return nil, nil
		}
		return nil, fmt.Errorf("read the partition: %w", err)
	}
	return append([]bus.Delivery{first}, reader.Buffered(l.MaxBatch-1)...), nil
}

// apply works off a batch. One that is refused for good again and again is cut
// in two, down to the single message, which is put aside.
func (l *loop) apply(ctx context.Context, batch []bus.Delivery) error {
	err := l.try(ctx, batch)
	if err == nil || !fault.Is(err, fault.Permanent) {
		if err == nil {
			l.refused = 0
		}
		return err
	}
	if l.refused++; l.refused < l.Tries {
		return err
	}
	l.refused = 0
	if len(batch) == 1 {
		return l.putAside(ctx, batch[0], err)
	}
	for _, half := range [][]bus.Delivery{batch[:len(batch)/2], batch[len(batch)/2:]} {
		l.refused = l.Tries // what was tried as a whole is cut at once
		if err := l.apply(ctx, half); err != nil {
			return err
		}
	}
	l.refused = 0
	return nil
}

// putAside dead-letters a message and moves on.
func (l *loop) putAside(ctx context.Context, d bus.Delivery, reason error) error {
	if err := l.Bus.DeadLetter(ctx, l.Name, d, reason); err != nil {
		return fmt.Errorf("put a message aside: %w", err)
	}
	l.Logger.ErrorContext(ctx, "a message could not be handled and was put aside", "stage", l.lease(), "tenant", d.Tenant,
		"partition", d.Partition, "sequence", d.Seq, "error", reason)
	return l.DB.Advance(ctx, &l.ownership.lease, l.positionOf(d), nil)
}

func (l *loop) positionOf(d bus.Delivery) postgres.Position {
	return postgres.Position{Seq: d.Seq, StoredAt: d.StoredAt, StreamCreated: l.ownership.lease.Position.StreamCreated}
}

// try handles, publishes and stores one batch.
//
// The live and the bulk stream of a partition tell of the same contacts: their
// batches take turns, so that neither decides on what the other is storing.
func (l *loop) try(ctx context.Context, batch []bus.Delivery) error {
	lease := &l.ownership.lease
	turn := &l.turns[lease.Partition]
	turn.Lock()
	defer turn.Unlock()
	good := make([]bus.Delivery, 0, len(batch))
	for _, d := range batch {
		if d.Err == nil {
			good = append(good, d)
			continue
		}
		if err := l.Bus.DeadLetter(ctx, l.Name, d, d.Err); err != nil {
			return fmt.Errorf("put an unreadable message aside: %w", err)
		}
		l.Logger.ErrorContext(ctx, "a message could not be read and was put aside", "stage", l.lease(), "partition", d.Partition, "sequence", d.Seq, "error", d.Err)
	}
	var result Result
	if len(good) > 0 {
		var err error
		if result, err = l.handler.Handle(ctx, Batch{Stream: l.stream, Partition: lease.Partition, Epoch: lease.Epoch, Deliveries: good}); err != nil {
			return fmt.Errorf("handle a batch: %w", err)
		}
	}
	if err := l.publish(ctx, result.Publish); err != nil {
		return err
	}
	last := batch[len(batch)-1]
	err := l.DB.Advance(ctx, lease, l.positionOf(last), func(tx *postgres.Tx) error {
		if result.Commit == nil {
			return nil
		}
		return result.Commit(ctx, tx)
	})
	if err != nil {
		return err
	}
	if result.After != nil {
		result.After()
	}
	l.report(ctx, batch[0], last)
	return nil
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
		if err := l.Bus.Publisher(stream, l.ownership.lease.Partition).Publish(ctx, messages...); err != nil {
			return fmt.Errorf("publish %d messages: %w", len(messages), err)
		}
		start = end
	}
	return nil
}

// report tells the observer how far the partition is behind.
func (l *loop) report(ctx context.Context, first, last bus.Delivery) {
	newest := last.Seq
	if time.Since(last.StoredAt) > time.Second {
		if seq, _, err := l.Bus.Last(ctx, l.stream, last.Partition); err == nil {
			newest = max(newest, seq)
		}
	}
	l.Observer.Progress(l.lease(), last.Partition, newest-last.Seq, time.Since(first.StoredAt))
}
