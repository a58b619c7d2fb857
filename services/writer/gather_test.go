package writer_test

import (
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
)

// TestPartsOfABulkBatchAreGathered: a batch that a job fills piece by piece is
// one call, the rest goes after a while, and a live edit waits for nothing.
func TestPartsOfABulkBatchAreGathered(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.system.batch = 10
	e.start("one")
	rest := contact.Key("hubspot:200")
	for i := range 20 {
		e.send(bus.PatchesBulk, "acme", write(key(i), 1, "city", "Bonn"))
		time.Sleep(10 * time.Millisecond) // one at a time comes
	}
	began := time.Now()
	e.send(bus.PatchesBulk, "acme", write(rest, 1, "city", "Bonn"))
	e.awaitEmpty()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the rest of a job went after %v", took)
	}
	if calls := e.system.seen(); len(calls) > 4 {
		t.Errorf("21 contacts in batches of ten took %d calls", len(calls))
	}

	e.send(bus.PatchesBulk, "acme", write(rest, 2, "city", "Köln"))
	began = time.Now()
	e.send(bus.Patches, "acme", write("hubspot:201", 1, "city", "Bonn"))
	e.await("the live edit is there", func() bool { return e.system.value("acme/hubspot:201/city") == "Bonn" })
	if took := time.Since(began); took > 800*time.Millisecond {
		t.Errorf("a live edit waited %v beside a part of a batch", took)
	}
}
