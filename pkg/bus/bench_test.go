package bus_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/bus/embedded"
	"lockstep.internal/pkg/contact"
)

// run is a run as a webhook gives it.
func run(tenant contact.Tenant, events int) bus.Message {
	m := bus.Message{Tenant: tenant}
	for i := range events {
		in := change(i)
		in.Change.EventID = fmt.Sprintf("contact.propertyChange/501/%d/1700000000000/firstname", i)
		in.Change.Cause = "CRM_UI userId:1234567"
		m.Incoming = append(m.Incoming, in)
	}
	return m
}

func BenchmarkPublish(b *testing.B) {
	for _, events := range []int{1, 100} {
		b.Run(fmt.Sprintf("run of %d, one caller", events), func(b *testing.B) {
			p := bustest.New(b, bustest.SyncAlways(), bustest.MaxBytes(1<<34)).Publisher(bus.Changes, 0)
			m := run("acme", events)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Publish(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(fmt.Sprintf("run of %d, 64 tenants on 8 partitions", events), func(b *testing.B) {
			bu := bustest.New(b, bustest.SyncAlways(), bustest.MaxBytes(1<<34), bustest.Partitions(8))
			var callers atomic.Int32
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				n := int(callers.Add(1))
				p := bu.Publisher(bus.Changes, n%8)
				m := run(contact.Tenant(fmt.Sprintf("t%d", n)), events)
				for pb.Next() {
					if err := p.Publish(b.Context(), m); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, events := range []int{1, 100} {
		b.Run(fmt.Sprintf("run of %d", events), func(b *testing.B) {
			const many = 20000
			bu := bustest.New(b, bustest.MaxBytes(1<<34))
			n := many / events * 4
			var messages []bus.Message
			for i := range n {
				messages = append(messages, run(contact.Tenant(fmt.Sprintf("t%d", i%100)), events))
			}
			if err := bu.Publisher(bus.Changes, 0).Publish(b.Context(), messages...); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var r *bus.Reader
			left := 0
			for read := 0; read < b.N; {
				if left == 0 {
					if r != nil {
						r.Close()
					}
					var err error
					if r, err = bu.Read(b.Context(), bus.Changes, 0, "bench", 0); err != nil {
						b.Fatal(err)
					}
					left = n
				}
				d, err := r.Next(b.Context())
				if err != nil || d.Err != nil {
					b.Fatal(err, d.Err)
				}
				got := 1 + len(r.Buffered(499))
				read += got
				left -= got
			}
			b.StopTimer()
			r.Close()
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkStart is a first start and a later one, with everything synced and
// all 65 streams.
func BenchmarkStart(b *testing.B) {
	quiet := slog.New(slog.DiscardHandler)
	var first, later time.Duration
	for b.Loop() {
		dir := b.TempDir()
		for i := range 2 {
			begin := time.Now()
			s, err := embedded.Start(b.Context(), embedded.Config{Dir: dir, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			bu, err := bus.Connect(b.Context(), bus.Config{InProcess: s, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			if err := bu.Ensure(b.Context()); err != nil {
				b.Fatal(err)
			}
			if i == 0 {
				first += time.Since(begin)
			} else {
				later += time.Since(begin)
			}
			if err := bu.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			s.Stop()
		}
	}
	b.ReportMetric(float64(first.Milliseconds())/float64(b.N), "first-ms")
	b.ReportMetric(float64(later.Milliseconds())/float64(b.N), "later-ms")
}
