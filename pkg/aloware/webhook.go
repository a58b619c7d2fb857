package aloware

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
)

// Webhook is what one delivery tells.
type Webhook struct {
	Event          string // as on the wire; "" where it is missing or no name
	Changes        []contact.Change
	Communications []contact.Communication
	Test           bool // "Save and Test" was pressed in Aloware
	// Ignored says why nothing was taken; it is set only when there are neither
	// Changes nor Communications and it is no Test.
	Ignored string
}

// ErrNoObject is a delivery that is not a JSON object.
var ErrNoObject = errors.New("the delivery is not a JSON object")

// DecodeWebhook reads a delivery with links to contacts at DefaultLinks.
func DecodeWebhook(body []byte, received time.Time) (Webhook, error) {
	return Decoder{Links: DefaultLinks}.Decode(body, received)
}

// Decoder reads deliveries.
type Decoder struct {
	Links string // base of the links to contacts; the Client's must be the same
}

// Decode reads a delivery. What kind it is, its body tells and not its name:
// names are not reliable, and unknown ones are no error.
func (d Decoder) Decode(body []byte, received time.Time) (Webhook, error) {
	value, err := decode(body)
	if err != nil {
		return Webhook{}, fmt.Errorf("%w: %w", ErrNoObject, err)
	}
	whole := asObject(value)
	if whole == nil {
		return Webhook{}, ErrNoObject
	}
	sum := sha256.Sum256(body)
	del := delivery{
		links: d.Links, id: "sha256:" + hex.EncodeToString(sum[:16]), received: contact.Millis(received.UnixMilli()),
		w: Webhook{Event: eventName(whole["event"])},
	}
	del.event = plain(del.w.Event)
	inner := asObject(whole["body"])
	switch {
	case inner == nil && whole["test_payload"] != nil:
		del.w.Test = true
	case inner == nil:
		del.ignore("no body")
	default:
		del.read(inner)
	}
	return del.w, nil
}

// delivery is one delivery being read.
type delivery struct {
	links    string
	id       string
	event    string // plain
	received contact.Millis
	w        Webhook
	why      string
}

// eventName is the event's name, provided that it looks like one.
func eventName(v any) string {
	name, _ := v.(string)
	if len(name) > 80 {
		return ""
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_. +", r)) {
			return ""
		}
	}
	return name
}

var separators = strings.NewReplacer("-", "", "_", "", ".", "", " ", "")

// plain is the form in which event names are compared: the names in Aloware's
// settings and on the wire differ in case and separators.
func plain(event string) string { return separators.Replace(strings.ToLower(event)) }

func (d *delivery) ignore(why string) {
	if d.why == "" {
		d.why = why
	}
	if len(d.w.Changes) == 0 && len(d.w.Communications) == 0 {
		d.w.Ignored = d.why
	}
}

// read tells the kinds apart: a transcription has no id of its own; a
// communication has a contact, or a contact's id; all else with an id is a
// contact.
func (d *delivery) read(body object) {
	embedded := asObject(body["contact"])
	switch {
	case body.id("id") == "" && (body["transcription"] != nil || body["communication"] != nil):
		d.transcription(body, embedded)
	case body.id("id") != "" && (embedded != nil || body["contact_id"] != nil || body["type"] != nil && body["direction"] != nil):
		if strings.HasPrefix(d.event, "contact") && body["direction"] == nil && body["lead_number"] == nil {
			d.contact(first(embedded, body))
			return
		}
		d.snapshot(body, embedded)
		d.communication(body, embedded)
	case body.id("id") == "" && embedded != nil:
		d.contact(embedded)
	case body.id("id") != "" && (strings.HasPrefix(d.event, "contact") || body["phone_number"] != nil):
		d.contact(body)
	default:
		d.ignore("unknown shape")
	}
}

// first is the object itself where it has an id, else the other.
func first(o, other object) object {
	if o.id("id") != "" {
		return o
	}
	return other
}

// contact is an event of a contact.
func (d *delivery) contact(c object) {
	change, ok := d.change(c)
	if !ok {
		d.ignore("contact without an id")
		return
	}
	change.Counters = told(c)
	if d.event == "contactcreated" {
		change.Event = contact.Created
	}
	d.w.Changes = append(d.w.Changes, change)
}

// snapshot is the contact inside another event. Without a time of its own it
// says nothing that could be put in order, and is left out.
func (d *delivery) snapshot(body, embedded object) {
	if embedded == nil || embedded.time("updated_at") == 0 {
		return
	}
	if _, told := embedded["incoming_number"]; !told && body.text("incoming_number") != "" {
		// Seen on the communication only: the account's number that was used.
		embedded["incoming_number"] = body["incoming_number"]
	}
	if change, ok := d.change(embedded); ok {
		d.w.Changes = append(d.w.Changes, change)
	}
}

func (d *delivery) change(c object) (contact.Change, bool) {
	change := contact.Change{
		System: contact.Aloware, ID: c.id("id"), EventID: d.id, Event: contact.Snapshot,
		OccurredAt: c.time("updated_at"), Precision: tick, ReceivedAt: d.received,
		Channel: contact.Webhook, Cause: d.w.Event,
	}
	if change.ID == "" {
		return change, false
	}
	if change.OccurredAt == 0 {
		change.OccurredAt, change.Precision = d.received-1000, 1000
	}
	change.Values = values(c, d.links)
	return change, true
}

// transcription is a summary or transcription; the communication in it is
// taken only where it tells its state and time.
func (d *delivery) transcription(body, embedded object) {
	communication := asObject(body["communication"])
	embedded = first(embedded, asObject(communication["contact"]))
	d.snapshot(object{}, embedded)
	if communication["current_status2"] == nil && communication["disposition_status2"] == nil {
		d.ignore("transcription")
		return
	}
	d.communication(communication, embedded)
}
