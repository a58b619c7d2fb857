package ingest

import (
	"context"
	"errors"
	"fmt"
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

// trailing is how far a changed-since reading reaches back behind the last:
// Aloware's clock ticks in seconds, HubSpot's search shows records late and out
// of order (seen up to 50 s, besides what the adapter itself stays behind).
const trailing = 10 * time.Second

// read does the repeated readings of all tenants until ctx ends. One loop
// serves them all: an idle tenant costs no timer.
func (in *Ingest) read(ctx context.Context) error {
	const tick = time.Second
	var seen int64 = -1
	for {
		if version := in.config.Roster.Version(); version != seen {
			if err := in.ensureCursors(ctx); err != nil {
				in.config.Logger.WarnContext(ctx, "readings could not be planned; trying again", "error", err)
			} else {
				seen = version
			}
		}
		in.readDue(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tick):
		}
	}
}

func (in *Ingest) ensureCursors(ctx context.Context) error {
	var cursors []postgres.Cursor
	now := make(map[contact.Tenant]bool)
	for _, t := range in.config.Roster.All() {
		if now[t.ID] = connected(t, contact.HubSpot) && connected(t, contact.Aloware); now[t.ID] && !in.connected[t.ID] && in.connected != nil {
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

// readDue does what is due now, a bounded number at a time.
func (in *Ingest) readDue(ctx context.Context) {
	const hold, most = 2 * time.Minute, 8
	cursors, err := in.config.DB.ClaimCursors(ctx, in.config.Owner, hold, most)
	if err != nil {
		if ctx.Err() == nil {
			in.config.Logger.WarnContext(ctx, "due readings could not be claimed; trying again", "error", err)
		}
		return
	}
	for _, c := range cursors {
		reading, cancel := context.WithTimeout(ctx, hold-10*time.Second)
		in.readOne(reading, c)
		cancel()
	}
}

func (in *Ingest) readOne(ctx context.Context, c postgres.Cursor) {
	next := in.config.PollEvery
	if c.Reading == readLists {
		next = in.config.ListsEvery
	}
	failure := ""
	t, known := in.config.Roster.Tenant(c.Tenant)
	if known && !connected(t, c.System) {
		next = max(next, time.Minute) // a connect wakes it
	} else if known && t.Active {
		err := in.readTenant(ctx, t, &c)
		switch {
		case err == nil, errors.Is(err, aloware.ErrNotCapable):
			c.Failures = 0
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

// since is where a changed-since reading begins.
func (in *Ingest) since(c *postgres.Cursor) time.Time {
	if c.Since == 0 {
		return in.config.Now().Add(-10 * time.Minute)
	}
	return time.UnixMilli(int64(c.Since)).Add(-trailing)
}

func (in *Ingest) hubspotChanges(ctx context.Context, t *tenant.Tenant, client *hubspot.Client, c *postgres.Cursor) error {
	since, after := in.since(c), ""
	for {
		found, next, upTo, err := client.ChangedSince(ctx, since, after, t.Mapping.Properties(contact.HubSpot))
		if err != nil {
			return fmt.Errorf("read changed contacts of HubSpot: %w", err)
		}
		if err := in.publishRead(ctx, t, contact.HubSpot, found); err != nil {
			return err
		}
		if after = next; after == "" {
			c.Since = max(c.Since, contact.Millis(upTo.UnixMilli()))
			return nil
		}
	}
}

func (in *Ingest) alowareChanges(ctx context.Context, t *tenant.Tenant, client *aloware.Client, c *postgres.Cursor) error {
	since := in.since(c)
	for page := 1; page != 0; {
		found, next, upTo, err := client.ChangedSince(ctx, since, page)
		if err != nil {
			return fmt.Errorf("read changed contacts of Aloware: %w", err)
		}
		if err := in.publishRead(ctx, t, contact.Aloware, found); err != nil {
			return err
		}
		c.Since = max(c.Since, contact.Millis(upTo.UnixMilli()))
		page = next
	}
	return nil
}

// publishRead publishes what was read on the bulk stream, so that a large
// reading never delays what people edit now.
func (in *Ingest) publishRead(ctx context.Context, t *tenant.Tenant, system contact.System, found []contact.Change) error {
	if len(found) == 0 {
		return nil
	}
	id := fmt.Sprintf("read/%s/%s/%d", t.ID, system, in.config.Now().UnixNano())
	if err := in.publish(ctx, bus.ChangesBulk, t.ID, id, changes(found)); err != nil {
		return err
	}
	in.config.Observer.Received(ctx, system, "poll", len(found))
	return nil
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
	if err := in.config.Roster.Refresh(ctx); err != nil {
		return err
	}
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

func (in *Ingest) publishLists(ctx context.Context, t *tenant.Tenant, lists []contact.Directory) error {
	events := make([]contact.Incoming, len(lists))
	for i := range lists {
		lists[i].ReadAt = contact.Millis(in.config.Now().UnixMilli())
		events[i].Directory = &lists[i]
	}
	id := fmt.Sprintf("lists/%s/%d", t.ID, in.config.Now().UnixNano())
	return in.publish(ctx, bus.Changes, t.ID, id, events)
}
