package alowaresim

import (
	"slices"
	"strings"
)

// user is a member of the account's team.
type user struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Status int    `json:"agent_status"`
	Words  string `json:"human_readable_agent_status"`
}

// deleted reports whether the user is gone: such stay in the list with a mark
// in their e-mail.
func (u *user) deleted() bool { return strings.Contains(u.Email, "_deleted_") }

// disposition is a standing of a contact, or an outcome of a call. Those of the
// CRM are locked.
type disposition struct {
	ID          int64   `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Color       string  `json:"color"`
	Locked      bool    `json:"is_locked"`
	CRM         *string `json:"crm"`
	CRMValue    *string `json:"crm_value"`
}

// named is a line or a tag.
type named struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Phone string `json:"phone_number,omitempty"` // of a line, E.164
}

// attribute is a field that the account defined itself.
type attribute struct {
	ID      int64    `json:"id"`
	Name    string   `json:"name"`
	Slug    string   `json:"slug"` // key in a contact
	Type    string   `json:"type"` // text, number, dropdown or date
	Options []string `json:"options"`
}

// directory holds the lists of the account.
type directory struct {
	Users            []user        `json:"users"`
	Dispositions     []disposition `json:"dispositions"`
	CallDispositions []disposition `json:"call_dispositions"`
	Lines            []named       `json:"lines"`
	Tags             []named       `json:"tags"`
	Attributes       []attribute   `json:"attributes"`
}

const crmHubSpot = "hubspot"

func defaultDirectory() directory {
	d := directory{
		Users: []user{
			{1201, "Ana Alvarez", "ana@example.com", 1, "Available"},
			{1202, "Ben Baker", "ben@example.com", 1, "Available"},
			{1203, "Carla Costa", "carla@example.com", 0, "Offline"},
			{1204, "Dario Duarte", "dario_deleted_1754000000@example.com", 0, "Offline"},
		},
		Lines: []named{{6394, "Main line", "+12025550101"}, {6395, "Support line", "+12025550102"}},
		Tags:  []named{{7, "VIP", ""}, {8, "Newsletter", ""}},
		Attributes: []attribute{
			{1, "Plan tier", "plan_tier", "dropdown", []string{"basic", "plus", "premium"}},
			{2, "Renewal date", "renewal_date", "date", []string{}},
			{3, "Seats", "seat_count", "number", []string{}},
			{4, "Remarks", "remarks", "text", []string{}},
		},
	}
	for i, pair := range [][2]string{
		{"New", "NEW"}, {"Open", "OPEN"}, {"In progress", "IN_PROGRESS"}, {"Open Deal", "OPEN_DEAL"},
		{"Unqualified", "UNQUALIFIED"}, {"Attempted to call", "ATTEMPTED_TO_CONTACT"},
		{"Connected", "CONNECTED"}, {"Bad timing", "BAD_TIMING"},
	} {
		crm, value := crmHubSpot, pair[1]
		d.Dispositions = append(d.Dispositions, disposition{
			ID: 5501 + int64(i), Name: pair[0], Color: colors[i%len(colors)], Locked: true, CRM: &crm, CRMValue: &value,
		})
	}
	for i, name := range []string{"Connected", "Left voicemail", "Left live message", "No answer", "Busy", "Wrong number"} {
		d.CallDispositions = append(d.CallDispositions, disposition{ID: 31001 + int64(i), Name: name, Color: colors[i%len(colors)]})
	}
	return d
}

var colors = []string{"#2f7d4f", "#2b6cb0", "#b7791f", "#6b46c1", "#a12b2b", "#4a5568", "#0f766e", "#9d5c0d"}

// has reports whether a contact may refer to an id.
func (d *directory) has(k kind, id int64) bool {
	switch k {
	case kindUser:
		u := d.user(id)
		return u != nil && !u.deleted()
	case kindDisposition:
		return findDisposition(d.Dispositions, id) != nil
	case kindLine:
		return slices.ContainsFunc(d.Lines, func(n named) bool { return n.ID == id })
	}
	return false
}

func (d *directory) user(id int64) *user {
	for i := range d.Users {
		if d.Users[i].ID == id {
			return &d.Users[i]
		}
	}
	return nil
}

func findDisposition(list []disposition, id int64) *disposition {
	for i := range list {
		if list[i].ID == id {
			return &list[i]
		}
	}
	return nil
}

func (d *directory) dispositionName(id int64) string {
	if found := findDisposition(d.Dispositions, id); found != nil {
		return found.Name
	}
	return ""
}

func (d *directory) outcomeName(id int64) string {
	if found := findDisposition(d.CallDispositions, id); found != nil {
		return found.Name
	}
	return ""
}

// outcome finds a call disposition by its name.
func (d *directory) outcome(name string) (int64, bool) {
	for _, o := range d.CallDispositions {
		if strings.EqualFold(o.Name, strings.TrimSpace(name)) {
			return o.ID, true
		}
	}
	return 0, false
}

// line gives the line with an id or number; the zero value asks for the first.
func (d *directory) line(id int64, phone uint64) (named, bool) {
	for _, l := range d.Lines {
		if id == 0 && phone == 0 || id != 0 && l.ID == id || phone != 0 && parsePhone(l.Phone) == phone {
			return l, true
		}
	}
	return named{}, false
}

// attribute finds an attribute by its slug or name, or nil.
func (d *directory) attribute(name string) *attribute {
	for i := range d.Attributes {
		if a := &d.Attributes[i]; a.Slug == name || strings.EqualFold(a.Name, name) {
			return a
		}
	}
	return nil
}

// tag gives the id of a tag with a name, which is made when it is new.
func (d *directory) tag(name string) (id int64, made bool) {
	next := int64(1)
	for _, t := range d.Tags {
		if strings.EqualFold(t.Name, name) {
			return t.ID, false
		}
		next = max(next, t.ID+1)
	}
	d.Tags = append(d.Tags, named{ID: next, Name: name})
	return next, true
}

// option is a choice of the CRM.
type option struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// mirror makes the CRM's part of a list equal to its options, by their values.
// An own disposition of the same name becomes the CRM's; what the CRM no
// longer has stays and is unlocked.
func mirror(list []disposition, crm string, options []option) []disposition {
	list = slices.Clone(list)
	wanted := map[string]bool{}
	next := int64(1)
	for _, d := range list {
		next = max(next, d.ID+1)
	}
	for _, o := range options {
		if o.Label == "" {
			o.Label = o.Value
		}
		wanted[o.Value] = true
		at := slices.IndexFunc(list, func(d disposition) bool { return d.ofCRM(crm) && *d.CRMValue == o.Value })
		if at < 0 {
			at = slices.IndexFunc(list, func(d disposition) bool { return d.CRM == nil && strings.EqualFold(d.Name, o.Label) })
		}
		if at < 0 {
			list = append(list, disposition{ID: next, Color: colors[int(next)%len(colors)]})
			at = len(list) - 1
			next++
		}
		value := o.Value
		list[at].Name, list[at].Locked, list[at].CRM, list[at].CRMValue = o.Label, true, &crm, &value
	}
	for i := range list {
		if list[i].ofCRM(crm) && !wanted[*list[i].CRMValue] {
			list[i].Locked, list[i].CRM, list[i].CRMValue = false, nil, nil
		}
	}
	return list
}

func (d *disposition) ofCRM(crm string) bool {
	return d.CRM != nil && *d.CRM == crm && d.CRMValue != nil
}
