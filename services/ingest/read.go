package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/tenant"
)

// The repeated readings of a system.
const (
	readChanges = "changes" // changed since, with a trailing window
	readLists   = "lists"   // users and options
)

const (
	readHold     = 2 * time.Minute   // the claim of a reading
	readTime     = 110 * time.Second // the longest reading; what is left is for the next
	mostReadings = 64                // at once in one process
)

// errCut ends a reading whose time is up: the next goes on where it was.
var errCut = errors.New("the reading took too long for one piece")

// read does the repeated readings of all tenants until ctx ends, a bounded
// number at once, so that a system that answers slowly holds up no other. One
// loop serves them all: an idle tenant costs no timer.
func (in *Ingest) read(ctx context.Context) error {
	const tick = time.Second
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, mostReadings)
	freed := make(chan struct{}, 1)
	var seen int64 = -1
	for {
		if version := in.config.Roster.Version(); version != seen {
			if err := in.ensureCursors(ctx); err != nil {
				in.config.Logger.WarnContext(ctx, "readings could not be planned; trying again", "error", err)
			} else {
				seen = version
			}
		}
		select { // what is free is asked for below
		case <-freed:
		default:
		}
		free := cap(slots) - len(slots)
		due := in.claimReadings(ctx, free)
		for _, c := range due {
			slots <- struct{}{}
			running.Go(func() {
				in.readOne(ctx, c)
				<-slots
				select {
				case freed <- struct{}{}:
				default:
				}
			})
		}
		next := freed
		if len(due) < free {
			next = nil // nothing more is due
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		case <-time.After(tick):
		}
	}
}

func (in *Ingest) ensureCursors(ctx context.Context) error {
	var cursors []postgres.Cursor
	now := make(map[contact.Tenant]string)
	for _, t := range in.config.Roster.All() {
		if connected(t, contact.HubSpot) && connected(t, contact.Aloware) {
			now[t.ID] = t.Aloware.Profile
		}
		if now[t.ID] != "" && now[t.ID] != in.connected[t.ID] && in.connected != nil {
			// Just connected: what agents pick from is wanted at once.
			if err := in.config.DB.WakeCursors(ctx, t.ID, ""); err != nil {
				return err
			}
		}
		for _, system := range contact.Systems {
			cursors = append(cursors, postgres.Cursor{Tenant: t.ID, System: system, Reading: readLists})
			if in.config.PollEvery > 0 {
				cursors = append(cursors, postgres.Cursor{Tenant: t.ID, System: system, Reading: readChanges})
			}
		}
	}
	if len(cursors) > 0 {
		if err := in.config.DB.EnsureCursors(ctx, cursors); err != nil {
			return err
		}
	}
	in.connected = now
	return nil
}

// claimReadings takes readings that are due, so many at most.
func (in *Ingest) claimReadings(ctx context.Context, most int) []postgres.Cursor {
	if most == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cursors, err := in.config.DB.ClaimCursors(ctx, in.config.Owner, readHold, most)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		in.config.Logger.WarnContext(ctx, "due readings could not be claimed; trying again", "error", err)
	}
	return cursors
}

func (in *Ingest) readOne(ctx context.Context, c postgres.Cursor) {
	// Nothing was read, and a change of the tenant wakes the reading.
	const idle, incapable = time.Minute, time.Hour
	next := in.config.PollEvery
	if c.Reading == readLists {
		next = in.config.ListsEvery
	}
	failure := ""
	t, known := in.config.Roster.Tenant(c.Tenant)
	if !known || !t.Active || !connected(t, c.System) {
		next = max(next, idle)
	} else {
		reading, cancel := context.WithTimeout(ctx, readTime)
		var err error
		if c.Reading == readChanges {
			err = in.covered(reading, &c)
		}
		if err == nil {
			err = in.readTenant(reading, t, &c)
		}
		cancel()
		switch {
		case err == nil, errors.Is(err, errCovered):
			c.Failures = 0
		case errors.Is(err, aloware.ErrNotCapable):
			c.Failures, next = 0, max(next, incapable)
		case errors.Is(err, errCut):
			c.Failures, next = 0, 0
		case ctx.Err() != nil:
			next = 0 // given back: another process goes on at once
		default:
			c.Failures++
			failure = err.Error()
			next = max(min(time.Duration(c.Failures)*5*time.Second, 5*time.Minute), fault.As(err).Wait)
			in.config.Logger.WarnContext(ctx, "a reading failed; it is repeated", "tenant", c.Tenant, "system", c.System,
				"reading", c.Reading, "again_in", next, "error", err)
		}
	}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := in.config.DB.SaveCursor(saving, in.config.Owner, c, next, failure); err != nil {
		in.config.Logger.WarnContext(ctx, "a reading's position was not saved; it is repeated", "tenant", c.Tenant, "error", err)
	}
}

