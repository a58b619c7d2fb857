package lockstep_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// TestAnEditReachesTheOtherSide: in the demonstration, as it is shipped, an
// edit in either system is in the other within the bar, and then nothing moves
// any more.
func TestAnEditReachesTheOtherSide(t *testing.T) {
	d := startProgram(t, program(t, "lockstep"))
	var hubspotID, alowareID string
	eventually(t, 60*time.Second, func() string {
		for h, a := range d.pairs() {
			hubspotID, alowareID = h, a
			return ""
		}
		return "no contact is on both sides yet"
	})
	d.settle(60 * time.Second)

	// Aloware's simulator takes five calls a second: edits that come faster would
	// measure how long they wait for one.
	person := time.NewTicker(300 * time.Millisecond)
	defer person.Stop()
	const edits = 40
	var forth, back []time.Duration
	for i := range edits {
		forth = append(forth, d.follow(func() {
			d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"firstname": fmt.Sprintf("Ada %d", i)}}, nil)
		}, d.aloware, alowareID, "first_name", fmt.Sprintf("Ada %d", i)))
		back = append(back, d.follow(func() {
			d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"email": fmt.Sprintf("ada%d@example.com", i)}}, nil)
		}, d.hubspot, hubspotID, "email", fmt.Sprintf("ada%d@example.com", i)))
		<-person.C
	}
	for name, times := range map[string][]time.Duration{"HubSpot to Aloware": forth, "Aloware to HubSpot": back} {
		slices.Sort(times)
		median := times[len(times)/2]
		t.Logf("%s: median %v, slowest %v", name, median, times[len(times)-1])
		if median > 300*time.Millisecond {
			t.Errorf("%s: median %v, want under 300ms", name, median)
		}
	}

	d.settle(30 * time.Second)
	before := d.writes()
	quiet := time.NewTimer(3 * time.Second)
	defer quiet.Stop()
	<-quiet.C
	if after := d.writes(); after != before {
		t.Errorf("writes went on after both sides agreed: %s, then %s", before, after)
	}

	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"aloware_lead_source": "by hand"}}, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"last_name": "By Hand"}}, nil)
	d.settle(30 * time.Second)
	if got := d.contacts(d.aloware, "?id="+alowareID)[alowareID]["lead_source"]; got == "by hand" {
		t.Error("lead source flows to HubSpot only, but HubSpot's edit reached Aloware")
	}
	if got := d.contacts(d.hubspot, "?id="+hubspotID)[hubspotID]["lastname"]; got == "By Hand" {
		t.Error("last name flows to Aloware only, but Aloware's edit reached HubSpot")
	}
	if err := d.stop(); err != nil {
		t.Errorf("SIGTERM must end lockstep cleanly: %v", err)
	}
	d.start() // for the clean-up, and: what was stored is found again
	if got := d.contacts(d.aloware, "?id="+alowareID)[alowareID]["first_name"]; got != fmt.Sprintf("Ada %d", edits-1) {
		t.Errorf("after a restart the first name is %q", got)
	}
}

// follow times how long an edit takes to be seen on the other side.
func (d *demo) follow(edit func(), address, id, field, want string) time.Duration {
	d.t.Helper()
	start := time.Now()
	edit()
	eventually(d.t, 20*time.Second, func() string {
		if got := d.contacts(address, "?id="+id)[id][field]; got != want {
			return fmt.Sprintf("%s is %q, want %q", field, got, want)
		}
		return ""
	})
	return time.Since(start)
}

// writes tells how many values the two systems were given by API.
func (d *demo) writes() string {
	return fmt.Sprint(d.stats(d.hubspot)["writes"], d.stats(d.aloware)["writes"])
}

