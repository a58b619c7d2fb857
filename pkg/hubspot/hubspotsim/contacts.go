package hubspotsim

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// objects answers the calls on records; only contacts exist here.
func (s *Sim) objects(q *call) {
	if len(q.rest) == 0 {
		q.fail(noRoute())
		return
	}
	if t := q.rest[0]; t != "contacts" && t != "0-1" {
		if len(q.rest) > 1 && q.rest[1] == "search" {
			q.fail(&failure{Status: http.StatusBadRequest, Message: "Unable to infer object type from: " + t})
			return
		}
		q.fail(noRoute())
		return
	}
	method, rest := q.r.Method, q.rest[1:]
	switch {
	case len(rest) == 0 && method == http.MethodGet:
		s.listContacts(q)
	case len(rest) == 0 && method == http.MethodPost:
		s.createContact(q)
	case len(rest) == 1 && method == http.MethodPost && rest[0] == "search":
		s.search(q)
	case len(rest) == 1 && method == http.MethodPost && rest[0] == "merge":
		s.mergeContacts(q)
	case len(rest) == 1 && method == http.MethodPost && rest[0] == "gdpr-delete":
		s.privacyDelete(q)
	case len(rest) == 2 && method == http.MethodPost && rest[0] == "batch":
		s.batch(q, rest[1])
	case len(rest) == 1 && method == http.MethodGet:
		s.getContact(q, rest[0])
	case len(rest) == 1 && method == http.MethodPatch:
		s.patchContact(q, rest[0])
	case len(rest) == 1 && method == http.MethodDelete:
		s.deleteContact(q, rest[0])
	default:
		q.fail(noRoute())
	}
}

// sent holds the properties of a write. Numbers and booleans count as their text.
type sent map[string]string

func (p *sent) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*p = make(sent, len(raw))
	for name, v := range raw {
		var text string
		if v[0] == '"' {
			if err := json.Unmarshal(v, &text); err != nil {
				return err
			}
		} else if v[0] == '{' || v[0] == '[' || string(v) == "null" {
			return &json.UnmarshalTypeError{Value: "value " + string(v), Field: name}
		} else {
			text = string(v)
		}
		(*p)[name] = text
	}
	return nil
}

// pick finds a contact by record id, following merges, or by idProperty.
func (st *store) pick(key, idProperty string) (*contact, *failure) {
	if idProperty == "" || idProperty == "hs_object_id" {
		id, err := strconv.ParseInt(key, 10, 64)
		if err != nil {
			return nil, notFound(key)
		}
		if c := st.resolve(id); c != nil {
			return c, nil
		}
		return nil, notFound(key)
	}
	p, f := st.uniqueProperty(idProperty)
	if f != nil {
		return nil, f
	}
	if c := st.lookup(p, key); c != nil {
		return c, nil
	}
	return nil, &failure{Status: http.StatusNotFound, Category: "OBJECT_NOT_FOUND",
		Message: "Object not found.  objectId are usually numeric.", Context: map[string][]string{"id": {key}}}
}

// uniqueProperty finds the property that a caller uses as key.
func (st *store) uniqueProperty(name string) (propID, *failure) {
	p, d, ok := st.schema.active(name)
	if !ok || (name != "email" && !d.HasUniqueValue) {
		return 0, notValid("Unable to perform update/upsert by non-unique 0-1 property %s in portal ID %d", name, st.portal)
	}
	return p, nil
}

func (s *Sim) listContacts(q *call) {
	limit := 10
	if text := q.query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			q.fail(notValid("limit must be between 1 and 100, not %s", text))
			return
		}
		limit = n
	}
	history := q.list("propertiesWithHistory")
	if len(history) > 0 && limit > 50 {
		q.fail(notValid("limit must be at most 50 with propertiesWithHistory, not %d", limit))
		return
	}
	var after int64
	if text := q.query.Get("after"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			q.fail(notValid("after must be a record id, not %s", text))
			return
		}
		after = n
	}
	want := active
	if q.flag("archived") {
		want = archived
	}
	st := s.store
	st.mu.RLock()
	defer st.mu.RUnlock()
	sel := st.wanted(q.list("properties"), history)
	results, next := []*shown{}, ""
	for _, c := range st.order[st.position(after):] {
		if c.state != want {
			continue
		}
		if len(results) == limit {
			next = idText(c.id)
			break
		}
		results = append(results, st.render(c, sel, nil))
	}
	out := map[string]any{"results": results}
	if next != "" {
		u := *q.r.URL
		v := u.Query()
		v.Set("after", next)
		link := "https://api.hubapi.com" + u.EscapedPath() + "?" + v.Encode()
		out["paging"] = map[string]any{"next": map[string]string{"after": next, "link": link}}
	}
	writeJSON(q.w, http.StatusOK, out)
}

