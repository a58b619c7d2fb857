package mapper

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
)

const (
	// keepFlows is longer than any rate looks back.
	keepFlows = 8 * 24 * time.Hour
	// trusted is how long a source that somebody let go on is not asked about
	// again for the same field.
	trusted = 12 * time.Hour
)

// watched is what a batch lends to the rules, by tenant, and what came of it.
type watched struct {
	watches map[contact.Tenant]*resolve.Watch
	ended   []postgres.Hold
}

// any reports whether something came of it.
func (w *watched) any() bool {
	for _, watch := range w.watches {
		if len(watch.Begun)+len(watch.Counted)+len(watch.Touched) > 0 {
			return true
		}
	}
	return len(w.ended) > 0
}

// loadHolds learns with one query which holds the tenants of a batch have.
func (h *handling) loadHolds(ctx context.Context) error {
	open, err := h.config.DB.OpenHolds(ctx, slices.Collect(maps.Keys(h.rulesOf)))
	if err != nil {
		return err
	}
	for _, hold := range open {
		if h.holds == nil {
			h.holds = make(map[contact.Tenant][]postgres.Hold)
		}
		h.holds[hold.Tenant] = append(h.holds[hold.Tenant], hold)
	}
	return nil
}

// watch lends the rules of a tenant the holds, and with live batches the counts
// by which bursts are recognised. Jobs, whose events come in bulk, are none.
func (h *handling) watch(ctx context.Context, id contact.Tenant, rules *resolve.Rules) error {
	t, known := h.config.Roster.Tenant(id)
	if !known {
		return nil
	}
	watch := &resolve.Watch{Floor: t.BurstFloor}
	if h.live && t.BurstFloor > 0 {
		flows, err := h.flows.of(ctx, id, h.now, h.counts)
		if err != nil {
			return err
		}
		watch.Normal, watch.Windows, watch.Trusted = flows.normal, flows.windows, flows.trusted
	}
	for _, hold := range h.holds[id] {
		if over, lapsed := hold.JobState.Final() && hold.JobState != postgres.SyncFailed, lapses(rules.Set, &hold); over || lapsed {
			if h.live {
				hold.EndedAt, hold.Lapsed = h.config.Now(), lapsed && hold.Answer == ""
				h.watched.ended = append(h.watched.ended, hold)
			}
			if over && hold.Answer == contact.AnswerGo {
				h.trust(watch, &hold)
			}
			continue
		}
		if hold.Answer == contact.AnswerGo {
			h.trust(watch, &hold)
		}
		watch.Holds = append(watch.Holds, ruled(&hold))
	}
	rules.Watch = watch
	if h.watched.watches == nil {
		h.watched.watches = make(map[contact.Tenant]*resolve.Watch)
	}
	h.watched.watches[id] = watch
	return nil
}

// trust lets the source of a burst that was let go on pass from now on.
func (h *handling) trust(watch *resolve.Watch, hold *postgres.Hold) {
	on := sourceOf(hold)
	if watch.Trusted[on] {
		return
	}
	trusting := maps.Clone(watch.Trusted)
	if trusting == nil {
		trusting = make(map[resolve.FieldSource]bool)
	}
	trusting[on] = true
	watch.Trusted = trusting
}

func sourceOf(hold *postgres.Hold) resolve.FieldSource {
	return resolve.FieldSource{FieldInto: resolve.FieldInto{Field: hold.Field, Into: hold.Into}, Source: hold.Source}
}

// ruled is a hold as the rules know it.
func ruled(hold *postgres.Hold) *resolve.Hold {
	return &resolve.Hold{
		ID: hold.ID, FieldSource: sourceOf(hold), Since: contact.Millis(hold.Since.UnixMilli()), Passed: hold.Passed, Threshold: hold.Threshold,
		Answered: hold.Answer != "",
	}
}

// binding is what a mapping joins, for the comparison with what it joined.
func binding(m *mapping.Mapping) string {
	return fmt.Sprintf("%d/%d", m.Binding.Since[0], m.Binding.Since[1])
}