// connected reports whether a system may be called at all.
func connected(t *tenant.Tenant, system contact.System) bool {
	if system == contact.HubSpot {
		return t.HubSpot.State != tenant.Disconnected
	}
	return t.Aloware.State != tenant.Disconnected
}

func (in *Ingest) readTenant(ctx context.Context, t *tenant.Tenant, c *postgres.Cursor) error {
	budget := in.budgets.of(t, c.System)
	if c.System == contact.HubSpot {
		client := connection.HubSpot(t, budget, in.config.HTTP)
		if c.Reading == readLists {
			return in.hubspotLists(ctx, t, client)
		}
		return in.hubspotChanges(ctx, t, client, c)
	}
	client, err := connection.Aloware(t, budget, in.config.HTTP)
	if err != nil {
		return err
	}
	if c.Reading == readLists {
		return in.alowareLists(ctx, t, client)
	}
	return in.alowareChanges(ctx, t, client, c)
}

func (in *Ingest) hubspotLists(ctx context.Context, t *tenant.Tenant, client *hubspot.Client) error {
	owners, err := client.Owners(ctx)
	if err != nil {
		return fmt.Errorf("read the owners of HubSpot: %w", err)
	}
	definitions, err := client.Properties(ctx)
	if err != nil {
		return fmt.Errorf("read the properties of HubSpot: %w", err)
	}
	if err := in.keepProperties(ctx, t, definitions); err != nil {
		return err
	}
	outcomes, err := client.Dispositions(ctx)
	if err != nil {
		return fmt.Errorf("read the call dispositions of HubSpot: %w", err)
	}
	lists := []contact.Directory{owners, outcomes}
	for _, d := range definitions {
		if m := t.Mapping.ByProperty(contact.HubSpot, d.Name); m != nil && m.Type == contact.Option {
			lists = append(lists, client.OptionsOf(d))
		}
	}
	return in.publishLists(ctx, t, lists)
}

// keepProperties stores what properties the portal has now. Where a mapping
// comes to rest or goes on by that, all services are told.
func (in *Ingest) keepProperties(ctx context.Context, t *tenant.Tenant, definitions []hubspot.Definition) error {
	properties := make([]mapping.Property, len(definitions))
	for i, d := range definitions {
		properties[i] = d.Property()
	}
	changed, err := in.config.DB.SaveProperties(ctx, t.ID, contact.HubSpot, properties)
	if err != nil || !changed {
		return err
	}
	var back []string
	drift := t.Mapping.Drift(mapping.NewSchema([]contact.System{contact.HubSpot}, properties))
	for i := range t.Mapping.Mappings {
		m := &t.Mapping.Mappings[i]
		switch why := drift[m.Key]; {
		case why != "" && m.Stopped == "":
			in.config.Logger.WarnContext(ctx, "a mapping comes to rest", "tenant", t.ID, "mapping", m.Key, "reason", why)
		case why == "" && m.Stopped != "":
			in.config.Logger.InfoContext(ctx, "a mapping goes on", "tenant", t.ID, "mapping", m.Key)
			back = append(back, m.Key)
		}
	}
	in.config.Roster.Invalidate() // one look for all tenants that changed meanwhile
	if err := in.config.Bus.Announce(ctx, roster.Topic); err != nil || len(back) == 0 {
		return err
	}
	// What happened meanwhile is taken up for all contacts.
	now := in.config.Now()
	return in.config.DB.QueueSync(ctx, postgres.Sync{
		ID: fmt.Sprintf("back-%s-%d", t.ID, now.UnixNano()), Tenant: t.ID, Kind: postgres.Apply,
		Options: postgres.SyncOptions{Fields: back}, AskedBy: "lockstep", AskedAt: now,
	})
}

