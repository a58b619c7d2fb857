package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"

	"lockstep.internal/pkg/aloware/alowaresim"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot/hubspotsim"
	"lockstep.internal/services/lockstep/fleet"
)

// The limits are low enough to be felt and high enough to come to rest.
const (
	windowLimit  = 190
	alowareRate  = 20.0
	alowareBurst = 20
)

// account is one tenant: both simulated systems, and what the people there did.
type account struct {
	fleet.Tenant
	hubspot, alo    string // addresses of the simulators themselves, for control
	hubspotLink     *link  // the services' way to them
	alowareLink     *link
	hubspotWebhooks *link // their way to ingest
	alowareWebhooks *link

	hubspotSim *hubspotsim.Sim
	alowareSim *alowaresim.Sim

	mu        sync.Mutex // guards what follows
	people    []*person
	twins     int // second records in HubSpot that are nobody's yet
	edits     int // values set or cleared by people
	creations int
	merges    int
	deletions int
	restored  int
}

// newAccount makes both simulators; serve runs them.
func newAccount(number int, hubspotWebhooks, alowareWebhooks *link) (a *account, err error) {
	a = &account{
		Tenant: fleet.Tenant{
			ID: contact.Tenant(fmt.Sprintf("chaos-%d", number)), Portal: int64(2000 + number), Window: windowLimit, Rate: alowareRate, Burst: alowareBurst,
			HubSpotWebhooks: "http://" + hubspotWebhooks.address(), AlowareWebhooks: "http://" + alowareWebhooks.address(),
		},
		hubspotWebhooks: hubspotWebhooks, alowareWebhooks: alowareWebhooks,
	}
	a.hubspotSim, a.alowareSim, err = a.Simulators()
	return a, err
}

// serve runs both simulators until ctx ends.
func (a *account) serve(ctx context.Context, hubspot, aloware net.Listener) error {
	a.hubspot, a.alo = hubspot.Addr().String(), aloware.Addr().String()
	return fleet.Serve(ctx, a.hubspotSim, hubspot, a.alowareSim, aloware)
}

type object = map[string]any

// disorder turns the simulators' own faults on or off: webhooks twice and out
// of order, refused calls, calls that are done but not answered, slow ones.
func (a *account) disorder(ctx context.Context, on bool) error {
	webhooks, faults := object{}, func(string) []object { return []object{} }
	if on {
		webhooks = object{"duplicate": 0.2, "reorder": 0.2}
		faults = func(path string) []object {
			return []object{
				{"path": path, "status": 500, "rate": 0.02},
				{"path": path, "status": 503, "rate": 0.01},
				{"path": path, "status": 429, "rate": 0.005},
				{"path": path, "drop_response": true, "rate": 0.02},
				{"path": path, "truncate": true, "rate": 0.01},
				{"path": path, "delay_ms": 700, "rate": 0.03},
			}
		}
	}
	for _, address := range []string{a.hubspot, a.alo} {
		if err := fleet.Post(ctx, address, "webhooks", webhooks, nil); err != nil {
			return err
		}
	}
	if err := fleet.Post(ctx, a.hubspot, "faults", faults("/crm/"), nil); err != nil {
		return err
	}
	return fleet.Post(ctx, a.alo, "faults", faults("/api/"), nil)
}

// contacts are the contacts of a simulator that a query asks for ("" for all),
// by id, fields as text, blanks left out.
func contacts(ctx context.Context, address, query string) (map[string]map[string]string, error) {
	raw, err := fleet.Get(ctx, address, "/_sim/contacts"+query)
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[string]string)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	for decoder.More() {
		var one map[string]any
		if err := decoder.Decode(&one); err != nil {
			return nil, fmt.Errorf("contacts of %s: %w", address, err)
		}
		fields := make(map[string]string, len(one))
		for name, value := range one {
			if value != nil {
				fields[name] = fmt.Sprint(value)
			}
		}
		all[fields["id"]] = fields
	}
	return all, nil
}

// statistics are what the check needs of both simulators' counters.
type statistics struct {
	hubspotRequests, hubspotThrottled, hubspotWindow, hubspotLimit int
	hubspotSearches, hubspotSearchLimit                            int
	alowareRequests, alowareOverruns                               int
	writes, idle                                                   int // values by API; writes that changed nothing
	webhooks, lost, repeated, pending                              int
	statuses                                                       map[string]int // of answered calls, both systems
}

func (a *account) statistics(ctx context.Context) (s statistics, err error) {
	type webhooks struct{ Sent, Failed, Dropped, Duplicated, Pending int }
	type writes struct {
		Values int
		Idle   int `json:"without_change"`
	}
	var h struct {
		Requests, Throttled int
		MaxInWindow         int `json:"max_in_window"`
		WindowLimit         int `json:"window_limit"`
		MaxSearches         int `json:"max_searches_per_second"`
		SearchLimit         int `json:"search_limit"`
		Writes              writes
		Webhooks            webhooks
		ByStatus            map[string]int `json:"by_status"`
	}
	var l struct {
		Requests int
		Overruns int `json:"bucket_overruns"`
		Writes   writes
		Webhooks webhooks
		ByStatus map[string]int `json:"by_status"`
	}
	for address, into := range map[string]any{a.hubspot: &h, a.alo: &l} {
		raw, err := fleet.Get(ctx, address, "/_sim/stats")
		if err != nil {
			return s, err
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return s, fmt.Errorf("statistics of %s: %w", a.ID, err)
		}
	}
	s = statistics{
		hubspotRequests: h.Requests, hubspotThrottled: h.Throttled, hubspotWindow: h.MaxInWindow, hubspotLimit: h.WindowLimit,
		hubspotSearches: h.MaxSearches, hubspotSearchLimit: h.SearchLimit,
		alowareRequests: l.Requests, alowareOverruns: l.Overruns,
		writes: h.Writes.Values + l.Writes.Values, idle: h.Writes.Idle + l.Writes.Idle,
		webhooks: h.Webhooks.Sent + l.Webhooks.Sent, lost: l.Webhooks.Failed, repeated: h.Webhooks.Duplicated + l.Webhooks.Duplicated,
		pending: h.Webhooks.Pending + l.Webhooks.Pending, statuses: h.ByStatus,
	}
	for code, n := range l.ByStatus {
		s.statuses[code] += n
	}
	return s, nil
}
