package alowaresim

import (
	"net/http"
	"strconv"
	"strings"
)

// forms is the Lead API: it creates or updates a contact by its phone number.
func (s *Sim) forms(c *call) reply {
	text, _ := scalar(c.fields["phone_number"])
	phone := parsePhone(text)
	if phone == 0 {
		return sayError(http.StatusBadRequest, "Phone number is empty or invalid.")
	}
	held := s.store.byPhone[phone]
	force, _ := truth(c.fields["force_update"])
	if held != nil && !force && s.set.FormsConflict == "409" {
		return sayMessage(http.StatusConflict, "Contact already exists")
	}
	w := s.parse(c.fields, held, byForm)
	s.ignore(w)
	if len(w.problems) > 0 {
		return sayError(http.StatusBadRequest, w.problems.first())
	}
	if held == nil {
		made, changed := s.create(split(w.settings), byForm, "form-capture")
		s.remember(made, w.notes, createdByAPI)
		s.wrote(len(changed))
		s.tellCreated(made, byForm)
		return sayMessage(http.StatusCreated, "Contact created.")
	}
	var settings []setting
	for _, v := range w.settings {
		blank := v.value == "" || v.name == "is_dnc" && v.value == "0"
		switch {
		case v.name == "phone_number": // the key; it cannot change here
		case v.value == "" && (s.set.FormsBlank == "ignore" || !force):
		case !force && !isBlank(held, v.name):
		case !force && blank:
		default:
			settings = append(settings, v)
		}
	}
	changed := s.change(held, settings, byForm)
	s.remember(held, w.notes, createdByAPI)
	s.wrote(len(changed))
	s.tell(held, changed, byForm)
	return sayMessage(http.StatusOK, "Contact updated.")
}

func isBlank(c *contact, name string) bool {
	value := c.get(name)
	return value == "" || byRead[name] != nil && byRead[name].kind == kindFlag && value == "0"
}

// first is one of the problems, always the same.
func (p problems) first() string {
	key := ""
	for k := range p {
		if key == "" || k < key {
			key = k
		}
	}
	if len(p[key]) == 0 {
		return ""
	}
	return p[key][0]
}

// wrote counts a write of the API.
func (s *Sim) wrote(values int) {
	s.stats.wrote(values)
	s.tx.Wrote = append(s.tx.Wrote, values)
}

func (s *Sim) ignore(w *wanted) {
	for _, key := range w.ignored {
		if len(s.stats.IgnoredKeys) < 1000 || s.stats.IgnoredKeys[key] > 0 {
			s.stats.IgnoredKeys[key]++
		}
	}
}

// lookup reads a contact by any of its numbers.
func (s *Sim) lookup(c *call) reply {
	phone := parsePhone(c.URL.Query().Get("phone_number"))
	if phone == 0 {
		return sayError(http.StatusBadRequest, "Phone number is empty or invalid.")
	}
	held := s.store.byPhone[phone]
	if held == nil {
		return notFound()
	}
	return reply{status: http.StatusOK, body: s.contactJSON(held)}
}

func notFound() reply { return sayError(http.StatusNotFound, "Contact not found.") }

func (s *Sim) users(*call) reply { return say(http.StatusOK, s.lists.Users) }

// text reads a field of the body as text.
func (c *call) text(name string) string {
	text, _ := scalar(c.fields[name])
	return strings.TrimSpace(text)
}

// meet gives the contact of a number, which is made when nobody has it.
func (s *Sim) meet(phone uint64, intake string) *contact {
	if held := s.store.byPhone[phone]; held != nil {
		return held
	}
	made, _ := s.create([]setting{{"phone_number", formatPhone(phone)}}, bySystem, intake)
	s.tellCreated(made, bySystem)
	return made
}

