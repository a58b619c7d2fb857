package hubspot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

const (
	// changedPage is how many changed contacts one search finds.
	changedPage = 100
	// mostSearched is how many searches one call of ChangedSince makes; none begins later
	// than searchFor, as others may want the searches and the caller has a time.
	mostSearched = 10
	searchFor    = 10 * time.Second
	// indexLag is how far a finished poll stays behind HubSpot's clock, because
	// the search index shows changes late and out of order.
	indexLag = contact.Millis(2 * 60 * 1000)
	// earliest is the least time that a search may be asked for; 0 was seen to
	// fail.
	earliest = contact.Millis(1000)
)

// ErrCursor marks a cursor that ChangedSince did not give.
var ErrCursor = errors.New("hubspot: not a cursor of a changed-since read")

// cursor is where a changed-since read stands: at a time with the ids of it
// that were given already, or within one time at an id.
type cursor struct {
	at    contact.Millis
	given []string // at that time, already given
	above string   // give only greater ids of that time; "" for a normal page
}

func (c cursor) String() string {
	if c.above != "" {
		return fmt.Sprintf("i%d:%s", c.at, c.above)
	}
	return fmt.Sprintf("t%d:%s", c.at, strings.Join(c.given, ","))
}

func parseCursor(after string, since time.Time) (cursor, error) {
	if after == "" {
		return cursor{at: max(contact.Millis(since.UnixMilli()), earliest)}, nil
	}
	head, ids, found := strings.Cut(after[1:], ":")
	at, err := strconv.ParseInt(head, 10, 64)
	c := cursor{at: contact.Millis(at)}
	switch {
	case err != nil || !found || c.at < earliest:
		return cursor{}, ErrCursor
	case after[0] == 'i' && isID(ids):
		c.above = ids
	case after[0] == 't':
		if ids != "" {
			c.given = strings.Split(ids, ",")
		}
	default:
		return cursor{}, ErrCursor
	}
	return c, nil
}

// ChangedSince gives some of the contacts that changed at or after a time,
// oldest change first, each as a Snapshot of the named properties with the time
// and origin of every value. after is "" for the first page and then the last
// page's next; next is "" on the last page. upTo is how far the read is
// complete, for the next since; it stays two minutes behind HubSpot's clock,
// because the search index lags, and a contact may be given again.
//
// Contacts that nothing happened to since our app made them are left out: what
// they hold is known, and after a first sync they would be all there are to read.
// Searches, which have a limit of their own, go on until there is enough for a call
// that reads: during a first sync it would hold the few of each search that people
// edited, and take a call that creates a hundred.
//
// Pages go by time, not by offset, so that contacts that change meanwhile hide
// none, and HubSpot's bound of 10,000 results is never met.
func (c *Client) ChangedSince(ctx context.Context, since time.Time, after string, properties []string) (changes []contact.Change, next string, upTo time.Time, err error) {
	upTo = since
	at, err := parseCursor(after, since)
	if err != nil {
		return nil, "", upTo, err
	}
	var ids []string
	var a answer
	var following *cursor
	began := c.now()
	for range mostSearched {
		var found []string
		if found, following, a, err = c.searchChanged(ctx, at); err != nil {
			return nil, "", upTo, fmt.Errorf("search changed contacts: %w", err)
		}
		for _, id := range found {
			if !slices.Contains(ids, id) { // it changed once more meanwhile
				ids = append(ids, id)
			}
		}
		if following == nil || len(ids) >= mostHistories || c.now().Sub(began) > searchFor {
			break
		}
		at = *following
	}
	if changes, err = c.snapshots(ctx, ids, properties, contact.Poll); err != nil {
		return nil, "", upTo, err
	}
	complete := a.date - indexLag
	if a.date == 0 {
		complete = contact.Millis(c.now().UnixMilli()) - indexLag
	}
	if following != nil {
		next = following.String()
		complete = min(complete, following.at)
	}
	if reached := time.UnixMilli(int64(complete)); reached.After(upTo) {
		upTo = reached
	}
	return changes, next, upTo, nil
}

// searchChanged gives the ids of one search that are to be read, and where the next one
// begins; nil after the last.
func (c *Client) searchChanged(ctx context.Context, at cursor) (ids []string, following *cursor, a answer, err error) {
	body := searchBody{Properties: []string{modifiedName, createdName, sourceName, sourceIDName}, Limit: min(changedPage+len(at.given), mostFound)}
	from := strconv.FormatInt(int64(at.at), 10)
	if at.above == "" {
		body.Groups = []filterGroup{{Filters: []filter{{Property: modifiedName, Operator: "GTE", Value: from}}}}
		body.Sorts = []sortBy{{modifiedName, "ASCENDING"}}
	} else {
		body.Groups = []filterGroup{{Filters: []filter{
			{Property: modifiedName, Operator: "EQ", Value: from}, {Property: objectName, Operator: "GT", Value: at.above},
		}}}
		body.Sorts = []sortBy{{objectName, "ASCENDING"}}
	}
	found, a, err := c.search(ctx, body)
	if err != nil {
		return nil, nil, a, err
	}
	more := len(found.Results) >= body.Limit || found.Paging.after() != "" && len(found.Results) > 0
	ids, following = at.follow(found.Results, more)
	return slices.DeleteFunc(ids, func(id string) bool { return c.justMade(found.Results, id) }), following, a, nil
}

