package stage_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/stage"
)

// TestAPartitionThatCannotGoOnIsTold, with the reason, until it goes on; the
// process is alive all the while, for a new start would not help.
func TestAPartitionThatCannotGoOnIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	var mended atomic.Bool
	status := &stage.Status{}
	w.start(&worker{owner: "a", before: func(context.Context, stage.Batch) error {
		if !mended.Load() {
			return errors.New("the table is locked")
		}
		return nil
	}}, func(c *stage.Config) { c.Status = status })
	w.send(bus.Changes, w.tenants()[0], "e")
	told := func() string { return strings.Join(status.Troubles(), "\n") }
	w.wait("the trouble is told", func() bool {
		return strings.Contains(told(), "mapper partition 0 cannot go on since 2") && strings.Contains(told(), "the table is locked") && !strings.Contains(told(), "after 1 tries")
	})
	if err := status.Alive(); err != nil {
		t.Errorf("a stage with a trouble is alive: %v", err)
	}
	mended.Store(true)
	w.waitFor(1)
	w.wait("no trouble is told", func() bool { return told() == "" })
}

// TestAStageThatHangsIsNotAlive: nothing but a new start helps when leases are
// renewed no more. A stage that does not run is no fault.
func TestAStageThatHangsIsNotAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bustest.Partitions(1))
	status, held := &stage.Status{}, make(chan struct{})
	if err := status.Alive(); err != nil {
		t.Errorf("before it runs: %v", err)
	}
	db := w.open()
	p := w.start(&worker{owner: "a"}, func(c *stage.Config) {
		c.Status, c.DB, c.Logger = status, db, slog.New(stuck{slog.DiscardHandler, held})
	})
	w.send(bus.Changes, w.tenants()[0], "e")
	w.waitFor(1)
	if err := status.Alive(); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	db.Close() // the next renewal fails, and is told to a log that takes nothing
	w.wait("the stage is found to hang", func() bool { return status.Alive() != nil })
	close(held)
	w.wait("it goes on, although the database is away", func() bool { return status.Alive() == nil })
	p.stop()
	if err := status.Alive(); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

// stuck is a log that takes nothing until it is let go.
type stuck struct {
	slog.Handler
	held chan struct{}
}

func (s stuck) Enabled(context.Context, slog.Level) bool        { return true }
func (s stuck) Handle(ctx context.Context, r slog.Record) error { <-s.held; return nil }
