package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
)

// Not parallel: three servers want the cores for themselves.
func TestOrderHoldsWhileLeadersStepDown(t *testing.T) {
	c := bustest.Cluster(t, 3)
	const tenants, callers = 6, 2
	long := 4 * time.Second
	if testing.Short() {
		long = time.Second
	}

	// Every tenant has callers that share a counter: whoever holds the turn
	// publishes the next number, single or as a call of several messages.
	var sent [tenants]int
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for tenant := range tenants {
		var mu sync.Mutex
		p := c.Bus.Publisher(bus.Changes, 0)
		for range callers {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					mu.Lock()
					var messages []bus.Message
					for range 1 + sent[tenant]%4 {
						sent[tenant]++
						m := changes(contact.Tenant(fmt.Sprintf("t%d", tenant)), sent[tenant])
						m.ID = fmt.Sprintf("%d/%d", tenant, sent[tenant])
						messages = append(messages, m)
					}
					ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
					err := p.Publish(ctx, messages...)
					cancel()
					mu.Unlock()
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	var downs atomic.Int32
	go func() {
		ticker := time.NewTicker(300 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if c.StepDown("CHG-00") {
					downs.Add(1)
				}
			case <-stop:
				return
			}
		}
	}()

	r := read(t, c.Bus, bus.Changes, 0)
	timer := time.AfterFunc(long, func() { close(stop) })
	defer timer.Stop()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()

	limit := within(t, time.Minute)
	var got [tenants]int
	seq := uint64(0)
	for finished := false; !finished || got != sent; {
		ctx, cancel := context.WithTimeout(limit, 100*time.Millisecond)
		d, err := r.Next(ctx)
		cancel()
		if !finished {
			select {
			case <-done:
				finished = true
			default:
			}
		}
		if limit.Err() != nil {
			t.Fatalf("got %v", got)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		if err != nil || d.Seq != seq+1 || d.Missed != 0 {
			t.Fatalf("sequence %d after %d, missed %d: %v", d.Seq, seq, d.Missed, err)
		}
		seq = d.Seq
		var tenant int
		fmt.Sscanf(string(d.Tenant), "t%d", &tenant)
		for _, n := range numbers(d) {
			if n != got[tenant]+1 {
				t.Fatalf("tenant %d: %d after %d", tenant, n, got[tenant])
			}
			got[tenant] = n
		}
	}
	stats := c.Bus.Stats()
	t.Logf("%d messages, %d step-downs, %d resends, %d consumers made anew", seq, downs.Load(), stats.Resends, stats.Resets)
	if downs.Load() < 2 {
		t.Errorf("only %d leaders stepped down", downs.Load())
	}
}

func TestReaderSurvivesTheLossOfAServer(t *testing.T) {
	if testing.Short() {
		t.Skip("elections take seconds")
	}
	c := bustest.Cluster(t, 3)
	r := read(t, c.Bus, bus.Changes, 0)
	n := 0
	for i := range 3 {
		for range 20 {
			n++
			publish(t, c.Bus, bus.Changes, changes("acme", n))
		}
		c.StopServer(i)
		n++
		publish(t, c.Bus, bus.Changes, changes("acme", n))
		c.StartServer(i)
	}
	for want := 1; want <= n; want++ {
		d := next(t, r)
		if got := numbers(d); got[0] != want {
			t.Fatalf("got %v, want %d", got, want)
		}
	}
}
