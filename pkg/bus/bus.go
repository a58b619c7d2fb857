// Package bus carries events and patches between the services: runs of
// changes from ingest and the writers to the mapper, runs of patches from the
// mapper to the writers. It is the only room that knows NATS and protobuf.
//
// JetStream is used as a partitioned log without filters, durable consumers or
// acknowledgements. The bus promises:
//
//   - messages of one tenant (and, for patches, one system) that one process
//     publishes are stored in the order of the Publish calls, whatever fails;
//   - Publish returns nil only after the server has acknowledged everything;
//   - a Reader delivers a partition's messages in stored order, each once,
//     without leaving any out, over restarts, leader changes and cut
//     connections; where the stream itself has lost messages it says so;
//   - what cannot be decoded reaches the reader as such and can be put into
//     the dead letters, and never holds up other messages.
//
// It never decides who owns a partition or how far it was worked off: that is
// in PostgreSQL, and Guard tells whether it still fits the stream.
package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lockstep.internal/pkg/fault"
)

// Config is how to reach the bus and how its streams are made.
type Config struct {
	// URL of the NATS servers, several joined by commas; a user and password
	// may be part of it. Unused with InProcess.
	URL string
	// InProcess connects to a server in this process (embedded.Server).
	InProcess InProcess
	// Name of the process, shown by the server's monitoring.
	Name string
	// Creds is the path of a NATS credentials file; "" for none.
	Creds string
	// CA is the path of a file with certificate authorities; "" for the system's.
	CA string
	// IgnoreDiscovered keeps to the servers of URL even where they tell of
	// others, for use behind a proxy.
	IgnoreDiscovered bool

	// Lazy lets Connect return while the bus is away, for a service that has
	// something to do meanwhile. Until Ensure has looked at the streams, nothing
	// is published: Publish waits, and then gives ErrUnavailable.
	Lazy bool

	// Partitions of every kind of stream, 1 to 100; 0 means 16. Fixed once
	// the streams exist.
	Partitions int
	// Replicas of every stream: 1 or 3 (5); 0 means 1.
	Replicas int
	// MaxAge after which messages are dropped; 0 means 72 h.
	MaxAge time.Duration
	// MaxBytes that a stream may hold before it refuses more; 0 means
	// 256 MiB. The server reserves it: 4 × Partitions × MaxBytes, plus one
	// for the dead letters, must fit into its store.
	MaxBytes int64

	// Logger for what an operator should know; nil means slog.Default().
	Logger *slog.Logger
}

// InProcess gives connections to a server in the same process.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}

func (c Config) withDefaults() (Config, error) {
	c.Partitions = cmp.Or(c.Partitions, 16)
	c.Replicas = cmp.Or(c.Replicas, 1)
	c.MaxAge = cmp.Or(c.MaxAge, 72*time.Hour)
	c.MaxBytes = cmp.Or(c.MaxBytes, 256<<20)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Partitions < 1 || c.Partitions > 100 {
		return c, fmt.Errorf("bus: %d partitions: want 1 to 100", c.Partitions)
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		return c, fmt.Errorf("bus: %d replicas: want 1 to 5", c.Replicas)
	}
	if c.MaxAge < duplicates || c.MaxBytes < 1<<20 {
		return c, fmt.Errorf("bus: max age %v and max bytes %d: want at least %v and 1 MiB", c.MaxAge, c.MaxBytes, duplicates)
	}
	if c.URL == "" && c.InProcess == nil {
		return c, errors.New("bus: no URL")
	}
	return c, nil
}

// Bus is a connection to the bus, shared by everything in a process. All
// methods may be used concurrently.
type Bus struct {
	config Config
	log    *slog.Logger
	nc     *nats.Conn
	js     jetstream.JetStream
	tracer producer
	watch  time.Duration // watchTime, except in tests

	counts counts
	// checked is closed when something may be published: the streams are of the
	// number of partitions that this process counts with.
	checked chan struct{}

	mu         sync.Mutex
	link       context.Context // until the connection is next lost or made
	unlink     context.CancelFunc
	publishers map[publisherKey]*Publisher
	readers    map[*Reader]struct{}
	listeners  map[*listener]struct{}
	closing    bool
	closed     chan struct{}
}

// Stats counts what an operator should look at when it rises.
type Stats struct {
	Reconnects  uint64 // connections made after a loss
	Violations  uint64 // permissions that the server refused
	AsyncErrors uint64 // other errors that the connection reported
	Resends     uint64 // publish attempts after the first
	Resets      uint64 // consumers that readers had to make anew
	Missed      uint64 // messages that a stream no longer held when a reader came to them
	Undecodable uint64 // messages that could not be decoded, or not whole
	DeadLetters uint64 // messages put into the dead letters
}

type counts struct {
	reconnects, violations, asyncErrors, resends, resets, missed, undecodable, deadLetters atomic.Uint64
}

