package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// big is a change with a long text.
func big(n, size int) contact.Incoming {
	in := change(n)
	in.Change.Values[0].Text = strings.Repeat("x", size)
	return in
}

func TestAFullStreamReachesTheCallerAndReordersNothing(t *testing.T) {
	t.Parallel()
	b := bustest.New(t, bustest.MaxBytes(1<<20))
	p := b.Publisher(bus.Changes, 0)
	sent, n := 0, 0
	var err error
	for err == nil && n < 1000 {
		// A large one that will not fit, followed by small ones that would.
		messages := []bus.Message{{Tenant: "acme", Incoming: []contact.Incoming{big(n+1, 40<<10)}}, changes("acme", n+2), changes("acme", n+3)}
		if err = p.Publish(within(t, 20*time.Second), messages...); err == nil {
			sent = n + 3
		}
		n += 3
	}
	if !errors.Is(err, bus.ErrFull) || !fault.Is(err, fault.Transient) {
		t.Fatalf("got %v, want a full stream", err)
	}
	if err := b.Trim(t.Context(), bus.Changes, 0, 5); err != nil {
		t.Fatal(err)
	}
	publish(t, b, bus.Changes, changes("acme", 9999))
	r := read(t, b, bus.Changes, 5)
	last := 5
	for {
		got := numbers(next(t, r))[0]
		if got == 9999 {
			break
		}
		if got != last+1 {
			t.Fatalf("%d after %d", got, last)
		}
		last = got
	}
	if last != sent {
		t.Errorf("the stream ends with %d, the last call without error with %d", last, sent)
	}
}

// inOrder reads so many events, of each caller (n/100) one after another.
func inOrder(t *testing.T, r *bus.Reader, events int) {
	t.Helper()
	want := map[int]int{}
	for seen := 0; seen < events; {
		for _, n := range numbers(next(t, r)) {
			if n%100 != want[n/100] {
				t.Fatalf("caller %d: %d, want %d", n/100, n%100, want[n/100])
			}
			want[n/100]++
			seen++
		}
	}
}

