package stage_test

import (
	"fmt"
	"testing"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/stage"
)

// BenchmarkBacklog is the room's own cost for one message with one event, in a
// backlog: reading, batching and moving the watermark.
func BenchmarkBacklog(b *testing.B) {
	w := newWorld(b, bustest.Partitions(1))
	tenant := w.tenants()[0]
	const n = 20000
	var messages []bus.Message
	for i := range n {
		messages = append(messages, message(tenant, fmt.Sprint(i)))
	}
	if err := w.Bus.Publisher(bus.Changes, 0).Publish(b.Context(), messages...); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for run := 0; b.Loop(); run++ {
		b.StopTimer()
		name := fmt.Sprintf("bench%d", run) // begins at the first message
		w.commits = nil
		b.StartTimer()
		p := w.start(&worker{owner: "a"}, func(c *stage.Config) { c.Name = name })
		w.waitFor(n)
		p.stop()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/message")
	b.ReportMetric(float64(n)/float64(len(w.commits)), "messages/batch")
}
