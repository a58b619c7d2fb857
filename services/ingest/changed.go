package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// trailing is how far a changed-since reading reaches back behind the last:
// Aloware's clock ticks in seconds, HubSpot's search shows records late and out
// of order (seen up to 50 s, besides what the adapter itself stays behind).
const trailing = 10 * time.Second

// mark is where a changed-since reading stands. A reading that is cut, by its
// time or by the end of the process, is gone on with from its mark: however
// much has changed, it comes to an end.
type mark struct {
	Since contact.Millis `json:"since"`           // where the reading begins
	Page  string         `json:"page,omitempty"`  // the system's mark of the next page; "" for the first
	UpTo  contact.Millis `json:"up_to,omitempty"` // where the next reading begins
}

// mark is where a reading goes on, or begins.
func (in *Ingest) mark(c *postgres.Cursor) (m mark) {
	if c.Mark != "" && json.Unmarshal([]byte(c.Mark), &m) == nil {
		return m
	}
	since := in.config.Now().Add(-10 * time.Minute)
	if c.Since != 0 {
		since = time.UnixMilli(int64(c.Since)).Add(-trailing)
	}
	return mark{Since: contact.Millis(since.UnixMilli())}
}

// changed does a changed-since reading: read gives the page of a mark and the
// mark behind it, whose page is "" after the last.
func (in *Ingest) changed(ctx context.Context, t *tenant.Tenant, c *postgres.Cursor, read func(context.Context, mark) ([]contact.Change, mark, error)) error {
	m := in.mark(c)
	for pages := 0; ; pages++ {
		found, next, err := read(ctx, m)
		if err == nil {
			err = in.publishRead(ctx, t, c.System, found)
		}
		switch {
		case err != nil && pages > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return errCut
		case err != nil:
			if fault.Is(err, fault.Permanent) || errors.Is(err, hubspot.ErrCursor) {
				c.Mark = "" // it may be the mark that is refused
			}
			return fmt.Errorf("read changed contacts: %w", err)
		case next.Page == "":
			c.Since, c.Mark = max(c.Since, next.UpTo), ""
			return nil
		}
		m = next
		text, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("note where a reading stands: %w", err)
		}
		c.Mark = string(text)
	}
}

func (in *Ingest) hubspotChanges(ctx context.Context, t *tenant.Tenant, client *hubspot.Client, c *postgres.Cursor) error {
	names := t.Mapping.Properties(contact.HubSpot)
	return in.changed(ctx, t, c, func(ctx context.Context, m mark) ([]contact.Change, mark, error) {
		found, page, upTo, err := client.ChangedSince(ctx, time.UnixMilli(int64(m.Since)), m.Page, names)
		m.Page, m.UpTo = page, contact.Millis(upTo.UnixMilli()) // pages go by time: the last reaches furthest
		return found, m, err
	})
}

func (in *Ingest) alowareChanges(ctx context.Context, t *tenant.Tenant, client *aloware.Client, c *postgres.Cursor) error {
	return in.changed(ctx, t, c, func(ctx context.Context, m mark) ([]contact.Change, mark, error) {
		page := 1
		if m.Page != "" {
			if _, err := fmt.Sscan(m.Page, &page); err != nil {
				return nil, m, fault.Wrap(fault.Permanent, fmt.Errorf("page %q: %w", m.Page, err))
			}
		}
		found, next, upTo, err := client.ChangedSince(ctx, time.UnixMilli(int64(m.Since)), page)
		if m.UpTo == 0 {
			m.UpTo = contact.Millis(upTo.UnixMilli()) // pages go by id: what changes behind the first may be in none
		}
		m.Page = ""
		if next != 0 {
			m.Page = fmt.Sprint(next)
		}
		return found, m, err
	})
}

// publishRead publishes what was read on the bulk stream, so that a large
// reading never delays what people edit now.
func (in *Ingest) publishRead(ctx context.Context, t *tenant.Tenant, system contact.System, found []contact.Change) error {
	if len(found) == 0 {
		return nil
	}
	id := fmt.Sprintf("read/%s/%s/%d", t.ID, system, in.config.Now().UnixNano())
	if err := in.publish(ctx, bus.ChangesBulk, system, t.ID, id, changes(found)); err != nil {
		return err
	}
	in.config.Observer.Received(ctx, system, "poll", len(found))
	return nil
}
