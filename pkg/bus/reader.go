package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"lockstep.internal/pkg/fault"
)

// Bounds of what a reader holds in memory: one pull of the client and what
// waits in the queue, as undecoded bytes.
const (
	pullMessages  = 1000
	pullBytes     = 4 << 20
	queueMessages = 1000
	queueBytes    = 2 << 20
)

const (
	// heartbeat is how often an idle server tells a reader that it is there;
	// after twice that without a word the consumer is made anew.
	heartbeat = 2 * time.Second
	// watchTime is how long a reader believes that there is nothing new
	// before it looks at the stream itself.
	watchTime = 20 * time.Second
	// inactive is when the server drops a consumer that nobody asks.
	inactive = 2 * time.Minute
)

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// errGap: the consumer left something out; it is made anew.
var errGap = errors.New("gap in the consumer's sequence")

// Reader delivers the messages of one partition from a position on. It is for
// one goroutine at a time; Close may be called from another.
type Reader struct {
	bus    *Bus
	stream Stream
	part   int
	name   string
	watch  time.Duration

	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	queue []Delivery // not yet decoded
	bytes int
	err   error         // why nothing more will come
	come  chan struct{} // capacity 1: the queue has grown, or err is set
	gone  chan struct{} // capacity 1: the queue has shrunk
	at    Position      // of the newest message in the queue; the pump's own
}

