// Package ingest is the service that hears: it verifies and parses what the
// two systems send, reads from them what they do not send, and publishes it as
// changes. It decides nothing.
//
// A webhook is answered with 2xx only after its events are durable: in the
// stream, or, for Aloware, which never sends twice, in a synced spool while
// the bus is away.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
)

// Config is what an ingest process needs.
type Config struct {
	Owner  string // unique name of this process
	Bus    *bus.Bus
	DB     *postgres.DB
	Roster *roster.Roster
	Logger *slog.Logger
	// PublicURL is the base under which the systems reach this service; it is
	// part of what HubSpot signs ("https://hooks.example.com").
	PublicURL string
	// Spool is the folder for Aloware's deliveries while the bus is away.
	Spool string
	// PublishTimeout bounds the wait for the stream's acknowledgement; 0 means
	// 2 seconds. HubSpot waits 5.
	PublishTimeout time.Duration
	// PollEvery is the time between two changed-since readings of one system
	// of one tenant; 0 means a minute, negative turns them off.
	PollEvery time.Duration
	// ListsEvery is the time between two readings of users and options; 0
	// means five minutes.
	ListsEvery time.Duration
	// Jobs is how many jobs over all contacts run at once; 0 means 4.
	Jobs int
	// JobTurn is how long a job keeps its place among those that run, while
	// jobs of other tenants wait; 0 means 15 seconds.
	JobTurn time.Duration
	// JobLead is how much waits to be written of what a job led to, when it reads
	// no further: more would fill the database, take the machine from those that
	// write, and be in the way of a cancel. 0 means 4,000, two seconds' work under the
	// highest of HubSpot's limits.
	JobLead int
	// HTTP is used for reading; nil is the adapters' default.
	HTTP *http.Client
	// Observer hears of what was refused; nil is none.
	Observer Observer
	// Now is our clock; nil is time.Now.
	Now func() time.Time
}

// Observer hears what an operator wants counted.
type Observer interface {
	// Refused counts a request, or events, that were not taken, by reason.
	Refused(ctx context.Context, system contact.System, reason string)
	// Received counts events that were made durable, by channel.
	Received(ctx context.Context, system contact.System, channel string, events int)
}

// Ingest is one process of the service.
type Ingest struct {
	config  Config
	spool   *spool
	mux     *http.ServeMux
	budgets budgets
	// turns let one delivery of Aloware of a tenant (contact.Tenant) be made
	// durable at a time (chan struct{}): while one waits for the bus, a later
	// one must not come before it.
	turns sync.Map
	// connected is the profile of each tenant of which both systems could be
	// called when it was last looked; only the reading loop uses it.
	connected map[contact.Tenant]string
}

// New makes an ingest; Handler serves the webhooks, Run does the rest, and
// Close comes after both.
func New(config Config) (*Ingest, error) {
	switch {
	case config.Bus == nil || config.DB == nil || config.Roster == nil || config.Owner == "":
		return nil, errors.New("ingest: a bus, a database, a roster and an owner name are needed")
	case config.Spool == "":
		return nil, errors.New("ingest: a folder for the spool is needed: Aloware's deliveries are kept there while the bus is away")
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.PublishTimeout == 0 {
		config.PublishTimeout = 2 * time.Second
	}
	if config.PollEvery == 0 {
		config.PollEvery = time.Minute
	}
	if config.ListsEvery == 0 {
		config.ListsEvery = 5 * time.Minute
	}
	if config.Jobs == 0 {
		config.Jobs = 4
	}
	if config.JobTurn == 0 {
		config.JobTurn = 15 * time.Second
	}
	if config.JobLead == 0 {
		config.JobLead = 4_000
	}
	if config.Observer == nil {
		config.Observer = deaf{}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	spool, err := openSpool(config.Spool, config.Logger)
	if err != nil {
		return nil, err
	}
	in := &Ingest{config: config, spool: spool, mux: http.NewServeMux(), budgets: budgets{bus: config.Bus}}
	in.mux.HandleFunc("POST /webhooks/hubspot", in.hubspotWebhook)
	in.mux.HandleFunc("POST /webhooks/hubspot/{app}", in.hubspotWebhook)
	in.mux.HandleFunc("POST /webhooks/aloware/{tenant}", in.alowareWebhook)
	return in, nil
}

// Handler serves the webhooks of both systems, each request in a trace of its
// own: a sender's trace context is not trusted as a parent.
func (in *Ingest) Handler() http.Handler {
	return otelhttp.NewHandler(in.mux, "webhook", otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }))
}

