package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// walk reads contacts of both sides for a first sync or a reconciliation.
type walk struct {
	in     *Ingest
	tenant *tenant.Tenant
	job    *postgres.Sync
}

// overlap is how far an incremental reconciliation reaches back behind the one
// before, and how far the first one reaches back at all.
const overlap, firstReach = time.Hour, 25 * time.Hour

// step reads and publishes one page. True means that nothing is left.
func (w *walk) step(ctx context.Context) (bool, error) {
	hub := connection.HubSpot(w.tenant, w.in.bulkBudget(w.tenant, contact.HubSpot), w.in.config.HTTP)
	alo, err := connection.Aloware(w.tenant, w.in.bulkBudget(w.tenant, contact.Aloware), w.in.config.HTTP)
	if err != nil {
		return false, err
	}
	c, o := &w.job.Cursor, w.job.Options
	lists := alo.Capabilities().Function(aloware.ListChanged)
	if !c.Planned {
		if o.Aloware && !lists.Possible && w.job.Kind == postgres.FirstSync {
			return false, errNotNow{"Aloware's contacts cannot be listed: " + lists.Note}
		}
		return false, w.plan(ctx, hub, alo, lists.Possible)
	}
	switch {
	case len(c.Phones) > 0:
		return false, w.lookup(ctx, alo)
	case o.HubSpot && !c.HubSpotDone:
		return false, w.hubspotPage(ctx, hub, lists.Possible)
	case c.Keys && !c.HubSpotDone:
		return false, w.keysPage(ctx, hub)
	case o.Aloware && lists.Possible && !c.AlowareDone:
		return false, w.alowarePage(ctx, alo)
	}
	return w.missing(ctx, lists.Possible)
}

// seeks reports whether contacts that are not seen on a side are looked for: only
// where all of it is walked.
func (w *walk) seeks(system contact.System, lists bool) bool {
	o := w.job.Options
	return w.job.Kind == postgres.Reconcile && o.Full && (system == contact.HubSpot && o.HubSpot || system == contact.Aloware && o.Aloware && lists)
}

// see keeps which contacts were seen.
func (w *walk) see(ctx context.Context, system contact.System, found []contact.Change, first bool) error {
	if !w.seeks(system, true) {
		return nil
	}
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	return w.in.config.DB.SaveSeen(ctx, w.tenant.ID, w.job.ID, system, ids, first)
}

// missing asks for one page of contacts to be read that are linked and were not
// seen: their deletion may have been missed. True means that none is left.
func (w *walk) missing(ctx context.Context, lists bool) (bool, error) {
	const page = 500
	c := &w.job.Cursor
	if c.Unseen == 0 {
		c.Unseen = contact.HubSpot
	}
	if c.UnseenDone || !w.job.Options.Full {
		return true, nil
	}
	var unseen []postgres.Unseen
	var err error
	if w.seeks(c.Unseen, lists) {
		if unseen, err = w.in.config.DB.UnseenContacts(ctx, w.tenant.ID, w.job.ID, c.Unseen, c.UnseenID, page); err != nil {
			return false, err
		}
	}
	if len(unseen) == 0 {
		if c.Unseen, c.UnseenID = c.Unseen.Other(), ""; c.Unseen == contact.Aloware {
			return false, nil
		}
		c.UnseenDone = true
		return true, w.in.config.DB.ForgetSeen(ctx, w.tenant.ID, w.job.ID)
	}
	events := make([]contact.Incoming, len(unseen))
	for i, u := range unseen {
		events[i].Command = &contact.Command{
			EventID: jobEvent(w.job, "unseen/"+c.Unseen.String()+"/"+u.ID), Contact: u.Contact, Kind: contact.Recheck, System: c.Unseen,
			Author: w.job.AskedBy, AskedAt: contact.Millis(w.in.config.Now().UnixMilli()),
		}
	}
	if err := w.in.publishJob(ctx, w.job, c.Unseen, "unseen/"+c.Unseen.String()+"/"+c.UnseenID, events); err != nil {
		return false, err
	}
	c.UnseenID = unseen[len(unseen)-1].ID
	w.job.Counts.Published += int64(len(unseen))
	return false, nil
}

