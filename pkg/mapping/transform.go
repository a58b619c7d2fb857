package mapping

import (
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"lockstep.internal/pkg/contact"
)

// Policy says what an edit may do to the other side.
type Policy string

// The policies. "" is Newest.
const (
	// Newest lets the later edit win; HubSpot wins ties.
	Newest Policy = "newest"
	// OnlyIfEmpty fills a blank and never overwrites.
	OnlyIfEmpty Policy = "only_if_empty"
	// OnlyOnCreate gives a value to contacts that Lockstep creates, and never
	// changes it afterwards.
	OnlyOnCreate Policy = "only_on_create"
	// Review makes a question of each difference; nothing is written until a
	// person answers.
	Review Policy = "review"
)

// Policies are all policies.
var Policies = []Policy{Newest, OnlyIfEmpty, OnlyOnCreate, Review}

// TransformKind is one of the safe transforms.
type TransformKind string

// The transforms. Trim, the cases and Default say what the value itself is, on
// both sides. Prefix, Suffix, DateFormat and PhoneFormat are the form that one
// side has it in: added when it is written there, taken off when it is read.
const (
	Trim        TransformKind = "trim"         // no white space around, one space within
	Upper       TransformKind = "upper"        // upper case
	Lower       TransformKind = "lower"        // lower case
	Title       TransformKind = "title"        // Each Word So
	DefaultText TransformKind = "default"      // Text stands for a cleared value
	Prefix      TransformKind = "prefix"       // Text before the value on Side
	Suffix      TransformKind = "suffix"       // Text after the value on Side
	DateFormat  TransformKind = "date_format"  // Text is one of DateFormats
	PhoneFormat TransformKind = "phone_format" // Text is one of PhoneFormats
)

// Transform is one step of a mapping.
type Transform struct {
	Kind TransformKind `json:"kind"`
	// Side is the system whose form it is; 0 for those about the value itself.
	Side contact.System `json:"side,omitempty"`
	Text string         `json:"text,omitempty"`
}

// DateFormats are the forms of a date in a text property, by name.
var DateFormats = map[string]string{
	"yyyy-mm-dd": time.DateOnly, "mm/dd/yyyy": "01/02/2006", "dd/mm/yyyy": "02/01/2006", "dd.mm.yyyy": "02.01.2006",
}

// PhoneFormats are the forms of a phone number in a text property, by name.
var PhoneFormats = map[string]phonenumbers.PhoneNumberFormat{
	"e164": phonenumbers.E164, "national": phonenumbers.NATIONAL, "international": phonenumbers.INTERNATIONAL,
}

// In is the value that a canonical text of a side stands for: what the other
// side should hold, before its own form. It is idempotent over Out.
func (m *Mapping) In(side contact.System, text string) string {
	if len(m.Transforms) == 0 {
		return text
	}
	for _, t := range m.Transforms {
		if t.Side != side {
			continue
		}
		switch t.Kind {
		case Prefix:
			text = strings.TrimPrefix(text, t.Text)
		case Suffix:
			text = strings.TrimSuffix(text, t.Text)
		}
	}
	return m.Tidy(text)
}

// Tidy is what the transforms without a side make of a value. It is idempotent.
func (m *Mapping) Tidy(text string) string {
	if len(m.Transforms) == 0 {
		return text
	}
	text = m.tidy(text)
	for _, t := range m.Transforms {
		if t.Kind == DefaultText && text == "" {
			text = t.Text
		}
	}
	for _, t := range m.Transforms {
		switch t.Kind {
		case Trim:
			text = strings.Join(strings.Fields(text), " ")
		case Upper:
			text = strings.ToUpper(text)
		case Lower:
			text = strings.ToLower(text)
		case Title:
			text = cases.Title(language.Und).String(text)
		}
	}
	return m.tidy(text)
}

// Out is the canonical text that a side should hold for a value.
func (m *Mapping) Out(side contact.System, value string) string {
	if len(m.Transforms) == 0 || value == "" {
		return value
	}
	var before, after string
	for _, t := range m.Transforms {
		if t.Side != side {
			continue
		}
		switch t.Kind {
		case Prefix:
			before = t.Text
		case Suffix:
			after = t.Text
		}
	}
	if out := m.tidy(before + value + after); m.In(side, out) == value {
		return out
	}
	return value // it would melt into the form, as an accent into a letter
}

// tidy keeps a text canonical; transforms of other types than texts change
// nothing that could need it.
func (m *Mapping) tidy(text string) string {
	if m.Type != contact.Text && m.Type != contact.Multiline {
		return text
	}
	if tidy, err := contact.Canonical(m.Type, text, ""); err == nil {
		return tidy
	}
	return text
}