// Read begins to read behind a sequence (0: from the beginning). The name is
// shown by the server's monitoring: stage, partition and epoch. Ask Guard for
// the sequence first. Read tries until ctx is done while the bus is away; the
// reader itself lives until Close.
func (b *Bus) Read(ctx context.Context, s Stream, partition int, name string, after uint64) (*Reader, error) {
	if err := b.check(s, partition); err != nil {
		return nil, fault.Wrap(fault.Permanent, err)
	}
	r := &Reader{
		bus: b, stream: s, part: partition, name: notInName.ReplaceAllString(name, "_"), watch: b.watch,
		ended: make(chan struct{}), come: make(chan struct{}, 1), gone: make(chan struct{}, 1),
		at: Position{Seq: after},
	}
	var first *consumer
	err := b.persist(ctx, "read "+s.name(partition), func(ctx context.Context) error {
		var err error
		first, err = r.open(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		cancel()
		first.close(b)
		return nil, fmt.Errorf("read %s: %w", s.name(partition), ErrClosed)
	}
	b.readers[r] = struct{}{}
	b.mu.Unlock()
	go r.run(life, first)
	return r, nil
}

// Next gives the next message, waiting for it until ctx is done. ErrMoved
// means that the stream is not what it was: close the reader, ask Guard, and
// read again. ErrClosed follows Close.
func (r *Reader) Next(ctx context.Context) (Delivery, error) {
	for {
		got, err := r.take(1)
		if len(got) == 1 {
			return got[0], nil
		}
		if err != nil {
			return Delivery{}, err
		}
		select {
		case <-r.come:
		case <-ctx.Done():
			return Delivery{}, ctx.Err()
		}
	}
}

// Buffered gives up to max messages that are here already, without waiting.
func (r *Reader) Buffered(max int) []Delivery {
	got, _ := r.take(max)
	return got
}

// Close ends the reader and waits for its goroutine.
func (r *Reader) Close() {
	r.cancel()
	<-r.ended
	r.bus.mu.Lock()
	defer r.bus.mu.Unlock()
	delete(r.bus.readers, r)
}

func (r *Reader) take(max int) ([]Delivery, error) {
	r.mu.Lock()
	n := min(max, len(r.queue))
	if n <= 0 {
		defer r.mu.Unlock()
		return nil, r.err
	}
	got := make([]Delivery, n)
	copy(got, r.queue)
	clear(r.queue[:n])
	if r.queue = r.queue[n:]; len(r.queue) == 0 {
		r.queue = nil
	}
	for i := range got {
		r.bytes -= got[i].Size
	}
	r.mu.Unlock()
	signal(r.gone)
	for i := range got {
		got[i].decode()
		if got[i].Err != nil {
			r.bus.counts.undecodable.Add(1)
		}
	}
	return got, nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put queues a delivery, waiting for room.
func (r *Reader) put(ctx context.Context, d Delivery) error {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 || len(r.queue) < queueMessages && r.bytes+d.Size <= queueBytes {
			r.queue = append(r.queue, d)
			r.bytes += d.Size
			r.mu.Unlock()
			signal(r.come)
			return nil
		}
		r.mu.Unlock()
		select {
		case <-r.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// consumer is one consumer on the server and the iteration over it.
type consumer struct {
	name, stream string
	link         context.Context // of the connection that it was made on
	messages     jetstream.MessagesContext
	delivered    uint64 // consumer's sequence of the last message
}

// close stops the iteration, where one was begun, and lets the server forget
// the consumer, without waiting for its answer: if it is lost, the server
// forgets by itself.
func (c *consumer) close(b *Bus) {
	if c.messages != nil {
		c.messages.Stop()
	}
	_ = b.nc.PublishRequest(jetstream.DefaultAPIPrefix+"CONSUMER.DELETE."+c.stream+"."+c.name, b.nc.NewInbox(), nil)
}

// open makes a consumer behind the position, after checking that the stream is
// still the one that the position is of.
func (r *Reader) open(ctx context.Context) (*consumer, error) {
	stream := r.stream.name(r.part)
	c := &consumer{stream: stream, link: r.bus.linked(), name: fmt.Sprintf("%s-%s", r.name, nuid.Next())}
	info, reason, err := r.bus.compare(ctx, stream, r.at)
	if err != nil {
		return nil, err
	}
	if reason != "" {
		return nil, fault.Wrap(fault.Transient, fmt.Errorf("read %s behind %d: %s: %w", stream, r.at.Seq, reason, ErrMoved))
	}
	r.at.StreamCreated = micro(info.Created)
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	defer context.AfterFunc(c.link, cancel)()
	made, err := r.bus.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Name: c.name, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.at.Seq + 1,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: inactive, Replicas: 1, MemoryStorage: true,
	})
	if err != nil {
		c.close(r.bus) // it may have been made, and only the answer is missing
		return nil, err
	}
	c.messages, err = made.Messages(
		jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullExpiry(30*time.Second), jetstream.PullHeartbeat(heartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		c.close(r.bus)
		return nil, err
	}
	return c, nil
}

// run keeps the queue filled until the reader is closed or the stream moves.
func (r *Reader) run(ctx context.Context, c *consumer) {
	defer close(r.ended)
	wait := newBackoff()
	for {
		before := r.at.Seq
		err := r.pump(ctx, c)
		c.close(r.bus)
		if r.at.Seq > before {
			wait = newBackoff()
		}
		for ctx.Err() == nil {
			r.bus.counts.resets.Add(1)
			r.bus.log.Info("reader begins anew", "stream", c.stream, "behind", r.at.Seq, "reason", err)
			if wait.pause(ctx) != nil {
				break
			}
			var next *consumer
			if next, err = r.open(ctx); err == nil {
				c = next
				break
			}
			if errors.Is(err, ErrMoved) {
				r.fail(err)
				return
			}
			if r.bus.nc.IsClosed() {
				break
			}
		}
		if ctx.Err() != nil || r.bus.nc.IsClosed() {
			c.close(r.bus) // made while the reader was being closed
			r.fail(fmt.Errorf("read %s: %w", c.stream, ErrClosed))
			return
		}
	}
}

func (r *Reader) fail(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	signal(r.come)
}

// pump queues messages until there is a reason to make a new consumer.
func (r *Reader) pump(ctx context.Context, c *consumer) error {
	defer context.AfterFunc(ctx, c.messages.Stop)()
	defer context.AfterFunc(c.link, c.messages.Stop)()
	for {
		msg, err := c.messages.Next(jetstream.NextMaxWait(r.watch))
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return fmt.Errorf("connection changed: %w", err)
		}
		if errors.Is(err, nats.ErrTimeout) {
			if r.stuck(ctx) {
				return errors.New("the stream has more, the consumer gives nothing")
			}
			continue
		}
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("message without metadata: %w", err)
		}
		if meta.Sequence.Consumer != c.delivered+1 {
			return errGap
		}
		c.delivered++
		seq := meta.Sequence.Stream
		if seq <= r.at.Seq {
			return fmt.Errorf("sequence %d after %d", seq, r.at.Seq)
		}
		var missed uint64
		if missed = seq - r.at.Seq - 1; missed > 0 && r.at.Seq > 0 {
			if err := r.confirmMissing(ctx, c, seq); err != nil {
				return err
			}
		} else {
			missed = 0 // whoever begins at the beginning misses nothing
		}
		d := Delivery{
			Stream: r.stream, Partition: r.part, Seq: seq, StoredAt: micro(meta.Timestamp), Size: len(msg.Data()), Missed: missed,
			subject: msg.Subject(), header: msg.Headers(), data: msg.Data(),
		}
		if err := r.put(ctx, d); err != nil {
			return err
		}
		r.at.Seq, r.at.StoredAt = seq, d.StoredAt
	}
}

// confirmMissing makes sure that what the consumer passed over is not in the
// stream any more.
func (r *Reader) confirmMissing(ctx context.Context, c *consumer, seq uint64) error {
	from := r.at.Seq + 1
	first, _, err := r.bus.stored(ctx, c.stream, storedRequest{Seq: from, NextFor: ">"})
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return err
	}
	if err == nil && first < seq {
		return errGap
	}
	r.bus.counts.missed.Add(seq - from)
	r.bus.log.Error("messages were dropped from the stream before they were read", "stream", c.stream,
		"from", from, "through", seq-1)
	return nil
}

// stuck tells whether the stream has messages that the consumer does not give.
func (r *Reader) stuck(ctx context.Context) bool {
	info, err := r.bus.info(ctx, r.stream.name(r.part))
	return err == nil && (info.State.LastSeq > r.at.Seq || !same(info.Created, r.at.StreamCreated))
}
