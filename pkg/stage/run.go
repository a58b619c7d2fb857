package stage

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lockstep.internal/pkg/background"
	"lockstep.internal/pkg/postgres"
)

// settle is how long a change of what is owned waits for others of its kind
// before the leases are looked at again.
const settle = 20 * time.Millisecond

// mostBehind bounds the batches of the streams behind the leading one, in messages, as
// it may have to wait for them; while it is at work, so does behindFor.
const (
	mostBehind = 20
	behindFor  = 20 * time.Millisecond
	// ledWithin is how long after a batch the leading stream is at work.
	ledWithin = 10 * time.Second
	// gatherFor is how long a batch of another stream waits for more, where the one
	// before it ended less than busyWithin ago.
	gatherFor, busyWithin = 100 * time.Millisecond, time.Second
	// restFor bounds how long the leading stream waits for another one's batch.
	restFor = 50 * time.Millisecond
)

// Run works until ctx ends; then it finishes the running batches and gives the
// partitions back. It returns an error only for a wrong Config: faults of the
// database and the bus are waited out.
func Run(ctx context.Context, config Config, h Handler) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	s := &run{Config: config, handler: h, owned: make(map[int]*ownership), ended: make(chan struct{}, 1)}
	for _, stream := range config.Streams {
		s.leases = append(s.leases, LeaseName(config.Name, stream))
	}
	// Renewals come in turn here; a sooner one follows a partition's end.
	timer := time.NewTimer(0)
	defer timer.Stop()
	for renewals := 1; ; {
		select {
		case <-ctx.Done():
			s.Status.ends()
			s.leave(ctx)
			return nil
		case <-s.ended:
			timer.Reset(settle)
		case <-timer.C:
			s.Status.looks(s.LeaseTTL)
			s.renew(ctx)
			if renewals++; renewals%trimEvery == 0 {
				s.trim(ctx)
			}
			timer.Reset(config.Renew)
		}
	}
}

// run is one process's work on a stage.
type run struct {
	Config
	leases  []string // names of the streams' leases, in the order of Streams
	handler Handler

	owned  map[int]*ownership  // used by Run's goroutine only
	looked []postgres.Progress // at the last trim; used by Run's goroutine only
	ended  chan struct{}       // capacity 1: an ownership has ended
}

// ownership is one partition that this process owns, with all its streams.
type ownership struct {
	epochs   []int64            // of the leases, in the order of Streams
	deadline *time.Timer        // ends the ownership before the leases can expire
	cancel   context.CancelFunc // ends the running batches
	finish   context.CancelFunc // lets the running batches be the last
	done     chan struct{}      // closed when the last loop has ended
}

// renew keeps what is owned, starts what was won, and gives back the surplus.
func (s *run) renew(ctx context.Context) {
	s.sweep(ctx)
	start := time.Now()
	renewing, cancel := context.WithTimeout(ctx, s.LeaseTTL/3)
	held, share, err := s.DB.Renew(renewing, s.leases, s.Owner, s.Bus.Partitions(), s.LeaseTTL)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "leases could not be renewed; what is owned stops before they expire", "stage", s.Name, "error", err)
		}
		return
	}
	// The leases run from the statement on; they are trusted for less.
	trusted := s.LeaseTTL - time.Since(start) - s.LeaseTTL/6
	current := make(map[int]bool, len(s.owned))
	surplus := -share
	for len(held) > 0 {
		partition, n := held[0].Partition, 1
		for n < len(held) && held[n].Partition == partition {
			n++
		}
		leases, o := held[:n], s.owned[partition]
		held = held[n:]
		current[partition] = true
		surplus++
		switch {
		case o != nil && slices.EqualFunc(leases, o.epochs, func(l postgres.Lease, epoch int64) bool { return l.Epoch == epoch }):
			o.deadline.Reset(trusted)
		case o != nil:
			o.cancel() // lost and won again: the loops of the old epoch must not go on
		case len(leases) == len(s.leases):
			s.begin(ctx, leases, trusted)
		}
	}
	for _, partition := range slices.Sorted(maps.Keys(s.owned)) { // the same ones as long as they last
		switch o := s.owned[partition]; {
		case !current[partition]:
			o.cancel()
		case surplus > 0:
			o.finish()
			surplus--
		}
	}
}

// begin starts the loops of a partition.
func (s *run) begin(ctx context.Context, leases []postgres.Lease, trusted time.Duration) {
	// The loops outlive ctx by their running batches.
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	reading, finish := context.WithCancel(working)
	o := &ownership{cancel: cancel, finish: finish, done: make(chan struct{})}
	o.deadline = time.AfterFunc(trusted, cancel)
	s.owned[leases[0].Partition] = o
	var loops sync.WaitGroup
	claims, led := newClaims(), &atomic.Int64{}
	for i, lease := range leases {
		o.epochs = append(o.epochs, lease.Epoch)
		l := &loop{run: s, stream: s.Streams[i], lease: lease, claims: claims, led: led, leads: i == 0, most: s.MaxBatch}
		if !l.leads {
			l.most = min(l.most, mostBehind)
			l.fits = l.most
		}
		loops.Go(func() {
			if !l.leads {
				background.Enter()
			}
			if l.own(reading, working) == lost {
				cancel() // the partition's other streams are somebody else's too
			}
		})
	}
	go func() {
		loops.Wait()
		cancel()
		close(o.done)
		select {
		case s.ended <- struct{}{}:
		default:
		}
	}()
}

// sweep gives back the partitions whose loops have ended.
func (s *run) sweep(ctx context.Context) {
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
	if err := s.DB.Release(releasing, s.leases, s.Owner, ended...); err != nil && ctx.Err() == nil {
		s.Logger.WarnContext(ctx, "leases could not be given back; they expire", "stage", s.Name, "error", err)
	}
}

// leave ends all loops after their running batches and gives everything back.
func (s *run) leave(ctx context.Context) {
	for _, o := range s.owned {
		o.finish()
	}
	for _, o := range s.owned {
		<-o.done // bounded by the deadline of its leases
		o.deadline.Stop()
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.DB.Leave(leaving, s.leases, s.Owner); err != nil {
		s.Logger.WarnContext(ctx, "leases could not be given back; they expire", "stage", s.Name, "error", err)
	}
}
