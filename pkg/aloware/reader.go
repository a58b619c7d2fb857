package aloware

import (
	"context"
	"net/http"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// ChangedSince reads a page of the contacts that were updated since a time (of
// all for the zero time), as snapshots in the order of their ids. Pages count
// from 1; next is 0 after the last one. UpTo is Aloware's clock when the page
// was read: what changed before the first page's UpTo is in one of the pages,
// unless contacts are deleted meanwhile, which moves the others up.
//
// Only profile Full can do it; others get ErrNotCapable.
func (c *Client) ChangedSince(ctx context.Context, since time.Time, page int) (changes []contact.Change, next int, upTo time.Time, err error) {
	page = max(page, 1)
	text, channel := "", contact.Walk
	if !since.IsZero() {
		text, channel = since.UTC().Format(time.DateTime), contact.Poll
	}
	found, a, last, err := c.list(ctx, text, page)
	if err != nil {
		return nil, 0, time.Time{}, err
	}
	for _, r := range found {
		changes = append(changes, c.snapshot(r, a, channel))
	}
	if page < last || last == 0 && len(found) == perPage {
		next = page + 1
	}
	return changes, next, time.UnixMilli(int64(a.at)).UTC(), nil
}

// Users reads all users. Deleted ones, which Aloware keeps in the list with a
// mark in their e-mail, are not active and match nobody: what they own is told by
// their name.
func (c *Client) Users(ctx context.Context) (contact.Directory, error) {
	return c.directory(ctx, request{method: http.MethodGet, path: "users"}, contact.UserList,
		func(o object) (contact.DirectoryEntry, bool) {
			user := contact.DirectoryEntry{Value: o.id("id"), Match: strings.ToLower(o.text("email")), Label: o.text("name"), Active: true}
			if strings.Contains(user.Match, "_deleted_") {
				user.Match, user.Active = "", false
			}
			return user, true
		})
}

// DispositionProperty and CallDispositionProperty name the option lists.
const (
	DispositionProperty     = "disposition_status_id"
	CallDispositionProperty = "call_disposition_id"
)

// Dispositions reads the contact dispositions. Those that came from HubSpot
// are matched by HubSpot's value. Only profile Full can do it.
func (c *Client) Dispositions(ctx context.Context) (contact.Directory, error) {
	return c.directory(ctx, request{method: http.MethodGet, path: "disposition-statuses", assumed: true},
		contact.OptionList(DispositionProperty), disposition)
}

// CallDispositions reads the outcomes that a call can have. Only profile Full
// can do it.
func (c *Client) CallDispositions(ctx context.Context) (contact.Directory, error) {
	return c.directory(ctx, request{method: http.MethodGet, path: "call-dispositions", assumed: true},
		contact.OptionList(CallDispositionProperty), disposition)
}

// Choice is one option of HubSpot's list.
type Choice struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// ReplaceDispositions makes HubSpot's part of the contact dispositions equal to
// these and gives the list that came of it. Only profile Full can do it.
func (c *Client) ReplaceDispositions(ctx context.Context, choices []Choice) (contact.Directory, error) {
	return c.directory(ctx, replace("disposition-statuses/crm", choices), contact.OptionList(DispositionProperty), disposition)
}

// ReplaceCallDispositions does the same for the outcomes of calls.
func (c *Client) ReplaceCallDispositions(ctx context.Context, choices []Choice) (contact.Directory, error) {
	return c.directory(ctx, replace("call-dispositions/crm", choices), contact.OptionList(CallDispositionProperty), disposition)
}

func replace(path string, choices []Choice) request {
	if choices == nil {
		choices = []Choice{}
	}
	return request{method: http.MethodPut, path: path, assumed: true, body: map[string]any{"crm": "hubspot", "options": choices}}
}

func disposition(o object) (contact.DirectoryEntry, bool) {
	e := contact.DirectoryEntry{Value: o.id("id"), Label: o.text("name"), Active: true}
	if strings.EqualFold(o.text("crm"), "hubspot") {
		e.Match = o.text("crm_value")
	}
	return e, true
}

// directory reads a list; entries without an id are left out.
func (c *Client) directory(ctx context.Context, r request, list string, entry func(object) (contact.DirectoryEntry, bool)) (contact.Directory, error) {
	a, err := c.call(ctx, r)
	if err != nil {
		return contact.Directory{}, err
	}
	all, ok := a.raw.([]any)
	if !ok {
		all, ok = asObject(a.raw)["data"].([]any)
	}
	if !ok {
		return contact.Directory{}, fail(fault.Permanent, a.status, Malformed, "the answer holds no list")
	}
	d := contact.Directory{System: contact.Aloware, List: list, ReadAt: a.now, Entries: []contact.DirectoryEntry{}}
	for _, one := range all {
		if e, wanted := entry(asObject(one)); wanted && e.Value != "" {
			d.Entries = append(d.Entries, e)
		}
	}
	return d, nil
}

// Attributes are the fields that the account defined itself, as the mapping
// knows properties. Only profile Full can tell.
func (c *Client) Attributes(ctx context.Context) ([]mapping.Property, error) {
	a, err := c.call(ctx, request{method: http.MethodGet, path: "contact-attributes", assumed: true})
	if err != nil {
		return nil, err
	}
	all, ok := a.raw.([]any)
	if !ok {
		return nil, fail(fault.Permanent, a.status, Malformed, "the answer holds no list")
	}
	var properties []mapping.Property
	for _, one := range all[:min(len(all), maxAttributes)] {
		o := asObject(one)
		p := mapping.Property{System: contact.Aloware, Name: o.text("slug"), Label: o.text("name")}
		if p.Name == "" {
			continue
		}
		switch o.text("type") {
		case "number":
			p.Type = contact.Number
		case "date":
			p.Type = contact.Date
		case "dropdown":
			p.Type = contact.Option
			options, _ := o["options"].([]any)
			for _, option := range options {
				if text, ok := scalar(option); ok {
					p.Options = append(p.Options, mapping.Option{Value: text, Label: text})
				}
			}
		default:
			p.Type = contact.Text
		}
		properties = append(properties, p)
	}
	return properties, nil
}