// Read turns a side's own form of a date into the canonical one; other texts
// are left as they are.
func (m *Mapping) Read(side contact.System, text string) string {
	for _, t := range m.Transforms {
		if t.Side == side && t.Kind == DateFormat {
			if day, err := time.Parse(DateFormats[t.Text], strings.TrimSpace(text)); err == nil {
				return day.Format(time.DateOnly)
			}
		}
	}
	return text
}

// Write gives a canonical value the form that a side wants, and the type it is
// written as.
func (m *Mapping) Write(side contact.System, value string) (string, contact.Type) {
	if value == "" {
		return value, m.Type
	}
	for _, t := range m.Transforms {
		if t.Side != side {
			continue
		}
		switch t.Kind {
		case DateFormat:
			if day, err := time.Parse(time.DateOnly, value); err == nil {
				return day.Format(DateFormats[t.Text]), contact.Text
			}
		case PhoneFormat:
			if number, err := phonenumbers.Parse(value, ""); err == nil {
				return phonenumbers.Format(number, PhoneFormats[t.Text]), contact.Text
			}
		}
	}
	return value, m.Type
}

// HasForm reports whether values have a form of their own on a side, as a date
// in a text has.
func (m *Mapping) HasForm(side contact.System) bool {
	for _, t := range m.Transforms {
		if t.Side == side && (t.Kind == DateFormat || t.Kind == PhoneFormat) {
			return true
		}
	}
	return false
}

// checkTransforms says what is wrong with a mapping's transforms.
func (m *Mapping) checkTransforms() *Refusal {
	type place struct {
		kind TransformKind
		side contact.System
	}
	seen := make(map[place]bool)
	cased := false
	for _, t := range m.Transforms {
		text := m.Type == contact.Text || m.Type == contact.Multiline
		sided := false
		switch t.Kind {
		case Trim:
			if m.Type != contact.Text {
				return refuse(RuleTransform, m.Key, "trim is for text; this mapping holds a %s", people(m.Type))
			}
		case Upper, Lower, Title:
			if !text {
				return refuse(RuleTransform, m.Key, "%s case is for text; this mapping holds a %s", t.Kind, people(m.Type))
			}
			if cased {
				return refuse(RuleTransform, m.Key, "only one of upper, lower and title case can be chosen")
			}
			cased = true
		case DefaultText:
			value, err := contact.Canonical(m.Type, t.Text, "")
			if err != nil || value == "" {
				return refuse(RuleTransform, m.Key, "the default must be a %s", people(m.Type))
			}
			if value != t.Text {
				return refuse(RuleTransform, m.Key, "write the default as %q", value)
			}
			if m.Type == contact.User || m.Type == contact.Phone || m.Type == contact.Email {
				return refuse(RuleTransform, m.Key, "a %s has no default", people(m.Type))
			}
		case Prefix, Suffix:
			sided = true
			if !text {
				return refuse(RuleTransform, m.Key, "%s is for text; this mapping holds a %s", t.Kind, people(m.Type))
			}
			if t.Text == "" || len(t.Text) > 100 {
				return refuse(RuleTransform, m.Key, "%s needs a text of 1 to 100 bytes", t.Kind)
			}
		case DateFormat:
			sided = true
			if m.Type != contact.Date || DateFormats[t.Text] == "" {
				return refuse(RuleTransform, m.Key, "a date format is for dates, and one of yyyy-mm-dd, mm/dd/yyyy, dd/mm/yyyy, dd.mm.yyyy")
			}
		case PhoneFormat:
			sided = true
			if _, known := PhoneFormats[t.Text]; m.Type != contact.Phone || !known {
				return refuse(RuleTransform, m.Key, "a phone format is for phone numbers, and one of e164, national, international")
			}
		default:
			return refuse(RuleTransform, m.Key, "transform %q: want trim, upper, lower, title, default, prefix, suffix, date_format or phone_format", t.Kind)
		}
		if sided != (t.Side == contact.HubSpot || t.Side == contact.Aloware) {
			return refuse(RuleTransform, m.Key, "%s: name a side for prefix, suffix and formats, and none for others", t.Kind)
		}
		if seen[place{t.Kind, t.Side}] {
			return refuse(RuleTransform, m.Key, "%s is there twice", t.Kind)
		}
		seen[place{t.Kind, t.Side}] = true
	}
	// What is added must survive being read back, and a value must not change
	// again when it returns.
	for _, system := range contact.Systems {
		for _, sample := range []string{"Sample Value", "x"} {
			value := m.In(system.Other(), sample)
			if got := m.In(system, m.Out(system, value)); got != value {
				return refuse(RuleTransform, m.Key, "these transforms change a value again each time it comes back; leave out white space at the ends of prefix and suffix")
			}
		}
	}
	return nil
}
