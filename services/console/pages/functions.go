package pages

import (
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/inbox"
	"lockstep.internal/services/console/mappings"
)

// functions are what templates may call.
var functions = template.FuncMap{
	"system":  contact.System.Name,
	"ago":     func(t time.Time) string { return ago(time.Since(t)) },
	"count":   count,
	"many":    many,
	"percent": func(part, whole float64) string { return fmt.Sprintf("%.0f %%", 100*part/max(whole, 1e-9)) },
	"time":    clock,
	"at":      at,
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"set":     set,
	"join":    strings.Join,

	"rolelines": roleLines,
	"roles": func() []string {
		words := []string{""}
		for role := access.Viewer; role <= access.Operator; role++ {
			words = append(words, role.String())
		}
		return words
	},
	"pick":     pick,
	"millis":   func(m contact.Millis) time.Time { return time.UnixMilli(int64(m)) },
	"sentence": sentence,
	"decided":  decided,
	"found":    found,
	"label":    mapping.Label,
	"reason":   inbox.Reason,
	"words":    words,
	"lower":    strings.ToLower,
	"events":   func(l bus.Letter) ([]string, error) { return inbox.Events(&l) },
	"span":     span,
	"fieldname": func(name string) string {
		return pick(name, "aloware", "Aloware's property", "hubspot", "HubSpot's property", "type", "type", "direction", "direction", "policy", "policy", "ignore_blank", "ignores blanks", "transforms", "transforms", "options", "options", "filter", "filter")
	},
	"shown":    shown,
	"minus":    func(a, b int64) int64 { return a - b },
	"policies": func() []mapping.Policy { return mapping.Policies },
	"ops":      func() []mapping.Op { return mapping.Ops },
	"transforms": func() []mapping.TransformKind {
		return []mapping.TransformKind{mapping.Trim, mapping.Upper, mapping.Lower, mapping.Title, mapping.DefaultText, mapping.Prefix, mapping.Suffix, mapping.DateFormat, mapping.PhoneFormat}
	},
	"directions": func() []contact.Direction {
		return []contact.Direction{contact.ToAloware, contact.Both, contact.ToHubSpot}
	},
	"types": func() []contact.Type {
		return []contact.Type{contact.Text, contact.Multiline, contact.Number, contact.Checkbox, contact.Date, contact.Datetime, contact.Option, contact.Phone}
	},
	"category": func(c mapping.Category) string { return categories[c] },
	"latency":  latency,
	"action":   action,
	"duration": func(d time.Duration) string { return ago(d) },
	"wants":    func(kinds []string, kind string) bool { return len(kinds) == 0 || slices.Contains(kinds, kind) },
	"written":  func(s mappings.State) []writtenSide { return writtenSides(s, time.Now()) },
}

// clock is a time in words, where a page cannot do better.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// at is a time as an element, which the browser shows in its own time zone.
func at(t time.Time) template.HTML {
	return template.HTML("<time data-at datetime=\"" + t.UTC().Format(time.RFC3339) + "\">" + clock(t) + "</time>")
}

// words makes a name with underscores words, with a capital first.
func words(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "_", " ")
}

// shown is a value of a difference, for people.
func shown(value string) string {
	if said := pick(value, "", "nothing", "both", "both ways", "to_hubspot", "to HubSpot", "to_aloware", "to Aloware", "true", "yes", "false", "no"); said != "" {
		return said
	}
	return strings.ReplaceAll(value, "_", " ")
}

// categories are the headings of the mapping table.
var categories = map[mapping.Category]string{
	mapping.Locked: "Locked", mapping.Special: "Special", mapping.Open: "Contact", mapping.AlowareCustom: "Aloware's own fields", mapping.Compliance: "Compliance",
	mapping.MessagingActivity: "Text messages", mapping.CallActivity: "Calls", mapping.Tracking: "Call and message tracking", mapping.Engagement: "Engagement",
	mapping.FirstActivity: "First activity", mapping.Custom: "Added here",
}

// ago is a length of time in one or two words.
func ago(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24)) // two at least
}

// latency is a number of milliseconds in the unit that it is best read in.
func latency(ms float64) string {
	switch {
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
	return ago(time.Duration(ms) * time.Millisecond)
}

// action puts the name of a call of the API into words: "Connect HubSpot".
func action(name string) string {
	var words strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) && !strings.HasSuffix(name[:i], "Hub") {
			words.WriteByte(' ')
			if !strings.HasPrefix(name[i:], "HubSpot") && !strings.HasPrefix(name[i:], "Aloware") {
				r = unicode.ToLower(r)
			}
		}
		words.WriteRune(r)
	}
	return words.String()
}

// span is a length of time as people set it: "24 hours", "30 minutes".
func span(d time.Duration) string {
	if d < 2*time.Hour {
		return many(strconv.FormatFloat(d.Minutes(), 'g', 4, 64), "minute", "minutes")
	}
	return many(strconv.FormatFloat(d.Hours(), 'g', 4, 64), "hour", "hours")
}

// count writes a number with thin spaces between thousands.
func count(n any) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return sign + digits
}

// many is a number of things in words: many(n, "contact is", "contacts are").
func many(n any, one, more string) string {
	if fmt.Sprint(n) == "1" {
		return "1 " + one
	}
	return count(n) + " " + more
}

// pick gives what stands behind the first equal text: {{pick .State "done" "good"
// "failed" "bad"}}; "" for none.
func pick(of any, pairs ...string) string {
	text := fmt.Sprint(of)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == text {
			return pairs[i+1]
		}
	}
	return ""
}

// set makes a map of pairs, for handing several values to a shared part:
// {{template "badge" (set "Good" true "Text" .Name)}}.
func set(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("set: a name without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("set: name %d is no text", i/2)
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// sentence makes an error's words one: a capital first, a full stop last.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// lines are those of a text, which an event's data is sent in.
func lines(text string) []string { return strings.Split(strings.ReplaceAll(text, "\r", ""), "\n") }

func readFlash(value string) (text string, bad bool) {
	raw, err := url.QueryUnescape(value)
	if err != nil {
		return "", false
	}
	kind, text, ok := strings.Cut(raw, ":")
	if !ok {
		return "", false
	}
	return text, kind == "bad"
}

// values are parameters of an address.
type values map[string]string

// encode leaves empty ones out.
func (v values) encode() string {
	q := make(url.Values)
	for name, value := range v {
		if value != "" && value != "0" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}
