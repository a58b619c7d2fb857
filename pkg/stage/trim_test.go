package stage_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/stage"
)

// counter is a handler that counts what was stored.
type counter struct{ events atomic.Int64 }

func (c *counter) Handle(_ context.Context, b stage.Batch) (stage.Result, error) {
	return stage.Result{After: func() {
		for _, d := range b.Deliveries {
			c.events.Add(int64(len(d.Incoming)))
		}
	}}, nil
}

func (*counter) Granted(context.Context, bus.Stream, int, int64) {}
func (*counter) Revoked(bus.Stream, int)                         {}

// TestAppliedMessagesMakeRoom: what is applied is dropped but for the newest,
// so that a stream never fills up with it, and nothing is lost by that.
func TestAppliedMessagesMakeRoom(t *testing.T) {
	t.Parallel()
	b, db, handler := bustest.New(t, bustest.Partitions(1)), dbtest.Open(t), &counter{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- stage.Run(ctx, stage.Config{
			Name: "mapper", Owner: "only", Streams: []bus.Stream{bus.Changes}, DB: db, Bus: b, LeaseTTL: time.Second, Renew: 100 * time.Millisecond, Keep: 10,
		}, handler)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	send := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			change := contact.Change{System: contact.HubSpot, ID: "1", EventID: fmt.Sprint(i), Event: contact.Changed, OccurredAt: 1, ReceivedAt: 1, Channel: contact.Webhook}
			message := bus.Message{Tenant: "demo", Incoming: []contact.Incoming{{Change: &change}}, ID: fmt.Sprint(i), Context: t.Context()}
			if err := b.Publisher(bus.Changes, 0).Publish(t.Context(), message); err != nil {
				t.Fatal(err)
			}
		}
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		deadline := time.NewTimer(20 * time.Second)
		defer deadline.Stop()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !holds() {
			select {
			case <-deadline.C:
				t.Fatalf("not within 20 s: %s", what)
			case <-tick.C:
			}
		}
	}
	send(0, 100)
	until("a hundred events are stored", func() bool { return handler.events.Load() == 100 })
	until("applied messages are dropped", func() bool {
		r, err := b.Read(t.Context(), bus.Changes, 0, "look", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		d, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d.Seq == 91
	})
	send(100, 120)
	until("the events after that are stored, each once", func() bool { return handler.events.Load() == 120 })
}
