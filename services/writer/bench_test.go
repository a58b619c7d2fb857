package writer_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
)

// BenchmarkLane measures patches of twelve properties, each of another contact,
// from the stream through rows and calls of a hundred to the reported outcome.
// The system answers at once. CPU is that of this process with bus and client;
// PostgreSQL's comes on top.
func BenchmarkLane(b *testing.B) {
	const tenants, run = 10, 100
	var names []contact.Tenant
	for i := range tenants {
		names = append(names, contact.Tenant(fmt.Sprint("t", i)))
	}
	e := newEnv(b, names...)
	var pairs []string
	for i := range 12 {
		pairs = append(pairs, fmt.Sprint("property_", i), "a value of a usual length")
	}
	e.start("one")
	for _, name := range names { // opens the quotas
		e.send(bus.Patches, name, write(key(0), 1, "city", "a"))
	}
	e.awaitEmpty()
	e.system.plain = true // nothing runs now
	start := cpu()
	b.ResetTimer()
	for i := 0; i < b.N; i += run {
		var patches []contact.Patch
		for k := range min(run, b.N-i) {
			patches = append(patches, write(key(1+i+k), 1, pairs...))
		}
		e.send(bus.Patches, names[i/run%tenants], patches...)
	}
	e.awaitEmpty()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkIdleTenants measures what a tenant costs that was written for once.
func BenchmarkIdleTenants(b *testing.B) {
	for range b.N {
		const tenants = 1000
		var names []contact.Tenant
		for i := range tenants {
			names = append(names, contact.Tenant(fmt.Sprint("t", i)))
		}
		e := newEnv(b, names...)
		e.system.plain = true
		e.start("one")
		time.Sleep(2 * time.Second)
		var with, without runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&without)
		goroutines := runtime.NumGoroutine()
		for _, name := range names {
			e.send(bus.Patches, name, write(key(0), 1, "city", "a"))
		}
		e.awaitEmpty()
		time.Sleep(time.Second)
		runtime.GC()
		runtime.ReadMemStats(&with)
		b.ReportMetric(float64(int64(with.HeapAlloc)-int64(without.HeapAlloc))/tenants, "B/tenant")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