func TestConcurrentCallersShareAPublisher(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	p := b.Publisher(bus.Changes, 0)
	var wg sync.WaitGroup
	for c := range 20 {
		wg.Go(func() {
			for i := range 20 {
				if err := p.Publish(within(t, 20*time.Second), changes(contact.Tenant(fmt.Sprintf("t%d", c%5)), c*100+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	inOrder(t, read(t, b, bus.Changes, 0), 400)
}

func TestTheSameIDIsStoredOnce(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	m := changes("acme", 1)
	m.ID = "x"
	publish(t, b, bus.Changes, m)
	publish(t, b, bus.Changes, m)
	if seq, at, err := b.Last(t.Context(), bus.Changes, 0); err != nil || seq != 1 || at.IsZero() {
		t.Error(seq, at, err)
	}
}

func TestABigRunIsSplitAndAnOversizedEventToldWhileTheRestGoesOut(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	m := bus.Message{Tenant: "acme", ID: "run"}
	for i := range 10 {
		m.Incoming = append(m.Incoming, big(i, 20<<10))
	}
	m.Incoming[4] = big(4, 800<<10)
	m.Incoming[5] = big(5, 600<<10) // by itself
	end := changes("acme", 10)
	end.ID = "end"
	for range 2 { // the parts of a copy are copies
		err := b.Publisher(bus.Changes, 0).Publish(within(t, 20*time.Second), m, end)
		if !errors.Is(err, bus.ErrTooLarge) || !fault.Is(err, fault.Permanent) || !strings.Contains(err.Error(), `"4"`) {
			t.Fatalf("got %v, want the oversized event named", err)
		}
	}
	r := read(t, b, bus.Changes, 0)
	var got []int
	messages := 0
	for len(got) < 10 {
		d := next(t, r)
		if d.Err != nil || d.Size > 48<<10 && len(d.Incoming) > 1 {
			t.Fatal(d.Size, d.Err)
		}
		got = append(got, numbers(d)...)
		messages++
	}
	if fmt.Sprint(got) != "[0 1 2 3 5 6 7 8 9 10]" || messages != 6 {
		t.Errorf("got %v in %d messages", got, messages)
	}
	if seq, _, err := b.Last(t.Context(), bus.Changes, 0); err != nil || seq != 6 {
		t.Errorf("the copy was stored too: last is %d, %v", seq, err)
	}
}

func TestWhatTheServerRefusesHoldsUpNothing(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	if err := b.LimitMessages(t.Context(), bus.Changes, 0, 30<<10); err != nil {
		t.Fatal(err)
	}
	m := bus.Message{Tenant: "acme", Incoming: []contact.Incoming{big(1, 20<<10), big(2, 40<<10), big(3, 20<<10)}}
	err := b.Publisher(bus.Changes, 0).Publish(within(t, 20*time.Second), m)
	if !errors.Is(err, bus.ErrInvalid) || !fault.Is(err, fault.Permanent) {
		t.Fatalf("got %v, want the message refused", err)
	}
	r := read(t, b, bus.Changes, 0)
	if got := append(numbers(next(t, r)), numbers(next(t, r))...); fmt.Sprint(got) != "[1 3]" {
		t.Errorf("stored is %v, want all but what was refused", got)
	}
}

func TestPublishWaitsForTheServerAndGivesUpInTime(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	e.StopServer()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	m := changes("acme", 1)
	m.ID = "one"
	if err := e.Bus.Publisher(bus.Changes, 0).Publish(ctx, m); !errors.Is(err, bus.ErrUnavailable) || !fault.Is(err, fault.Transient) {
		t.Fatalf("got %v", err)
	}
	published := make(chan error)
	go func() { published <- e.Bus.Publisher(bus.Changes, 0).Publish(within(t, 20*time.Second), m) }()
	e.StartServer()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if seq, _, err := e.Bus.Last(t.Context(), bus.Changes, 0); err != nil || seq != 1 {
		t.Error(seq, err)
	}
}

func TestALazyBusWorksOnceTheServerIsThere(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	e.StopServer()
	b := e.ConnectLazily()
	heard := make(chan struct{}, 1)
	stop, err := b.Listen("news", func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.Publisher(bus.Changes, 0).Publish(short, changes("acme", 1)); !errors.Is(err, bus.ErrUnavailable) || !fault.Is(err, fault.Transient) {
		t.Fatalf("while it is away: got %v", err)
	}
	published := make(chan error)
	go func() {
		published <- b.Publisher(bus.Changes, 0).Publish(within(t, 30*time.Second), changes("acme", 2))
	}()
	e.StartServer()
	if err := b.Ping(t.Context()); err == nil {
		t.Error("the ping is good though nothing may be published yet")
	}
	if err := b.Ensure(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if err := b.Ping(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	if got := numbers(next(t, read(t, e.Bus, bus.Changes, 0))); len(got) != 1 || got[0] != 2 {
		t.Errorf("stored is %v, want what was not given up", got)
	}
	select {
	case <-heard: // what was said while it was away was missed
	case <-within(t, 10*time.Second).Done():
		t.Error("the listener was not called after the connection was made")
	}
}

func TestALazyBusPublishesNothingOnOtherPartitions(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t, bustest.Partitions(4))
	b := e.ConnectLazily(bustest.Partitions(2))
	if err := b.Ensure(within(t, 20*time.Second)); !fault.Is(err, fault.Permanent) {
		t.Fatalf("got %v, want it refused", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.Publisher(bus.Changes, 0).Publish(short, changes("acme", 1)); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if seq, _, err := e.Bus.Last(t.Context(), bus.Changes, 0); err != nil || seq != 0 {
		t.Errorf("%d messages are stored, %v", seq, err)
	}
}

// TestWhatWaitsForATurnGoesAlong: many callers of one subject cost few messages, and
// each event is stored once, in the order of its caller.
func TestWhatWaitsForATurnGoesAlong(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	p := b.Publisher(bus.Changes, 0)
	const callers, each = 50, 10
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if err := p.Publish(within(t, 20*time.Second), changes("acme", c*100+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	last, _, err := b.Last(t.Context(), bus.Changes, 0)
	if err != nil || last > callers*each/4 {
		t.Errorf("%d messages for %d runs of callers that waited: %v", last, callers*each, err)
	}
	inOrder(t, read(t, b, bus.Changes, 0), callers*each)
}

// TestWhatIsTooLargeTogetherGoesAlone: the server's own limit is below ours.
func TestWhatIsTooLargeTogetherGoesAlone(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	if err := b.LimitMessages(t.Context(), bus.Changes, 0, 15<<10); err != nil {
		t.Fatal(err)
	}
	p := b.Publisher(bus.Changes, 0)
	var wg sync.WaitGroup
	for c := range 30 {
		wg.Go(func() {
			m := bus.Message{Tenant: "acme", Incoming: []contact.Incoming{big(c, 10<<10)}}
			if c == 7 {
				m.Incoming[0] = big(c, 20<<10)
			}
			if err := p.Publish(within(t, 20*time.Second), m); (err != nil) != (c == 7) {
				t.Errorf("caller %d: %v", c, err)
			}
		})
	}
	wg.Wait()
	if last, _, err := b.Last(t.Context(), bus.Changes, 0); err != nil || last != 29 {
		t.Errorf("%d messages, %v; want all but the one that is too large", last, err)
	}
}

// TestWhoGivesUpInTheLineHoldsUpNobody: neither before nor behind others.
func TestWhoGivesUpInTheLineHoldsUpNobody(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	e.StopServer()
	p := e.Bus.Publisher(bus.Changes, 0)
	var wg sync.WaitGroup
	for c := range 12 {
		wg.Go(func() {
			patience := 20 * time.Second
			if c%3 == 0 {
				patience = time.Duration(50+20*c) * time.Millisecond
			}
			err := p.Publish(within(t, patience), changes("acme", c))
			if (err != nil) != (c%3 == 0) {
				t.Errorf("caller %d: %v", c, err)
			}
		})
	}
	time.Sleep(600 * time.Millisecond)
	e.StartServer()
	wg.Wait()
	r := read(t, e.Bus, bus.Changes, 0)
	for seen := map[int]bool{}; len(seen) < 8; {
		for _, n := range numbers(next(t, r)) {
			seen[n] = true
		}
	}
	if err := p.Publish(within(t, 20*time.Second), changes("acme", 99)); err != nil {
		t.Errorf("the line goes on: %v", err)
	}
}
