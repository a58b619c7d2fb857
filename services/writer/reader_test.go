package writer_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/grant"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
)

// TestAReaderHasItsTurnBesideABacklog: what a job reads and what it leads to
// share the calls, so that a list is read to its end long before all is written.
func TestAReaderHasItsTurnBesideABacklog(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "acme")
	e.system.batch, e.system.quota = 1, true
	const perSecond = 40
	e.change("acme", func(t *tenant.Tenant) { t.HubSpot.WindowLimit = 10 * perSecond })
	const backlog = 400
	patches := make([]contact.Patch, backlog)
	for i := range patches {
		patches[i] = write(contact.Key(fmt.Sprintf("hubspot:%d", i)), 1, "city", "Bonn")
	}
	e.send(bus.PatchesBulk, "acme", patches...)
	p := e.start("one")
	e.await("the backlog is being written", func() bool { return len(e.system.seen()) > 50 })
	reader := &grant.Budget{Bus: p.bus, Tenant: "acme", System: contact.HubSpot, Own: quota.NewGate(quota.Limits{Window: time.Hour, Max: 1})}
	began := time.Now()
	const pages = 20
	for range pages {
		ticket, err := reader.Take(quota.Bulk(t.Context()), quota.General)
		if err != nil {
			t.Fatal(err)
		}
		ticket.Done(quota.Answer{})
	}
	written := len(e.system.seen()) - 50
	t.Logf("%d calls for the reader, and %d of the backlog, in %v", pages, written, time.Since(began))
	if written > 6*pages {
		t.Errorf("a reader got %d calls while a backlog had %d", pages, written)
	}
}
