package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/services/writer/row"
)

// name is one contact of one tenant.
type name struct {
	tenant  contact.Tenant
	contact contact.Key
}

// Handle merges a batch's patches into rows and wakes their lanes.
func (w *Writer) Handle(_ context.Context, b stage.Batch) (stage.Result, error) {
	merged := make(map[name]contact.Patch)
	var order []name
	woken := make(map[contact.Tenant]bool)
	for _, d := range b.Deliveries {
		if d.System != w.config.System {
			continue // the other system's writer reads the same stream
		}
		for _, patch := range d.Patches {
			n := name{d.Tenant, patch.Contact}
			known, ok := merged[n]
			if !ok {
				order = append(order, n)
			}
			switch {
			case ok && known.Forget:
				continue // nothing follows on the end of a contact
			case ok && !patch.Forget:
				patch = row.Merge(known, patch)
			}
			merged[n] = patch
			woken[d.Tenant] = true
		}
	}
	if len(order) == 0 {
		return stage.Result{Routine: true}, nil
	}
	return stage.Result{
		Quick: func(ctx context.Context, l *postgres.Lease, to postgres.Position) (bool, error) {
			return w.storeNew(ctx, l, to, b, order, merged)
		},
		Commit: func(ctx context.Context, tx *postgres.Tx) error { return w.store(ctx, tx, b, order, merged) },
		After: func() {
			for tenant := range woken {
				w.lanes.wake(tenant, b.Partition, b.Stream == bus.Patches)
			}
		},
	}, nil
}

// storeNew stores patches of contacts for which nothing waits, which most are. It
// gives false where that is not so, or where a patch is about what waits.
func (w *Writer) storeNew(ctx context.Context, l *postgres.Lease, to postgres.Position, b stage.Batch, order []name, patches map[name]contact.Patch) (bool, error) {
	rows := make([]postgres.LaneRow, 0, len(order))
	for _, n := range order {
		patch := patches[n]
		if patch.Forget || patch.Wake || patch.Unfetch {
			return false, nil
		}
		r, err := freshRow(n, b, patch)
		if err != nil {
			return false, err
		}
		rows = append(rows, r)
	}
	return w.config.DB.AdvanceAdding(ctx, l, to, w.config.System, rows)
}

// freshRow is the row of a contact for which nothing waits.
func freshRow(n name, b stage.Batch, patch contact.Patch) (postgres.LaneRow, error) {
	r := postgres.LaneRow{Tenant: n.tenant, Contact: n.contact, Partition: b.Partition, Bulk: b.Stream == bus.PatchesBulk}
	r.Job = jobOf(r, false, contact.JobBehind(patch.CauseEventID))
	return withPatch(r, patch)
}

// store merges patches into the rows that are there. The live and the bulk
// stream may bring the first patch of a contact at the same time; whoever comes
// second then looks again.
func (w *Writer) store(ctx context.Context, tx *postgres.Tx, b stage.Batch, order []name, patches map[name]contact.Patch) error {
	const mostLooks = 5
	var err error
	for range mostLooks {
		if err = w.merge(ctx, tx, b, order, patches); !errors.Is(err, postgres.ErrLaneRow) {
			return err
		}
	}
	return fault.Wrap(fault.Transient, err)
}

func (w *Writer) merge(ctx context.Context, tx *postgres.Tx, b stage.Batch, order []name, patches map[name]contact.Patch) error {
	tenants, contacts := make([]contact.Tenant, len(order)), make([]contact.Key, len(order))
	for i, n := range order {
		tenants[i], contacts[i] = n.tenant, n.contact
	}
	stored, err := tx.LockLaneRows(ctx, w.config.System, tenants, contacts)
	if err != nil {
		return err
	}
	rows := make(map[name]postgres.LaneRow, len(stored))
	for _, r := range stored {
		rows[name{r.Tenant, r.Contact}] = r
	}
	add, save := make([]postgres.LaneRow, 0, len(order)-len(stored)), make([]postgres.LaneRow, 0, len(stored))
	gone := make(map[contact.Tenant][]contact.Key)
	for _, n := range order {
		patch := patches[n]
		r, there := rows[n]
		switch {
		case patch.Forget:
			w.lanes.sent.forget(n)
			gone[n.tenant] = append(gone[n.tenant], n.contact)
			continue
		case !there && (patch.Wake || patch.Unfetch && row.Empty(patch)):
			continue // nothing waits
		}
		taken := patch.Unfetch
		if !there {
			r = postgres.LaneRow{Tenant: n.tenant, Contact: n.contact, Bulk: true}
		} else {
			known, err := bus.DecodePatch(r.Patch, w.config.System)
			if err != nil {
				return fmt.Errorf("row of %s: %w", n.tenant, err)
			}
			patch = row.Merge(known, patch)
		}
		patch.Wake, patch.Unfetch = false, false
		if taken && row.Empty(patch) {
			gone[n.tenant] = append(gone[n.tenant], n.contact)
			continue
		}
		r.Partition, r.Bulk = b.Partition, r.Bulk && b.Stream == bus.PatchesBulk
		r.Job = jobOf(r, there, contact.JobBehind(patches[n].CauseEventID))
		if r, err = withPatch(r, patch); err != nil {
			return err
		}
		if there {
			save = append(save, r)
		} else {
			add = append(add, r)
		}
	}
	for tenant, contacts := range gone {
		if err := tx.DeleteLaneRows(ctx, tenant, w.config.System, contacts); err != nil {
			return err
		}
	}
	if err := tx.AddLaneRows(ctx, w.config.System, add); err != nil {
		return err
	}
	return tx.SaveLaneRows(ctx, w.config.System, save)
}

// jobOf is the job that a row belongs to, when a patch of a job came. What people
// edit goes on whatever becomes of a job, and with it what it is merged with.
func jobOf(r postgres.LaneRow, there bool, job string) string {
	switch {
	case !r.Bulk:
		return ""
	case !there:
		return job
	case r.Job != "" && job != "":
		return job
	}
	return r.Job
}

// withPatch puts a patch into a row, which is due now or at its read's time. A
// row that was put off is woken by that.
func withPatch(r postgres.LaneRow, patch contact.Patch) (postgres.LaneRow, error) {
	raw, err := bus.EncodePatch(&patch)
	if err != nil {
		return r, err
	}
	r.Version, r.Patch, r.NextAt, r.Rides = patch.Version, raw, time.Time{}, row.Rides(patch)
	if _, ok := row.Ready(patch, contact.Millis(time.Now().UnixMilli())); !ok {
		r.NextAt = time.UnixMilli(int64(patch.Fetch.NotBefore))
	}
	return r, nil
}

// Granted takes over a partition's lanes with its live stream.
func (w *Writer) Granted(ctx context.Context, stream bus.Stream, partition int, _ int64) {
	if stream == bus.Patches {
		w.lanes.own(ctx, partition)
	}
}

// Revoked ends a partition's lanes and waits for their calls.
func (w *Writer) Revoked(stream bus.Stream, partition int) {
	if stream == bus.Patches {
		w.lanes.disown(partition)
	}
}
