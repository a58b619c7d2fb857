package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/lockstep/fleet"
)

// disturbed are the calls that fail, of all calls; the parts of each kind are
// equal.
const disturbed = 0.2

// failing are the faults of a system's API, as its simulator takes them: what can
// be answered instead of the work, and answers that get lost after it.
func failing(path string, statuses []int, more ...object) []object {
	list := more
	for _, status := range statuses {
		list = append(list, object{"status": status})
	}
	list = append(list, object{"drop_response": true}, object{"truncate": true})
	for _, f := range list {
		// Each is drawn after those before it have not hit.
		f["path"], f["rate"] = path, disturbed/float64(len(list))
	}
	return list
}

// faults is a first sync of both sides of a tenant connected by OAuth, in which
// one call in five to either system fails in one of the ways that are known of
// it.
func faults(ctx context.Context, config Config, say fleet.Speaker) ([]line, error) {
	const limit = 190
	one := aTenant(big, 1, limit)
	one.OAuth, one.Rate, one.Burst = true, 50, 50
	w, err := build(ctx, config, "faults", layout{hubspotWriters: 2, console: true, tenants: []fleet.Tenant{one}}, say)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a := w.tenants[0]
	inAloware, inHubSpot, bad := config.Contacts/5, config.Contacts/200, config.Contacts/1000
	if err := a.load(ctx, inAloware, 1, false); err != nil {
		return nil, err
	}
	if err := fleet.Post(ctx, a.hubspot, "load", object{"contacts": inHubSpot, "seed": 2}, nil); err != nil {
		return nil, err
	}
	// Some have a value that HubSpot refuses.
	if err := a.spoil(ctx, bad); err != nil {
		return nil, err
	}
	if err := fleet.Post(ctx, a.hubspot, "faults", failing("/crm/", []int{401, 423, 429, 477, 500, 502, 503, 504, 524}), nil); err != nil {
		return nil, err
	}
	if err := fleet.Post(ctx, a.aloware, "faults", failing("/api/", []int{429, 500, 502, 503}, object{"html": true}), nil); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := w.db.RequestSync(ctx, postgres.Sync{
		ID: "faults", Tenant: a.ID, Kind: postgres.FirstSync, Options: postgres.SyncOptions{Aloware: true, HubSpot: true}, AskedBy: "measure",
	}); err != nil {
		return nil, err
	}
	const within = 20 * time.Minute
	d, err := a.agreement(ctx, inAloware+inHubSpot)
	for told := time.Now(); err == nil && d.missing+d.differ > 0 && time.Since(began) < within && ctx.Err() == nil; d, err = a.agreement(ctx, inAloware+inHubSpot) {
		if time.Since(told) > 15*time.Second {
			told = time.Now()
			say("  %d contacts are not in both systems yet, %d differ", d.missing, d.differ)
		}
		pause(ctx, 2*time.Second)
	}
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	h, err := a.calls(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := fleet.Get(ctx, a.aloware, "/_sim/stats")
	if err != nil {
		return nil, err
	}
	var l struct {
		Requests int
		ByStatus map[string]int `json:"by_status"`
		Overruns int            `json:"bucket_overruns"`
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, err
	}
	return []line{
		{what: "contacts in step", value: fmt.Sprintf("%d in %.0f s", inAloware+inHubSpot, took.Seconds())},
		{what: "HubSpot's answers by status (0: cut off)", value: fmt.Sprintf("%d calls: %v", h.Requests, h.ByStatus)},
		{what: "Aloware's answers by status (0: cut off)", value: fmt.Sprintf("%d calls: %v", l.Requests, l.ByStatus)},
		most("contacts that are not in both systems", float64(d.missing), 0, "%.0f"),
		most("contacts made twice", float64(d.twice), 0, "%.0f"),
		most("contacts that differ", float64(d.differ), 0, "%.0f"),
		most("most calls to HubSpot in any 10 s", float64(h.MaxInWindow), limit, "%.0f"),
		most("calls to Aloware beyond its limit", float64(l.Overruns), 0, "%.0f"),
	}, nil
}

// spoil gives contacts of Aloware an e-mail address that HubSpot takes for none.
func (a *account) spoil(ctx context.Context, contacts int) error {
	var ids []int64
	if err := records(ctx, a.aloware, func(r *record) {
		if id, err := r.ID.Int64(); err == nil && len(ids) < contacts {
			ids = append(ids, id)
		}
	}); err != nil {
		return err
	}
	for _, id := range ids {
		if err := fleet.Post(ctx, a.aloware, "edit", object{"id": id, "fields": object{"email": fmt.Sprintf("nobody%d@nowhere", id)}}, nil); err != nil {
			return err
		}
	}
	return nil
}

// disagreement is by how much two systems are not the same.
type disagreement struct{ missing, twice, differ int }

// agreement compares both systems, which should have so many contacts.
func (a *account) agreement(ctx context.Context, contacts int) (d disagreement, err error) {
	type person struct {
		hubspot, aloware int
		values           [2]string
	}
	all := make(map[string]*person, contacts)
	of := func(phone string) *person {
		p := all[phone]
		if p == nil {
			p = &person{}
			all[phone] = p
		}
		return p
	}
	if err := records(ctx, a.hubspot, func(r *record) {
		p := of(r.Phone)
		p.hubspot, p.values[0] = p.hubspot+1, r.FirstName+"|"+r.LastName+"|"+r.LeadSource
	}); err != nil {
		return d, err
	}
	if err := records(ctx, a.aloware, func(r *record) {
		p := of(string(r.PhoneNumber))
		p.aloware, p.values[1] = p.aloware+1, r.First+"|"+r.Last+"|"+r.Source
	}); err != nil {
		return d, err
	}
	for _, p := range all {
		switch {
		case p.hubspot == 0 || p.aloware == 0:
			d.missing++
		case p.hubspot > 1 || p.aloware > 1:
			d.twice++
		case p.values[0] != p.values[1]:
			d.differ++
		}
	}
	d.missing = max(d.missing, contacts-len(all))
	return d, nil
}
