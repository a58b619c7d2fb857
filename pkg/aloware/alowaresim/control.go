package alowaresim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// control adds the calls below /_sim/, which ask for no token.
func (s *Sim) control(mux *http.ServeMux) {
	for path, do := range map[string]func(*Sim, []byte) (any, error){
		"edit":             (*Sim).controlEdit,
		"load":             (*Sim).controlLoad,
		"faults":           (*Sim).controlFaults,
		"stats/reset":      (*Sim).controlReset,
		"webhooks":         (*Sim).controlWebhooks,
		"webhooks/test":    (*Sim).controlTest,
		"communications":   (*Sim).controlCommunication,
		"disposition":      (*Sim).controlDisposition,
		"merge":            (*Sim).controlMerge,
		"delete":           (*Sim).controlDelete,
		"disposition-sync": (*Sim).controlDispositionSync,
		"config":           (*Sim).controlConfig,
		"lists":            (*Sim).controlLists,
		"automations":      (*Sim).controlAutomations,
	} {
		mux.HandleFunc("POST /_sim/"+path, func(w http.ResponseWriter, r *http.Request) {
			raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if err != nil {
				controlError(w, http.StatusBadRequest, fmt.Errorf("the body cannot be read: send at most %d bytes", maxBody))
				return
			}
			result, err := do(s, raw)
			switch {
			case errors.Is(err, errMissing):
				controlError(w, http.StatusNotFound, err)
			case err != nil:
				controlError(w, http.StatusBadRequest, fmt.Errorf("%s: %w", path, err))
			default:
				controlAnswer(w, http.StatusOK, result)
			}
		})
	}
	mux.HandleFunc("GET /_sim/contacts", s.controlContacts)
	mux.HandleFunc("GET /_sim/communications", s.controlCommunications)
	mux.HandleFunc("GET /_sim/stats", func(w http.ResponseWriter, _ *http.Request) { controlAnswer(w, http.StatusOK, s.report()) })
	mux.HandleFunc("GET /_sim/lists", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		raw := say(http.StatusOK, s.lists).body
		s.mu.Unlock()
		controlAnswer(w, http.StatusOK, json.RawMessage(raw))
	})
	mux.HandleFunc("/_sim/", func(w http.ResponseWriter, r *http.Request) {
		controlError(w, http.StatusNotFound, fmt.Errorf("there is no %s %s: see the package's documentation for the control calls", r.Method, r.URL.Path))
	})
}

// errMissing is wrapped by errors about something that is not there.
var errMissing = errors.New("not found")

func controlError(w http.ResponseWriter, status int, err error) {
	controlAnswer(w, status, map[string]string{"error": err.Error()})
}

func controlAnswer(w http.ResponseWriter, status int, v any) {
	answer := say(status, v)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.status)
	_, _ = w.Write(append(answer.body, '\n')) // a caller that went away misses nothing
}

// decode reads a body strictly, with numbers as written.
func decode(raw []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("the body is not as expected (%w): correct it", err)
	}
	return nil
}

// act does something under the lock; an error of the journal counts as one of
// the work.
func (s *Sim) act(do func() error) error {
	var refused error
	err := s.work(func() { refused = do() })
	return errors.Join(refused, err)
}

func (s *Sim) contactOf(id json.Number) (*contact, error) {
	c := s.store.find(idOf(id.String()))
	if c == nil {
		return nil, fmt.Errorf("contact %s: %w: give the id of a contact that exists", id, errMissing)
	}
	return c, nil
}

// controlEdit is a person's edit. The fields stand in "fields", in
// "properties" or beside the id.
func (s *Sim) controlEdit(raw []byte) (any, error) {
	var given map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&given); err != nil {
		return nil, fmt.Errorf(`the body is no JSON object: send {"id":1,"fields":{"first_name":"Dana"}}`)
	}
	id, _ := scalar(given["id"])
	delete(given, "id")
	for _, wrapper := range []string{"fields", "properties"} {
		if inner, ok := given[wrapper].(map[string]any); ok {
			delete(given, wrapper)
			for name, value := range inner {
				given[name] = value
			}
		}
	}
	if id != "" && idOf(id) == 0 {
		return nil, fmt.Errorf("id %q is no number: give the id of a contact, or none to create one", id)
	}
	var answer map[string]int64
	err := s.act(func() error {
		c, err := s.edit(idOf(id), given)
		if err == nil {
			answer = map[string]int64{"id": c.id}
		}
		return err
	})
	return answer, err
}

// edit changes a contact as a person would; id 0 creates one.
func (s *Sim) edit(id int64, fields map[string]any) (*contact, error) {
	var c *contact
	if id != 0 {
		if c = s.store.find(id); c == nil {
			return nil, fmt.Errorf("contact %d: %w: give the id of a contact that exists", id, errMissing)
		}
	}
	w := s.parse(fields, c, byPerson)
	switch {
	case len(w.problems) > 0:
		return nil, fmt.Errorf("%s: correct the value", w.problems.first())
	case w.taken != nil:
		return nil, fmt.Errorf("the phone number belongs to contact %d: give another, or merge the contacts", w.taken.id)
	case len(w.ignored) > 0:
		return nil, fmt.Errorf("field %q is unknown or cannot be edited: use the name by which the API reads or writes it", w.ignored[0])
	}
	if c == nil {
		phone := false
		for _, v := range w.settings {
			phone = phone || v.name == "phone_number"
		}
		if !phone {
			return nil, errors.New("phone_number is missing: every contact of Aloware has one; give it, or an id to edit")
		}
		c, _ = s.create(split(w.settings), byPerson, "ui")
		s.remember(c, w.notes, createdByHand)
		s.tellCreated(c, byPerson)
		return c, nil
	}
	changed := s.change(c, w.settings, byPerson)
	s.remember(c, w.notes, createdByHand)
	s.tell(c, changed, byPerson)
	return c, nil
}

