package contacts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/mappings"
)

// Portal is what this room needs of a HubSpot portal.
type Portal interface {
	SetProperty(ctx context.Context, id, name, value string) (contact.Millis, error)
}

// Dispose gives a contact another contact disposition, by its value in HubSpot.
// It must be one that agents may pick. HubSpot is told at once. The mapper is told
// that somebody meant it, as HubSpot's own event of it names our app alone; Aloware
// follows by the mapping, as with any edit that somebody makes in HubSpot.
func (c *Contacts) Dispose(ctx context.Context, id contact.Tenant, name, value, author string) error {
	t, err := c.tenant(id)
	if err != nil {
		return err
	}
	m := t.Mapping.ByKey("contact_disposition_status")
	if m == nil || m.Stopped != "" {
		return &Error{"invalid", "value", "contact disposition status is not in step here: its mapping is at rest"}
	}
	if t.HubSpot.State == tenant.Disconnected {
		return &Error{"invalid", "hubspot", "HubSpot is not connected"}
	}
	list, _, _, err := c.Mappings.Dispositions(ctx, id, false)
	if err != nil {
		return err
	}
	in := slices.IndexFunc(list, func(d mappings.Disposition) bool { return d.Value == value && value != "" })
	switch {
	case in < 0:
		return &Error{"options", "value", fmt.Sprintf("HubSpot has no contact disposition %q; pick one of its list", value)}
	case list[in].WhyNot != "":
		return &Error{"options", "value", fmt.Sprintf("%q cannot be picked: %s", list[in].Label, list[in].WhyNot)}
	}
	card, err := c.Card(ctx, id, name)
	if err != nil {
		return err
	}
	if card.Sides[0].ID == "" || card.Sides[0].Gone {
		return &Error{"invalid", "contact", "the contact is not in HubSpot, whose list this is"}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	at, err := c.Portal(t).SetProperty(ctx, card.Sides[0].ID, m.HubSpot, value)
	if err == nil {
		return c.commands.Edited(ctx, id, author, contact.ID{System: contact.HubSpot, ID: card.Sides[0].ID}, contact.Value{Name: m.HubSpot, Text: value}, at)
	}
	switch f := fault.As(err); {
	case errors.Is(err, context.DeadlineExceeded), f.Class == fault.Throttled:
		return &Error{"unavailable", "hubspot", "HubSpot takes no more calls just now; try again in a moment"}
	case f.Class == fault.Permanent, f.Class == fault.Unauthorized:
		return &Error{"refused", "hubspot", "HubSpot refuses: " + f.Message}
	}
	return err
}
