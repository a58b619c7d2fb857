package contact

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

// Type is the canonical type of a value, one per type of the catalogue.
type Type uint8

// The types, with their canonical text. "" is the blank of every type.
const (
	Text      Type = 1  // NFC, trimmed, line breaks turned into spaces
	Multiline Type = 2  // NFC, trimmed, line breaks as \n
	Number    Type = 3  // exact decimal without exponent, leading or trailing zeros
	Checkbox  Type = 4  // "true" or "false"
	Date      Type = 5  // civil date 2006-01-02
	Datetime  Type = 6  // UTC 2006-01-02T15:04:05.000Z
	Option    Type = 7  // the option's canonical value, exact case
	Phone     Type = 8  // E.164
	Email     Type = 9  // lower case
	User      Type = 10 // the user's e-mail in lower case
)

var typeNames = map[Type]string{
	Text: "text", Multiline: "multiline", Number: "number", Checkbox: "checkbox", Date: "date",
	Datetime: "datetime", Option: "option", Phone: "phone", Email: "email", User: "user",
}

// String is the type's name in configuration and API.
func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return "none"
}

// ParseType is the inverse of String.
func ParseType(text string) (Type, error) {
	for t, name := range typeNames {
		if name == text {
			return t, nil
		}
	}
	return 0, fmt.Errorf("type %q: want text, multiline, number, checkbox, date, datetime, option, phone, email or user", text)
}

// ErrUnreadable marks a text that is no value of its type. The error names the
// type and the fault, never the text itself.
var ErrUnreadable = errors.New("not a value of this type")

// Canonical turns the text that a system gave into the canonical text of its
// type, so that formatting never looks like a change. It reads every form that
// either system is known to send; region is the default for phone numbers
// without a country code ("US"). Option and user texts must have been mapped
// before: they are only trimmed (and lower-cased for users).
//
// It is idempotent: Canonical of a canonical text is that text.
func Canonical(t Type, text, region string) (string, error) {
	trimmed := strings.TrimSpace(norm.NFC.String(text))
	if trimmed == "" {
		return "", nil
	}
	switch t {
	case Text:
		return strings.Join(strings.FieldsFunc(trimmed, isBreak), " "), nil
	case Multiline:
		return strings.ReplaceAll(strings.ReplaceAll(trimmed, "\r\n", "\n"), "\r", "\n"), nil
	case Number:
		return canonicalNumber(trimmed)
	case Checkbox:
		return canonicalCheckbox(trimmed)
	case Date:
		return canonicalDate(trimmed)
	case Datetime:
		return canonicalDatetime(trimmed)
	case Option:
		return trimmed, nil
	case Phone:
		return canonicalPhone(trimmed, region)
	case Email, User:
		return strings.ToLower(trimmed), nil
	}
	return "", fmt.Errorf("type %d: %w", t, ErrUnreadable)
}

func isBreak(r rune) bool { return r == '\n' || r == '\r' }

// canonicalNumber reads a decimal, also with an exponent, of bounded length.
func canonicalNumber(text string) (string, error) {
	if len(text) > 64 || strings.ContainsAny(text, "/_xXpP") {
		return "", fmt.Errorf("number: %w", ErrUnreadable)
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if exponent, err := strconv.Atoi(text[i+1:]); err != nil || exponent > 64 || exponent < -64 {
			return "", fmt.Errorf("number: %w", ErrUnreadable)
		}
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", fmt.Errorf("number: %w", ErrUnreadable)
	}
	if exact.IsInt() {
		return exact.Num().String(), nil
	}
	digits, ok := exact.FloatPrec()
	if !ok {
		return "", fmt.Errorf("number: %w", ErrUnreadable)
	}
	return exact.FloatString(digits), nil
}

func canonicalCheckbox(text string) (string, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return "true", nil
	case "false", "0", "no":
		return "false", nil
	}
	return "", fmt.Errorf("checkbox: %w", ErrUnreadable)
}

// dateForms are the civil dates that the systems send: HubSpot's and Aloware's
// own, and the form that Aloware's Lead API takes.
var dateForms = []string{time.DateOnly, "01/02/2006"}

// instantForms are the instants that the systems send; a form without a zone
// is Aloware's and means UTC.
var instantForms = []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05"}

func canonicalDate(text string) (string, error) {
	for _, form := range dateForms {
		if day, err := time.Parse(form, text); err == nil {
			return day.Format(time.DateOnly), nil
		}
	}
	at, err := parseInstant(text)
	if err != nil {
		return "", fmt.Errorf("date: %w", ErrUnreadable)
	}
	return at.UTC().Format(time.DateOnly), nil
}

const datetimeForm = "2006-01-02T15:04:05.000Z"

func canonicalDatetime(text string) (string, error) {
	at, err := parseInstant(text)
	if err != nil {
		day, dayErr := time.Parse(time.DateOnly, text)
		if dayErr != nil {
			return "", fmt.Errorf("datetime: %w", ErrUnreadable)
		}
		at = day
	}
	return at.UTC().Format(datetimeForm), nil
}

// parseInstant reads an instant with or without a zone, or epoch milliseconds.
func parseInstant(text string) (time.Time, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		at := time.UnixMilli(ms).UTC()
		if at.Year() < 1 || at.Year() > 9999 {
			return time.Time{}, ErrUnreadable
		}
		return at, nil
	}
	for _, form := range instantForms {
		if at, err := time.Parse(form, text); err == nil {
			if u := at.UTC(); u.Year() >= 1 && u.Year() <= 9999 {
				return u.Truncate(time.Millisecond), nil
			}
		}
	}
	return time.Time{}, ErrUnreadable
}

// FormatInstant is the canonical text of a datetime.
func FormatInstant(at Millis) string { return time.UnixMilli(int64(at)).UTC().Format(datetimeForm) }

// phones are numbers that were read lately. The same few are read at every event
// of a contact, and parsing one costs more than all that is decided about it.
var phones memo

// canonicalPhone reads a number as it is dialled in a region.
func canonicalPhone(text, region string) (string, error) {
	asked := [2]string{text, region}
	if known, ok := phones.find(asked); ok {
		return known, nil
	}
	number, err := phonenumbers.Parse(text, region)
	if err != nil || !phonenumbers.IsPossibleNumber(number) {
		return "", fmt.Errorf("phone: %w", ErrUnreadable)
	}
	canonical := phonenumbers.Format(number, phonenumbers.E164)
	phones.keep(asked, canonical)
	return canonical, nil
}

// memo keeps answers of a function; safe for concurrent use.
type memo struct {
	mu     sync.Mutex
	known  map[[2]string]string
	former map[[2]string]string // those before, until as many have come again
}

// mostKept bounds each half of a memo: about a megabyte.
const mostKept = 4096

func (m *memo) find(asked [2]string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if answer, ok := m.known[asked]; ok {
		return answer, true
	}
	answer, ok := m.former[asked]
	return answer, ok
}

func (m *memo) keep(asked [2]string, answer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= mostKept {
		m.known, m.former = make(map[[2]string]string, mostKept), m.known
	}
	m.known[asked] = answer
}
