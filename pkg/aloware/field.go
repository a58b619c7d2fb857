package aloware

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
)

// kind is the wire kind of a field.
type kind uint8

const (
	textual kind = iota
	day          // a civil date; forms take it as MM/DD/YYYY
	number       // an id, written as an integer
	flag         // read as a boolean or 0/1, written as 1/0
	derived      // made of other keys, see derive
)

// field is one property and its names on the wire.
type field struct {
	property string // our name: the write name where there is one
	read     string // key in the contact
	kind     kind
	form     string // key in the body of the Lead API; "" where it takes none
	put      string // key in the body of an update; "" where it takes none
}

// fields are the properties that every account has. Reading and writing use
// different names for city, state, country and zipcode.
var fields = []field{
	{"phone_number", "phone_number", textual, "phone_number", "phone_number"},
	{"email", "email", textual, "email", "email"},
	{"user_id", "user_id", number, "user_id", "user_id"},
	{"disposition_status_id", "disposition_status_id", number, "disposition_status_id", "disposition_status_id"},
	{"lifecycle_stage", "lifecycle_stage", textual, "", "lifecycle_stage"},
	{"first_name", "first_name", textual, "first_name", "first_name"},
	{"last_name", "last_name", textual, "last_name", "last_name"},
	{"company_name", "company_name", textual, "company_name", "company_name"},
	{"address", "address", textual, "address", "address"},
	{"city", "cnam_city", textual, "city", "city"},
	{"state", "cnam_state", textual, "state", "state"},
	{"country", "cnam_country", textual, "country", "country"},
	{"zipcode", "cnam_zipcode", textual, "zipcode", "zipcode"},
	{"website", "website", textual, "website", "website"},
	{"date_of_birth", "date_of_birth", day, "date_of_birth", "date_of_birth"},
	{"timezone", "timezone", textual, "timezone", "timezone"},
	{"lead_source", "lead_source", textual, "lead_source", "lead_source"},
	{"incoming_number", "incoming_number", textual, "", ""},
	{"csf1", "csf1", textual, "csf1", "csf1"},
	{"csf2", "csf2", textual, "csf2", "csf2"},
	{"dnc", "is_dnc", flag, "is_dnc", "is_dnc"},
	{"tcpa_approved", "text_authorized", derived, "", ""},
	{"line_type", "lrn_type", derived, "", ""},
	{"aloware_contact_id", "id", derived, "", ""},
	{"aloware_contact_link", "id", derived, "", ""},
}

var fieldOf = func() map[string]*field {
	m := make(map[string]*field, len(fields))
	for i := range fields {
		m[fields[i].property] = &fields[i]
	}
	return m
}()

// otherKeys are keys of a contact that are neither a property nor an attribute
// defined by the account.
var otherKeys = strings.Fields(`id uuid_v4 name phone_numbers other_phone_numbers contact_source intake_source notes
	tags tag_id initial_campaign_id line_id is_opted_out is_blocked text_authorized_at
	inbound_call_count outbound_call_count inbound_sms_count outbound_sms_count nb_communications
	inbound_calls_count outbound_calls_count inbound_texts_count outbound_texts_count communications_count
	last_engagement_at last_inbound_engagement_at last_outbound_engagement_at created_at updated_at deleted_at
	attributes company_id api_token`)

var builtIn = func() map[string]bool {
	m := map[string]bool{}
	for _, f := range fields {
		m[f.property], m[f.read] = true, true
	}
	for _, key := range otherKeys {
		m[key] = true
	}
	return m
}()

// Bounds on the attributes that an account defined.
const (
	maxAttributes    = 500
	maxAttributeName = 200
)

// values are the properties that a contact tells, in the order of fields, then
// the account's own attributes by name. Absent keys are left out; null is "".
func values(c object, links string) []contact.Value {
	held := make([]contact.Value, 0, len(fields)+4)
	for i := range fields {
		if text, ok := fields[i].value(c, links); ok {
			held = append(held, contact.Value{Name: fields[i].property, Text: text})
		}
	}
	attributes := 0
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if builtIn[name] || strings.HasPrefix(name, "unread_") || name == "" || len(name) > maxAttributeName || attributes == maxAttributes {
			continue
		}
		if text, ok := scalar(c[name]); ok {
			held = append(held, contact.Value{Name: name, Text: text})
			attributes++
		}
	}
	return held
}

