package measure

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep.internal/services/lockstep/fleet"
)

// account is a tenant with its two simulated systems.
type account struct {
	fleet.Tenant
	hubspot, aloware string // addresses of the simulators
	staff            []int64
}

type object = map[string]any

// calls are the counters of a HubSpot simulator.
type calls struct {
	Requests, Throttled int
	Contacts            int
	MaxInWindow         int                       `json:"max_in_window"`
	ByRoute             map[string]map[string]int `json:"by_route"`
	ByStatus            map[string]int            `json:"by_status"`
	Batches             map[string]struct {
		Calls, Contacts int
	} `json:"contacts_per_batch"`
}

// general are the calls that count in the window: searches have a limit of
// their own.
func (c *calls) general() int {
	n := 0
	for route, codes := range c.ByRoute {
		if strings.Contains(route, "/search") {
			continue
		}
		for _, k := range codes {
			n += k
		}
	}
	return n
}

// kinds tells how many calls of each kind were made, the most first.
func (c *calls) kinds() string {
	type kind struct {
		route string
		n     int
	}
	var all []kind
	for route, codes := range c.ByRoute {
		k := kind{route: route}
		for _, n := range codes {
			k.n += n
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b kind) int { return cmp.Or(b.n-a.n, strings.Compare(a.route, b.route)) })
	var text []string
	for _, k := range all {
		text = append(text, fmt.Sprintf("%d %s", k.n, k.route))
	}
	return strings.Join(text, ", ")
}

func (a *account) calls(ctx context.Context) (c calls, err error) {
	raw, err := fleet.Get(ctx, a.hubspot, "/_sim/stats")
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(raw, &c)
}

// record is a contact as a simulator holds it.
type record struct {
	ID           json.Number `json:"id"`
	Phone        string      `json:"phone"`
	PhoneNumber  number      `json:"phone_number"`
	LeadSource   string      `json:"aloware_lead_source"`
	LastModified string      `json:"lastmodifieddate"`
	FirstName    string      `json:"firstname"` // HubSpot's
	LastName     string      `json:"lastname"`
	First        string      `json:"first_name"` // Aloware's
	Last         string      `json:"last_name"`
	Source       string      `json:"lead_source"`
}

// number is a phone number with its plus sign, which Aloware gives as a text or
// as a number.
type number string

func (n *number) UnmarshalJSON(raw []byte) error {
	*n = number("+" + strings.TrimPrefix(strings.Trim(string(raw), `"`), "+"))
	return nil
}

// records reads all contacts of a simulator.
func records(ctx context.Context, address string, each func(*record)) error {
	return fleet.Stream(ctx, address, "/_sim/contacts", func(body io.Reader) error {
		decoder := json.NewDecoder(body)
		for decoder.More() {
			var r record
			if err := decoder.Decode(&r); err != nil {
				return fmt.Errorf("contacts of %s: %w", address, err)
			}
			each(&r)
		}
		return nil
	})
}

// load puts contacts into Aloware: new ones, of which webhooks tell, or such that
// have been there for a year.
func (a *account) load(ctx context.Context, contacts int, seed uint64, told bool) error {
	order := object{"contacts": contacts, "seed": seed, "webhooks": told}
	if !told {
		order["days_ago"] = 365
	}
	return fleet.Post(ctx, a.aloware, "load", order, nil)
}

// hire makes the contacts whose edits are measured, and waits until they are in
// HubSpot.
func (a *account) hire(ctx context.Context, contacts int) error {
	if err := a.load(ctx, contacts, 7, true); err != nil {
		return err
	}
	if err := records(ctx, a.aloware, func(r *record) {
		id, _ := r.ID.Int64()
		a.staff = append(a.staff, id)
	}); err != nil {
		return err
	}
	return a.arrived(ctx, contacts, 3*time.Minute)
}

// arrived waits until HubSpot has so many contacts.
func (a *account) arrived(ctx context.Context, contacts int, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		now, err := a.calls(ctx)
		if err != nil {
			return err
		}
		if now.Contacts >= contacts {
			return nil
		}
		if pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%s has %d contacts in HubSpot after %v, %d are awaited", a.ID, now.Contacts, within, contacts)
		}
	}
}

// edit is one change that a person made in Aloware.
type edit struct {
	id    int64
	value string
	at    time.Time
}

// edits are what people changed; safe for concurrent use.
type edits struct {
	mu   sync.Mutex
	made []edit
}

// work lets people change a lead source in Aloware at a steady rate until ctx ends. Each
// contact is changed once in a round, so that HubSpot keeps the time at which the
// change came.
func (a *account) work(ctx context.Context, perSecond float64, done *edits, round string) error {
	every := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	defer every.Stop()
	for n := 0; n < len(a.staff); n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		e := edit{id: a.staff[n], value: fmt.Sprintf("%s %d", round, n), at: time.Now()}
		if err := fleet.Post(context.WithoutCancel(ctx), a.aloware, "edit", object{"id": e.id, "fields": object{"lead_source": e.value}}, nil); err != nil {
			return fmt.Errorf("edit in %s: %w", a.ID, err)
		}
		done.mu.Lock()
		done.made = append(done.made, e)
		done.mu.Unlock()
	}
	<-ctx.Done()
	return nil
}

// times is how long edits took to get to HubSpot.
type times []time.Duration

// part is the time within which a part of all edits came.
func (t times) part(p float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	return t[min(len(t)-1, int(p*float64(len(t))))]
}

// took tells how long all edits took, in order, once all have come.
func (a *account) took(ctx context.Context, done *edits) (times, error) {
	done.mu.Lock()
	made := done.made
	done.mu.Unlock()
	phones := make(map[int64]string)
	if err := records(ctx, a.aloware, func(r *record) {
		id, _ := r.ID.Int64()
		phones[id] = string(r.PhoneNumber)
	}); err != nil {
		return nil, err
	}
	limit := time.Now().Add(time.Minute)
	for {
		held := make(map[string]record)
		if err := records(ctx, a.hubspot, func(r *record) { held[r.Phone] = *r }); err != nil {
			return nil, err
		}
		var all times
		var missing []string
		for _, e := range made {
			r := held[phones[e.id]]
			if r.LeadSource != e.value {
				missing = append(missing, fmt.Sprintf("contact %d has %q, not %q", e.id, r.LeadSource, e.value))
				continue
			}
			at, err := time.Parse(time.RFC3339Nano, r.LastModified)
			if err != nil {
				return nil, fmt.Errorf("contact %s of %s: %w", r.ID, a.ID, err)
			}
			all = append(all, at.Sub(e.at))
		}
		if len(missing) == 0 {
			slices.Sort(all)
			return all, nil
		}
		if pause(ctx, 500*time.Millisecond); ctx.Err() != nil || time.Now().After(limit) {
			return nil, fmt.Errorf("%s: %d of %d edits did not come, the first: %s", a.ID, len(missing), len(made), missing[0])
		}
	}
}