// plan learns the totals and where an incremental reading begins.
func (w *walk) plan(ctx context.Context, hub *hubspot.Client, alo *aloware.Client, lists bool) (err error) {
	c, counts, o := &w.job.Cursor, &w.job.Counts, w.job.Options
	counts.HubSpotTotal, counts.AlowareTotal = -1, -1
	if w.job.Kind == postgres.Reconcile && !o.Full {
		last, err := w.in.config.DB.LastReconciled(ctx, w.tenant.ID)
		if err != nil {
			return err
		}
		since := last.Add(-overlap)
		if last.IsZero() {
			since = w.in.config.Now().Add(-firstReach)
		}
		c.Since, c.Planned = contact.Millis(since.UnixMilli()), true
		return nil
	}
	toHubSpot := o.Aloware && lists && (w.tenant.Creation == tenant.FlowBoth || w.tenant.Creation == tenant.FlowToHubSpot)
	if o.Aloware && lists {
		if counts.AlowareTotal, err = alo.Count(ctx); err != nil {
			return err
		}
	}
	if o.HubSpot || toHubSpot {
		total, err := hub.CountContacts(ctx)
		if err != nil {
			return err
		}
		// A portal that is listed once need not be searched for each contact,
		// which HubSpot allows at five searches a second, of twelve numbers each.
		const listed, sought = 1100, 48 // a second, within the lowest limits
		c.Keys = toHubSpot && (o.HubSpot || total/listed <= counts.AlowareTotal/sought)
		if o.HubSpot || c.Keys {
			counts.HubSpotTotal = total
		}
	}
	c.Planned = true
	return nil
}

// keysPage lists by what contacts of the portal are found, for the writer.
func (w *walk) keysPage(ctx context.Context, hub *hubspot.Client) error {
	c := &w.job.Cursor
	found, next, err := hub.WalkKeys(ctx, c.HubSpot)
	if err != nil {
		return fmt.Errorf("list by what contacts of HubSpot are found: %w", err)
	}
	if err := w.saveKeys(ctx, found, next == ""); err != nil {
		return err
	}
	c.HubSpot, c.HubSpotDone = next, next == ""
	w.job.Counts.HubSpotRead += int64(len(found))
	return nil
}

// saveKeys keeps by what contacts of the portal are found.
func (w *walk) saveKeys(ctx context.Context, found []contact.Change, last bool) error {
	var keys []postgres.PortalKey
	for i := range found {
		for _, v := range found[i].Values {
			kind := contact.Phone
			switch {
			case !slices.Contains(hubspot.KeyNames, v.Name):
				continue
			case v.Name == "email":
				kind = contact.Email
			}
			if key, err := contact.Canonical(kind, v.Text, w.tenant.Region); err == nil && key != "" {
				keys = append(keys, postgres.PortalKey{Key: key, ID: found[i].ID})
			}
		}
	}
	return w.in.config.DB.SavePortalKeys(ctx, w.tenant.ID, w.tenant.HubSpot.PortalID, w.job.ID, keys, w.job.Cursor.HubSpot == "", last)
}

func (w *walk) hubspotPage(ctx context.Context, hub *hubspot.Client, lists bool) error {
	c := &w.job.Cursor
	names := w.tenant.Mapping.Properties(contact.HubSpot)
	var found []contact.Change
	var next string
	var err error
	if c.Since != 0 {
		found, next, _, err = hub.ChangedSince(ctx, time.UnixMilli(int64(c.Since)), c.HubSpot, names)
	} else {
		found, next, err = hub.WalkContacts(ctx, c.HubSpot, names)
	}
	if err != nil {
		return fmt.Errorf("read contacts of HubSpot: %w", err)
	}
	if c.Keys {
		if err := w.saveKeys(ctx, found, next == ""); err != nil {
			return err
		}
	}
	if err := w.see(ctx, contact.HubSpot, found, c.HubSpot == ""); err != nil {
		return err
	}
	if err := w.publish(ctx, "hubspot/"+c.HubSpot, found); err != nil {
		return err
	}
	if w.job.Kind == postgres.Reconcile && w.job.Options.Aloware && !lists {
		if c.Phones, err = w.phones(ctx, found); err != nil {
			return err
		}
	}
	c.HubSpot, c.HubSpotDone = next, next == ""
	w.job.Counts.HubSpotRead += int64(len(found))
	return nil
}

