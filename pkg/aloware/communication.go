package aloware

import (
	"strings"

	"lockstep.internal/pkg/contact"
)

// The types of a communication that feed activity fields.
const (
	typeCall = 1
	typeText = 2
)

// typeNames are the other types, by number.
var typeNames = map[int64]string{
	3: "conference", 4: "ringless voicemail", 5: "e-mail", 6: "Facebook", 7: "WhatsApp", 8: "fax",
	10: "note", 11: "system note", 12: "appointment", 13: "reminder",
}

// overStatus are the values of current_status2, and their names, with which a
// communication is over.
var overStatus = map[string]bool{
	"9": true, "completed": true, "19": true, "failed": true,
}

// overTextStatus are those with which a text is over besides.
var overTextStatus = map[string]bool{
	"11": true, "received": true, "12": true, "sent": true, "13": true, "delivered": true,
	"14": true, "accepted": true, "18": true, "undelivered": true,
}

// overDisposition are the values of disposition_status2, and their names, with
// which a call or text is over: all but 1 in progress and 8 placed; 9, 10, 11
// and 14 are of appointments.
var overDisposition = map[string]bool{
	"2": true, "abandoned": true, "3": true, "missed": true, "4": true, "completed": true, "5": true, "failed": true,
	"6": true, "dead-end": true, "7": true, "invalid": true, "10": true, "canceled": true,
	"12": true, "voicemail": true, "13": true, "missed+voicemail": true,
}

// communication is one state of a call or text.
func (d *delivery) communication(body, embedded object) {
	c := contact.Communication{
		ID: body.id("id"), ContactID: body.id("contact_id"), EventID: d.id, ReceivedAt: d.received,
		StartedAt: body.time("created_at"), UpdatedAt: body.time("updated_at"), Disposition: body.text("call_disposition"),
	}
	if c.ContactID == "" {
		c.ContactID = embedded.id("id")
	}
	if c.StartedAt == 0 {
		c.StartedAt = c.UpdatedAt
	}
	if c.UpdatedAt == 0 {
		c.UpdatedAt = d.received
	}
	text, why := d.isText(body)
	inbound, directed := d.isInbound(body)
	switch {
	case why != "":
	case c.ID == "":
		why = "communication without an id"
	case c.ContactID == "":
		why = "communication without a contact"
	case c.StartedAt == 0:
		why = "communication without a time"
	case !directed:
		why = "communication without a direction"
	}
	if why != "" {
		d.ignore(why)
		return
	}
	c.Text, c.Inbound = text, inbound
	c.Finished = finished(body, text)
	c.Counters = counters(embedded)
	if text {
		c.Body, _ = scalar(body["body"])
	}
	d.w.Communications = append(d.w.Communications, c)
}

// isText tells a text from a call; why is set when it is neither. The event's
// name is asked only when the body has no type: an SMS event was seen on a call.
func (d *delivery) isText(body object) (text bool, why string) {
	switch kind, ok := body.number("type"); {
	case ok && kind == typeCall:
		return false, ""
	case ok && kind == typeText:
		return true, ""
	case ok && typeNames[kind] != "":
		return false, "communication of type " + typeNames[kind]
	case body["type"] != nil:
		return false, "communication of unknown type"
	}
	switch {
	case strings.Contains(d.event, "sms"):
		return true, ""
	case strings.Contains(d.event, "call"):
		return false, ""
	}
	return false, "communication without a type"
}

func (d *delivery) isInbound(body object) (inbound, ok bool) {
	switch strings.ToLower(body.text("direction")) {
	case "1", "inbound":
		return true, true
	case "2", "outbound":
		return false, true
	case "":
		inbound = strings.HasPrefix(d.event, "inbound")
		return inbound, inbound || strings.HasPrefix(d.event, "outbound")
	}
	return false, false
}

// finished reports whether a call or text is over.
func finished(body object, text bool) bool {
	for _, key := range []string{"current_status2", "current_status"} {
		status := strings.ToLower(body.text(key))
		if overStatus[status] || text && overTextStatus[status] {
			return true
		}
	}
	return overDisposition[strings.ToLower(body.text("disposition_status2"))] ||
		overDisposition[strings.ToLower(body.text("disposition_status"))]
}

// told are the totals that a contact tells by itself; nil where it tells none.
func told(c object) *contact.Counters {
	if n := counters(c); n != contact.UnknownCounters {
		return &n
	}
	return nil
}

// counters are Aloware's totals of the contact, in either spelling: that of
// webhooks, and that of the web client's list.
func counters(c object) contact.Counters {
	either := func(a, b string) int64 {
		for _, key := range []string{a, b} {
			if n, ok := c.number(key); ok {
				return n
			}
		}
		return -1
	}
	return contact.Counters{
		InboundCalls:  either("inbound_call_count", "inbound_calls_count"),
		OutboundCalls: either("outbound_call_count", "outbound_calls_count"),
		InboundTexts:  either("inbound_sms_count", "inbound_texts_count"),
		OutboundTexts: either("outbound_sms_count", "outbound_texts_count"),
	}
}
