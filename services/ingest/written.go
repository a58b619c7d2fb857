package ingest

import (
	"context"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/stage"
)

// A job is not done when all is read: what follows from it is judged, and
// written within the systems' limits, which may take hours. It is done when
// nothing of it waits any more.

// countEvery is the time between two looks at what waits of a job. A look takes
// at most a twentieth of it.
const countEvery = 2 * time.Second

// awaitEvery is the time between two looks whether what is awaited has come.
const awaitEvery = 500 * time.Millisecond

// The stages behind a job, as they name their watermarks.
var (
	judging     = stage.LeaseName("mapper", bus.ChangesBulk)
	judgingLive = stage.LeaseName("mapper", bus.Changes)     // where Aloware's answers come
	judgingEcho = stage.LeaseName("mapper", bus.ChangesEcho) // where HubSpot's come
	writing     = []string{
		stage.LeaseName("writer-"+contact.HubSpot.String(), bus.PatchesBulk),
		stage.LeaseName("writer-"+contact.Aloware.String(), bus.PatchesBulk),
	}
)

// writtenStep looks what is still to be written of a job that has published all.
// An outcome may lead to another write, so that it begins again until a look
// finds nothing from its beginning. True means that nothing is left.
func (in *Ingest) writtenStep(ctx context.Context, job *postgres.Sync) (bool, error) {
	c := &job.Cursor
	partition := in.config.Bus.PartitionOf(job.Tenant)
	switch c.Awaits {
	case postgres.AwaitsNothing:
		last, _, err := in.config.Bus.Last(ctx, bus.ChangesBulk, partition)
		if err != nil {
			return false, err
		}
		if err := in.awaitAnswers(ctx, partition, c); err != nil {
			return false, err
		}
		c.Awaits, c.AwaitsSeq = postgres.AwaitsMapper, last
		return false, nil
	case postgres.AwaitsMapper:
		applied, err := in.applied(ctx, partition, bus.ChangesBulk, c.AwaitsSeq, judging)
		if err == nil && applied {
			applied, err = in.answersJudged(ctx, partition, c)
		}
		if err != nil || !applied {
			return false, err
		}
		last, _, err := in.config.Bus.Last(ctx, bus.PatchesBulk, partition)
		if err != nil {
			return false, err
		}
		job.Counts.Judged = job.Counts.Published
		c.Awaits, c.AwaitsSeq = postgres.AwaitsWriters, last
		return false, nil
	case postgres.AwaitsWriters:
		applied, err := in.applied(ctx, partition, bus.PatchesBulk, c.AwaitsSeq, writing...)
		if err != nil || !applied {
			return false, err
		}
		waiting, err := in.config.DB.SyncRows(ctx, job.Tenant, job.ID)
		if err != nil {
			return false, err
		}
		c.Awaits = postgres.AwaitsRows
		return waiting == 0, nil
	default:
		waiting, err := in.config.DB.SyncRows(ctx, job.Tenant, job.ID)
		if err == nil && waiting == 0 {
			c.Awaits = postgres.AwaitsNothing
		}
		return false, err
	}
}

// awaitAnswers notes what has come by now over the streams besides the bulk one.
func (in *Ingest) awaitAnswers(ctx context.Context, partition int, c *postgres.SyncCursor) (err error) {
	if c.AwaitsLive, _, err = in.config.Bus.Last(ctx, bus.Changes, partition); err != nil {
		return err
	}
	c.AwaitsEcho, _, err = in.config.Bus.Last(ctx, bus.ChangesEcho, partition)
	return err
}

// answersJudged reports whether the mapper has judged all of that.
func (in *Ingest) answersJudged(ctx context.Context, partition int, c *postgres.SyncCursor) (bool, error) {
	judged, err := in.applied(ctx, partition, bus.Changes, c.AwaitsLive, judgingLive)
	if err != nil || !judged {
		return false, err
	}
	return in.applied(ctx, partition, bus.ChangesEcho, c.AwaitsEcho, judgingEcho)
}

// applied reports whether stages have applied a stream up to a message. One that
// was made anew since has fewer.
func (in *Ingest) applied(ctx context.Context, partition int, stream bus.Stream, seq uint64, stages ...string) (bool, error) {
	last, _, err := in.config.Bus.Last(ctx, stream, partition)
	if err != nil {
		return false, err
	}
	positions, err := in.config.DB.Applied(ctx, partition, stages...)
	if err != nil {
		return false, err
	}
	for _, name := range stages {
		if positions[name] < min(seq, last) {
			return false, nil
		}
	}
	return true, nil
}

// counter counts from time to time what of a job is judged and waits.
type counter struct {
	at   time.Time
	took time.Duration
}

// count takes a look, if it is time for one.
func (in *Ingest) count(ctx context.Context, job *postgres.Sync, c *counter) error {
	began := in.config.Now()
	if began.Sub(c.at) < max(countEvery, 20*c.took) {
		return nil
	}
	waiting, err := in.config.DB.SyncRows(ctx, job.Tenant, job.ID)
	if err != nil {
		return err
	}
	n := &job.Counts
	if !job.Cursor.Walked || job.Cursor.Awaits == postgres.AwaitsMapper {
		effects, err := in.config.DB.SyncEffects(ctx, job.Tenant, job.ID)
		if err != nil {
			return err
		}
		n.Judged = max(n.Judged, min(effects[job.ID]["judged"], n.Published))
	}
	before, last := n.Written(), n.CountedAt
	n.Waiting, n.CountedAt = waiting, contact.Millis(began.UnixMilli())
	if last != 0 && n.CountedAt > last {
		// Smoothed over some ten looks, and at once where it begins.
		now := float64(n.Written()-before) / (float64(n.CountedAt-last) / 1000)
		if now = max(now, 0); n.WriteRate == 0 {
			n.WriteRate = now
		}
		n.WriteRate += (now - n.WriteRate) / 10
	}
	c.at, c.took = in.config.Now(), in.config.Now().Sub(began)
	return nil
}