// Run empties the spool and reads what the systems do not send, until ctx ends.
func (in *Ingest) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return in.drain(ctx) })
	group.Go(func() error { return in.read(ctx) })
	group.Go(func() error { return in.jobs(ctx) })
	err := group.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// Close closes the spool. Requests that still run need it: call it when the
// server of Handler has ended.
func (in *Ingest) Close() error { return in.spool.close() }

// Ready tells why webhooks cannot be made durable; nil if they can. A bus that
// is away is no reason while the spool takes what is never sent again.
func (in *Ingest) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	away := in.config.Bus.Ping(ctx)
	if away == nil {
		return nil
	}
	if err := in.spool.writable(); err != nil {
		return fmt.Errorf("neither the bus nor the spool takes anything: %w", errors.Join(away, err))
	}
	return nil
}

// Spooled is how many deliveries wait for the bus, and when the oldest of them
// came.
func (in *Ingest) Spooled() (deliveries int, oldest time.Time) { return in.spool.depth() }

// Troubles tells what waits for the bus, and since when.
func (in *Ingest) Troubles() []string {
	n, oldest := in.spool.depth()
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d deliveries wait in the spool for the bus, the oldest since %s", n, oldest.UTC().Format(time.RFC3339))}
}

// bulkRun bounds the events of a message on the bulk stream: a message is the least
// that the mapper judges at once, and an edit of somebody in it may wait for that. Each costs a
// write to the bus's disk, for which all live edits wait.
const bulkRun = 100

// publish makes events of one tenant durable in a stream. Events that can
// never travel are told and left out: everything else is stored then, and to
// repeat it would hold up what comes behind.
func (in *Ingest) publish(ctx context.Context, stream bus.Stream, system contact.System, id contact.Tenant, messageID string, events []contact.Incoming) error {
	if len(events) == 0 {
		return nil
	}
	publisher := in.config.Bus.Publisher(stream, in.config.Bus.PartitionOf(id))
	messages := []bus.Message{{Tenant: id, Incoming: events, ID: messageID, Context: ctx}}
	if stream == bus.ChangesBulk {
		messages = nil
		for run := range slices.Chunk(events, bulkRun) {
			messages = append(messages, bus.Message{Tenant: id, Incoming: run, ID: fmt.Sprintf("%s/run-%d", messageID, len(messages)), Context: ctx})
		}
	}
	err := publisher.Publish(ctx, messages...)
	if fault.Is(err, fault.Permanent) && (errors.Is(err, bus.ErrTooLarge) || errors.Is(err, bus.ErrInvalid)) {
		reason := "invalid"
		if errors.Is(err, bus.ErrTooLarge) {
			reason = "too large"
		}
		in.config.Observer.Refused(ctx, system, reason)
		in.config.Logger.ErrorContext(ctx, "events cannot travel and were left out", "tenant", id, "system", system, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("publish %d events of %s: %w", len(events), id, err)
	}
	return nil
}

func changes(list []contact.Change) []contact.Incoming {
	events := make([]contact.Incoming, len(list))
	for i := range list {
		events[i].Change = &list[i]
	}
	return events
}

// deaf is an observer that does not listen.
type deaf struct{}

func (deaf) Refused(context.Context, contact.System, string)       {}
func (deaf) Received(context.Context, contact.System, string, int) {}
