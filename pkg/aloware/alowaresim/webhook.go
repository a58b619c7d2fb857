package alowaresim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Webhook is one entry of Aloware's webhook settings.
type Webhook struct {
	URL      string `json:"url"`
	Auth     string `json:"auth,omitempty"` // none, basic or bearer; "" is none
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"` // of bearer
	// Delay is waited before each delivery. In JSON it is delay_seconds.
	Delay time.Duration `json:"-"`
	// Events are names of the settings ("contact.updated") or of the wire
	// ("Contact-Updated"). Empty is all.
	Events []string `json:"events,omitempty"`
	// Direction holds back communications of the other one: inbound or outbound.
	Direction string `json:"direction,omitempty"`
	// Kinds holds back communications of others: call, sms, appointment.
	Kinds []string `json:"kinds,omitempty"`
	// Dispositions holds back communications with others: completed, missed and so on.
	Dispositions []string `json:"dispositions,omitempty"`
	// TalkAtLeast holds back calls that were shorter, in seconds.
	TalkAtLeast int64 `json:"talk_at_least,omitempty"`
	// SkipLines holds back communications of these lines, and lets through those
	// without a line.
	SkipLines []int64 `json:"skip_lines,omitempty"`
}

// plainWebhook has the members of Webhook without its methods.
type plainWebhook Webhook

type webhookJSON struct {
	*plainWebhook
	DelaySeconds float64 `json:"delay_seconds,omitempty"`
}

// MarshalJSON writes the delay in seconds.
func (h Webhook) MarshalJSON() ([]byte, error) {
	return json.Marshal(webhookJSON{(*plainWebhook)(&h), h.Delay.Seconds()})
}

// UnmarshalJSON reads the delay in seconds.
func (h *Webhook) UnmarshalJSON(raw []byte) error {
	*h = Webhook{}
	w := webhookJSON{plainWebhook: (*plainWebhook)(h)}
	if err := json.Unmarshal(raw, &w); err != nil {
		return err
	}
	h.Delay = time.Duration(w.DelaySeconds * float64(time.Second))
	return nil
}

var separators = strings.NewReplacer("-", "", "_", "", ".", "", " ", "")

// plain is the form in which names of events are compared.
func plain(name string) string { return separators.Replace(strings.ToLower(name)) }

// wants reports whether an event is to be delivered; m is nil for an event of
// a contact, to which the filters do not apply.
func (h *Webhook) wants(e event, m *communication) bool {
	if len(h.Events) > 0 && !slices.ContainsFunc(h.Events, func(name string) bool {
		name = plain(name)
		return name == plain(e.form) || name == plain(e.wire)
	}) {
		return false
	}
	if m == nil {
		return true
	}
	direction := "outbound"
	if m.Direction == inbound {
		direction = "inbound"
	}
	kind := map[int]string{typeCall: "call", typeText: "sms", typeAppointment: "appointment"}[m.Kind]
	return (h.Direction == "" || h.Direction == direction) &&
		(len(h.Kinds) == 0 || slices.Contains(h.Kinds, kind)) &&
		(len(h.Dispositions) == 0 || slices.Contains(h.Dispositions, disposedNames[m.Disposition])) &&
		(m.Kind != typeCall || m.Talk >= h.TalkAtLeast) &&
		(m.Line == 0 || !slices.Contains(h.SkipLines, m.Line))
}