// lapses reports whether a hold has nothing to ask about any more: its mapping
// was removed, joins something else, or does not lead there.
func lapses(set *mapping.Set, hold *postgres.Hold) bool {
	m := set.ByKey(hold.Field)
	return m == nil || binding(m) != hold.Binding || hold.Answer == "" && !m.Direction.Into(hold.Into)
}

// held are a tenant's rules with its holds, for those that only look.
func (m *Mapper) held(ctx context.Context, id contact.Tenant) (*resolve.Rules, error) {
	rules, err := m.rules(ctx, id)
	if err != nil {
		return nil, err
	}
	open, err := m.config.DB.OpenHolds(ctx, []contact.Tenant{id})
	if err != nil {
		return nil, err
	}
	rules.Watch = &resolve.Watch{}
	for i := range open {
		if hold := &open[i]; !lapses(rules.Set, hold) && !(hold.JobState.Final() && hold.JobState != postgres.SyncFailed) {
			rules.Watch.Holds = append(rules.Watch.Holds, ruled(hold))
		}
	}
	return rules, nil
}

// commitWatches stores what was counted and recognised.
func (h *handling) commitWatches(ctx context.Context, tx *postgres.Tx) error {
	var holds []postgres.Hold
	var flows []postgres.Flow
	var windows []postgres.FlowWindow
	for id, watch := range h.watched.watches {
		rules := h.rulesOf[id]
		for _, begun := range watch.Begun {
			holds = append(holds, postgres.Hold{
				Tenant: id, ID: begun.ID, Field: begun.Field, Into: begun.Into, Source: begun.Source, MappingVersion: rules.Set.Version,
				Binding: binding(rules.Set.ByKey(begun.Field)), Since: time.UnixMilli(int64(begun.Since)), Passed: begun.Passed, Threshold: begun.Threshold,
			})
		}
		for on, contacts := range watch.Counted {
			flows = append(flows, postgres.Flow{Tenant: id, Field: on.Field, Into: on.Into, Hour: on.Hour, Contacts: contacts})
		}
		for on, w := range watch.Touched {
			windows = append(windows, postgres.FlowWindow{Tenant: id, Field: on.Field, Into: on.Into, Source: on.Source, Slot: w.Slot, Now: w.Now, Before: w.Before})
		}
	}
	for _, hold := range h.watched.ended {
		if hold.Answer == contact.AnswerGo {
			// A person said that so many are usual.
			flows = append(flows, postgres.Flow{
				Tenant: hold.Tenant, Field: hold.Field, Into: hold.Into, Hour: resolve.HourOf(contact.Millis(hold.AnsweredAt.UnixMilli())),
				Contacts: resolve.Taught(hold.Passed + hold.JobCounts.Asked),
			})
		}
	}
	if err := tx.SaveHolds(ctx, holds); err != nil {
		return err
	}
	if err := tx.EndHolds(ctx, h.watched.ended); err != nil {
		return err
	}
	return tx.SaveFlows(ctx, merged(flows), windows)
}

// merged adds up what is said of one hour.
func merged(flows []postgres.Flow) []postgres.Flow {
	slices.SortFunc(flows, func(a, b postgres.Flow) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Into, b.Into), cmp.Compare(a.Hour, b.Hour))
	})
	var out []postgres.Flow
	for _, f := range flows {
		if n := len(out); n > 0 && out[n-1].Tenant == f.Tenant && out[n-1].Field == f.Field && out[n-1].Into == f.Into && out[n-1].Hour == f.Hour {
			out[n-1].Contacts += f.Contacts
			continue
		}
		out = append(out, f)
	}
	return out
}

// watchedAfter keeps what was counted for the next batch.
func (h *handling) watchedAfter() {
	for id, watch := range h.watched.watches {
		if h.live {
			h.Mapper.flows.keep(id, watch)
		}
		for _, begun := range watch.Begun {
			h.config.Logger.Warn("a burst of changes is held and waits for an answer", "tenant", id, "hold", begun.ID, "field", begun.Field, "into", begun.Into.String(), "source", begun.Source, "threshold", begun.Threshold)
		}
	}
	for _, hold := range h.watched.ended {
		h.Mapper.flows.drop(hold.Tenant) // what was let go counts
	}
}

