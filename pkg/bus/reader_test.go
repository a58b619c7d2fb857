package bus_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
)

// raw is a plain client on the same server, to do what the bus never does.
func raw(t testing.TB, e *bustest.Env) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(e), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// rawStream is the stream that the tests of readers use.
func rawStream(t testing.TB, e *bustest.Env) jetstream.Stream {
	t.Helper()
	_, js := raw(t, e)
	stream, err := js.Stream(t.Context(), "CHG-00")
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestTheReaderGoesOnOverRestartsAndALostConsumer(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	r := read(t, e.Bus, bus.Changes, 0)
	n := 0
	for round := range 4 {
		for range 30 {
			n++
			publish(t, e.Bus, bus.Changes, changes("acme", n))
		}
		if round%2 == 0 {
			e.StopServer()
			e.StartServer()
			continue
		}
		stream := rawStream(t, e)
		for name := range stream.ConsumerNames(t.Context()).Name() {
			if err := stream.DeleteConsumer(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for want := 1; want <= n; want++ {
		if d := next(t, r); d.Seq != uint64(want) || numbers(d)[0] != want || d.Missed != 0 {
			t.Fatalf("got %d %v missed %d, want %d", d.Seq, numbers(d), d.Missed, want)
		}
	}
	if s := e.Bus.Stats(); s.Reconnects != 2 || s.Resets < 2 {
		t.Errorf("got %+v", s)
	}

	r.Close()
	allForgotten(t, rawStream(t, e))
}

// allForgotten waits until the stream has no consumer.
func allForgotten(t testing.TB, stream jetstream.Stream) {
	t.Helper()
	for limit := within(t, 5*time.Second); ; {
		info, err := stream.Info(limit)
		if err != nil {
			t.Fatal("consumers stay behind: ", err)
		}
		if info.State.Consumers == 0 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestTheReaderNoticesAConsumerThatGivesNothing(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	e.Bus.SetWatch(300 * time.Millisecond)
	r := read(t, e.Bus, bus.Changes, 0)
	stream := rawStream(t, e)
	for name := range stream.ConsumerNames(t.Context()).Name() { // a paused consumer goes on with its heartbeats
		if _, err := stream.PauseConsumer(t.Context(), name, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, e.Bus, bus.Changes, changes("acme", 1))
	if d := next(t, r); d.Seq != 1 || e.Bus.Stats().Resets != 1 {
		t.Errorf("got %d after %d resets", d.Seq, e.Bus.Stats().Resets)
	}
}

func TestASlowReaderHoldsLittleInMemory(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	const many = 300
	var messages []bus.Message
	for i := range many { // 12 MiB
		messages = append(messages, bus.Message{Tenant: contact.Tenant(fmt.Sprintf("t%d", i%20)), Incoming: []contact.Incoming{big(i, 40<<10)}})
	}
	publish(t, b, bus.Changes, messages...)
	r := read(t, b, bus.Changes, 0)
	seq := next(t, r).Seq
	<-time.After(300 * time.Millisecond) // in which it could take in everything
	held := 0
	for _, d := range r.Buffered(many) {
		held += d.Size
		seq = d.Seq
	}
	if held == 0 || held > 2<<20 {
		t.Errorf("%d bytes were queued", held)
	}
	for seq < many {
		if d := next(t, r); d.Seq != seq+1 {
			t.Fatalf("got %d after %d", d.Seq, seq)
		}
		seq++
	}
}

func TestDroppedMessagesAreTold(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	for i := range 10 {
		publish(t, b, bus.Changes, changes("acme", i))
	}
	if err := b.Trim(t.Context(), bus.Changes, 0, 6); err != nil {
		t.Fatal(err)
	}
	if d := next(t, read(t, b, bus.Changes, 3)); d.Seq != 7 || d.Missed != 3 {
		t.Errorf("got sequence %d, missed %d", d.Seq, d.Missed)
	}
	if d := next(t, read(t, b, bus.Changes, 0)); d.Seq != 7 || d.Missed != 0 {
		t.Errorf("from the beginning: got sequence %d, missed %d", d.Seq, d.Missed)
	}
}

func TestUndecodableMessagesGoToTheDeadLettersAndTheBatchGoesOn(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	nc, js := raw(t, e)
	publish(t, e.Bus, bus.Changes, changes("acme", 1))
	for subject, data := range map[string]string{"chg.00.acme": "\xff not protobuf", "chg.00.Not/a/tenant.x": "x"} {
		if _, err := js.Publish(t.Context(), subject, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, e.Bus, bus.Changes, changes("acme", 2))
	letters, err := nc.SubscribeSync("dlq.mapper.acme.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}

	r := read(t, e.Bus, bus.Changes, 0)
	var got []int
	bad, seq := 0, ""
	for range 4 {
		d := next(t, r)
		if d.Err != nil {
			bad++
			if d.Tenant == "acme" {
				seq = fmt.Sprint(d.Seq)
			}
			for range 2 { // the second is a copy
				if err := e.Bus.DeadLetter(within(t, 20*time.Second), "mapper", d, d.Err); err != nil {
					t.Fatal(err)
				}
			}
		}
		got = append(got, numbers(d)...)
	}
	if bad != 2 || fmt.Sprint(got) != "[1 2]" {
		t.Errorf("%d undecodable, events %v", bad, got)
	}
	letter, err := letters.NextMsg(5 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if letter.Subject != "dlq.mapper.acme.undecodable" || string(letter.Data) != "\xff not protobuf" ||
		letter.Header.Get("lockstep-stream") != "CHG-00" || letter.Header.Get("lockstep-seq") != seq ||
		!strings.Contains(letter.Header.Get("lockstep-reason"), "no change run") {
		t.Errorf("got %s %q %v", letter.Subject, letter.Data, letter.Header)
	}
	stream, err := js.Stream(t.Context(), "DLQ")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 2 {
		t.Errorf("%d dead letters, want 2", n)
	}
}
