package alowaresim

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// kind is how the value of a column is read and kept.
type kind uint8

const (
	kindText kind = iota
	kindEmail
	kindDay
	kindPhone
	kindUser
	kindDisposition
	kindLine
	kindFlag
	kindLineType
	kindTags
	kindNumbers
)

// column is a field of the contact. Its value is kept as one text in a form of
// its own; "" is null.
type column struct {
	read  string // key in a contact
	write string // key in the body of a write; "" where the API takes none
	label string // on the pages
	kind  kind
	slot  int // place among the texts; -1 when it is kept elsewhere
}

// columns are the fields of every contact, in the order of the pages.
var columns = []column{
	{read: "first_name", write: "first_name", label: "First name"},
	{read: "last_name", write: "last_name", label: "Last name"},
	{read: "name", write: "name", label: "Name"},
	{read: "phone_number", write: "phone_number", label: "Phone number", kind: kindPhone},
	{read: "phone_numbers", write: "other_phone_numbers", label: "Other numbers", kind: kindNumbers},
	{read: "email", write: "email", label: "E-mail", kind: kindEmail},
	{read: "user_id", write: "user_id", label: "Contact owner", kind: kindUser},
	{read: "disposition_status_id", write: "disposition_status_id", label: "Contact disposition", kind: kindDisposition},
	{read: "lifecycle_stage", write: "lifecycle_stage", label: "Lifecycle stage"},
	{read: "company_name", write: "company_name", label: "Company"},
	{read: "address", write: "address", label: "Address"},
	{read: "cnam_city", write: "city", label: "City"},
	{read: "cnam_state", write: "state", label: "State"},
	{read: "cnam_country", write: "country", label: "Country"},
	{read: "cnam_zipcode", write: "zipcode", label: "Zip code"},
	{read: "website", write: "website", label: "Website"},
	{read: "date_of_birth", write: "date_of_birth", label: "Date of birth", kind: kindDay},
	{read: "timezone", write: "timezone", label: "Time zone"},
	{read: "lead_source", write: "lead_source", label: "Lead source"},
	{read: "csf1", write: "csf1", label: "Custom field 1"},
	{read: "csf2", write: "csf2", label: "Custom field 2"},
	{read: "tags", write: "tags", label: "Tags", kind: kindTags},
	{read: "initial_campaign_id", write: "line_id", label: "Line", kind: kindLine},
	{read: "is_dnc", write: "is_dnc", label: "Do not call", kind: kindFlag},
	{read: "is_opted_out", label: "Opted out", kind: kindFlag},
	{read: "is_blocked", label: "Blocked", kind: kindFlag},
	{read: "text_authorized", label: "TCPA approved", kind: kindFlag},
	{read: "lrn_type", label: "Line type", kind: kindLineType},
	{read: "incoming_number", label: "Incoming number"},
	{read: "contact_source", label: "Contact source"},
	{read: "intake_source", label: "Intake source"},
}

// byRead and byWrite find columns by their keys; slots is how many texts a
// contact has.
var byRead, byWrite, slots = func() (read, write map[string]*column, slots int) {
	read, write = map[string]*column{}, map[string]*column{}
	for i := range columns {
		c := &columns[i]
		read[c.read] = c
		if c.write != "" {
			write[c.write] = c
		}
		c.slot = -1
		if c.kind == kindText || c.kind == kindEmail || c.kind == kindDay {
			c.slot = slots
			slots++
		}
	}
	return read, write, slots
}()

// slotOf is the place of a text; the column must exist.
func slotOf(read string) int { return byRead[read].slot }

var (
	slotName, slotFirst, slotLast, slotEmail = slotOf("name"), slotOf("first_name"), slotOf("last_name"), slotOf("email")
	slotCompany, slotAddress, slotWebsite    = slotOf("company_name"), slotOf("address"), slotOf("website")
	slotCity, slotState                      = slotOf("cnam_city"), slotOf("cnam_state")
	slotCountry, slotZip                     = slotOf("cnam_country"), slotOf("cnam_zipcode")
	slotBirth, slotZone, slotLead            = slotOf("date_of_birth"), slotOf("timezone"), slotOf("lead_source")
	slotSource, slotIntake                   = slotOf("contact_source"), slotOf("intake_source")
	slotCustom1, slotCustom2, slotStage      = slotOf("csf1"), slotOf("csf2"), slotOf("lifecycle_stage")
	slotIncoming                             = slotOf("incoming_number")
)

