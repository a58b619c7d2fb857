package hubspot

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
)

// WebhookBatch is one delivery of HubSpot, sorted by portal: an app has one
// address for all of its portals.
type WebhookBatch struct {
	Portals []PortalEvents // in the order of their first event
	Ignored []Ignored
}

// PortalEvents are the changes of one portal in the order of the delivery.
type PortalEvents struct {
	PortalID int64
	Events   int // that the changes are of
	Changes  []contact.Change
}

// Ignored is an event that says nothing of a contact's values, and why.
type Ignored struct {
	Reason   string // never contact data
	PortalID int64  // 0 where the event does not tell
}

// ErrNotBatch marks a webhook body that is no JSON array.
var ErrNotBatch = errors.New("hubspot: webhook body is not a JSON array")

// webhookEvent is one event of a delivery. Ids are kept as the text in which
// they came, because they are over 53 bits.
type webhookEvent struct {
	EventID          json.Number   `json:"eventId"`
	PortalID         json.Number   `json:"portalId"`
	AppID            json.Number   `json:"appId"`
	OccurredAt       json.Number   `json:"occurredAt"`
	SubscriptionType string        `json:"subscriptionType"`
	ObjectID         json.Number   `json:"objectId"`
	ObjectTypeID     string        `json:"objectTypeId"`
	PropertyName     string        `json:"propertyName"`
	PropertyValue    string        `json:"propertyValue"`
	IsSensitive      bool          `json:"isSensitive"`
	ChangeSource     string        `json:"changeSource"`
	SourceID         string        `json:"sourceId"`
	PrimaryObjectID  json.Number   `json:"primaryObjectId"`
	MergedObjectIDs  []json.Number `json:"mergedObjectIds"`
	NewObjectID      json.Number   `json:"newObjectId"`
}

// lenientEvent is the same event with every member in any type.
type lenientEvent struct {
	EventID          text  `json:"eventId"`
	PortalID         text  `json:"portalId"`
	AppID            text  `json:"appId"`
	OccurredAt       text  `json:"occurredAt"`
	SubscriptionType text  `json:"subscriptionType"`
	ObjectID         text  `json:"objectId"`
	ObjectTypeID     text  `json:"objectTypeId"`
	PropertyName     text  `json:"propertyName"`
	PropertyValue    text  `json:"propertyValue"`
	IsSensitive      text  `json:"isSensitive"`
	ChangeSource     text  `json:"changeSource"`
	SourceID         text  `json:"sourceId"`
	PrimaryObjectID  text  `json:"primaryObjectId"`
	MergedObjectIDs  texts `json:"mergedObjectIds"`
	NewObjectID      text  `json:"newObjectId"`
}

func (l lenientEvent) event() webhookEvent {
	e := webhookEvent{
		EventID: json.Number(l.EventID), PortalID: json.Number(l.PortalID), AppID: json.Number(l.AppID),
		OccurredAt: json.Number(l.OccurredAt), SubscriptionType: string(l.SubscriptionType),
		ObjectID: json.Number(l.ObjectID), ObjectTypeID: string(l.ObjectTypeID),
		PropertyName: string(l.PropertyName), PropertyValue: string(l.PropertyValue), IsSensitive: l.IsSensitive == "true",
		ChangeSource: string(l.ChangeSource), SourceID: string(l.SourceID),
		PrimaryObjectID: json.Number(l.PrimaryObjectID), NewObjectID: json.Number(l.NewObjectID),
	}
	for _, id := range l.MergedObjectIDs {
		e.MergedObjectIDs = append(e.MergedObjectIDs, json.Number(id))
	}
	return e
}

// DecodeWebhook turns a delivery into changes, one for each event; what one write of
// ours set in a contact, which HubSpot tells in an event for each property, is one
// change, so that the echo of a large write is small. appID is our app, by which our own writes are recognised; 0 takes the app that the event
// names. The error is ErrNotBatch; one bad event never spoils the others.
func DecodeWebhook(body []byte, received time.Time, appID int64) (WebhookBatch, error) {
	events, err := decodeEvents(body)
	if err != nil {
		return WebhookBatch{}, err
	}
	var batch WebhookBatch
	var newest []map[string]int // by portal: the place of each contact's last change
	at := map[int64]int{}
	app := ""
	if appID != 0 {
		app = strconv.FormatInt(appID, 10)
	}
	for _, e := range events {
		portal, err := strconv.ParseInt(string(e.PortalID), 10, 64)
		if err != nil || portal <= 0 {
			batch.Ignored = append(batch.Ignored, Ignored{Reason: "event without a portal"})
			continue
		}
		change, reason := e.change(app, contact.Millis(received.UnixMilli()))
		if reason != "" {
			batch.Ignored = append(batch.Ignored, Ignored{Reason: reason, PortalID: portal})
			continue
		}
		i, known := at[portal]
		if !known {
			i = len(batch.Portals)
			at[portal] = i
			batch.Portals = append(batch.Portals, PortalEvents{PortalID: portal})
			newest = append(newest, make(map[string]int))
		}
		batch.Portals[i].add(change, newest[i])
	}
	return batch, nil
}

