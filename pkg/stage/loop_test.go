package stage

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// TestUnreadableMessagesArePutAside: a message that cannot be decoded goes to
// the dead letters once; of one that can in part, the readable events are
// kept; the others are as they were.
func TestUnreadableMessagesArePutAside(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	l := &loop{run: &run{Config: Config{Name: "mapper", Bus: b, Logger: slog.New(slog.DiscardHandler)}}}
	some := []contact.Incoming{{Change: &contact.Change{EventID: "kept"}}}
	p := piece{deliveries: []bus.Delivery{
		{Stream: bus.Changes, Seq: 1, Tenant: "t", Incoming: some},
		{Stream: bus.Changes, Seq: 2, Tenant: "t", Err: bus.ErrUndecodable},
		{Stream: bus.Changes, Seq: 3, Tenant: "t", Err: bus.ErrUndecodable, Incoming: some},
		{Stream: bus.Changes, Seq: 4, Err: errors.Join(bus.ErrUndecodable)},
		{Stream: bus.Changes, Seq: 5, Tenant: "t", Incoming: some},
	}}
	for range 2 { // the batch is tried again
		if err := l.screen(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
	}
	var kept []uint64
	for _, d := range p.deliveries {
		if d.Err != nil || len(d.Incoming) != 1 {
			t.Errorf("message %d: error %v, %d events", d.Seq, d.Err, len(d.Incoming))
		}
		kept = append(kept, d.Seq)
	}
	if want := []uint64{1, 3, 5}; !slices.Equal(kept, want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
	if got := b.Stats().DeadLetters; got != 3 {
		t.Errorf("%d dead letters, want 3", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.deliveries[0].Err = bus.ErrUndecodable
	if err := l.screen(ctx, &p); err == nil || p.deliveries[0].Err == nil {
		t.Errorf("a letter that could not be stored: got %v; it must be tried again", err)
	}
}

// TestHalvesLoseNothing for runs of either kind and any length.
func TestHalvesLoseNothing(t *testing.T) {
	t.Parallel()
	for n := 2; n < 10; n++ {
		incoming := make([]contact.Incoming, n)
		for i := range incoming {
			incoming[i].Change = &contact.Change{OccurredAt: contact.Millis(i)}
		}
		a, b := halves(bus.Delivery{Seq: 9, Incoming: incoming})
		if size(a) == 0 || size(b) == 0 || !slices.Equal(append(slices.Clone(a.Incoming), b.Incoming...), incoming) || a.Seq != 9 || b.Seq != 9 {
			t.Errorf("%d events became %d and %d", n, size(a), size(b))
		}
		if a, b := halves(bus.Delivery{Patches: make([]contact.Patch, n)}); size(a)+size(b) != n || size(a) == 0 {
			t.Errorf("%d patches became %d and %d", n, size(a), size(b))
		}
	}
}

// TestOnlyWhatTwoLooksSawIsDropped: a watermark that a crash took back, or that is
// new, is not yet on disk for sure.
func TestOnlyWhatTwoLooksSawIsDropped(t *testing.T) {
	t.Parallel()
	at := func(stage string, seq uint64) postgres.Progress {
		return postgres.Progress{Stage: stage, Partition: 1, Seq: seq}
	}
	got := durable([]postgres.Progress{at("goes on", 5), at("went back", 9), at("is gone", 3)}, []postgres.Progress{at("goes on", 8), at("went back", 4), at("is new", 7)})
	if len(got) != 2 || got[0].Stage != "goes on" || got[0].Seq != 5 || got[1].Stage != "went back" || got[1].Seq != 4 {
		t.Errorf("got %+v", got)
	}
}