// settle waits until no value has been written for a while.
func (d *demo) settle(within time.Duration) {
	d.t.Helper()
	last, since := "", time.Now()
	eventually(d.t, within, func() string {
		if now := d.writes(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < 1500*time.Millisecond {
			return "values are still being written: " + last
		}
		return ""
	})
}

// rule says how one field is kept in step in the demonstration.
type rule struct {
	hubspot, aloware, read string // property names; read as Aloware shows it
	direction              string
	value                  func(r *rand.Rand) string
}

func word(r *rand.Rand) string { return fmt.Sprintf("word %d", r.IntN(1_000_000)) }

var rules = []rule{
	{"email", "email", "email", "both", func(r *rand.Rand) string { return fmt.Sprintf("p%d@example.com", r.IntN(1_000_000_000)) }},
	{"firstname", "first_name", "first_name", "to_aloware", word},
	{"lastname", "last_name", "last_name", "to_aloware", word},
	{"company", "company_name", "company_name", "to_aloware", word},
	{"city", "city", "cnam_city", "to_aloware", word},
	{"aloware_lead_source", "lead_source", "lead_source", "to_hubspot", word},
	{"aloware_custom_field_1", "csf1", "csf1", "to_hubspot", word},
}

// TestNothingIsLostWhenKilled: random edits on both sides, disorder on every
// way, failing calls, and five SIGKILLs; at rest both sides agree by the rules
// and no window was exceeded.
func TestNothingIsLostWhenKilled(t *testing.T) {
	edits, kills := 2000, 5
	if testing.Short() {
		edits, kills = 200, 1
	}
	d := startDemo(t, "LOCKSTEP_POLL_EVERY=3s", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "LOCKSTEP_DEMO_CONTACTS=24")
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 20 {
			return fmt.Sprintf("%d contacts are on both sides, want 20", n)
		}
		return ""
	})
	d.settle(60 * time.Second)
	disorder := func() {
		for _, address := range []string{d.hubspot, d.aloware} {
			d.mustPost(address, "/_sim/webhooks", map[string]any{"duplicate": 0.2, "reorder": 0.2}, nil)
			d.mustPost(address, "/_sim/faults", []map[string]any{{"path": "/crm/", "status": 500, "rate": 0.05}, {"path": "/api/", "status": 500, "rate": 0.05}}, nil)
		}
	}
	disorder()

	pairs := d.pairs()
	ids := slices.Sorted(maps.Keys(pairs))
	random := rand.New(rand.NewPCG(7, 7))
	sourceEdited := make(map[string]string) // contact and field whose source was clearly edited last
	targetEdited := make(map[string]time.Time)
	for i := range edits {
		if kills > 0 && i%(edits/(kills+1)) == edits/(kills+1)-1 && i < edits-1 {
			kills--
			d.kill()
			d.start()
			disorder()
		}
		id := ids[random.IntN(len(ids))]
		r := rules[random.IntN(len(rules))]
		value := r.value(random)
		address, body := d.hubspot, map[string]any{"id": id, "properties": map[string]any{r.hubspot: value}}
		fromHubSpot := random.IntN(2) == 0
		if !fromHubSpot {
			address, body = d.aloware, map[string]any{"id": pairs[id], "fields": map[string]any{r.aloware: value}}
		}
		d.mustPost(address, "/_sim/edit", body, nil)
		field := id + " " + r.hubspot
		switch {
		case r.direction == "both":
		case fromHubSpot == (r.direction == "to_aloware"):
			// Aloware's clock ticks in seconds: edits within one cannot be told apart.
			if time.Since(targetEdited[field]) > 2*time.Second {
				sourceEdited[field] = value
			}
		default:
			targetEdited[field] = time.Now()
			delete(sourceEdited, field) // the target's own edit may stand
		}
	}
	for _, address := range []string{d.hubspot, d.aloware} {
		d.mustPost(address, "/_sim/webhooks", map[string]any{}, nil)
		d.mustPost(address, "/_sim/faults", []map[string]any{}, nil)
	}
	// An edit that was overwritten may be heard of only now, and wins if it was the
	// later one: both sides are written then, one of them after its rest. Agreed is
	// what stays so.
	const stays = 5 * time.Second
	var agreed time.Time // zero while they do not
	eventually(t, 3*time.Minute, func() string {
		why := d.disagreement(pairs, sourceEdited)
		switch {
		case why != "" && !agreed.IsZero():
			t.Logf("the two sides fell apart after %v: %s", time.Since(agreed), why)
			agreed = time.Time{}
		case why == "" && agreed.IsZero():
			agreed = time.Now()
		}
		if held := time.Since(agreed); why == "" && held < stays {
			return fmt.Sprintf("the two sides agree for %v, want %v", held, stays)
		}
		return why
	})
	d.settle(time.Minute)
	if why := d.disagreement(pairs, sourceEdited); why != "" {
		t.Errorf("the two sides fell apart again: %s", why)
	}
	stats := d.stats(d.hubspot)
	t.Logf("HubSpot: %v requests, at most %v of %v in a window, %v throttled", stats["requests"], stats["max_in_window"], stats["window_limit"], stats["throttled"])
	if most, limit := number(stats["max_in_window"]), number(stats["window_limit"]); most > limit || limit == 0 {
		t.Errorf("HubSpot saw %v calls in a window, its limit is %v", most, limit)
	}
	if throttled := number(stats["throttled"]); throttled > 0 {
		t.Errorf("HubSpot refused %v calls for the limit", throttled)
	}
	if throttled := number(d.stats(d.aloware)["throttled"]); throttled > 0 {
		t.Errorf("Aloware refused %v calls for the limit", throttled)
	}
}

func number(v any) float64 {
	n, _ := v.(float64)
	return n
}

// disagreement names the first contacts and fields on which the sides do not
// agree by the rules; "" when they all do.
func (d *demo) disagreement(pairs, sourceEdited map[string]string) string {
	d.t.Helper()
	hubspot, aloware := d.contacts(d.hubspot, ""), d.contacts(d.aloware, "")
	var differ []string
	for h, a := range pairs {
		for _, r := range rules {
			ours, theirs := hubspot[h][r.hubspot], aloware[a][r.read]
			_, last := sourceEdited[h+" "+r.hubspot]
			if ours != theirs && (r.direction == "both" || last) {
				differ = append(differ, fmt.Sprintf("%s/%s %s: HubSpot %q, Aloware %q", h, a, r.hubspot, ours, theirs))
			}
		}
	}
	sort.Strings(differ)
	if len(differ) > 6 {
		differ = append(differ[:6], fmt.Sprintf("and %d more", len(differ)-6))
	}
	return strings.Join(differ, "; ")
}