// add takes a change in, into the last one of its contact if both are of the same
// write of ours. The joint id names all of them, as an equal one hides events.
func (p *PortalEvents) add(c contact.Change, newest map[string]int) {
	p.Events++
	at, known := newest[c.ID]
	if known && c.Event == contact.Changed && c.Origin == contact.Ours {
		last := &p.Changes[at]
		same := last.Event == contact.Changed && last.Origin == contact.Ours && last.OccurredAt == c.OccurredAt && last.Cause == c.Cause
		if same && !slices.ContainsFunc(last.Values, func(v contact.Value) bool { return v.Name == c.Values[0].Name }) {
			if len(last.Values) == 1 {
				last.EventID += "+"
			}
			first, rest, _ := strings.Cut(last.EventID, "+")
			hash := fnv.New64a()
			hash.Write([]byte(rest + c.EventID))
			last.EventID = first + "+" + strconv.FormatUint(hash.Sum64(), 36)
			last.Values = append(last.Values, c.Values[0])
			return
		}
	}
	newest[c.ID] = len(p.Changes)
	p.Changes = append(p.Changes, c)
}

// decodeEvents reads the array at once, and event by event when one of them has
// an unexpected form.
func decodeEvents(body []byte) ([]webhookEvent, error) {
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '[' {
		return nil, ErrNotBatch
	}
	if events, ok := scanEvents(body); ok {
		return events, nil
	}
	var events []webhookEvent
	if json.Unmarshal(body, &events) == nil {
		return events, nil
	}
	var raw []json.RawMessage
	if json.Unmarshal(body, &raw) != nil {
		return nil, ErrNotBatch
	}
	events = make([]webhookEvent, 0, len(raw))
	for _, one := range raw {
		var l lenientEvent
		_ = json.Unmarshal(one, &l) // what cannot be read stays empty and is ignored with its reason
		events = append(events, l.event())
	}
	return events, nil
}

// change makes the change that an event tells of, or says why there is none.
func (e webhookEvent) change(app string, received contact.Millis) (contact.Change, string) {
	object, what, _ := strings.Cut(e.SubscriptionType, ".")
	switch {
	case object == "object" && e.ObjectTypeID != contactType:
		return contact.Change{}, "object type " + clip(e.ObjectTypeID) + " is not a contact"
	case object != "contact" && object != "object":
		return contact.Change{}, "event type " + clip(e.SubscriptionType) + " is not known"
	case e.EventID == "100" && e.ObjectID == "123" && e.ChangeSource == "CRM":
		return contact.Change{}, "test event"
	}
	if app == "" {
		app = string(e.AppID)
	}
	change := contact.Change{
		System: contact.HubSpot, ID: string(e.ObjectID), ReceivedAt: received, Channel: contact.Webhook,
		Origin: originOf(e.ChangeSource, e.SourceID, app), Cause: clip(strings.TrimSpace(e.ChangeSource + " " + e.SourceID)),
	}
	switch what {
	case "creation":
		change.Event = contact.Created
	case "deletion":
		change.Event = contact.Deleted
	case "restore":
		change.Event = contact.Restored
	case "privacyDeletion":
		change.Event = contact.Erased
	case "merge":
		change.Event = contact.Merged
		change.ID, change.MergedIDs = e.merged()
	case "propertyChange":
		change.Event = contact.Changed
		if e.PropertyName == "" {
			return contact.Change{}, "property change without a property"
		}
		if e.IsSensitive && e.PropertyValue == "REDACTED" {
			return contact.Change{}, "sensitive value is withheld"
		}
		change.Values = []contact.Value{{Name: e.PropertyName, Text: e.PropertyValue}}
	case "associationChange":
		return contact.Change{}, "association change"
	default:
		return contact.Change{}, "event type " + clip(e.SubscriptionType) + " is not known"
	}
	if !isID(change.ID) {
		return contact.Change{}, "event without an object"
	}
	occurred, err := strconv.ParseInt(string(e.OccurredAt), 10, 64)
	if err != nil || occurred <= 0 {
		if change.Event == contact.Changed {
			return contact.Change{}, "property change without a time"
		}
		occurred = int64(received)
	}
	change.OccurredAt = contact.Millis(occurred)
	id := [...]string{e.SubscriptionType, change.ID, string(e.EventID), string(e.OccurredAt), e.PropertyName}
	parts := id[:]
	if e.PropertyName == "" {
		parts = id[:4]
	}
	change.EventID = strings.Join(parts, "/")
	return change, ""
}

// merged gives the surviving contact of a merge and the ids that lead to it.
// Merges since 2025 make a new contact; older ones keep the primary.
func (e webhookEvent) merged() (survivor string, others []string) {
	all := append([]json.Number{e.NewObjectID, e.PrimaryObjectID, e.ObjectID}, e.MergedObjectIDs...)
	for _, number := range all {
		id := string(number)
		switch {
		case !isID(id) || id == survivor || slices.Contains(others, id):
		case survivor == "":
			survivor = id
		default:
			others = append(others, id)
		}
	}
	return survivor, others
}

// isID reports whether a text is a decimal id.
func isID(id string) bool {
	if id == "" || id[0] == '0' || len(id) > 19 {
		return false
	}
	for _, digit := range id {
		if digit < '0' || digit > '9' {
			return false
		}
	}
	return true
}

// clip bounds a text of HubSpot that is passed on for people.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// Derived reports whether HubSpot computed what a webhook tells of by itself, after
// somebody's write (changeSource CALCULATED). It is a hint, as all sources are.
func Derived(c *contact.Change) bool {
	source, _, _ := strings.Cut(c.Cause, " ")
	return source == "CALCULATED"
}
