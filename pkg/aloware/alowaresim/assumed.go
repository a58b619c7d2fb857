package alowaresim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The calls below are documented nowhere: they are what Lockstep assumes, and
// they are there in profile "full" only.

// named gives the contact of the path.
func (s *Sim) named(c *call) *contact { return s.store.find(idOf(c.PathValue("id"))) }

func (s *Sim) read(c *call) reply {
	held := s.named(c)
	if held == nil {
		return notFound()
	}
	return reply{status: http.StatusOK, body: s.contactJSON(held)}
}

// update writes the given fields of a contact; null clears.
func (s *Sim) update(c *call) reply {
	held := s.named(c)
	if held == nil {
		return notFound()
	}
	w := s.parse(c.fields, held, byUpdate)
	s.ignore(w)
	return s.carry(held, w)
}

// carry writes what was read of a call, unless something is wrong with it.
func (s *Sim) carry(held *contact, w *wanted) reply {
	if len(w.problems) > 0 {
		return say(http.StatusUnprocessableEntity, map[string]any{"message": "The given data was invalid.", "errors": w.problems})
	}
	if w.taken != nil {
		return sayError(http.StatusConflict, "Phone number belongs to another contact.")
	}
	changed := s.change(held, w.settings, byUpdate)
	s.remember(held, w.notes, createdByAPI)
	s.wrote(len(changed))
	s.tell(held, changed, byUpdate)
	return reply{status: http.StatusOK, body: s.contactJSON(held)}
}

func (s *Sim) disposeContact(c *call) reply {
	held := s.named(c)
	if held == nil {
		return notFound()
	}
	if c.text("disposition_status_id") == "" {
		return say(http.StatusUnprocessableEntity, map[string]any{"errors": problems{
			"disposition_status_id": {"The disposition status id field is required."}}})
	}
	return s.carry(held, s.parse(map[string]any{"disposition_status_id": c.fields["disposition_status_id"]}, held, byUpdate))
}

// listing is a page of contacts.
type listing struct {
	Data    []json.RawMessage `json:"data"`
	Page    int               `json:"current_page"`
	Last    int               `json:"last_page"`
	PerPage int               `json:"per_page"`
	Total   int               `json:"total"`
}

const (
	defaultPerPage = 100
	maxPerPage     = 500
)

// list gives contacts in the order of their ids. Filters narrow each other.
func (s *Sim) list(c *call) reply {
	wrong := problems{}
	query := c.URL.Query()
	integer := func(name string, otherwise, most int) int {
		text := query.Get(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			wrong[name] = []string{"The " + strings.ReplaceAll(name, "_", " ") + " must be an integer of at least 1."}
		}
		return min(n, most)
	}
	page, per := integer("page", 1, 1<<31), integer("per_page", defaultPerPage, maxPerPage)
	found := s.store.contacts
	if text := query.Get("updated_since"); text != "" {
		at, err := time.Parse(time.DateTime, text)
		if err != nil {
			wrong["updated_since"] = []string{"The updated since does not match the format Y-m-d H:i:s."}
		}
		found = s.store.since(at.Unix())
	}
	if len(wrong) > 0 {
		return say(http.StatusUnprocessableEntity, map[string]any{"errors": wrong})
	}
	found = s.narrow(found, query.Get("phone_number"), query.Get("email"), query.Get("search"))
	l := listing{Data: []json.RawMessage{}, Page: page, Last: max(1, (len(found)+per-1)/per), PerPage: per, Total: len(found)}
	if page <= l.Last {
		first := (page - 1) * per
		for _, held := range found[first:min(first+per, len(found))] {
			l.Data = append(l.Data, s.contactJSON(held))
		}
	}
	return say(http.StatusOK, l)
}

// narrow keeps the contacts with a number, an e-mail and some text in them.
func (s *Sim) narrow(found []*contact, phone, email, search string) []*contact {
	keep := func(ok func(*contact) bool, from []*contact) []*contact {
		kept := []*contact{}
		for _, c := range from {
			if ok(c) {
				kept = append(kept, c)
			}
		}
		return kept
	}
	all := len(found) == len(s.store.contacts)
	if phone != "" {
		owner := s.store.byPhone[parsePhone(phone)]
		if all {
			found = keep(func(c *contact) bool { return c != nil }, []*contact{owner})
		} else {
			found = keep(func(c *contact) bool { return c == owner }, found)
		}
		all = false
	}
	if email = strings.TrimSpace(email); email != "" {
		if all {
			found = s.store.withEmail(email)
		} else {
			found = keep(func(c *contact) bool { return strings.EqualFold(c.texts.at(slotEmail), email) }, found)
		}
	}
	if search != "" {
		found = keep(func(c *contact) bool { return c.contains(search) }, found)
	}
	return found
}

// contains reports whether name, e-mail, company or a number have a text in
// them, in any case.
func (c *contact) contains(search string) bool {
	search = strings.ToLower(strings.TrimSpace(search))
	for _, slot := range []int{slotName, slotEmail, slotCompany} {
		if strings.Contains(strings.ToLower(c.texts.at(slot)), search) {
			return true
		}
	}
	if strings.Contains(formatPhone(c.phone), search) || search == strconv.FormatInt(c.id, 10) {
		return true
	}
	n := parsePhone(search)
	if n == 0 {
		return false
	}
	for _, other := range c.numbers() {
		if other.Phone == n {
			return true
		}
	}
	return n == c.phone
}

func (s *Sim) dispositionStatuses(*call) reply { return say(http.StatusOK, s.lists.Dispositions) }
func (s *Sim) callDispositions(*call) reply    { return say(http.StatusOK, s.lists.CallDispositions) }
func (s *Sim) attributes(*call) reply          { return say(http.StatusOK, s.lists.Attributes) }
func (s *Sim) tags(*call) reply                { return say(http.StatusOK, s.lists.Tags) }
func (s *Sim) lines(*call) reply               { return say(http.StatusOK, s.lists.Lines) }

func (s *Sim) mirrorDispositions(c *call) reply { return s.mirror(c, &s.lists.Dispositions) }

func (s *Sim) mirrorCallDispositions(c *call) reply { return s.mirror(c, &s.lists.CallDispositions) }

// mirror makes the CRM's part of a list equal to the options given.
func (s *Sim) mirror(c *call, list *[]disposition) reply {
	crm := c.text("crm")
	given, ok := c.fields["options"].([]any)
	if crm == "" || !ok {
		return say(http.StatusUnprocessableEntity, map[string]any{"errors": problems{"options": {"The crm and options fields are required."}}})
	}
	var options []option
	for _, one := range given {
		o, _ := one.(map[string]any)
		value, _ := scalar(o["value"])
		label, _ := scalar(o["label"])
		if value == "" {
			return say(http.StatusUnprocessableEntity, map[string]any{"errors": problems{"options": {"The value field is required."}}})
		}
		options = append(options, option{value, label})
	}
	*list = mirror(*list, crm, options)
	s.tx.Lists = &s.lists
	return say(http.StatusOK, *list)
}
