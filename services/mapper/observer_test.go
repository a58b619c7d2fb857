package mapper_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
)

// listener keeps what a mapper's observer hears.
type listener struct {
	mu        sync.Mutex
	repaired  map[string]int64
	rewritten [2]int64
	traces    []trace.TraceID // of writes
}

func (l *listener) Judged(context.Context, int, int, int, int) {}
func (l *listener) Lost(context.Context, int64)                {}

func (l *listener) Rewritten(_ context.Context, side contact.System, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rewritten[side-1] += n
}

func (l *listener) Written(ctx context.Context, _ contact.System, _, _ time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.traces = append(l.traces, trace.SpanContextFromContext(ctx).TraceID())
}

func (l *listener) Repaired(_ context.Context, side contact.System, cause string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.repaired[side.String()+" "+cause] += n
}

// TestTheObserverHearsWhatJobsRepaired, and each write with the trace of the
// message that told of it.
func TestTheObserverHearsWhatJobsRepaired(t *testing.T) {
	otel.SetTextMapPropagator(propagation.TraceContext{}) // the process's: not parallel
	e := newEnv(t)
	e.stop()
	heard := &listener{repaired: make(map[string]int64)}
	e.heard = heard
	e.start()
	const at contact.Millis = 1_700_000_000_000
	e.say(snapshot(contact.HubSpot, "1", at, "phone", "+12025550142", "city", "Austin"))
	outcome := made(e.newest(contact.Aloware, "hubspot:1"), contact.Made, "2", at+1000)
	outcome.Outcome.EventID, outcome.Outcome.EditedAt = "outcome", at
	const traced = "0af7651916cd43dd8448eb211c80319c"
	message := bus.Message{
		Tenant: acme, Incoming: []contact.Incoming{outcome}, Context: bus.WithTraceparent(t.Context(), "00-"+traced+"-b7ad6b7169203331-01"),
	}
	if err := e.bus.Publisher(bus.Changes, 0).Publish(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	e.applied()
	missed := snapshot(contact.HubSpot, "1", at+60_000, "phone", "+12025550142", "city", "Reno")
	missed.Change.EventID = "sync/job/1"
	e.say(missed)

	heard.mu.Lock()
	defer heard.mu.Unlock()
	if got := fmt.Sprint(heard.repaired); got != "map[hubspot missed_edit:1]" {
		t.Errorf("of an edit that only a job told the observer heard %s", got)
	}
	if got := fmt.Sprint(heard.traces); got != "["+traced+"]" {
		t.Errorf("writes were told with the traces %s, want %s", got, traced)
	}
}
