package ingest

import (
	"context"
	"errors"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// A job that reads all contacts of a system reads what a changed-since reading
// would find, and takes the same calls for it.

// errCovered puts a changed-since reading off: a job reads all contacts.
var errCovered = errors.New("a job reads all contacts of this system now")

const (
	// coveredFor is how long a job puts readings off: one that has not read a
	// side by then goes on beside them.
	coveredFor = time.Hour
	// clocks is how far our clock and a system's are taken to be apart.
	clocks = time.Minute
)

// covered gives errCovered while a job reads all contacts of a cursor's system.
// Where one has, the next reading begins where the job did.
func (in *Ingest) covered(ctx context.Context, c *postgres.Cursor) error {
	walks, err := in.config.DB.Walks(ctx, c.Tenant)
	if err != nil {
		return err
	}
	return coveredBy(walks, c, in.config.Now())
}

func coveredBy(walks []postgres.Sync, c *postgres.Cursor, now time.Time) error {
	for i := range walks {
		w := &walks[i]
		reads, read := w.Options.HubSpot, w.Cursor.HubSpotDone
		if c.System == contact.Aloware {
			reads, read = w.Options.Aloware, w.Cursor.AlowareDone
		}
		switch {
		case !reads || w.Kind == postgres.Reconcile && !w.Options.Full:
		case read:
			if began := contact.Millis(w.StartedAt.Add(-clocks).UnixMilli()); c.Since < began {
				c.Since, c.Mark = began, ""
			}
		case w.State == postgres.SyncRunning && !w.Cursor.Walked && now.Sub(w.StartedAt) < coveredFor:
			return errCovered
		}
	}
	return nil
}
