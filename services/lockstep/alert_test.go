package lockstep_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// alertMessage is what a webhook of alerts gets.
type alertMessage struct {
	ID, Type, Text string
	Changes        []struct {
		Kind, State, Key, Text, System, Link string
		Contacts                             int
		Cause                                struct{ Code, Text, Words string }
		Field                                struct{ Key, Label, Aloware, HubSpot string }
		Contact                              struct{ Key, HubSpot, Aloware, Link string }
	}
	raw string
}

// hearing is a webhook's other end.
type hearing struct {
	*httptest.Server
	mu  sync.Mutex
	got []alertMessage
}

func hear(t *testing.T) *hearing {
	h := &hearing{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m := alertMessage{raw: string(body)}
		if err := json.Unmarshal(body, &m); err != nil || r.Header.Get("Webhook-Signature") == "" || r.Header.Get("Webhook-Id") != m.ID {
			m.Type = fmt.Sprintf("not understood: %v, %v", err, r.Header)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, m)
	}))
	t.Cleanup(h.Close)
	return h
}

// about gives the messages with a change of a field.
func (h *hearing) about(field string) (found []alertMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.got {
		for _, c := range m.Changes {
			if c.Field.Key == field {
				m.Changes = m.Changes[:0:0]
				m.Changes = append(m.Changes, c)
				found = append(found, m)
			}
		}
	}
	return found
}

// TestARefusedValueIsAlerted: one webhook names cause, contact and field, also
// when the program is killed meanwhile; the fix leads to one that says that it
// is over.
func TestARefusedValueIsAlerted(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=3", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "LOCKSTEP_ALERT_HOLD=1s")
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 3 {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	d.settle(30 * time.Second)
	h := hear(t)
	var saved struct {
		Secret string
		Target struct{ Id, Name, Shown string }
	}
	d.mustCLI(&saved, "alert", "add-webhook", "demo", h.URL+"/do-not-tell", "--name", "Ops")
	if !strings.HasPrefix(saved.Secret, "whsec_") || saved.Target.Name != "Ops" || strings.Contains(saved.Target.Shown, "do-not-tell") {
		t.Errorf("saved %+v", saved)
	}
	d.mustCLI(nil, "alert", "test", "demo", saved.Target.Id)
	var who [2]string // HubSpot and Aloware ids
	for hubspot, aloware := range d.pairs() {
		who = [2]string{hubspot, aloware}
	}
	update := []map[string]any{{"path": "/crm/objects/*/contacts/batch/update", "status": 400}, {"path": "/crm/objects/*/contacts/" + who[0], "method": "PATCH", "status": 400}}
	d.mustPost(d.hubspot, "/_sim/faults", update, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"email": "told@example.com"}}, nil)
	eventually(t, 30*time.Second, func() string {
		if n := len(h.about("email")); n != 1 {
			return fmt.Sprintf("%d messages are about the e-mail", n)
		}
		return ""
	})
	m := h.about("email")[0]
	c := m.Changes[0]
	if m.Type != "alert" || c.Kind != "error" || c.State != "open" || c.System != "hubspot" || c.Cause.Code != "BAD_REQUEST" || c.Cause.Text != "The request was refused" || c.Contacts != 1 {
		t.Errorf("the change is %+v", c)
	}
	if c.Field.Label != "Email" || c.Field.Aloware != "email" || c.Field.HubSpot != "email" {
		t.Errorf("the field is %+v", c.Field)
	}
	if c.Contact.HubSpot != who[0] || c.Contact.Aloware != who[1] || c.Contact.Link != "http://"+d.console+"/tenants/demo/contacts/"+c.Contact.Key {
		t.Errorf("the contact is %+v, want %v with a link to its card", c.Contact, who)
	}
	if strings.Contains(m.raw, "told@example.com") {
		t.Errorf("the value is told: %s", m.raw)
	}

	var recent struct {
		Alerts []struct {
			Id         string
			Changes    []struct{ State, Field, Text string }
			Deliveries []struct{ State, Answer string }
		}
		Open []struct{ Field string }
	}
	told := func(state string) bool {
		d.mustCLI(&recent, "alert", "recent", "demo")
		for _, a := range recent.Alerts {
			for _, c := range a.Changes {
				if c.State == state && c.Field == "email" {
					return len(a.Deliveries) == 1 && a.Deliveries[0].State == "delivered" && strings.HasPrefix(a.Deliveries[0].Answer, "200 OK")
				}
			}
		}
		return false
	}
	eventually(t, 30*time.Second, func() string {
		if !told("open") { // the answer is stored a moment after it was given
			return fmt.Sprintf("the list is %+v", recent)
		}
		return ""
	})
	d.kill()
	d.start()
	if !told("open") || len(recent.Open) != 1 || recent.Open[0].Field != "email" {
		t.Errorf("the list after a restart is %+v", recent)
	}
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{}, nil)
	d.mustCLI(nil, "inbox", "retry", "demo", "--field", "email")
	eventually(t, 30*time.Second, func() string {
		if n := len(h.about("email")); n < 2 || !told("resolved") {
			return fmt.Sprintf("%d messages are about the e-mail; the list is %+v", n, recent)
		}
		return ""
	})
	all := h.about("email")
	if len(all) != 2 || all[1].Changes[0].State != "resolved" || all[1].Changes[0].Key != c.Key || all[1].ID == m.ID {
		t.Errorf("told %+v", all)
	}

	for _, wrong := range []struct {
		code int
		args []string
	}{
		{3, []string{"alert", "add-webhook", "demo", "http://hooks.example.com/x"}}, // without TLS
		{3, []string{"alert", "add-webhook", "demo", "https://10.0.0.1/x"}},
		{3, []string{"alert", "add-mail", "demo", "ada@example.com"}}, // no mail here
		{3, []string{"alert", "add-webhook", "demo", h.URL, "--kind", "weather"}},
		{3, []string{"alert", "test", "demo", "target_nobody"}},
		{2, []string{"alert", "add-webhook", "demo"}},
	} {
		if err := d.cli(nil, wrong.args...); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("exit status %d", wrong.code)) {
			t.Errorf("%v gave %v, want exit code %d", wrong.args, err, wrong.code)
		}
	}
	d.mustCLI(nil, "alert", "change", "demo", saved.Target.Id, "--kind", "connection")
	var listed struct {
		Targets []struct {
			Kinds []string
			Words bool
			Name  string
		}
	}
	d.mustCLI(&listed, "alert", "list", "demo")
	if len(listed.Targets) != 1 || len(listed.Targets[0].Kinds) != 1 || !listed.Targets[0].Words || listed.Targets[0].Name != "Ops" {
		t.Errorf("the target was changed to %+v", listed)
	}
	d.mustCLI(nil, "alert", "remove", "demo", saved.Target.Id)
	var audit struct {
		Entries []struct{ Action, Object, Detail string }
	}
	d.mustCLI(&audit, "audit", "demo", "--action", "SaveAlertTarget")
	if len(audit.Entries) < 2 {
		t.Errorf("the audit has %+v", audit)
	}
	for _, e := range audit.Entries {
		if strings.Contains(e.Detail, "do-not-tell") || strings.Contains(e.Detail, "whsec_") {
			t.Errorf("the audit tells too much: %+v", e)
		}
	}
}
