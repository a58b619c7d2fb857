// Package stage runs one stage of the pipeline over the partitions of its
// streams: it holds leases, reads each partition in order from its watermark,
// hands over batches, publishes what they give and waits for the
// acknowledgements, and then stores their effects and the new watermark in one
// transaction.
//
// A crash at any moment repeats a batch and loses none. A partition has one
// owner; one that could not renew its lease stops before it can expire. The
// room decides nothing about the events themselves.
package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/postgres"
)

// Config is what a stage needs.
type Config struct {
	Name    string       // of the stage, in leases, dead letters and metrics
	Owner   string       // unique name of this process
	Streams []bus.Stream // owned together by partition, each read at its own pace; the first leads
	// Beside are the stages that read the same streams: what they have not
	// applied yet is kept for them.
	Beside   []string
	DB       *postgres.DB
	Bus      *bus.Bus
	Logger   *slog.Logger
	Observer Observer      // nil is none
	Status   *Status       // is kept up to date for the process's health; nil is none
	MaxBatch int           // messages handed over at once; 0 means 500
	LeaseTTL time.Duration // 0 means 15 s
	Renew    time.Duration // time between renewals; 0 means a fifth of LeaseTTL
	// Keep is how many applied messages of a partition stay in the stream, to
	// look at and to read again; older ones make room. 0 means 2000.
	Keep uint64
	// Tries is how often a batch, and at last a single event, that a Permanent
	// error refuses is tried. Then the batch is cut in two, down to the event
	// that is to blame; its message goes to the dead letters. 0 means 3.
	Tries int
}

// Handler is the stage's work.
type Handler interface {
	// Handle works on one batch of one partition. It may read, but what it
	// changes and sends goes into the result. It is called again with the same
	// deliveries when the result could not be published or stored, and with
	// parts of them, down to single events, when it gives a Permanent error or
	// panics. The batches of one partition's streams run side by side. They tell of the
	// same contacts, and none may decide on what another one is storing: what a batch
	// decides on, it takes by its Claim before it reads it.
	Handle(ctx context.Context, b Batch) (Result, error)
	// Granted tells that a partition of a stream was taken over in an epoch,
	// before its first batch. Its ctx ends with the ownership.
	Granted(ctx context.Context, stream bus.Stream, partition int, epoch int64)
	// Revoked tells that it was given up or lost; no batch of it runs any
	// more. The partition is given back when Revoked has returned.
	Revoked(stream bus.Stream, partition int)
}

// Batch is a run of messages of one partition, in order.
type Batch struct {
	Stream     bus.Stream
	Partition  int
	Epoch      int64
	Claim      *Claim
	Deliveries []bus.Delivery
}

// Result is what a batch leads to.
type Result struct {
	Publish []Output
	// Quick, where it is set, may store the effects and move the watermark by a
	// shorter way; where it gives false it has done nothing, and Commit is run.
	Quick func(context.Context, *postgres.Lease, postgres.Position) (bool, error)
	// Commit stores the effects, in the transaction that moves the watermark;
	// nil stores nothing: what the batch claimed is then free while the watermark moves,
	// and beside After.
	Commit func(context.Context, *postgres.Tx) error
	// After runs when the transaction is committed; nil for nothing.
	After func()
	// Routine tells that nothing came of the batch that somebody may wait for. Other
	// streams need not keep short for a leading one that brings only such batches, and
	// its next batch waits a moment for theirs, and takes along what comes meanwhile.
	Routine bool
}

// Output is one message to publish.
type Output struct {
	Stream  bus.Stream
	Message bus.Message
}

// Observer hears what an operator wants to see. It must be quick and safe for
// concurrent use. A stage is named as its leases are.
type Observer interface {
	// Progress tells how far a partition is behind: messages that are stored
	// and not applied, and the age of the oldest. It is told after a batch,
	// again and again while a batch takes long or fails, and as 0 and 0 when
	// nothing is left or the partition is given up.
	Progress(stage string, partition int, lag uint64, age time.Duration)
	// Failed counts a batch that has to be repeated.
	Failed(stage string, partition int)
}

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" || c.Owner == "" || c.DB == nil || c.Bus == nil || len(c.Streams) == 0 {
		return c, errors.New("stage: a name, an owner, streams, a database and a bus are needed")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Observer == nil {
		c.Observer = deaf{}
	}
	if c.Status == nil {
		c.Status = &Status{}
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = 500
	}
	if c.LeaseTTL == 0 {
		c.LeaseTTL = 15 * time.Second
	}
	if c.Renew == 0 {
		c.Renew = c.LeaseTTL / 5
	}
	if c.Tries == 0 {
		c.Tries = 3
	}
	if c.Keep == 0 {
		c.Keep = 2000
	}
	if c.Renew*2 > c.LeaseTTL {
		return c, fmt.Errorf("stage: a renewal every %v is too rare for a lease of %v", c.Renew, c.LeaseTTL)
	}
	return c, nil
}

// LeaseName is the name under which a stage's watermarks of a stream are kept.
func LeaseName(stage string, stream bus.Stream) string {
	switch stream {
	case bus.ChangesBulk, bus.PatchesBulk:
		return stage + "-bulk"
	case bus.ChangesEcho:
		return stage + "-echo"
	}
	return stage
}

type deaf struct{}

func (deaf) Progress(string, int, uint64, time.Duration) {}
func (deaf) Failed(string, int)                          {}