// sendText takes a text over. Whether it arrives, a webhook tells.
func (s *Sim) sendText(c *call) reply {
	to := parsePhone(c.text("to"))
	line, ok := s.lists.line(idOf(c.text("line_id")), parsePhone(c.text("from")))
	switch {
	case to == 0:
		return sayError(http.StatusBadRequest, "The to number is empty or invalid.")
	case !ok || c.text("line_id") == "" && c.text("from") == "":
		return sayError(http.StatusBadRequest, "The line is empty or invalid.")
	case c.text("message") == "" && c.text("image_url") == "":
		return sayError(http.StatusBadRequest, "The message is empty.")
	case len([]rune(c.text("message"))) > 160:
		return sayError(http.StatusBadRequest, "The message may not be greater than 160 characters.")
	}
	held := s.meet(to, "single-sms")
	status := "completed"
	switch {
	case held.lrn == 0:
		status = "invalid" // a landline gets no texts
	case held.is(flagDNC) || held.is(flagOptedOut) || held.is(flagBlocked):
		status = "failed"
	}
	_, err := s.happen(held, talk{
		Kind: "sms", Direction: "outbound", Status: status, Text: c.text("message"), At: s.second(),
		User: max(0, idOf(c.text("user_id"))), Line: line, Creator: createdByAPI,
	})
	if err != nil {
		return sayError(http.StatusBadRequest, err.Error())
	}
	return sayMessage(http.StatusAccepted, "Message sent.")
}

// twoLeggedCall rings a user and then the contact.
func (s *Sim) twoLeggedCall(c *call) reply {
	refuse := func(field, text string) reply {
		return say(http.StatusUnprocessableEntity, map[string]any{"errors": problems{field: {text}}})
	}
	line, ok := s.lists.line(idOf(c.text("line_id")), parsePhone(c.text("line_phone_number")))
	if !ok || c.text("line_id") == "" && c.text("line_phone_number") == "" {
		return refuse("line", "The line was not found.")
	}
	agent := s.lists.user(idOf(c.text("user_id")))
	if c.text("ring_group_id") != "" && agent == nil {
		for i := range s.lists.Users {
			if u := &s.lists.Users[i]; u.Status == 1 && !u.deleted() {
				agent = u
				break
			}
		}
	}
	if agent == nil || agent.deleted() || agent.Status != 1 {
		return refuse("user", "The user is not available.")
	}
	held := s.store.find(idOf(c.text("contact_id")))
	if phone := parsePhone(c.text("contact_phone_number")); held == nil && phone != 0 {
		held = s.meet(phone, "voip-call")
	}
	if held == nil {
		return refuse("contact", "The contact was not found.")
	}
	status := "completed"
	if held.is(flagDNC) || held.is(flagBlocked) {
		status = "failed"
	}
	_, err := s.happen(held, talk{
		Kind: "call", Direction: "outbound", Status: status, At: s.second(), User: agent.ID, Line: line, Creator: createdByAPI,
	})
	if err != nil {
		return refuse("contact", err.Error())
	}
	return sayMessage(http.StatusAccepted, "Call initiated.")
}

// sources are what an id in a sequence call may come from.
var sequenceSources = map[string]bool{
	"phone_number": true, "aloware": true, "hubspot": true, "zoho": true, "guesty": true, "pipedrive": true,
}

func (s *Sim) enroll(c *call) reply {
	if c.text("sequence_id") == "" {
		return sayError(http.StatusBadRequest, "The sequence id field is required.")
	}
	return s.sequence(c, "Contact is successfully enrolled in the sequence.")
}

func (s *Sim) disenroll(c *call) reply {
	return s.sequence(c, "Contact is successfully disenrolled from the sequence.")
}

// sequence checks a call about a sequence. The account keeps no pairing with
// other systems, so their ids lead to a contact only beside its number.
func (s *Sim) sequence(c *call, done string) reply {
	if !sequenceSources[c.text("source")] {
		return sayError(http.StatusBadRequest, "The selected source is invalid.")
	}
	held := s.store.byPhone[parsePhone(c.text("phone_number"))]
	if held == nil && c.text("source") == "aloware" {
		held = s.store.find(idOf(c.text("id")))
	}
	if held == nil {
		return sayError(http.StatusBadRequest, "Contact not found.")
	}
	return sayMessage(http.StatusOK, done)
}

func (s *Sim) leaveLists(c *call) reply {
	if s.store.find(idOf(c.text("contact_id"))) == nil {
		return notFound()
	}
	return sayMessage(http.StatusOK, "Contact removed from lists.")
}

func (s *Sim) clearList(c *call) reply { return needs(c, "list_id", "List cleared.") }

func (s *Sim) clearUserLists(c *call) reply { return needs(c, "user_id", "Lists cleared.") }

func needs(c *call, field, done string) reply {
	if _, err := strconv.ParseInt(c.text(field), 10, 64); err != nil {
		return sayError(http.StatusBadRequest, "The "+strings.ReplaceAll(field, "_", " ")+" field is required.")
	}
	return sayMessage(http.StatusOK, done)
}
