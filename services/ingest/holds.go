package ingest

import (
	"context"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// holdStep asks for one page of the contacts of a held burst to be released, as
// somebody answered. What was under way when the answer came is judged first:
// nothing is added to the hold after it.
func (in *Ingest) holdStep(ctx context.Context, t *tenant.Tenant, job *postgres.Sync) (bool, error) {
	const page = 500
	c := &job.Cursor
	partition := in.config.Bus.PartitionOf(t.ID)
	switch {
	case !c.Planned && c.Awaits == postgres.AwaitsNothing:
		c.Awaits = postgres.AwaitsLive
		return false, in.awaitAnswers(ctx, partition, c)
	case !c.Planned:
		applied, err := in.answersJudged(ctx, partition, c)
		if err != nil || !applied {
			return false, err
		}
		if job.Counts.ContactTotal, err = in.config.DB.CountHeld(ctx, t.ID, job.Options.Hold); err != nil {
			return false, err
		}
		c.Awaits, c.Planned = postgres.AwaitsNothing, true
	}
	keys, err := in.config.DB.HeldContacts(ctx, t.ID, job.Options.Hold, contact.Key(c.Contact), page)
	if err != nil || len(keys) == 0 {
		return err == nil, err
	}
	events := make([]contact.Incoming, len(keys))
	for i, key := range keys {
		events[i].Command = &contact.Command{
			EventID: jobEvent(job, string(key)), Contact: key, Kind: contact.Release, Hold: job.Options.Hold, Answer: job.Options.Answer,
			Author: job.AskedBy, AskedAt: contact.Millis(in.config.Now().UnixMilli()),
		}
	}
	if err := in.publishJob(ctx, job, 0, "held/"+c.Contact, events); err != nil {
		return false, err
	}
	c.Contact = string(keys[len(keys)-1])
	job.Counts.Asked += int64(len(keys))
	job.Counts.Published += int64(len(keys))
	return false, nil
}
