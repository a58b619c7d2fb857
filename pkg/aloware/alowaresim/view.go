package alowaresim

import (
	"slices"
	"strconv"
	"strings"
)

// listView is what the list of contacts shows.
type listView struct {
	Search         string
	Page, Total    int
	Rows           []rowView
	More           bool
	Previous, Next string
	Problem        string
}

type rowView struct {
	ID                                               int64
	Name, Phone, Email, Owner, Disposition, ChangeAt string
}

func (s *Sim) row(c *contact) rowView {
	return rowView{
		ID: c.id, Name: c.called(), Phone: formatPhone(c.phone), Email: c.texts.at(slotEmail),
		Owner: s.ownerName(c.user), Disposition: s.lists.dispositionName(c.disposed), ChangeAt: moment(c.updated),
	}
}

func (s *Sim) ownerName(id int64) string {
	if u := s.lists.user(id); u != nil {
		return u.Name
	}
	return ""
}

// contactView is what the page of a contact shows.
type contactView struct {
	ID       int64 // 0 for a new one
	Title    string
	Fields   []fieldView
	Totals   []totalView
	Talks    []talkView
	Outcomes []string
	Problem  string
}

type fieldView struct {
	Name, Label, Value string
	Input              string // text, long, date, number or choice
	Choices            []choiceView
	Writer, Written    string // who wrote it last, and when
}

type choiceView struct{ Value, Label string }

type totalView struct{ Label, Value string }

type talkView struct {
	ID                                        int64
	Call                                      bool
	What, Direction, At, Text, State, Outcome string
}

// contactView fills the page of a contact; false when there is none.
func (s *Sim) contactView(id int64, fresh bool) (contactView, bool) {
	c := &contact{lrn: 4}
	view := contactView{Title: "New contact"}
	if !fresh {
		if c = s.store.find(id); c == nil {
			return view, false
		}
		view.ID, view.Title = id, c.called()
	}
	for i := range columns {
		view.Fields = append(view.Fields, s.field(c, &columns[i]))
	}
	for i := range s.lists.Attributes {
		a := &s.lists.Attributes[i]
		f := fieldView{Name: a.Slug, Label: a.Name, Value: c.get(a.Slug), Input: "text"}
		switch a.Type {
		case "dropdown":
			f.choose("", "")
			for _, o := range a.Options {
				f.choose(o, o)
			}
		case "date", "number":
			f.Input = a.Type
		}
		f.sign(c)
		view.Fields = append(view.Fields, f)
	}
	if fresh {
		return view, true
	}
	for i, label := range []string{"Calls in", "Calls out", "Texts in", "Texts out", "All communications", "Unread texts", "Missed calls", "Voicemails"} {
		view.Totals = append(view.Totals, totalView{label, strconv.Itoa(int(c.counts[i]))})
	}
	for label, at := range map[string]int64{"Last engagement": c.engaged, "Created": c.created, "Updated": c.updated} {
		if at != 0 {
			view.Totals = append(view.Totals, totalView{label, moment(at)})
		}
	}
	slices.SortStableFunc(view.Totals[counters:], func(a, b totalView) int { return strings.Compare(a.Label, b.Label) })
	for _, d := range s.lists.CallDispositions {
		view.Outcomes = append(view.Outcomes, d.Name)
	}
	talks := s.store.talks[id]
	for i := len(talks) - 1; i >= max(0, len(talks)-200); i-- {
		view.Talks = append(view.Talks, s.talkView(talks[i]))
	}
	return view, true
}

func (f *fieldView) choose(value, label string) {
	f.Input = "choice"
	f.Choices = append(f.Choices, choiceView{value, label})
}

// sign says who wrote the field last.
func (f *fieldView) sign(c *contact) {
	if c.more == nil {
		return
	}
	if st, ok := c.more.stamps[f.Name]; ok {
		f.Writer, f.Written = st.By, moment(st.At)
	}
}

// field is a column as an input of the form.
func (s *Sim) field(c *contact, col *column) fieldView {
	f := fieldView{Name: col.read, Label: col.label, Value: c.get(col.read), Input: "text"}
	switch col.kind {
	case kindDay:
		f.Input = "date"
	case kindUser:
		f.choose("", "Nobody")
		for i := range s.lists.Users {
			if u := &s.lists.Users[i]; !u.deleted() || u.ID == c.user {
				f.choose(idText(u.ID), u.Name)
			}
		}
	case kindDisposition:
		f.choose("", "None")
		for _, d := range s.lists.Dispositions {
			f.choose(idText(d.ID), d.Name)
		}
	case kindLine:
		f.choose("", "None")
		for _, l := range s.lists.Lines {
			f.choose(idText(l.ID), l.Name)
		}
	case kindFlag:
		f.choose("0", "No")
		f.choose("1", "Yes")
	case kindLineType:
		for i, label := range []string{"Landline", "Wireless", "VoIP", "Other", "Not looked up", "Not available"} {
			f.choose(strconv.Itoa(i), label)
		}
	case kindTags:
		var names []string
		for _, id := range tagIDs(f.Value) {
			for _, t := range s.lists.Tags {
				if t.ID == id {
					names = append(names, t.Name)
				}
			}
		}
		f.Value = strings.Join(names, ", ")
	case kindNumbers:
		var numbers []string
		for _, n := range c.numbers() {
			numbers = append(numbers, formatPhone(n.Phone))
		}
		f.Value = strings.Join(numbers, ", ")
	}
	if f.Input == "text" && (col.read == "csf1" || col.read == "csf2" || strings.Contains(f.Value, "\n")) {
		f.Input = "long"
	}
	f.sign(c)
	return f
}

func (s *Sim) talkView(m *communication) talkView {
	v := talkView{
		ID: m.ID, Call: m.Kind == typeCall, Direction: "in", At: moment(m.Created), Text: m.Text,
		State: disposedNames[m.Disposition], Outcome: s.lists.outcomeName(m.Outcome),
	}
	v.What = map[int]string{typeCall: "Call", typeText: "Text", typeNote: "Note", typeAppointment: "Appointment"}[m.Kind]
	if m.Direction == outbound {
		v.Direction = "out"
	}
	if m.Kind == typeNote {
		v.Direction, v.State = "", ""
	}
	return v
}