func (in *Ingest) alowareLists(ctx context.Context, t *tenant.Tenant, client *aloware.Client) error {
	users, err := client.Users(ctx)
	if err != nil {
		return fmt.Errorf("read the users of Aloware: %w", err)
	}
	lists := []contact.Directory{users}
	if client.Capabilities().Function(aloware.ListDispositions).Possible {
		hubspot, err := in.config.DB.Lists(ctx, t.ID)
		if err != nil {
			return err
		}
		dispositions, err := mirrored(ctx, leadStatus(t, hubspot), client.Dispositions, client.ReplaceDispositions)
		if err != nil {
			return fmt.Errorf("keep the contact dispositions of Aloware: %w", err)
		}
		outcomes, err := mirrored(ctx, optionsOf(hubspot, "hs_call_disposition"), client.CallDispositions, client.ReplaceCallDispositions)
		if err != nil {
			return fmt.Errorf("keep the call dispositions of Aloware: %w", err)
		}
		lists = append(lists, dispositions, outcomes)
	}
	return in.publishLists(ctx, t, lists)
}

// leadStatus are the options of the portal's lead status.
func leadStatus(t *tenant.Tenant, lists []contact.Directory) []contact.DirectoryEntry {
	if m := t.Mapping.ByKey("contact_disposition_status"); m != nil {
		return optionsOf(lists, m.HubSpot)
	}
	return nil
}

func optionsOf(lists []contact.Directory, property string) []contact.DirectoryEntry {
	for _, l := range lists {
		if l.System == contact.HubSpot && l.List == contact.OptionList(property) {
			return l.Entries
		}
	}
	return nil
}

// mirrored reads a list of dispositions, and makes HubSpot's part of it equal
// to HubSpot's own list: agents pick from that alone. A list that HubSpot has
// not told yet changes nothing.
func mirrored(ctx context.Context, want []contact.DirectoryEntry, read func(context.Context) (contact.Directory, error), replace func(context.Context, []aloware.Choice) (contact.Directory, error)) (contact.Directory, error) {
	have, err := read(ctx)
	if err != nil || len(want) == 0 {
		return have, err
	}
	var choices []aloware.Choice
	for _, e := range want {
		if e.Active {
			choices = append(choices, aloware.Choice{Value: e.Value, Label: e.Label})
		}
	}
	labels := make(map[string]string)
	for _, e := range have.Entries {
		if e.Match != "" {
			labels[e.Match] = e.Label
		}
	}
	same := len(labels) == len(choices)
	for _, c := range choices {
		same = same && labels[c.Value] == c.Label
	}
	if same {
		return have, nil
	}
	return replace(ctx, choices)
}

// publishLists publishes lists of one system; there is one at least.
func (in *Ingest) publishLists(ctx context.Context, t *tenant.Tenant, lists []contact.Directory) error {
	events := make([]contact.Incoming, len(lists))
	for i := range lists {
		lists[i].ReadAt = contact.Millis(in.config.Now().UnixMilli())
		events[i].Directory = &lists[i]
	}
	many, err := in.manyWait(ctx, t.ID, lists)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("lists/%s/%d", t.ID, in.config.Now().UnixNano())
	if err := in.publish(ctx, bus.Changes, lists[0].System, t.ID, id, events); err != nil || !many {
		return err
	}
	now := in.config.Now()
	return in.config.DB.QueueSync(ctx, postgres.Sync{
		ID: fmt.Sprintf("lists-%s-%d", t.ID, now.UnixNano()), Tenant: t.ID, Kind: postgres.Apply,
		Options: postgres.SyncOptions{Waiting: true, ListsAt: lists[0].ReadAt}, AskedBy: "lockstep", AskedAt: now,
	})
}

// manyWait reports whether lists changed for which more contacts wait than the
// mapper takes up with the list: they are asked for by a job, on the bulk stream.
func (in *Ingest) manyWait(ctx context.Context, id contact.Tenant, lists []contact.Directory) (bool, error) {
	stored, err := in.config.DB.Lists(ctx, id)
	if err != nil {
		return false, err
	}
	same := func(d contact.Directory) bool {
		return slices.ContainsFunc(stored, func(s contact.Directory) bool {
			return s.System == d.System && s.List == d.List && slices.Equal(s.Entries, d.Entries)
		})
	}
	if !slices.ContainsFunc(lists, func(d contact.Directory) bool { return !same(d) }) {
		return false, nil
	}
	waiting, err := in.config.DB.ContactsWaiting(ctx, id, "", contact.FewWaiting+1)
	return len(waiting) > contact.FewWaiting, err
}