// commitHeld stores the held values of the contacts whose held values changed.
func commitHeld(ctx context.Context, tx *postgres.Tx, entries []*people.Entry) error {
	var tenants []contact.Tenant
	var contacts []contact.Key
	var values []postgres.HeldValue
	for _, e := range entries {
		if e.Deleted || !e.Changed {
			continue
		}
		held := e.State.HeldValues()
		if slices.Equal(held, e.Held) {
			continue
		}
		tenants, contacts = append(tenants, e.Tenant), append(contacts, e.Key)
		for _, v := range held {
			values = append(values, postgres.HeldValue{
				Tenant: e.Tenant, Contact: e.Key, Field: v.Field, Hold: v.Hold, Before: v.Before, After: v.After, EditedAt: v.At,
			})
		}
	}
	return tx.SaveHeldValues(ctx, tenants, contacts, values)
}

// flowCache keeps what is counted of the tenants of this process's partitions.
// The counts change through this mapper's own commits only; another owner's are
// met by dropping the cache at each take-over.
type flowCache struct {
	db *postgres.DB

	mu    sync.Mutex
	flows map[contact.Tenant]*flows
}

// flows is what is counted of one tenant. It is not changed, but replaced.
type flows struct {
	settled contact.Millis // the hour that the rates are good for
	normal  map[resolve.FieldInto]int64
	windows map[resolve.FieldSource]resolve.Window
	trusted map[resolve.FieldSource]bool
}

func newFlowCache(db *postgres.DB) *flowCache {
	return &flowCache{db: db, flows: make(map[contact.Tenant]*flows)}
}

// of gives what is counted; rates are worked out anew each hour, and tenants of
// which nothing was heard since are forgotten then. What is loaded stays only for who
// has claimed the counts: another one may read what is being replaced.
func (c *flowCache) of(ctx context.Context, id contact.Tenant, now contact.Millis, claimed bool) (*flows, error) {
	settled := resolve.Settled(now)
	c.mu.Lock()
	known := c.flows[id]
	if known == nil || known.settled != settled {
		maps.DeleteFunc(c.flows, func(_ contact.Tenant, f *flows) bool { return f.settled != settled })
		known = nil
	}
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	hours, windows, err := c.db.Flows(ctx, id, now-contact.Millis(keepFlows.Milliseconds()))
	if err != nil {
		return nil, err
	}
	let, err := c.db.TrustedSources(ctx, id, time.UnixMilli(int64(now)).Add(-trusted))
	if err != nil {
		return nil, err
	}
	fresh := &flows{settled: settled, normal: make(map[resolve.FieldInto]int64), windows: make(map[resolve.FieldSource]resolve.Window), trusted: make(map[resolve.FieldSource]bool)}
	counted := make(map[resolve.FieldInto]map[contact.Millis]int64)
	for _, f := range hours {
		on := resolve.FieldInto{Field: f.Field, Into: f.Into}
		if counted[on] == nil {
			counted[on] = make(map[contact.Millis]int64)
		}
		counted[on][f.Hour] = f.Contacts
	}
	for on, of := range counted {
		fresh.normal[on] = resolve.Normal(of, now)
	}
	for _, w := range windows {
		fresh.windows[resolve.FieldSource{FieldInto: resolve.FieldInto{Field: w.Field, Into: w.Into}, Source: w.Source}] = resolve.Window{Slot: w.Slot, Now: w.Now, Before: w.Before}
	}
	for i := range let {
		fresh.trusted[sourceOf(&let[i])] = true
	}
	if claimed {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.flows[id] = fresh
	}
	return fresh, nil
}

// keep takes over what a batch counted, once it is stored.
func (c *flowCache) keep(id contact.Tenant, watch *resolve.Watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.flows[id]
	if known == nil || len(watch.Touched) == 0 {
		return
	}
	fresh := *known
	fresh.windows = maps.Clone(known.windows)
	for on, window := range watch.Touched {
		if _, ok := fresh.windows[on]; !ok {
			on.Source = strings.Clone(on.Source) // not with the whole message that it is a part of
		}
		fresh.windows[on] = window
	}
	c.flows[id] = &fresh
}

func (c *flowCache) drop(id contact.Tenant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flows, id)
}

func (c *flowCache) dropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.flows)
}
