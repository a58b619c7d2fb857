package alowaresim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// writer is by which way a contact is written.
type writer uint8

const (
	byForm   writer = iota // the Lead API
	byUpdate               // an update by id
	byPerson               // a page, or a person's edit by a control call
	bySystem               // Aloware itself
)

// String is what the pages show.
func (w writer) String() string {
	switch w {
	case byPerson:
		return "person"
	case bySystem:
		return "Aloware"
	}
	return "API"
}

// setting is a new value of a field, in the field's own form.
type setting struct {
	name  string // read name, or an attribute's slug
	value string
}

// problems are what is wrong with a write, by the key that was given.
type problems map[string][]string

func (p problems) add(key string, err error) { p[key] = append(p[key], err.Error()) }

// wanted is a write that was read and found good, unless it has problems.
type wanted struct {
	settings []setting
	notes    string
	problems problems
	// taken is the contact that already has a number which was to be set.
	taken *contact
	// ignored are keys that mean nothing.
	ignored []string
}

func (w *wanted) set(name, value string) { w.settings = append(w.settings, setting{name, value}) }

// silent are the keys of a write that are taken and change no field.
var silent = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields(`api_token force_update force_update_sequence distribute_to_ring_group ring_group_id
		check_available_users check_available_users_with_fallback add_to_powerdialer powerdialer_position sequence_id automation_id
		list_ids reason`) {
		m[name] = true
	}
	return m
}()

// parse reads the fields of a write for a contact, which is nil for a new one.
func (s *Sim) parse(fields map[string]any, c *contact, by writer) *wanted {
	w := &wanted{problems: problems{}}
	for _, key := range sortedKeys(fields) {
		value := fields[key]
		col := byWrite[key]
		if col == nil && by == byPerson {
			col = byRead[key]
		}
		switch {
		case key == "attributes" && by != byForm:
			s.parseAttributes(w, value)
		case key == "notes":
			w.notes, _ = scalar(value)
		case key == "tag_id":
			s.parseTagID(w, c, value)
		case silent[key]:
		case col == nil:
			if a := s.lists.attribute(key); a != nil && by == byPerson {
				s.parseAttribute(w, key, a, value)
			} else {
				w.ignored = append(w.ignored, key)
			}
		case col.kind == kindTags:
			s.parseTags(w, c, value, by)
		case col.kind == kindNumbers:
			s.parseNumbers(w, c, value, by)
		default:
			text, err := col.parse(value, &s.lists)
			if err != nil {
				w.problems.add(key, err)
				continue
			}
			if col.kind == kindPhone {
				if owner := s.store.byPhone[parsePhone(text)]; owner != nil && owner != c {
					w.taken = owner
				}
			}
			w.set(col.read, text)
		}
	}
	if lifts(w, c) && by == byUpdate {
		if reason, _ := scalar(fields["reason"]); strings.TrimSpace(reason) == "" {
			w.problems.add("reason", fmt.Errorf("The reason field is required to lift DNC."))
		}
	}
	return w
}

// lifts reports whether a write allows calls to a contact again.
func lifts(w *wanted, c *contact) bool {
	return c != nil && c.is(flagDNC) && slices.Contains(w.settings, setting{"is_dnc", "0"})
}

func (s *Sim) parseAttributes(w *wanted, value any) {
	given, ok := value.(map[string]any)
	if !ok {
		if value != nil {
			w.problems.add("attributes", fmt.Errorf("The attributes must be an object."))
		}
		return
	}
	for _, name := range sortedKeys(given) {
		if a := s.lists.attribute(name); a != nil {
			s.parseAttribute(w, "attributes."+name, a, given[name])
		} else {
			w.problems.add("attributes."+name, fmt.Errorf("The attribute does not exist."))
		}
	}
}

