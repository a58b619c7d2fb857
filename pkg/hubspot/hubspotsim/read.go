package hubspotsim

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
)

// defaultProperties are given when a read names none.
var defaultProperties = []string{"createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"}

// alwaysGiven come with every read that names properties.
var alwaysGiven = []string{"createdate", "hs_object_id", "lastmodifieddate"}

// createdProperties come with the answer to a create beside what was sent.
var createdProperties = []string{
	"createdate", "email", "firstname", "hs_all_contact_vids", "hs_email_domain", "hs_full_name_or_email", "hs_is_contact",
	"hs_is_unworked", "hs_object_id", "hs_object_source", "hs_object_source_id", "hs_object_source_label",
	"lastmodifieddate", "lastname", "lifecyclestage",
}

// selection is what a read gives of each contact.
type selection struct {
	properties []propID
	history    []propID
}

// wanted makes the selection; names that are not defined are left out.
func (st *store) wanted(names, history []string) selection {
	if len(names) == 0 {
		names = defaultProperties
	} else {
		names = append(slices.Clone(names), alwaysGiven...)
	}
	return selection{properties: st.known(names), history: st.known(history)}
}

func (st *store) known(names []string) []propID {
	var out []propID
	for _, name := range names {
		if id, _, ok := st.schema.active(name); ok && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// oldValue is one element of propertiesWithHistory.
type oldValue struct {
	Value      string `json:"value"`
	Timestamp  string `json:"timestamp"`
	SourceType string `json:"sourceType"`
	SourceID   string `json:"sourceId,omitempty"`
	UserID     int64  `json:"updatedByUserId,omitempty"`
}

// shown is a contact in the API's form. Maps print sorted by name.
type shown struct {
	ID         string                `json:"id"`
	Properties map[string]*string    `json:"properties"`
	History    map[string][]oldValue `json:"propertiesWithHistory,omitempty"`
	CreatedAt  string                `json:"createdAt"`
	UpdatedAt  string                `json:"updatedAt"`
	Archived   bool                  `json:"archived"`
	ArchivedAt string                `json:"archivedAt,omitempty"`
	URL        string                `json:"url"`
	Trace      string                `json:"objectWriteTraceId,omitempty"`
	New        *bool                 `json:"new,omitempty"`
	Warnings   []shownWarning        `json:"warnings,omitempty"`
}

type shownWarning struct {
	Category string            `json:"category"`
	Message  string            `json:"message"`
	Context  map[string]string `json:"context"`
}

// render gives a contact in the API's form.
func (st *store) render(c *contact, want selection, warnings []warning) *shown {
	out := &shown{
		ID: idText(c.id), Properties: make(map[string]*string, len(want.properties)),
		CreatedAt: instant(c.created), UpdatedAt: instant(c.updated), Archived: c.state == archived,
		URL: fmt.Sprintf("https://app.hubspot.com/contacts/%d/record/0-1/%d", st.portal, c.id),
	}
	if c.state == archived {
		out.ArchivedAt = instant(c.archived)
	}
	for _, p := range want.properties {
		out.Properties[st.schema.names[p]] = nil
		if text := st.text(c, p); text != "" {
			out.Properties[st.schema.names[p]] = &text
		}
	}
	if want.history != nil {
		out.History = map[string][]oldValue{}
		for _, p := range want.history {
			out.History[st.schema.names[p]] = st.history(c, p)
		}
	}
	for _, w := range warnings {
		out.Warnings = append(out.Warnings, shownWarning{
			Category: "PROPERTY_VALUE_NORMALIZED", Message: fmt.Sprintf("The value of %s was normalized", w.Name),
			Context: map[string]string{"propertyName": w.Name, "rawValue": w.Raw, "normalizedValue": w.Normalized},
		})
	}
	return out
}

// history gives the values of a property, newest first.
func (st *store) history(c *contact, p propID) []oldValue {
	out := []oldValue{}
	i, ok := c.find(p)
	if !ok {
		return out
	}
	entries := c.values[i].entries()
	slices.Reverse(entries)
	for _, e := range entries {
		by := st.sources[e.source]
		v := oldValue{Value: e.text, Timestamp: instant(e.at), SourceType: by.Kind, SourceID: by.ID}
		if by.Kind == "CRM_UI" && len(by.ID) > len("userId:") {
			v.UserID, _ = strconv.ParseInt(by.ID[len("userId:"):], 10, 64) // our own form, always a number
		}
		out = append(out, v)
	}
	return out
}

// afterWrite is the selection of the answer to a create or an update.
func (st *store) afterWrite(p *plan, created bool) selection {
	names := slices.Clone(alwaysGiven)
	if created {
		names = slices.Clone(createdProperties)
	}
	for _, v := range p.values {
		names = append(names, v[0])
	}
	sort.Strings(names)
	return selection{properties: st.known(names)}
}