// Connect connects to the bus. It tries until ctx is done (only once when
// Lazy), and afterwards reconnects for ever; the streams must exist before
// anything is published or read (Ensure).
func Connect(ctx context.Context, config Config) (*Bus, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bus{
		config: config, log: config.Logger.With("room", "bus"), tracer: newProducer(), watch: watchTime,
		publishers: map[publisherKey]*Publisher{}, readers: map[*Reader]struct{}{}, listeners: map[*listener]struct{}{},
		checked: make(chan struct{}), closed: make(chan struct{}),
	}
	if !config.Lazy {
		close(b.checked)
	}
	b.link, b.unlink = context.WithCancel(context.Background())
	for wait := newBackoff(); ; {
		b.nc, err = nats.Connect(config.URL, b.options()...)
		if err == nil {
			break
		}
		b.log.Warn("bus is not reachable", "error", err)
		if wait.pause(ctx) != nil {
			return nil, fault.Wrap(fault.Transient, fmt.Errorf("connect to bus: %w: %w", ErrUnavailable, err))
		}
	}
	if !b.nc.IsConnected() {
		b.log.Warn("bus is not reachable; trying on", "error", b.nc.LastError())
	}
	b.js, err = jetstream.New(b.nc)
	if err != nil {
		b.nc.Close()
		return nil, fmt.Errorf("connect to bus: %w", err)
	}
	return b, nil
}

func (b *Bus) options() []nats.Option {
	c := b.config
	options := []nats.Option{
		nats.Name(c.Name),
		nats.RetryOnFailedConnect(c.Lazy),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(200*time.Millisecond, 200*time.Millisecond),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		// Nothing is kept to be sent after a reconnect: the publisher sends
		// again itself, and what its caller has given up must not appear later.
		nats.ReconnectBufSize(-1),
		// Credentials may be rotated under us: two refusals are not the end.
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("connection lost", "error", err)
			}
			b.relink()
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			b.counts.reconnects.Add(1)
			b.log.Info("connection made again", "server", nc.ConnectedServerName())
			b.relink()
			b.recall()
		}),
		nats.ConnectHandler(func(nc *nats.Conn) {
			b.log.Info("connection made", "server", nc.ConnectedServerName())
			b.relink()
			b.recall()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { b.report(sub, err) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			b.mu.Lock()
			asked := b.closing
			b.mu.Unlock()
			if !asked {
				b.log.Error("connection closed for good", "error", nc.LastError())
			}
			b.relink()
			close(b.closed)
		}),
	}
	if c.InProcess != nil {
		options = append(options, nats.InProcessServer(c.InProcess))
	}
	if c.Creds != "" {
		options = append(options, nats.UserCredentials(c.Creds))
	}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	if c.IgnoreDiscovered {
		options = append(options, nats.IgnoreDiscoveredServers())
	}
	return options
}

func (b *Bus) report(sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		b.counts.violations.Add(1)
		b.log.Error("the server refused a permission", "subject", subject, "error", err)
		return
	}
	b.counts.asyncErrors.Add(1)
	b.log.Warn("connection reported an error", "subject", subject, "error", err)
}

// relink ends everything that waits for an answer on the old connection.
func (b *Bus) relink() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unlink()
	b.link, b.unlink = context.WithCancel(context.Background())
}

// linked is a context that ends when the connection is next lost or made.
func (b *Bus) linked() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.link
}

// Stats are the counts since Connect.
func (b *Bus) Stats() Stats {
	c := &b.counts
	return Stats{
		Reconnects: c.reconnects.Load(), Violations: c.violations.Load(), AsyncErrors: c.asyncErrors.Load(),
		Resends: c.resends.Load(), Resets: c.resets.Load(), Missed: c.missed.Load(),
		Undecodable: c.undecodable.Load(), DeadLetters: c.deadLetters.Load(),
	}
}

// Ping tells whether the server and its JetStream answer, and whether
// something may be published.
func (b *Bus) Ping(ctx context.Context) error {
	select {
	case <-b.checked:
	default:
		return unavailable("ping bus", errors.New("the streams were not looked at yet"))
	}
	if _, err := b.js.AccountInfo(ctx); err != nil {
		return unavailable("ping bus", err)
	}
	return nil
}

// Closed is closed when the connection has ended for good, by Close or because
// the client gave up; in the latter case the process should exit.
func (b *Bus) Closed() <-chan struct{} { return b.closed }

// Close stops all readers and listeners and closes the connection. Publish
// calls that still run end with an error; finish them before.
func (b *Bus) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closing = true
	var readers []*Reader
	for r := range b.readers {
		readers = append(readers, r)
	}
	var listeners []*listener
	for l := range b.listeners {
		listeners = append(listeners, l)
	}
	b.mu.Unlock()
	for _, r := range readers {
		r.Close()
	}
	for _, l := range listeners {
		l.stop()
	}
	b.nc.Close()
	select {
	case <-b.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close bus: %w", ctx.Err())
	}
}

func unavailable(doing string, err error) error {
	return fault.Wrap(fault.Transient, fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err))
}

// backoff waits longer with every pause, from 20 ms to one second.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 20 * time.Millisecond} }

// pause waits, or gives the context's error.
func (w *backoff) pause(ctx context.Context) error {
	timer := time.NewTimer(w.next)
	defer timer.Stop()
	w.next = min(2*w.next, time.Second)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