// value reads the field from a contact; false when the contact does not tell.
func (f *field) value(c object, links string) (string, bool) {
	if f.kind == derived {
		return f.derive(c, links)
	}
	v, ok := c[f.read]
	if !ok && f.property != f.read && f.kind == textual {
		v, ok = c[f.property]
	}
	if !ok {
		return "", false
	}
	switch f.kind {
	case flag:
		return asFlag(v)
	case number:
		id := asID(v)
		return id, id != "" || v == nil || v == ""
	default:
		return scalar(v)
	}
}

func (f *field) derive(c object, links string) (string, bool) {
	switch f.property {
	case "tcpa_approved":
		if v, ok := c["text_authorized"]; ok && v != nil {
			return asFlag(v)
		}
		// The web client shows "Yes" when the time is set.
		if at, ok := c["text_authorized_at"]; ok {
			if at == nil || at == "" {
				return "false", true
			}
			return "true", true
		}
		_, ok := c["text_authorized"]
		return "", ok
	case "line_type":
		return lineType(c)
	case "aloware_contact_id":
		id := c.id("id")
		return id, id != ""
	default: // aloware_contact_link
		id := c.id("id")
		return strings.TrimRight(links, "/") + "/contacts/" + id, id != ""
	}
}

func asFlag(v any) (string, bool) {
	s, ok := scalar(v)
	if !ok {
		return "", false
	}
	text, err := contact.Canonical(contact.Checkbox, s, "")
	return text, err == nil
}

// lineType is the label of lrn_type. "Other" is foreign for a number outside
// the North American plan; without the number it cannot be told.
func lineType(c object) (string, bool) {
	v, ok := c["lrn_type"]
	if !ok {
		return "", false
	}
	switch asID(v) {
	case "0":
		return "Landline", true
	case "1":
		return "Wireless", true
	case "2":
		return "VoIP", true
	case "3":
		phone := c.text("phone_number")
		if phone == "" {
			return "", false
		}
		if strings.HasPrefix(phone, "+") && !strings.HasPrefix(phone, "+1") {
			return "Foreign", true
		}
	}
	return "Unknown", true
}

// route is the way by which values are written.
type route uint8

const (
	byForm route = iota // the Lead API: upsert by phone
	byPut               // update by id; profile Full
)

// wire is a property's value as a route takes it; nil clears.
func wire(p contact.Property, r route) (any, error) {
	if p.Value == "" {
		return nil, nil
	}
	f := fieldOf[p.Name]
	if f == nil {
		return wireAttribute(p)
	}
	switch f.kind {
	case number:
		if !isDigits(p.Value) || len(p.Value) > 19 {
			return nil, fmt.Errorf("%s takes the number that Aloware gave it", p.Name)
		}
		return json.Number(strings.TrimLeft(p.Value[:len(p.Value)-1], "0") + p.Value[len(p.Value)-1:]), nil
	case flag:
		return wireFlag(p)
	case day:
		if at, err := time.Parse(time.DateOnly, p.Value); err == nil && r == byForm {
			return at.Format("01/02/2006"), nil
		}
	}
	return p.Value, nil
}

func wireFlag(p contact.Property) (any, error) {
	switch p.Value {
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	return nil, fmt.Errorf("%s takes yes or no", p.Name)
}

// wireAttribute is for what the account defined itself: text, number, dropdown
// or date.
func wireAttribute(p contact.Property) (any, error) {
	switch p.Type {
	case contact.Checkbox:
		return wireFlag(p)
	case contact.Number:
		if !json.Valid([]byte(p.Value)) {
			return nil, fmt.Errorf("%s takes a number", p.Name)
		}
		return json.Number(p.Value), nil
	}
	return p.Value, nil
}