// secondary is a further number of a contact.
type secondary struct {
	Label string `json:"label"`
	Phone uint64 `json:"phone_number"`
}

// scalar is a JSON scalar as text; false for anything else.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// truth reads a boolean in any of the forms that Aloware takes.
func truth(v any) (value, ok bool) {
	text, _ := scalar(v)
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "true", "yes", "on":
		return true, true
	case "0", "false", "no", "off":
		return false, true
	}
	return false, false
}

// dayForms are the forms in which a date of birth is taken.
var dayForms = []string{time.DateOnly, "01/02/2006", "1/2/2006"}

// parse reads a value into the column's own form; the error is in the words of
// a validation answer. Tags and numbers need the account, see Sim.parse.
func (c *column) parse(v any, lists *directory) (string, error) {
	field := strings.ReplaceAll(c.key(), "_", " ")
	text, ok := scalar(v)
	if _, isBool := v.(bool); !ok || isBool && c.kind != kindFlag {
		return "", fmt.Errorf("The %s must be a string.", field)
	}
	if strings.TrimSpace(text) == "" && c.kind != kindFlag && c.kind != kindPhone && c.kind != kindLineType {
		return "", nil
	}
	switch c.kind {
	case kindPhone:
		if n := parsePhone(text); n != 0 {
			return formatPhone(n), nil
		}
		return "", fmt.Errorf("The %s is empty or invalid.", field)
	case kindEmail:
		text = strings.TrimSpace(text)
		name, host, ok := strings.Cut(text, "@")
		if !ok || name == "" || host == "" || strings.ContainsAny(text, " \t\n,;") || strings.Contains(host, "@") {
			return "", fmt.Errorf("The %s must be a valid email address.", field)
		}
		return text, nil
	case kindDay:
		for _, form := range dayForms {
			if at, err := time.Parse(form, strings.TrimSpace(text)); err == nil {
				return at.Format(time.DateOnly), nil
			}
		}
		return "", fmt.Errorf("The %s is not a valid date.", field)
	case kindUser, kindDisposition, kindLine:
		id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || !lists.has(c.kind, id) {
			return "", fmt.Errorf("The selected %s is invalid.", field)
		}
		return strconv.FormatInt(id, 10), nil
	case kindFlag:
		value, ok := truth(v)
		if !ok {
			return "", fmt.Errorf("The %s field must be true or false.", field)
		}
		return flagText(value), nil
	case kindLineType:
		if n, err := strconv.Atoi(text); err != nil || n < 0 || n > 5 {
			return "", fmt.Errorf("The selected %s is invalid.", field)
		}
	}
	return text, nil
}

// key is the name under which the column is written, else read.
func (c *column) key() string {
	if c.write != "" {
		return c.write
	}
	return c.read
}

func flagText(value bool) string {
	if value {
		return "1"
	}
	return "0"
}

func idText(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

func idOf(text string) int64 {
	id, _ := strconv.ParseInt(text, 10, 64)
	return id
}

// tagText and tagIDs are the form of a set of tags.
func tagText(ids []int64) string {
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	parts := make([]string, 0, len(ids))
	for i, id := range ids {
		if i == 0 || id != ids[i-1] {
			parts = append(parts, strconv.FormatInt(id, 10))
		}
	}
	return strings.Join(parts, ",")
}

func tagIDs(text string) []int64 {
	var ids []int64
	for part := range strings.SplitSeq(text, ",") {
		if id := idOf(part); id != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// numbersText and numbersOf are the form of the further numbers.
func numbersText(numbers []secondary) string {
	if len(numbers) == 0 {
		return ""
	}
	raw, _ := json.Marshal(numbers) // texts and integers always have a form
	return string(raw)
}

func numbersOf(text string) []secondary {
	var numbers []secondary
	if text != "" {
		_ = json.Unmarshal([]byte(text), &numbers) // written by numbersText
	}
	return numbers
}
