package writer

import (
	"context"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/services/writer/row"
)

// call carries out rows; tell and settle then do with them what came of it.
func (d *delivery) call(ctx context.Context, destination Destination, rows []postgres.LaneRow) {
	config := d.lanes.config
	bulk := true
	for _, r := range rows {
		patch, err := bus.DecodePatch(r.Patch, config.System)
		if err != nil {
			config.Logger.ErrorContext(ctx, "a row cannot be read; it is tried again later", "tenant", d.tenant, "error", err)
			d.failed = append(d.failed, failure{r, fault.As(err)})
			continue
		}
		// The database found the row due by its own clock.
		now := max(contact.Millis(time.Now().UnixMilli()), contact.Millis(r.NextAt.UnixMilli()))
		fresh, step := d.lanes.sent.step(d.tenant, patch, now)
		switch step {
		case row.Wait:
			r.NextAt = time.UnixMilli(int64(patch.Fetch.NotBefore))
			d.early = append(d.early, r)
			continue
		case row.Overtaken:
			d.stale = append(d.stale, r)
			continue
		}
		d.lanes.sent.add(d.tenant, &fresh)
		fresh.Bulk = r.Bulk
		d.rows, d.patches = append(d.rows, r), append(d.patches, fresh)
		d.whole = append(d.whole, patch.Fetch == nil || fresh.Fetch != nil)
		bulk = bulk && r.Bulk
	}
	if len(d.patches) > 0 {
		calling := ctx
		if bulk {
			calling = quota.Bulk(ctx)
		}
		calling, span := startDelivery(calling, config.System, d.tenant, d.patches)
		start := time.Now()
		d.answers = destination.Deliver(calling, d.patches)
		if len(d.answers) != len(d.patches) {
			config.Logger.ErrorContext(ctx, "a destination answered for another number of patches", "tenant", d.tenant, "patches", len(d.patches), "answers", len(d.answers))
			d.answers = make([]contact.Delivery, len(d.patches))
			for i := range d.answers {
				d.answers[i].Err = fault.New(fault.Refusal{Class: fault.Unknown, Reason: "NO_ANSWER", Message: "the destination gave no answer"})
			}
		}
		endDelivery(span, start, config.System, d.patches, d.answers)
	}
}
