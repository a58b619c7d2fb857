package alowaresim

import (
	"fmt"
	"strconv"
)

// contactObject starts the JSON of a contact with everything that Aloware shows
// of it. Noisy makes the shapes unreliable if the account is set so.
func (s *Sim) contactObject(c *contact, noisy bool) *object {
	o := newObject(0)
	if noisy && s.set.ShapeNoise {
		o.seed = uint64(c.id)
	}
	values := make([]string, slots)
	c.texts.unpack(values)
	o.number("id", c.id)
	o.text("uuid_v4", uuid(uint64(c.id)))
	o.text("name", values[slotName])
	o.text("first_name", values[slotFirst])
	o.text("last_name", values[slotLast])
	o.text("phone_number", formatPhone(c.phone))
	o.raw("phone_numbers", numbersJSON(c))
	o.text("email", values[slotEmail])
	o.text("company_name", values[slotCompany])
	o.text("address", values[slotAddress])
	o.text("cnam_city", values[slotCity])
	o.text("cnam_state", values[slotState])
	o.text("cnam_country", values[slotCountry])
	o.text("cnam_zipcode", values[slotZip])
	o.text("website", values[slotWebsite])
	o.text("date_of_birth", values[slotBirth])
	o.text("timezone", values[slotZone])
	o.text("lead_source", values[slotLead])
	o.text("contact_source", values[slotSource])
	o.text("intake_source", values[slotIntake])
	o.text("csf1", values[slotCustom1])
	o.text("csf2", values[slotCustom2])
	o.text("lifecycle_stage", values[slotStage])
	o.ref("user_id", c.user)
	o.ref("disposition_status_id", c.disposed)
	o.ref("initial_campaign_id", c.line)
	o.raw("tags", s.tagsJSON(c))
	o.flag("is_dnc", c.is(flagDNC))
	o.flag("is_opted_out", c.is(flagOptedOut))
	o.flag("is_blocked", c.is(flagBlocked))
	o.number("text_authorized", idOf(flagText(c.is(flagAuthorized))))
	o.moment("text_authorized_at", c.authorized)
	o.number("lrn_type", int64(c.lrn))
	o.text("incoming_number", values[slotIncoming])
	for i, name := range counterNames {
		o.number(name, int64(c.counts[i]))
	}
	o.moment("last_engagement_at", c.engaged)
	o.moment("last_inbound_engagement_at", c.engagedIn)
	o.moment("last_outbound_engagement_at", c.engagedOut)
	o.moment("created_at", c.created)
	o.moment("updated_at", c.updated)
	for i := range s.lists.Attributes {
		a := &s.lists.Attributes[i]
		value := c.get(a.Slug)
		if a.Type == "number" && value != "" {
			o.raw(a.Slug, []byte(value))
		} else {
			o.text(a.Slug, value)
		}
	}
	return o
}

// contactJSON is a contact as the API and the webhooks show it.
func (s *Sim) contactJSON(c *contact) []byte { return s.contactObject(c, true).end() }

// plainJSON is a contact with every member in its documented type.
func (s *Sim) plainJSON(c *contact) []byte { return s.contactObject(c, false).end() }

var counterNames = [counters]string{
	"inbound_call_count", "outbound_call_count", "inbound_sms_count", "outbound_sms_count", "nb_communications",
	"unread_texts_count", "unread_missed_calls_count", "unread_voicemails_count",
}

func numbersJSON(c *contact) []byte {
	one := func(b []byte, id int64, label string, phone uint64, primary bool) []byte {
		o := newObject(0)
		o.number("id", id)
		o.text("label", label)
		o.text("phone_number", formatPhone(phone))
		o.flag("is_primary", primary)
		return append(b, o.end()...)
	}
	b := one([]byte{'['}, c.id*10, "main", c.phone, true)
	for i, n := range c.numbers() {
		b = one(append(b, ','), c.id*10+int64(i)+1, n.Label, n.Phone, false)
	}
	return append(b, ']')
}

