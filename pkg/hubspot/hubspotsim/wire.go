package hubspotsim

import "hash/fnv"

// wireEvent is an event as HubSpot sends it, with the key order of captures.
type wireEvent struct {
	EventID        int64   `json:"eventId"`
	SubscriptionID int64   `json:"subscriptionId"`
	PortalID       int64   `json:"portalId"`
	AppID          int64   `json:"appId"`
	OccurredAt     int64   `json:"occurredAt"`
	Type           string  `json:"subscriptionType"`
	Attempt        int     `json:"attemptNumber"`
	ObjectID       int64   `json:"objectId"`
	PropertyName   string  `json:"propertyName,omitempty"`
	PropertyValue  *string `json:"propertyValue,omitempty"`
	ChangeFlag     string  `json:"changeFlag,omitempty"`
	ChangeSource   string  `json:"changeSource"`
	SourceID       string  `json:"sourceId,omitempty"`
	IsSensitive    *bool   `json:"isSensitive,omitempty"`
	Primary        int64   `json:"primaryObjectId,omitempty"`
	Merged         []int64 `json:"mergedObjectIds,omitempty"`
	New            int64   `json:"newObjectId,omitempty"`
	Moved          *int    `json:"numberOfPropertiesMoved,omitempty"`
}

// wire gives a batch in HubSpot's form.
func (c *courier) wire(p *parcel) []wireEvent {
	out := make([]wireEvent, len(p.events))
	for i := range p.events {
		ev := &p.events[i]
		w := wireEvent{
			EventID: ev.ID, SubscriptionID: subscription(ev), PortalID: c.portal, AppID: c.app, OccurredAt: ev.OccurredAt,
			Type: ev.Kind, Attempt: p.attempt, ObjectID: ev.ObjectID, ChangeFlag: ev.Flag,
			ChangeSource: ev.ChangeSource, SourceID: ev.SourceID,
		}
		if ev.Property != "" {
			sensitive := ev.Value == "REDACTED"
			w.PropertyName, w.PropertyValue, w.IsSensitive = ev.Property, &ev.Value, &sensitive
		}
		if ev.New != 0 {
			w.Primary, w.Merged, w.New, w.Moved = ev.Primary, []int64{ev.Merged}, ev.New, &ev.Moved
		}
		out[i] = w
	}
	return out
}

// subscription is a number that stays the same for a type and property.
func subscription(ev *event) int64 {
	h := fnv.New32a()
	h.Write([]byte(ev.Kind + "." + ev.Property))
	return 2_000_000 + int64(h.Sum32()%900_000)
}
