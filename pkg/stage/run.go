package stage

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/postgres"
)

// Run works until ctx ends; then it finishes the running batches and gives the
// partitions back. It returns an error only for a wrong Config: faults of the
// database and the bus are waited out.
func Run(ctx context.Context, config Config, h Handler) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	turns := make([]sync.Mutex, config.Bus.Partitions())
	for _, stream := range config.Streams {
		s := &streamRun{
			Config: config, stream: stream, lease: LeaseName(config.Name, stream), handler: h,
			turns: turns, owned: make(map[int]*ownership),
		}
		if s.lease != config.Name {
			s.MaxBatch = min(s.MaxBatch, mostBulk)
		}
		group.Go(func() error { s.run(ctx); return nil })
	}
	return group.Wait()
}

// mostBulk bounds a bulk batch, because a live batch of the same partition may
// have to wait for it.
const mostBulk = 50

// streamRun is the work on all partitions of one stream.
type streamRun struct {
	Config
	stream  bus.Stream
	lease   string
	handler Handler
	turns   []sync.Mutex // by partition: one batch at a time over all streams of the stage

	owned map[int]*ownership // used by run's goroutine only
}

// ownership is one partition that this process owns.
type ownership struct {
	lease    postgres.Lease
	deadline *time.Timer // ends the ownership before the lease can expire
	cancel   context.CancelFunc
	finish   chan struct{} // closed to end after the running batch
	once     sync.Once
	done     chan struct{} // closed when the loop has ended
}

func (o *ownership) end() { o.once.Do(func() { close(o.finish) }) }

// run renews the leases and starts and ends the partitions' loops.
func (s *streamRun) run(ctx context.Context) {
	ticker := time.NewTicker(s.Renew)
	defer ticker.Stop()
	for renewals := 1; ; renewals++ {
		s.renew(ctx)
		if renewals%trimEvery == 0 {
			s.trim(ctx)
		}
		select {
		case <-ctx.Done():
			s.leave(ctx)
			return
		case <-ticker.C:
		}
	}
}

// renew keeps what is owned, starts what was won, and gives back the surplus.
func (s *streamRun) renew(ctx context.Context) {
	s.sweep(ctx)
	start := time.Now()
	renewing, cancel := context.WithTimeout(ctx, s.LeaseTTL/3)
	held, share, err := s.DB.Renew(renewing, s.lease, s.Owner, s.Bus.Partitions(), s.LeaseTTL)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "leases could not be renewed; what is owned stops before they expire", "stage", s.lease, "error", err)
		}
		return
	}
	// The lease runs from the statement on; it is trusted for less than that.
	trusted := s.LeaseTTL - time.Since(start) - s.LeaseTTL/6
	current := make(map[int]bool, len(held))
	for _, l := range held {
		current[l.Partition] = true
		o := s.owned[l.Partition]
		switch {
		case o == nil:
			s.begin(ctx, l, trusted)
		case o.lease.Epoch == l.Epoch:
			o.deadline.Reset(trusted)
		default:
			o.cancel() // lost and won again: the loop of the old epoch must not go on
		}
	}
	for partition, o := range s.owned {
		if !current[partition] {
			o.cancel()
		}
	}
	surplus := len(held) - share
	for _, l := range held {
		if o := s.owned[l.Partition]; surplus > 0 && o != nil {
			o.end()
			surplus--
		}
	}
}

// begin starts the loop of a partition.
func (s *streamRun) begin(ctx context.Context, l postgres.Lease, trusted time.Duration) {
	// The loop outlives ctx by its running batch.
	owning, cancel := context.WithCancel(context.WithoutCancel(ctx))
	o := &ownership{lease: l, cancel: cancel, finish: make(chan struct{}), done: make(chan struct{})}
	o.deadline = time.AfterFunc(trusted, cancel)
	s.owned[l.Partition] = o
	go func() {
		defer close(o.done)
		defer cancel()
		s.handler.Granted(owning, s.stream, l.Partition, l.Epoch)
		(&loop{streamRun: s, ownership: o}).run(owning)
		s.handler.Revoked(s.stream, l.Partition)
	}()
}

// sweep gives back the partitions whose loops have ended.
func (s *streamRun) sweep(ctx context.Context) {
	var ended []int
	for partition, o := range s.owned {
		select {
		case <-o.done:
			o.deadline.Stop()
			delete(s.owned, partition)
			ended = append(ended, partition)
		default:
		}
	}
	if len(ended) == 0 {
		return
	}
	releasing, cancel := context.WithTimeout(ctx, s.LeaseTTL/3)
	defer cancel()
	if err := s.DB.Release(releasing, s.lease, s.Owner, ended...); err != nil && ctx.Err() == nil {
		s.Logger.WarnContext(ctx, "leases could not be given back; they expire", "stage", s.lease, "error", err)
	}
}

// leave ends all loops after their running batches and gives everything back.
func (s *streamRun) leave(ctx context.Context) {
	for _, o := range s.owned {
		o.end()
	}
	for _, o := range s.owned {
		<-o.done // bounded by the deadline of its lease
		o.deadline.Stop()
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.DB.Leave(leaving, s.lease, s.Owner); err != nil {
		s.Logger.WarnContext(ctx, "leases could not be given back; they expire", "stage", s.lease, "error", err)
	}
}
