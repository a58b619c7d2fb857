package hubspotsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// control answers the calls below /_sim/, which people and tests use to
// steer the account. They need no token and count in no limit.
func (s *Sim) control(w http.ResponseWriter, r *http.Request, name string) {
	type handler func(http.ResponseWriter, *http.Request) error
	routes := map[string]handler{
		"GET contacts": s.controlContacts, "POST edit": s.controlEdit, "POST load": s.controlLoad, "POST faults": s.controlFaults,
		"GET stats": s.controlStats, "POST stats/reset": s.controlReset, "POST webhooks": s.controlWebhooks, "POST merge": s.controlMerge,
		"POST delete": s.controlDelete, "POST restore": s.controlRestore, "POST privacy-delete": s.controlPrivacy,
		"POST options": s.controlOptions, "POST config": s.controlConfig, "POST test-event": s.controlTestEvent,
		"POST workflows": s.controlWorkflows,
	}
	h, ok := routes[r.Method+" "+strings.TrimSuffix(name, "/")]
	if !ok {
		known := slices.Sorted(maps.Keys(routes))
		controlError(w, http.StatusNotFound, fmt.Errorf("%s /_sim/%s does not exist: use one of %s", r.Method, name, strings.Join(known, ", ")))
		return
	}
	if err := h(w, r); err != nil {
		status := http.StatusBadRequest
		if f, ok := err.(*refusal); ok && f.failure.Status == http.StatusNotFound {
			status = http.StatusNotFound
		}
		controlError(w, status, fmt.Errorf("%s /_sim/%s: %w", r.Method, name, err))
	}
}

// refusal is a failure of the account as an error.
type refusal struct{ failure *failure }

func (r *refusal) Error() string {
	if len(r.failure.Errors) > 0 {
		var texts []string
		for _, e := range r.failure.Errors {
			texts = append(texts, e.Message)
		}
		return strings.Join(texts, "; ")
	}
	return r.failure.Message
}

func refused(f *failure) error {
	if f == nil {
		return nil
	}
	return &refusal{f}
}

func controlError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

// readControl decodes a body strictly: an unknown field is a mistake.
func readControl(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("the body is not the expected JSON: %w: correct it and send it again", err)
	}
	return nil
}

func done(w http.ResponseWriter, body any) error {
	writeJSON(w, http.StatusOK, body)
	return nil
}

// editByPerson makes a person's edit, or a new contact when key is "".
func (s *Sim) editByPerson(key string, properties map[string]string) (string, error) {
	return s.editBy(person(), key, properties)
}

// editBy is the same by somebody else, such as an import.
func (s *Sim) editBy(by writer, key string, properties map[string]string) (string, error) {
	var id string
	var failed *failure
	s.edit(func(st *store) {
		var c *contact
		if key != "" {
			var f *failure
			if c, f = st.pick(key, ""); f != nil || c.state != active {
				failed = &failure{Status: http.StatusNotFound, Message: "there is no such contact: " + key}
				return
			}
		}
		p, f := st.plan(c, properties, by, nil)
		if failed = f; f == nil {
			id = idText(s.carry(p, by).id)
		}
	})
	return id, refused(failed)
}

func (s *Sim) controlEdit(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		ID         loose `json:"id"`
		Properties sent  `json:"properties"`
		// Source is the cause that HubSpot tells, such as "IMPORT 73200441" or
		// "AUTOMATION_PLATFORM"; "" is a person.
		Source string `json:"source"`
	}
	if err := readControl(r, &in); err != nil {
		return err
	}
	by := person()
	if in.Source != "" {
		by.by.Kind, by.by.ID, _ = strings.Cut(in.Source, " ")
	}
	id, err := s.editBy(by, string(in.ID), in.Properties)
	if err != nil {
		return err
	}
	return done(w, map[string]string{"id": id})
}

func (s *Sim) controlMerge(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Primary   loose `json:"primary"`
		Secondary loose `json:"secondary"`
	}
	if err := readControl(r, &in); err != nil {
		return err
	}
	id, err := s.mergeByPerson(string(in.Primary), string(in.Secondary))
	if err != nil {
		return err
	}
	return done(w, map[string]string{"id": id})
}

func (s *Sim) mergeByPerson(primary, secondary string) (id string, err error) {
	s.edit(func(*store) {
		c, f := s.mergePair(primary, secondary, person())
		if f != nil {
			err = refused(f)
			return
		}
		id = idText(c.id)
	})
	return id, err
}

// byID does something to the contact that the body names.
func (s *Sim) byID(w http.ResponseWriter, r *http.Request, want lifeState, do func(c *contact) *failure) error {
	var in struct {
		ID loose `json:"id"`
	}
	if err := readControl(r, &in); err != nil {
		return err
	}
	if err := s.changeByPerson(string(in.ID), want, do); err != nil {
		return err
	}
	return done(w, map[string]string{"id": string(in.ID)})
}

func (s *Sim) changeByPerson(key string, want lifeState, do func(c *contact) *failure) error {
	var failed *failure
	s.edit(func(st *store) {
		c, f := st.pick(key, "")
		if f != nil || c.state != want {
			failed = &failure{Status: http.StatusNotFound, Message: "there is no such contact: " + key}
			return
		}
		failed = do(c)
	})
	return refused(failed)
}

func (s *Sim) controlDelete(w http.ResponseWriter, r *http.Request) error {
	return s.byID(w, r, active, func(c *contact) *failure { s.remove(c, person()); return nil })
}

func (s *Sim) controlRestore(w http.ResponseWriter, r *http.Request) error {
	return s.byID(w, r, archived, func(c *contact) *failure { return s.bringBack(c, person()) })
}

func (s *Sim) controlPrivacy(w http.ResponseWriter, r *http.Request) error {
	return s.byID(w, r, active, func(c *contact) *failure { s.eraseForPrivacy(c, "", person()); return nil })
}
