package hubspotsim

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// invalid is one property that a write may not set so.
type invalid struct {
	Code    string
	Name    string
	Message string
}

// warning tells that 2026-09 changed a date on the way in.
type warning struct {
	Name, Raw, Normalized string
}

// rules says how strictly a write is taken.
type rules struct {
	lenientDates bool // 2026-09 and people: dates are normalised instead of refused
	backward     bool // people may move the lifecycle stage back
}

var (
	emailForm  = regexp.MustCompile(`^[^\s@,;<>"()]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+([A-Za-z]{2,63}|xn--[A-Za-z0-9-]+)$`)
	numberForm = regexp.MustCompile(`^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$`)
	urlForm    = regexp.MustCompile(`(?i)https?://|www\.[a-z0-9-]+\.`)
	wrongTLDs  = []string{".con", ".cmo", ".ocm", ".comm"}
)

// maxText is the longest text a property takes.
const maxText = 65_536

// normalise turns what was sent for a property into what is stored. old is
// the stored text. The result "" clears the value.
func (st *store) normalise(d *definition, raw, old string, r rules) (string, *warning, *invalid) {
	bad := func(code, format string, args ...any) (string, *warning, *invalid) {
		return "", nil, &invalid{Code: code, Name: d.Name, Message: fmt.Sprintf(format, args...)}
	}
	if raw == "" {
		return "", nil, nil
	}
	if len(raw) > maxText {
		return bad("PROPERTY_VALUE_TOO_LONG", "Property %q must be at most %d characters", d.Name, maxText)
	}
	switch {
	case d.Name == "email":
		text := strings.ToLower(strings.TrimSpace(raw))
		if !emailForm.MatchString(text) || slices.ContainsFunc(wrongTLDs, func(t string) bool { return strings.HasSuffix(text, t) }) {
			return bad("INVALID_EMAIL", "Email address %s is invalid", raw)
		}
		return text, nil, nil
	case d.Name == "firstname" || d.Name == "lastname":
		if urlForm.MatchString(raw) {
			return bad("CONTAINS_URL", "%s cannot contain a URL", d.Name)
		}
		return raw, nil, nil
	case d.ReferencedType == "OWNER":
		if !knownOwner(raw) {
			return bad("INVALID_OWNER_ID", "%s was not a valid owner ID", raw)
		}
		return raw, nil, nil
	}
	switch d.Type {
	case "number":
		text := strings.TrimSpace(raw)
		if !numberForm.MatchString(text) {
			return bad("INVALID_INTEGER", "%s was not a valid number", raw)
		}
		return text, nil, nil
	case "bool":
		if raw != "true" && raw != "false" {
			return bad("INVALID_OPTION", "%s was not one of the allowed options: %s", raw, optionText(d.Options))
		}
		return raw, nil, nil
	case "date":
		return normaliseDate(d, raw, r)
	case "datetime":
		return normaliseInstant(d, raw, r)
	case "enumeration":
		if d.FieldType == "checkbox" {
			return normaliseMany(d, raw, old)
		}
		if d.rank(raw) < 0 && (!d.ExternalOptions || len(d.Options) > 0) {
			return bad("INVALID_OPTION", "%s was not one of the allowed options: %s", raw, optionText(d.Options))
		}
	}
	return raw, nil, nil
}

// normaliseMany handles a list of options; a leading semicolon appends. The
// stored order is that of the definition, not that of the sender.
func normaliseMany(d *definition, raw, old string) (string, *warning, *invalid) {
	chosen := map[string]bool{}
	if strings.HasPrefix(raw, ";") {
		for _, v := range strings.Split(old, ";") {
			chosen[v] = true
		}
	}
	for _, v := range strings.Split(strings.Trim(raw, ";"), ";") {
		if d.rank(v) < 0 {
			return "", nil, &invalid{Code: "INVALID_OPTION", Name: d.Name, Message: fmt.Sprintf("%s was not one of the allowed options: %s", v, optionText(d.Options))}
		}
		chosen[v] = true
	}
	var out []string
	for _, o := range d.Options {
		if chosen[o.Value] {
			out = append(out, o.Value)
		}
	}
	return strings.Join(out, ";"), nil, nil
}

func normaliseDate(d *definition, raw string, r rules) (string, *warning, *invalid) {
	if t, err := time.Parse(time.DateOnly, raw); err == nil {
		return t.Format(time.DateOnly), nil, nil
	}
	ms, ok := parseTime(raw)
	if !ok {
		return "", nil, &invalid{Code: "INVALID_DATE", Name: d.Name, Message: raw + " was not a valid date."}
	}
	_, notNumber := strconv.ParseInt(raw, 10, 64)
	changed := notNumber != nil
	if r.lenientDates && notNumber == nil && seconds(raw) {
		ms, changed = ms*1000, true
	}
	t := time.UnixMilli(ms).UTC()
	midnight := t.Truncate(24 * time.Hour)
	changed = changed || !t.Equal(midnight)
	if changed && !r.lenientDates {
		text := fmt.Sprintf("%s is at %d:%d:%d.%03d UTC, not midnight!", raw, t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/1e6)
		return "", nil, &invalid{Code: "INVALID_DATE", Name: d.Name, Message: text}
	}
	out := midnight.Format(time.DateOnly)
	if changed {
		return out, &warning{Name: d.Name, Raw: raw, Normalized: idText(midnight.UnixMilli())}, nil
	}
	return out, nil, nil
}

func normaliseInstant(d *definition, raw string, r rules) (string, *warning, *invalid) {
	ms, ok := parseTime(raw)
	if !ok {
		return "", nil, &invalid{Code: "INVALID_LONG", Name: d.Name, Message: raw + " was not a valid long."}
	}
	if r.lenientDates && seconds(raw) {
		ms *= 1000
		return instant(ms), &warning{Name: d.Name, Raw: raw, Normalized: idText(ms)}, nil
	}
	return instant(ms), nil, nil
}

// seconds tells a number that is a recent time in seconds rather than in milliseconds.
func seconds(raw string) bool {
	n, err := strconv.ParseInt(raw, 10, 64)
	return err == nil && n >= 1_000_000_000 && n < 10_000_000_000
}

// parseTime reads epoch milliseconds, an ISO instant with zone, or a plain date.
func parseTime(text string) (int64, bool) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ms, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}

// sameValue tells whether writing text over old changes nothing.
func sameValue(d *definition, old, text string) bool {
	if old == text {
		return true
	}
	if d.Type != "number" || old == "" || text == "" {
		return false
	}
	a, okA := new(big.Rat).SetString(old)
	b, okB := new(big.Rat).SetString(text)
	return okA && okB && a.Cmp(b) == 0
}

// optionText lists options the way the error text does.
func optionText(options []option) string {
	parts := make([]string, len(options))
	for i, o := range options {
		parts[i] = fmt.Sprintf("label: %q\nvalue: %q\ndisplay_order: %d\nhidden: %t\nread_only: false\n", o.Label, o.Value, o.DisplayOrder, o.Hidden)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