func (w *walk) alowarePage(ctx context.Context, alo *aloware.Client) error {
	c := &w.job.Cursor
	var since time.Time
	if c.Since != 0 {
		since = time.UnixMilli(int64(c.Since))
	}
	page := max(c.Aloware, 1)
	found, next, _, err := alo.ChangedSince(ctx, since, page)
	if err != nil {
		return fmt.Errorf("read contacts of Aloware: %w", err)
	}
	if err := w.see(ctx, contact.Aloware, found, page == 1); err != nil {
		return err
	}
	if err := w.publish(ctx, fmt.Sprintf("aloware/%d", page), found); err != nil {
		return err
	}
	c.Aloware, c.AlowareDone = next, next == 0
	w.job.Counts.AlowareRead += int64(len(found))
	return nil
}

// phones are the numbers of those contacts of HubSpot that are in Aloware too:
// where Aloware lists no contacts, that is the way to read them.
func (w *walk) phones(ctx context.Context, found []contact.Change) ([]string, error) {
	m := w.tenant.Mapping.ByKey("phone_number")
	if m == nil || len(found) == 0 {
		return nil, nil
	}
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	linked, err := w.in.config.DB.LinkedContacts(ctx, w.tenant.ID, ids)
	if err != nil {
		return nil, err
	}
	var phones []string
	for i := range found {
		for _, v := range found[i].Values {
			if !linked[found[i].ID] || v.Name != m.Property(contact.HubSpot) {
				continue
			}
			if phone, err := contact.Canonical(contact.Phone, v.Text, w.tenant.Region); err == nil && phone != "" {
				phones = append(phones, phone)
			}
		}
	}
	return phones, nil
}

// lookup reads the next few numbers, so that a step stays short under the
// slowest of limits.
func (w *walk) lookup(ctx context.Context, alo *aloware.Client) error {
	const few = 8
	c := &w.job.Cursor
	now := c.Phones[:min(few, len(c.Phones))]
	var found []contact.Change
	for _, phone := range now {
		one, err := alo.ByPhone(ctx, phone)
		if err != nil {
			return fmt.Errorf("look a contact of Aloware up: %w", err)
		}
		found = append(found, one...)
	}
	if err := w.publish(ctx, fmt.Sprintf("phones/%s/%d", c.HubSpot, len(c.Phones)), found); err != nil {
		return err
	}
	c.Phones = c.Phones[len(now):]
	w.job.Counts.AlowareRead += int64(len(found))
	return nil
}

// publish makes what was read durable, as events of the job.
func (w *walk) publish(ctx context.Context, page string, found []contact.Change) error {
	system := contact.HubSpot
	for i := range found {
		found[i].EventID, found[i].Channel = jobEvent(w.job, found[i].EventID), contact.Walk
		system = found[i].System
	}
	if err := w.in.publishJob(ctx, w.job, system, page, changes(found)); err != nil {
		return err
	}
	w.job.Counts.Published += int64(len(found))
	w.in.config.Observer.Received(ctx, system, "walk", len(found))
	return nil
}

// publishJob publishes on the bulk stream, so that a job never delays what
// people edit now. A full stream is waited for: the mapper sets the pace.
func (in *Ingest) publishJob(ctx context.Context, job *postgres.Sync, system contact.System, page string, events []contact.Incoming) error {
	const pause = 200 * time.Millisecond
	sum := sha256.Sum256([]byte(page)) // a system's page mark can be long
	id := jobEvent(job, hex.EncodeToString(sum[:12]))
	for {
		err := in.publish(ctx, bus.ChangesBulk, system, job.Tenant, id, events)
		if !errors.Is(err, bus.ErrFull) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
