package alowaresim

import (
	"encoding/json"
	"strings"
)

// event is something that webhooks are told of. Aloware's settings and its
// deliveries use different names for the same.
type event struct {
	form string // name in the settings
	wire string // name in the delivery
}

var (
	contactCreated  = event{"contact.created", "Contact-Created"}
	contactUpdated  = event{"contact.updated", "Contact-Updated"}
	contactDisposed = event{"contact.disposed", "Contact-Disposed"}
	contactDNC      = event{"contact.dnc_updated", "Contact-DncUpdated"}
)

const (
	stepStart = "start"
	stepEnd   = "end"
)

// emitContact tells of a contact with a full snapshot of it.
func (s *Sim) emitContact(c *contact, e event) {
	if len(s.set.Webhooks) > 0 {
		s.emit(e, s.contactJSON(c), nil)
	}
}

// emitCommunication tells of a call or text.
func (s *Sim) emitCommunication(m *communication, c *contact, do string) {
	if len(s.set.Webhooks) == 0 {
		return
	}
	e := s.eventOf(m, do)
	if do == stepSummary || do == stepSearch {
		s.emit(e, s.transcriptionJSON(m, c, do == stepSummary), m)
		return
	}
	s.emit(e, s.communicationJSON(m, c, do == stepStart), m)
}

func (s *Sim) eventOf(m *communication, do string) event {
	prefix := "Outbound"
	if m.Direction == inbound {
		prefix = "Inbound"
	}
	switch {
	case m.Kind == typeAppointment:
		return event{"communication.disposed", prefix + "Appointment"}
	case do == stepStart:
		return event{"communication.initiated", prefix + "PhoneCall"}
	case do == stepRecording && m.Disposition == disposedVoicemail:
		return event{"voicemail.saved", "Voicemail-Saved"}
	case do == stepRecording:
		return event{"recording.saved", "Recording-Saved"}
	case do == stepDisposed:
		return event{"call.disposed", "Call-Disposed"}
	case do == stepSummary:
		return event{"call.summarized", "transcription.call.summarized"}
	case do == stepSearch: // comes unasked with the summary
		return event{"call.summarized", "transcription.open_search.saved"}
	}
	kind := "PhoneCall"
	if m.Kind == typeText {
		kind = "SMS"
	}
	word := disposedNames[m.Disposition]
	return event{"communication.disposed", prefix + kind + "-Disposition" + strings.ToUpper(word[:1]) + word[1:]}
}

// transcriptionJSON is the body of the events of a transcription, which has no
// id of its own.
func (s *Sim) transcriptionJSON(m *communication, c *contact, summary bool) []byte {
	t := newObject(0)
	t.number("id", m.ID-firstCommunication+81001)
	t.text("transcription_id", uuid(uint64(m.ID)+7))
	t.text("driver", "assembly_ai")
	t.number("communication_id", m.ID)
	t.ref("user_id", m.User)
	t.number("company_id", 9001)
	t.text("status", "completed")
	t.moment("created_at", m.Updated)
	t.moment("updated_at", m.Updated)
	o := newObject(0)
	if summary {
		o.text("summary", "### Call Summary\n\n"+c.called()+" and the agent talked.")
		o.raw("json_summary", []byte("{}"))
	}
	o.raw("transcription", t.end())
	o.raw("communication", s.communicationObject(m, c, false).end())
	o.raw("contact", s.contactJSON(c))
	return o.end()
}

// emit makes a delivery of an event for each webhook that wants it.
func (s *Sim) emit(e event, body []byte, m *communication) {
	var whole []byte
	for i := range s.set.Webhooks {
		h := &s.set.Webhooks[i]
		if !h.wants(e, m) {
			continue
		}
		if whole == nil {
			name, _ := json.Marshal(e.wire) // a string always has a form
			whole = append(append(append(append([]byte(`{"event":`), name...), `,"body":`...), body...), '}')
		}
		s.post(i, e.wire, whole)
	}
}
