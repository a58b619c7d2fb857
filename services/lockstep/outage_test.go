package lockstep_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep.internal/services/lockstep/fleet"
)

// TestAnOutageOfTheBusLosesNothing: while the bus is away, and over a restart of
// ingest in the middle, HubSpot is told to send again and Aloware, which never
// does, is told that its deliveries were taken. When the bus is back, both
// sides hold what was edited last, and nothing had to be found by a poll.
func TestAnOutageOfTheBusLosesNothing(t *testing.T) {
	t.Parallel()
	w := startProcesses(t, "LOCKSTEP_POLL_EVERY=-1s")
	d, ingest := w.demo, w.processes[0]
	w.connect()
	hubspotID, alowareID := w.pair()
	d.settle(30 * time.Second)
	d.mustPost(d.aloware, "/_sim/stats/reset", map[string]any{}, nil)
	d.mustPost(d.hubspot, "/_sim/stats/reset", map[string]any{}, nil)

	w.server.Stop()
	edited := 0
	edit := func(times int) {
		for range times {
			edited++
			d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"email": fmt.Sprintf("ada%d@example.com", edited)}}, nil)
		}
	}
	taken := func() string {
		hooks := d.hooks(d.aloware)
		if got := number(hooks["sent"]); got != float64(edited) || number(hooks["failed"]) != 0 {
			return fmt.Sprintf("%v of %d deliveries of Aloware were taken: %v", got, edited, hooks)
		}
		return ""
	}
	edit(3)
	eventually(t, 20*time.Second, taken)
	ingest.Signal(syscall.SIGTERM) // it is started again by its supervisor
	eventually(t, 30*time.Second, func() string {
		if starts, _ := ingest.Counts(); starts == 0 {
			return "ingest was not started again"
		}
		if err := ingest.Ready(t.Context()); err != nil {
			return fmt.Sprintf("ingest is not ready: %v; last words: %s", err, ingest.LastWords())
		}
		return ""
	})
	edit(3)
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"firstname": "Augusta"}}, nil)
	eventually(t, 20*time.Second, func() string {
		if hooks := d.hooks(d.hubspot); number(hooks["retried"]) == 0 {
			return fmt.Sprintf("HubSpot was not refused: %v", hooks)
		}
		return taken()
	})
	if raw, err := fleet.Get(t.Context(), ingest.Probe, "/metrics"); err != nil || !strings.Contains(string(raw), "lockstep_spool_depth") {
		t.Errorf("the depth of the spool is told to nobody: %v", err)
	}

	w.startBus(t.Context())
	eventually(t, 60*time.Second, func() string {
		h, a := d.contacts(d.hubspot, "?id="+hubspotID)[hubspotID], d.contacts(d.aloware, "?id="+alowareID)[alowareID]
		if want := fmt.Sprintf("ada%d@example.com", edited); h["email"] != want || a["email"] != want || h["firstname"] != "Augusta" || a["first_name"] != "Augusta" {
			return fmt.Sprintf("HubSpot holds %s %s, Aloware %s %s", h["email"], h["firstname"], a["email"], a["first_name"])
		}
		return ""
	})
	if _, byItself := ingest.Counts(); byItself > 0 {
		t.Errorf("ingest ended by itself %d times", byItself)
	}
}

// hooks is what a simulator counted of its webhooks.
func (d *demo) hooks(address string) map[string]any {
	d.t.Helper()
	hooks, _ := d.stats(address)["webhooks"].(map[string]any)
	return hooks
}
