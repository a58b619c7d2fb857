package bus_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
)

// TestATrimmedStreamIsWholeAfterARestart: what is published after a trim is
// read back from disk.
func TestATrimmedStreamIsWholeAfterARestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	e := bustest.Start(t, bustest.Partitions(1))
	published := 0
	publish := func(n int) {
		t.Helper()
		for range n {
			published++
			id := strconv.Itoa(published)
			message := bus.Message{Tenant: "acme", Incoming: []contact.Incoming{{Communication: &contact.Communication{ID: id, Body: random(1500)}}}}
			if err := e.Bus.Publisher(bus.Changes, 0).Publish(ctx, message); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(2500) // so much that the server writes the trimmed block anew
	const dropped = 2400
	e.StopServer()
	e.StartServer()
	publish(1)
	if err := e.Bus.Trim(ctx, bus.Changes, 0, dropped); err != nil {
		t.Fatal(err)
	}
	publish(50)
	e.StopServer()
	e.StartServer()
	publish(50)
	r, err := e.Connect().Read(ctx, bus.Changes, 0, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for want := 0; want != published; want++ {
		d, err := r.Next(ctx)
		if err != nil || d.Err != nil {
			t.Fatalf("after message %d of %d: %v %v", want-1, published, err, d.Err)
		}
		if first == 0 {
			first, _ = strconv.Atoi(d.Incoming[0].Communication.ID)
			want = first
		}
		if got := d.Incoming[0].Communication.ID; got != strconv.Itoa(want) {
			t.Fatalf("message %s, want %d", got, want)
		}
	}
	if first > dropped+1 {
		t.Errorf("the first message is %d, want %d at the latest", first, dropped+1)
	}
}

// random is text that compression makes no smaller.
func random(n int) string {
	text := make([]byte, 0, n)
	for len(text) < n {
		text = strconv.AppendUint(text, rand.Uint64(), 36)
	}
	return string(text[:n])
}