func (s *Sim) getContact(q *call, key string) {
	st := s.store
	st.mu.RLock()
	defer st.mu.RUnlock()
	c, f := st.pick(key, q.query.Get("idProperty"))
	if f == nil && (c.state == archived) != q.flag("archived") {
		f = notFound(key)
	}
	if f != nil {
		q.fail(f)
		return
	}
	writeJSON(q.w, http.StatusOK, st.render(c, st.wanted(q.list("properties"), q.list("propertiesWithHistory")), nil))
}

func (s *Sim) createContact(q *call) {
	var in struct {
		Properties sent `json:"properties"`
	}
	if f := q.decode(&in); f != nil {
		q.fail(f)
		return
	}
	s.edit(func(st *store) {
		w := s.apiWriter(q.version)
		p, f := st.plan(nil, in.Properties, w, nil)
		if f != nil {
			q.fail(f)
			return
		}
		c := s.carry(p, w)
		q.w.Header().Set("Location", "https://api.hubapi.com"+q.r.URL.EscapedPath()+"/"+idText(c.id))
		writeJSON(q.w, http.StatusCreated, st.render(c, st.afterWrite(p, true), p.warnings))
	})
}

func (s *Sim) patchContact(q *call, key string) {
	var in struct {
		Properties sent `json:"properties"`
	}
	if f := q.decode(&in); f != nil {
		q.fail(f)
		return
	}
	s.edit(func(st *store) {
		w := s.apiWriter(q.version)
		c, f := st.pick(key, q.query.Get("idProperty"))
		if f == nil && c.state != active {
			f = notFound(key)
		}
		var p *plan
		if f == nil {
			p, f = st.plan(c, in.Properties, w, nil)
		}
		if f != nil {
			q.fail(f)
			return
		}
		c = s.carry(p, w)
		writeJSON(q.w, http.StatusOK, st.render(c, st.afterWrite(p, false), p.warnings))
	})
}

func (s *Sim) deleteContact(q *call, key string) {
	s.edit(func(st *store) {
		id, err := strconv.ParseInt(key, 10, 64)
		if err == nil {
			s.remove(st.byID[id], s.apiWriter(q.version))
		}
		q.w.WriteHeader(http.StatusNoContent)
	})
}

func (s *Sim) mergeContacts(q *call) {
	var in struct {
		Primary   loose `json:"primaryObjectId"`
		Secondary loose `json:"objectIdToMerge"`
	}
	if f := q.decode(&in); f != nil {
		q.fail(f)
		return
	}
	s.edit(func(st *store) {
		c, f := s.mergePair(string(in.Primary), string(in.Secondary), s.apiWriter(q.version))
		if f != nil {
			q.fail(f)
			return
		}
		writeJSON(q.w, http.StatusOK, st.render(c, st.wanted(nil, nil), nil))
	})
}

// mergePair merges two contacts that are named by id.
func (s *Sim) mergePair(primary, secondary string, w writer) (*contact, *failure) {
	var pair [2]*contact
	for i, key := range []string{primary, secondary} {
		c, f := s.store.pick(key, "")
		if f == nil && c.state != active {
			f = notFound(key)
		}
		if f != nil {
			return nil, f
		}
		pair[i] = c
	}
	return s.unite(pair[0], pair[1], w)
}

func (s *Sim) privacyDelete(q *call) {
	var in struct {
		ObjectID   loose  `json:"objectId"`
		IDProperty string `json:"idProperty"`
	}
	if f := q.decode(&in); f != nil {
		q.fail(f)
		return
	}
	s.edit(func(st *store) {
		c, f := st.pick(string(in.ObjectID), in.IDProperty)
		if f != nil && in.IDProperty != "email" {
			q.fail(f)
			return
		}
		s.eraseForPrivacy(c, string(in.ObjectID), s.apiWriter(q.version))
		q.w.WriteHeader(http.StatusNoContent)
	})
}
