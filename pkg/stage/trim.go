package stage

import (
	"context"
	"slices"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/postgres"
)

// trimEvery is the number of renewals between two trims.
const trimEvery = 4

// trim drops what every stage has applied long ago from the owned partitions,
// so that a stream never fills up with it: a full stream refuses new messages.
// A watermark is stored without waiting for the disk: what is dropped was applied
// at the trim before, too.
func (s *run) trim(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	now, err := s.DB.Stages(ctx)
	if err != nil {
		return // the next trim tries again
	}
	stages := durable(s.looked, now)
	s.looked = now
	for i, stream := range s.Streams {
		readers := []string{s.leases[i]}
		for _, beside := range s.Beside {
			readers = append(readers, LeaseName(beside, stream))
		}
		s.trimStream(ctx, stream, readers, stages)
	}
}

// durable are the watermarks that were there at two looks, with a renewal that waited
// for the disk in between; those that went back are what a crash left of them.
func durable(before, now []postgres.Progress) (both []postgres.Progress) {
	for _, p := range before {
		at := slices.IndexFunc(now, func(n postgres.Progress) bool { return n.Stage == p.Stage && n.Partition == p.Partition })
		if at < 0 {
			continue
		}
		p.Seq = min(p.Seq, now[at].Seq)
		both = append(both, p)
	}
	return both
}

// trimStream drops from one stream what all its readers have applied.
func (s *run) trimStream(ctx context.Context, stream bus.Stream, readers []string, stages []postgres.Progress) {
	for partition := range s.owned {
		var applied uint64
		seen := 0
		for _, p := range stages {
			if p.Partition != partition || !slices.Contains(readers, p.Stage) {
				continue
			}
			if seen++; seen == 1 || p.Seq < applied {
				applied = p.Seq
			}
		}
		if seen < len(readers) || applied <= s.Keep {
			continue // a reader that never started still needs everything
		}
		if err := s.Bus.Trim(ctx, stream, partition, applied-s.Keep); err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "applied messages could not be dropped; a stream that fills up refuses new ones",
				"stage", s.Name, "partition", partition, "error", err)
			return
		}
	}
}
