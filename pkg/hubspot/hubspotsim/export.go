package hubspotsim

import (
	"encoding/json"
	"net/http"
)

// derivedExports are computed properties that an export holds when they are set.
var derivedExports = []string{"createdate", "lastmodifieddate", "hs_additional_emails", "hs_merged_object_ids"}

// appendFlat appends a contact as one JSON object with every set property at
// the top level. It is written by hand because exports run over a million contacts.
func (st *store) appendFlat(out []byte, c *contact) []byte {
	out = append(out, `{"id":"`...)
	out = append(out, idText(c.id)...)
	out = append(out, '"')
	add := func(name, text string) {
		if text == "" {
			return
		}
		out = append(out, ',', '"')
		out = append(out, name...)
		out = append(out, '"', ':')
		out = appendQuoted(out, text)
	}
	for i := range c.values {
		add(st.schema.names[c.values[i].prop], c.values[i].text)
	}
	for _, name := range derivedExports {
		add(name, st.text(c, st.schema.ids[name]))
	}
	return append(out, '}', '\n')
}

// appendQuoted appends a JSON string.
func appendQuoted(out []byte, text string) []byte {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\' {
			quoted, err := json.Marshal(text)
			if err != nil {
				panic(err) // a string always has a JSON form
			}
			return append(out, quoted...)
		}
	}
	out = append(out, '"')
	out = append(out, text...)
	return append(out, '"')
}

// exportChunk is the number of contacts that are read under one lock.
const exportChunk = 500

func (s *Sim) controlContacts(w http.ResponseWriter, r *http.Request) error {
	st := s.store
	want := active
	if r.URL.Query().Get("archived") == "true" {
		want = archived
	}
	if key := r.URL.Query().Get("id"); key != "" {
		st.mu.RLock()
		defer st.mu.RUnlock()
		c, f := st.pick(key, "")
		if f != nil || c.state != want {
			return &refusal{&failure{Status: http.StatusNotFound, Message: "there is no such contact: " + key}}
		}
		return done(w, json.RawMessage(st.appendFlat(nil, c)))
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	var chunk []byte
	for from, more := int64(0), true; more; {
		chunk = chunk[:0]
		st.mu.RLock()
		i := st.position(from)
		end := min(i+exportChunk, len(st.order))
		for _, c := range st.order[i:end] {
			if c.state == want {
				chunk = st.appendFlat(chunk, c)
			}
			from = c.id + 1
		}
		more = end < len(st.order)
		st.mu.RUnlock()
		if _, err := w.Write(chunk); err != nil {
			return nil // the client went away: nothing is left to tell it
		}
	}
	return nil
}