func (s *Sim) parseAttribute(w *wanted, key string, a *attribute, value any) {
	text, ok := scalar(value)
	if !ok {
		w.problems.add(key, fmt.Errorf("The value must be a text, a number or null."))
		return
	}
	if text != "" {
		switch a.Type {
		case "number":
			if text = strings.TrimSpace(text); !isNumber(text) {
				w.problems.add(key, fmt.Errorf("The value must be a number."))
			}
		case "dropdown":
			if !slices.Contains(a.Options, text) {
				w.problems.add(key, fmt.Errorf("The selected value is invalid."))
			}
		case "date":
			at, err := time.Parse(time.DateOnly, text)
			if err != nil {
				w.problems.add(key, fmt.Errorf("The value is not a valid date."))
			}
			text = at.Format(time.DateOnly)
		}
	}
	w.set(a.Slug, text)
}

// isNumber reports whether a text is a JSON number.
func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && json.Valid([]byte(text))
}

func (s *Sim) parseTagID(w *wanted, c *contact, value any) {
	text, _ := scalar(value)
	if text == "" {
		return
	}
	id := idOf(text)
	if !slices.ContainsFunc(s.lists.Tags, func(t named) bool { return t.ID == id }) {
		w.problems.add("tag_id", fmt.Errorf("The selected tag id is invalid."))
		return
	}
	w.set("tags", tagText(append(heldTags(c), id)))
}

func heldTags(c *contact) []int64 {
	if c == nil {
		return nil
	}
	return tagIDs(c.get("tags"))
}

// parseTags reads tags as names, with commas between them or in a list. The
// Lead API adds them; every other way replaces.
func (s *Sim) parseTags(w *wanted, c *contact, value any, by writer) {
	var names []string
	switch v := value.(type) {
	case nil:
	case string:
		names = strings.Split(v, ",")
	case []any:
		for _, one := range v {
			if o, ok := one.(map[string]any); ok {
				one = o["name"]
			}
			name, _ := scalar(one)
			names = append(names, name)
		}
	default:
		w.problems.add("tags", fmt.Errorf("The tags must be names with commas between them."))
		return
	}
	var ids []int64
	if by == byForm {
		ids = heldTags(c)
	}
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" {
			id, made := s.lists.tag(name)
			if made {
				s.tx.Lists = &s.lists
			}
			ids = append(ids, id)
		}
	}
	w.set("tags", tagText(ids))
}

// parseNumbers reads further numbers: a list of objects, or numbers with
// commas between them. The Lead API adds those that nobody else has; every
// other way replaces, and refuses a number of another contact.
func (s *Sim) parseNumbers(w *wanted, c *contact, value any, by writer) {
	var given []secondary
	switch v := value.(type) {
	case nil:
	case string:
		for part := range strings.SplitSeq(v, ",") {
			if strings.TrimSpace(part) != "" {
				given = append(given, secondary{"other", parsePhone(part)})
			}
		}
	case []any:
		for _, one := range v {
			o, _ := one.(map[string]any)
			label, _ := scalar(o["label"])
			number, _ := scalar(o["phone_number"])
			given = append(given, secondary{label, parsePhone(number)})
		}
	default:
		w.problems.add("other_phone_numbers", fmt.Errorf("The other phone numbers must be a list."))
		return
	}
	var numbers []secondary
	if by == byForm && c != nil {
		numbers = c.numbers()
	}
	for _, n := range given {
		if n.Phone == 0 {
			w.problems.add("other_phone_numbers", fmt.Errorf("A phone number is invalid."))
			return
		}
		owner := s.store.byPhone[n.Phone]
		switch {
		case owner != nil && owner != c && by == byForm, c != nil && n.Phone == c.phone:
		case slices.ContainsFunc(numbers, func(o secondary) bool { return o.Phone == n.Phone }):
		case owner != nil && owner != c:
			w.taken = owner
		default:
			numbers = append(numbers, n)
		}
	}
	w.set("phone_numbers", numbersText(numbers))
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