func (s *Sim) controlLoad(raw []byte) (any, error) {
	var order struct {
		Contacts int    `json:"contacts"`
		Seed     uint64 `json:"seed"`
		Webhooks *bool  `json:"webhooks"`
		DaysAgo  int    `json:"days_ago"`
	}
	if err := decode(raw, &order); err != nil {
		return nil, err
	}
	const oldest = 3650
	if order.DaysAgo < 0 || order.DaysAgo > oldest {
		return nil, fmt.Errorf("days_ago is %d: give 0 to %d", order.DaysAgo, oldest)
	}
	webhooks := order.Contacts <= 1000
	if order.Webhooks != nil {
		webhooks = *order.Webhooks
	}
	first, err := s.bulk(order.Contacts, order.Seed, order.DaysAgo, webhooks)
	return map[string]any{"contacts": order.Contacts, "first_id": first}, err
}

func (s *Sim) controlFaults(raw []byte) (any, error) {
	var list []*injected
	if err := decode(raw, &list); err != nil {
		return nil, err
	}
	if err := checkFaults(list); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = list
	return map[string]int{"faults": len(list)}, nil
}

func (s *Sim) controlReset([]byte) (any, error) {
	err := s.work(func() {
		s.reset()
		s.tx.Reset = true
	})
	return map[string]bool{"reset": true}, err
}

// report gives the statistics as GET /_sim/stats shows them.
func (s *Sim) report() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Webhooks.Pending = s.outbox.pending()
	raw := say(http.StatusOK, struct {
		statistics
		Contacts       int     `json:"contacts"`
		Communications int     `json:"communications"`
		Rate           float64 `json:"rate"`
		Burst          int     `json:"burst"`
	}{s.stats, len(s.store.contacts), len(s.store.communications), s.set.Rate, s.set.Burst}).body
	return json.RawMessage(raw)
}

func (s *Sim) controlWebhooks(raw []byte) (any, error) {
	var d disorder
	if err := decode(raw, &d); err != nil {
		return nil, err
	}
	for name, rate := range map[string]float64{"duplicate": d.Duplicate, "reorder": d.Reorder, "drop": d.Drop} {
		if rate < 0 || rate > 1 {
			return nil, fmt.Errorf("%s is %g: give a probability from 0 to 1", name, rate)
		}
	}
	if d.DelayMS < 0 {
		return nil, fmt.Errorf("delay_ms is %d: give 0 or more", d.DelayMS)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disorder = d
	return d, nil
}

// controlTest sends what "Save and Test" in the settings sends.
func (s *Sim) controlTest([]byte) (any, error) {
	n := 0
	err := s.work(func() {
		for n = range s.set.Webhooks {
			s.post(n, "", []byte(`{"test_payload":true}`))
		}
		n = len(s.set.Webhooks)
	})
	return map[string]int{"webhooks": n}, err
}

// controlContacts writes contacts with plain types, one per line.
func (s *Sim) controlContacts(w http.ResponseWriter, r *http.Request) {
	if id := r.URL.Query().Get("id"); id != "" {
		s.mu.Lock()
		c, err := s.contactOf(json.Number(id))
		var raw []byte
		if err == nil {
			raw = s.plainJSON(c)
		}
		s.mu.Unlock()
		if err != nil {
			controlError(w, http.StatusNotFound, err)
			return
		}
		controlAnswer(w, http.StatusOK, json.RawMessage(raw))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	var lines []byte
	for after := int64(0); ; {
		lines, after = s.plainAfter(lines[:0], after, 500)
		if len(lines) == 0 {
			return
		}
		if _, err := w.Write(lines); err != nil {
			return // the caller went away
		}
	}
}

// plainAfter appends the contacts behind an id, and gives the last one's id.
func (s *Sim) plainAfter(lines []byte, after int64, most int) ([]byte, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.store.behind(after, most) {
		lines = append(append(lines, s.plainJSON(c)...), '\n')
		after = c.id
	}
	return lines, after
}

// controlCommunications writes the communications, one per line: those of a
// contact, or all.
func (s *Sim) controlCommunications(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.store.communications
	if id := r.URL.Query().Get("contact_id"); id != "" {
		list = s.store.talks[idOf(id)]
	}
	var lines bytes.Buffer
	for _, m := range list {
		if c := s.store.find(m.Contact); c != nil {
			o := s.communicationObject(m, c, false)
			lines.Write(append(o.end(), '\n'))
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = lines.WriteTo(w) // a caller that went away misses nothing
}

// parseAt reads a time of a control call; "" is now.
func (s *Sim) parseAt(text string) (int64, error) {
	if text = strings.TrimSpace(text); text == "" {
		return s.second(), nil
	}
	for _, form := range []string{time.RFC3339Nano, time.DateTime} {
		if at, err := time.Parse(form, text); err == nil {
			return at.Unix(), nil
		}
	}
	return 0, fmt.Errorf("at is %q: give a time like 2026-08-05T20:58:49Z or 2026-08-05 20:58:49", text)
}
