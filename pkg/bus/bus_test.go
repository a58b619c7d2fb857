package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// change is an event that carries a number, to follow order by.
func change(n int) contact.Incoming {
	return contact.Incoming{Change: &contact.Change{
		System: contact.HubSpot, ID: "501", EventID: strconv.Itoa(n), Event: contact.Changed, Channel: contact.Webhook,
		OccurredAt: contact.Millis(n), Values: []contact.Value{{Name: "firstname", Text: "Ada"}},
	}}
}

func changes(tenant contact.Tenant, numbers ...int) bus.Message {
	m := bus.Message{Tenant: tenant}
	for _, n := range numbers {
		m.Incoming = append(m.Incoming, change(n))
	}
	return m
}

func numbers(d bus.Delivery) []int {
	var got []int
	for _, in := range d.Incoming {
		n, _ := strconv.Atoi(in.Change.EventID)
		got = append(got, n)
	}
	return got
}

func within(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func read(t testing.TB, b *bus.Bus, s bus.Stream, after uint64) *bus.Reader {
	t.Helper()
	r, err := b.Read(within(t, 20*time.Second), s, 0, t.Name(), after)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func next(t testing.TB, r *bus.Reader) bus.Delivery {
	t.Helper()
	d, err := r.Next(within(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func publish(t testing.TB, b *bus.Bus, s bus.Stream, messages ...bus.Message) {
	t.Helper()
	if err := b.Publisher(s, 0).Publish(within(t, 20*time.Second), messages...); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAndPatchesArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	in := bus.Message{Tenant: "acme", Incoming: []contact.Incoming{
		change(1),
		{Outcome: &contact.Outcome{System: contact.Aloware, Contact: "hubspot:501", Version: 3, Result: contact.Rejected,
			Refusal: &fault.Refusal{Class: fault.Permanent, Reason: "INVALID"}, EventID: "o1"}},
	}}
	publish(t, b, bus.Changes, in)
	r := read(t, b, bus.Changes, 0)
	d := next(t, r)
	if d.Err != nil || d.Tenant != "acme" || d.Seq != 1 || d.StoredAt.IsZero() || d.Stream != bus.Changes {
		t.Fatalf("got %+v", d)
	}
	if diff := cmp.Diff(in.Incoming, d.Incoming); diff != "" {
		t.Error(diff)
	}

	out := bus.Message{Tenant: "acme", System: contact.Aloware, Patches: []contact.Patch{{
		Contact: "hubspot:501", System: contact.Aloware, Version: 4,
		Properties: []contact.Property{{Name: "first_name", Type: contact.Text, Value: "Ada", Version: 4}},
	}}}
	publish(t, b, bus.Patches, out)
	d = next(t, read(t, b, bus.Patches, 0))
	if diff := cmp.Diff(out.Patches, d.Patches); d.Err != nil || d.System != contact.Aloware || diff != "" {
		t.Error(d.Err, d.System, diff)
	}
}

func TestReaderBeginsBehindAPosition(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	for i := range 10 {
		publish(t, b, bus.Changes, changes("acme", i))
	}
	r := read(t, b, bus.Changes, 7)
	if d := next(t, r); d.Seq != 8 || d.Missed != 0 {
		t.Errorf("got sequence %d missed %d, want 8 and 0", d.Seq, d.Missed)
	}
	next(t, r)
	next(t, r)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at the end: got %v, want to wait", err)
	}
	if got := r.Buffered(10); len(got) != 0 {
		t.Errorf("at the end: %d are buffered", len(got))
	}
	publish(t, b, bus.Changes, changes("acme", 10))
	if d := next(t, r); d.Seq != 11 {
		t.Errorf("got sequence %d, want 11", d.Seq)
	}
}

func TestBufferedGivesTheBacklogInOrder(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	const many = 3000
	var messages []bus.Message
	for i := range many {
		messages = append(messages, changes(contact.Tenant(fmt.Sprintf("t%d", i%20)), i))
	}
	publish(t, b, bus.Changes, messages...)
	r := read(t, b, bus.Changes, 0)
	seq := uint64(0)
	for seq < many {
		batch := append([]bus.Delivery{next(t, r)}, r.Buffered(499)...)
		if len(batch) > 500 {
			t.Fatalf("batch of %d", len(batch))
		}
		for _, d := range batch {
			if d.Seq != seq+1 || d.Err != nil {
				t.Fatalf("got %d after %d: %v", d.Seq, seq, d.Err)
			}
			seq = d.Seq
		}
	}
}