func (s *Sim) tagsJSON(c *contact) []byte {
	b := []byte{'['}
	for _, id := range tagIDs(c.get("tags")) {
		for _, t := range s.lists.Tags {
			if t.ID != id {
				continue
			}
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(b, `{"id":`...)
			b = strconv.AppendInt(b, id, 10)
			b = append(b, `,"name":`...)
			b = append(appendText(b, t.Name), '}')
		}
	}
	return append(b, ']')
}

// uuid is made of a number, always the same.
func uuid(n uint64) string {
	mix := func(n uint64) uint64 {
		n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
		n = (n ^ n>>27) * 0x94d049bb133111eb
		return n ^ n>>31
	}
	a, b := mix(n+0x9e3779b97f4a7c15), mix(n+0x3c6ef372fe94f82a)
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}

// communicationJSON is a communication with its contact inside. Initiated
// leaves out the four members that the start event lacks.
func (s *Sim) communicationJSON(m *communication, c *contact, initiated bool) []byte {
	o := s.communicationObject(m, c, initiated)
	o.raw("contact", s.contactJSON(c))
	return o.end()
}

func (s *Sim) communicationObject(m *communication, c *contact, initiated bool) *object {
	o := newObject(0)
	if s.set.ShapeNoise {
		o.seed = uint64(m.Contact)
	}
	o.number("id", m.ID)
	o.number("type", int64(m.Kind))
	o.number("direction", int64(m.Direction))
	if m.Kind == typeText {
		o.text("body", m.Text)
	}
	o.number("contact_id", m.Contact)
	o.ref("campaign_id", m.Line)
	o.text("ring_group_id", "")
	userID, status, disposed := m.User, m.Status, m.Disposition
	if initiated {
		userID, status, disposed = 0, statusRinging, disposedInProgress
	}
	o.ref("user_id", userID)
	o.number("owner_id", m.Owner)
	o.text("lead_number", formatPhone(c.phone))
	o.text("incoming_number", m.Incoming)
	if !initiated {
		o.text("current_status", statusNames[status])
		o.text("disposition_status", disposedNames[disposed])
		if m.Kind == typeCall {
			o.text("call_disposition", s.lists.outcomeName(m.Outcome))
		}
	}
	o.number("current_status2", int64(status))
	o.number("disposition_status2", int64(disposed))
	if m.Kind == typeCall {
		s.callMembers(o, m, initiated)
	}
	o.number("creator_type", int64(m.Creator))
	for _, name := range []string{"workflow_id", "broadcast_id", "sequence_id", "notes"} {
		o.text(name, "")
	}
	o.number("csat_score", 0)
	o.raw("engagement_data", []byte("[]"))
	o.raw("public_metadata", []byte("[]"))
	o.moment("created_at", m.Created)
	if initiated {
		o.moment("updated_at", m.Created)
	} else {
		o.moment("updated_at", m.Updated)
	}
	return o
}

func (s *Sim) callMembers(o *object, m *communication, initiated bool) {
	talk, wait, leg, recording := m.Talk, m.Wait, int64(6), m.Recording
	outcome := m.Outcome
	if initiated {
		talk, wait, leg, recording, outcome = 0, 0, 0, false, 0
	}
	o.ref("call_disposition_id", outcome)
	o.number("talk_time", talk)
	o.number("wait_time", wait)
	o.number("hold_time", 0)
	o.number("duration", talk+wait)
	o.number("attempt", 1)
	o.ref("customer_leg_status", leg)
	o.flag("has_recording", recording)
	o.flag("has_transcription", false)
	if recording {
		// Whoever has this link can hear the call; it needs no credentials.
		o.text("direct_recording_url", "https://app.aloware.io/static/recording/"+uuid(uint64(m.ID)))
	} else if !initiated {
		o.text("direct_recording_url", "")
	}
	o.text("call_summary", "")
	o.text("transfer_type", "")
	o.raw("transfer_prior_user_ids", []byte("[]"))
	o.raw("transfer_target_user_ids", []byte("[]"))
	o.flag("in_cold_transfer", false)
}
