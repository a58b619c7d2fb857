package ingest_test

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/postgres"
)

// BenchmarkFirstSync walks LOCKSTEP_BENCH_CONTACTS contacts (3,000 unless said;
// 1000000 is the full measure) of a simulator without limits into the bulk
// stream. CPU is that of the whole process, the simulators and the bus in it.
func BenchmarkFirstSync(b *testing.B) {
	contacts := 3000
	if text := os.Getenv("LOCKSTEP_BENCH_CONTACTS"); text != "" {
		var err error
		if contacts, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	for range b.N {
		b.StopTimer()
		w := newWorld(b, contacts, "full")
		ctx, cancel := context.WithCancel(context.Background())
		trimmed := make(chan struct{})
		var most uint64
		go func() { // what the mapper does: what was applied makes room
			defer close(trimmed)
			partition := w.bus.PartitionOf(acme)
			for {
				if last, _, err := w.bus.Last(ctx, bus.ChangesBulk, partition); err == nil && last > 0 {
					_ = w.bus.Trim(ctx, bus.ChangesBulk, partition, last) // tried again
				}
				var memory runtime.MemStats
				runtime.ReadMemStats(&memory)
				most = max(most, memory.HeapInuse)
				select {
				case <-ctx.Done():
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		}()
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		w.request("job1", postgres.FirstSync, walkHubSpot)
		cpu := processor()
		b.StartTimer()
		began := time.Now()
		stop := w.ingest("first", nil)
		deadline := time.Now().Add(time.Hour)
		for {
			s, err := w.db.FindSync(ctx, acme, "job1")
			if err == nil && walked(s) {
				if s.State != postgres.SyncDone || s.Counts.HubSpotRead != int64(contacts) {
					b.Fatalf("the job did not read all: %+v", s)
				}
				break
			}
			if time.Now().After(deadline) {
				b.Fatal("not done within an hour")
			}
			<-time.After(50 * time.Millisecond)
		}
		took := time.Since(began)
		b.StopTimer()
		b.ReportMetric(float64(contacts)/took.Seconds(), "contacts/s")
		b.ReportMetric((processor()-cpu).Seconds()/float64(contacts)*1e6, "cpu-s/million")
		cancel()
		<-trimmed
		stop()
		b.ReportMetric(float64(before.HeapInuse)/1e6, "MB-before")
		b.ReportMetric(float64(most)/1e6, "MB-most")
	}
}

// processor is the time that this process has used.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
