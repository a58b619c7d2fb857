package aloware

import (
	"context"
	"net/http"
	"net/url"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// ByPhone reads the contact with a phone number, as a snapshot; none where
// Aloware knows no such number. Every profile can do it.
func (c *Client) ByPhone(ctx context.Context, phone string) ([]contact.Change, error) {
	found, a, err := c.lookup(ctx, phone)
	if err != nil {
		return nil, err
	}
	changes := make([]contact.Change, 0, len(found))
	for _, r := range found {
		changes = append(changes, c.snapshot(r, a, contact.Walk))
	}
	return changes, nil
}

// snapshot is a reading as a change. Equal readings have equal event ids.
func (c *Client) snapshot(r *reading, a answer, channel contact.Channel) contact.Change {
	change := contact.Change{
		System: contact.Aloware, ID: r.id, EventID: "read/" + r.sum(), Event: contact.Snapshot,
		OccurredAt: r.updated, Precision: tick, ReceivedAt: a.now, Channel: channel, Values: r.values, Counters: r.totals,
	}
	if change.OccurredAt == 0 {
		change.OccurredAt = a.at
	}
	return change
}

// Count tells how many contacts the account has. Only profile Full can do it.
func (c *Client) Count(ctx context.Context) (int64, error) {
	a, err := c.call(ctx, request{method: http.MethodGet, path: "contacts", query: url.Values{"page": {"1"}, "per_page": {"1"}}, assumed: true})
	if err != nil {
		return 0, err
	}
	total, ok := asObject(a.raw).number("total")
	if !ok {
		return 0, fail(fault.Transient, a.status, Malformed, "the answer tells no total")
	}
	return int64(total), nil
}