// justMade reports whether a contact was made by our app and not changed since,
// but for what HubSpot derives from what it was made with.
func (c *Client) justMade(results []record, id string) bool {
	const derived = 3000 // ms
	at := slices.IndexFunc(results, func(r record) bool { return string(r.ID) == id })
	if at < 0 || c.app == "" {
		return false
	}
	r := results[at]
	created := r.created()
	return r.Properties[sourceName] == "INTEGRATION" && string(r.Properties[sourceIDName]) == c.app && created != 0 && r.modified() <= created+derived
}

// follow picks the ids of a page that were not given yet, and says where the
// next page begins; nil after the last one.
func (c cursor) follow(results []record, full bool) (ids []string, next *cursor) {
	last := c.at
	for _, result := range results {
		if id := string(result.ID); !slices.Contains(c.given, id) {
			ids = append(ids, id)
		}
		last = max(last, result.modified())
	}
	if c.above != "" {
		if full && len(ids) > 0 {
			return ids, &cursor{at: c.at, above: ids[len(ids)-1]}
		}
		return ids, &cursor{at: c.at + 1}
	}
	if !full {
		return ids, nil
	}
	if last == c.at {
		// A whole page of one time (an import): go through that time by id.
		return nil, &cursor{at: c.at, above: "1"}
	}
	following := &cursor{at: last}
	for _, result := range results {
		if result.modified() == last {
			following.given = append(following.given, string(result.ID))
		}
	}
	if len(following.given) >= changedPage {
		return ids, &cursor{at: last, above: "1"}
	}
	return ids, following
}

// KeyNames are the properties by which a contact is recognised.
var KeyNames = []string{emailName, phoneName, mobileName}

// WalkContacts gives one page of all contacts in the order of their ids, as
// ChangedSince does. after is "" for the first page; next is "" on the last.
func (c *Client) WalkContacts(ctx context.Context, after string, properties []string) (changes []contact.Change, next string, err error) {
	results, next, err := c.list(ctx, after, modifiedName)
	if err != nil {
		return nil, "", err
	}
	var ids []string
	for _, result := range results {
		ids = append(ids, string(result.ID))
	}
	changes, err = c.snapshots(ctx, ids, properties, contact.Walk)
	if err != nil {
		return nil, "", err
	}
	return changes, next, nil
}

// WalkKeys gives one page of all contacts, as WalkContacts does, with no more
// than their KeyNames. It is one call for a hundred contacts instead of three.
func (c *Client) WalkKeys(ctx context.Context, after string) (changes []contact.Change, next string, err error) {
	results, next, err := c.list(ctx, after, strings.Join(KeyNames, ","))
	if err != nil {
		return nil, "", err
	}
	received := contact.Millis(c.now().UnixMilli())
	for _, result := range results {
		changes = append(changes, c.snapshot(result, KeyNames, contact.Walk, received))
	}
	return changes, next, nil
}

// list gives one page of all contacts in the order of their ids, a hundred at
// most.
func (c *Client) list(ctx context.Context, after, properties string) (results []record, next string, err error) {
	query := url.Values{"limit": {"100"}, "properties": {properties}}
	if after != "" {
		query.Set("after", after)
	}
	var got struct {
		Results []record `json:"results"`
		Paging  *page    `json:"paging"`
	}
	path := c.contacts("")
	if _, err := c.do(ctx, request{method: http.MethodGet, path: path, pattern: path, query: query}, &got); err != nil {
		return nil, "", fmt.Errorf("list contacts: %w", err)
	}
	return got.Results, got.Paging.after(), nil
}

// Contacts reads contacts by their ids, as snapshots; one that is gone is left
// out.
func (c *Client) Contacts(ctx context.Context, ids, properties []string) ([]contact.Change, error) {
	return c.snapshots(ctx, ids, properties, contact.Walk)
}

// snapshots reads contacts with history, in the order of their ids as given;
// one that is gone meanwhile is left out.
func (c *Client) snapshots(ctx context.Context, ids, properties []string, channel contact.Channel) ([]contact.Change, error) {
	names := withAlways(properties)
	changes := make([]contact.Change, 0, len(ids))
	for chunk := range slices.Chunk(ids, mostHistories) {
		results, _, err := c.read(ctx, chunk, "", names, names)
		if fault.Is(err, fault.Gone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read contacts with history: %w", err)
		}
		byID := make(map[string]record, len(results))
		for _, result := range results {
			byID[string(result.ID)] = result
		}
		received := contact.Millis(c.now().UnixMilli())
		for _, id := range chunk {
			if result, ok := byID[id]; ok {
				changes = append(changes, c.snapshot(result, names, channel, received))
			}
		}
	}
	return changes, nil
}

// snapshot is a record as a change. Equal readings have equal event ids.
func (c *Client) snapshot(r record, names []string, channel contact.Channel, received contact.Millis) contact.Change {
	change := contact.Change{
		System: contact.HubSpot, ID: string(r.ID), Event: contact.Snapshot, OccurredAt: r.modified(), ReceivedAt: received,
		Channel: channel, Values: r.values(names, c.app), MergedIDs: mergedInto(string(r.ID), string(r.Properties[mergedName])),
	}
	hash := sha256.New()
	for _, value := range change.Values {
		fmt.Fprintf(hash, "%s\x00%s\x00%d\x00", value.Name, value.Text, value.OccurredAt)
	}
	change.EventID = fmt.Sprintf("read/%s/%d/%s", r.ID, change.OccurredAt, hex.EncodeToString(hash.Sum(nil)[:12]))
	return change
}
