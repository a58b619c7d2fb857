package hubspot

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"lockstep.internal/pkg/contact"
)

// text reads a JSON string, and also a number or boolean by its own spelling;
// null and anything else is "". HubSpot's values are strings or null by its
// documentation, and not always in its answers.
type text string

// UnmarshalJSON never refuses a well-formed value.
func (t *text) UnmarshalJSON(raw []byte) error {
	*t = ""
	if len(raw) == 0 || raw[0] == 'n' || raw[0] == '{' || raw[0] == '[' {
		return nil
	}
	if raw[0] != '"' {
		*t = text(raw)
		return nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	*t = text(s)
	return nil
}

// texts reads an array of texts, or a single one.
type texts []string

// UnmarshalJSON never refuses a well-formed value.
func (t *texts) UnmarshalJSON(raw []byte) error {
	*t = nil
	if len(raw) > 0 && raw[0] == '[' {
		var items []text
		if err := json.Unmarshal(raw, &items); err != nil {
			return err
		}
		for _, item := range items {
			*t = append(*t, string(item))
		}
		return nil
	}
	var item text
	if err := item.UnmarshalJSON(raw); err != nil {
		return err
	}
	if item != "" {
		*t = texts{string(item)}
	}
	return nil
}

// lenient decodes JSON and leaves members of an unexpected type at zero; only
// a body that is no JSON is an error.
func lenient(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) && json.Valid(bytes.TrimSpace(raw)) {
		return nil
	}
	return err
}

// instant reads a HubSpot instant; 0 when it is none.
func instant(s string) contact.Millis {
	canonical, err := contact.Canonical(contact.Datetime, s, "")
	if err != nil || canonical == "" {
		return 0
	}
	at, err := time.Parse(time.RFC3339Nano, canonical)
	if err != nil {
		return 0
	}
	return contact.Millis(at.UnixMilli())
}

// record is a contact as reads and writes answer it.
type record struct {
	ID         text                      `json:"id"`
	Properties map[string]text           `json:"properties"`
	History    map[string][]historyEntry `json:"propertiesWithHistory"`
	CreatedAt  text                      `json:"createdAt"`
	UpdatedAt  text                      `json:"updatedAt"`
	Trace      text                      `json:"objectWriteTraceId"`
	New        *bool                     `json:"new"`
}

// historyEntry is one value that a property had, newest first in its list.
type historyEntry struct {
	Value      text `json:"value"`
	Timestamp  text `json:"timestamp"`
	SourceType text `json:"sourceType"`
	SourceID   text `json:"sourceId"`
}

// modified is when the record last changed by HubSpot's clock; 0 unknown.
func (r record) modified() contact.Millis {
	if at := instant(string(r.UpdatedAt)); at != 0 {
		return at
	}
	return instant(string(r.Properties[modifiedName]))
}

// created is when the record was made by HubSpot's clock; 0 unknown.
func (r record) created() contact.Millis {
	if at := instant(string(r.CreatedAt)); at != 0 {
		return at
	}
	return instant(string(r.Properties[createdName]))
}

// values gives the named properties that the record has, each with the time
// and origin of its newest history entry. A property that was never set is
// blank since the record was made. Without any history in the answer times are
// zero and origins unknown.
func (r record) values(names []string, app string) []contact.Value {
	values := make([]contact.Value, 0, len(names))
	for _, name := range names {
		held, ok := r.Properties[name]
		if !ok {
			continue
		}
		value := contact.Value{Name: name, Text: string(held)}
		if entries := r.History[name]; len(entries) > 0 {
			newest := newestOf(entries)
			value.OccurredAt = instant(string(newest.Timestamp))
			value.Origin = originOf(string(newest.SourceType), string(newest.SourceID), app)
		} else if r.History != nil && held == "" {
			value.OccurredAt = r.created()
		}
		values = append(values, value)
	}
	return values
}

// newestOf is the newest entry; HubSpot gives it first, but nothing hangs on it.
func newestOf(entries []historyEntry) historyEntry {
	newest, at := entries[0], instant(string(entries[0].Timestamp))
	for _, entry := range entries[1:] {
		if t := instant(string(entry.Timestamp)); t > at {
			newest, at = entry, t
		}
	}
	return newest
}

// batchAnswer is what every batch call answers with 200, 201 or 207.
type batchAnswer struct {
	Results []record    `json:"results"`
	Errors  []errorBody `json:"errors"`
}

// page is the cursor of a list or search.
type page struct {
	Next *struct {
		After text `json:"after"`
	} `json:"next"`
}

func (p *page) after() string {
	if p == nil || p.Next == nil {
		return ""
	}
	return string(p.Next.After)
}
