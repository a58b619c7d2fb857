package stage

import (
	"context"
	"slices"
	"time"
)

// trimEvery is the number of renewals between two trims.
const trimEvery = 4

// trim drops what every stage has applied long ago from the owned partitions,
// so that a stream never fills up with it: a full stream refuses new messages.
func (s *streamRun) trim(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stages, err := s.DB.Stages(ctx)
	if err != nil {
		return // the next trim tries again
	}
	readers := []string{s.lease}
	for _, beside := range s.Beside {
		readers = append(readers, LeaseName(beside, s.stream))
	}
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
		if err := s.Bus.Trim(ctx, s.stream, partition, applied-s.Keep); err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "applied messages could not be dropped; a stream that fills up refuses new ones",
				"stage", s.lease, "partition", partition, "error", err)
			return
		}
	}
}
