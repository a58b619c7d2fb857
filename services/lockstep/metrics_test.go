package lockstep_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep.internal/services/lockstep/fleet"
)

// scrape reads the metrics as a collector does that takes exemplars.
func (d *demo) scrape() []string {
	d.t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+d.console+"/metrics", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	answer, err := client.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// TestMetricsAreThereToAlertOn: each that an operator alerts on is told by a
// running process, with the labels that tell where to look, and never with a
// tenant, of which there may be thousands.
func TestMetricsAreThereToAlertOn(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=1", "LOCKSTEP_POLL_EVERY=-1s", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	var hubspotID, alowareID string
	eventually(t, 60*time.Second, func() string {
		for h, a := range d.pairs() {
			hubspotID, alowareID = h, a
			return ""
		}
		return "no contact is on both sides"
	})
	d.settle(30 * time.Second)

	// What should not happen happens: a forged webhook, a limit that is hit, and
	// an edit that only a reconciliation finds.
	if status := d.hook(`[{"eventId":1}]`, "a wrong secret", time.Now()); status != http.StatusUnauthorized {
		t.Errorf("a forged webhook was answered with %d", status)
	}
	d.follow(func() {
		d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"email": "ada@example.com"}}, nil)
	}, d.hubspot, hubspotID, "email", "ada@example.com")
	d.mustPost(d.aloware, "/_sim/faults", []map[string]any{{"path": "/api/", "status": 429, "rate": 1, "count": 1}}, nil)
	d.follow(func() {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"firstname": "Held up"}}, nil)
	}, d.aloware, alowareID, "first_name", "Held up")
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"firstname": "Unheard"}}, nil)
	d.follow(func() { d.sync("reconcile", "demo", "--full") }, d.aloware, alowareID, "first_name", "Unheard")

	for _, want := range []string{
		`lockstep_ingest_received_total system="aloware" channel="webhook" > 0`,
		`lockstep_ingest_refused_total system="hubspot" reason="signature" > 0`,
		`lockstep_spool_depth = 0`,
		`lockstep_spool_oldest_age_seconds = 0`,
		`lockstep_holds_open = 0`,
		`lockstep_mapper_judged_total > 0`,
		`lockstep_mapper_echoes_total > 0`,
		`lockstep_mapper_stale_total >= 0`,
		`lockstep_mapper_patches_total > 0`,
		`lockstep_partition_lag stage="mapper" >= 0`,
		`lockstep_partition_oldest_age_seconds stage="mapper" >= 0`,
		`lockstep_stage_repeated_total stage="mapper" >= 0`,
		`lockstep_lane_oldest_due_seconds system="hubspot" >= 0`,
		`lockstep_lane_paused_total system="aloware" class="throttled" > 0`,
		`lockstep_writer_delivered_total system="hubspot" outcome="written" > 0`,
		`lockstep_quota_used_total system="hubspot" > 0`,
		`lockstep_quota_refused_total system="aloware" > 0`,
		`lockstep_quota_refused_total system="hubspot" >= 0`,
		`lockstep_quota_window_used system="hubspot" >= 0`,
		`lockstep_quota_window_limit system="hubspot" > 0`,
		`lockstep_quota_used_ratio system="hubspot" >= 0`,
		`lockstep_sync_repaired_total system="hubspot" cause="missed_edit" > 0`,
		`lockstep_sync_repaired_total system="aloware" cause="differing_value" >= 0`,
		`lockstep_sync_latency_seconds_count system="hubspot" > 0`,
		`lockstep_sync_processing_seconds_count system="aloware" > 0`,
		`lockstep_activity_missing >= 0`,
		`lockstep_bus_reconnects_total >= 0`,
		`lockstep_bus_refused_total = 0`,
		`lockstep_bus_errors_total >= 0`,
		`lockstep_bus_resends_total >= 0`,
		`lockstep_bus_resets_total >= 0`,
		`lockstep_bus_missed_total = 0`,
		`lockstep_bus_undecodable_total = 0`,
		`lockstep_bus_dead_letters_total = 0`,
	} {
		eventually(t, 10*time.Second, func() string { return lacks(d.scrape(), want) })
	}
	eventually(t, 10*time.Second, func() string {
		for _, line := range d.scrape() {
			if strings.HasPrefix(line, "lockstep_sync_latency_seconds_bucket") && strings.Contains(line, `# {`) && strings.Contains(line, `trace_id="`) {
				return ""
			}
		}
		return "no latency of an edit has an exemplar"
	})

	label := regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
	for _, line := range d.scrape() {
		if strings.HasPrefix(line, "#") {
			continue
		}
		sample, _, _ := strings.Cut(line, " # ")
		for _, match := range label.FindAllStringSubmatch(sample, -1) {
			if strings.Contains(match[1], "tenant") || match[2] == "demo" || strings.Contains(match[2], "/demo") {
				t.Errorf("a tenant is an attribute of a metric: %s", line)
			}
		}
	}

	// The health page tells of a lane that rests; the process goes on.
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{{"path": "/crm/", "status": 429, "rate": 1}}, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"email": "grace@example.com"}}, nil)
	eventually(t, 10*time.Second, func() string {
		told, err := fleet.Get(t.Context(), d.console, "/readyz")
		if err != nil {
			t.Fatalf("a lane that rests makes the process unready: %v", err)
		}
		if !strings.Contains(string(told), "hubspot: 1 lanes rest (throttled)") {
			return "the health page says " + string(told)
		}
		return ""
	})
	if _, err := fleet.Get(t.Context(), d.console, "/healthz"); err != nil {
		t.Errorf("a lane that rests makes the process dead: %v", err)
	}
}

// lacks tells what is not as wanted: a name, labels, a comparison, a number;
// "" when a line is so.
func lacks(lines []string, want string) string {
	fields := strings.Fields(want)
	name, labels := fields[0], fields[1:len(fields)-2]
	comparison, number := fields[len(fields)-2], fields[len(fields)-1]
	holds := func(got, limit float64) bool {
		return comparison == ">" && got > limit || comparison == ">=" && got >= limit || comparison == "=" && got == limit
	}
	reason := "there is no " + want
	for _, line := range lines {
		if !strings.HasPrefix(line, name+"{") || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(line, l) }) {
			continue
		}
		sample, _, _ := strings.Cut(line, " # ")
		var got, limit float64
		fmt.Sscan(sample[strings.LastIndex(sample, "}")+1:], &got)
		fmt.Sscan(number, &limit)
		if holds(got, limit) {
			return ""
		}
		reason = fmt.Sprintf("%s, want %s", line, want)
	}
	return reason
}
