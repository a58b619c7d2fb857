package pages

import (
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
)

// functions are what templates may call.
var functions = template.FuncMap{
	"system":  systemName,
	"ago":     func(t time.Time) string { return ago(time.Since(t)) },
	"count":   count,
	"percent": func(part, whole float64) string { return fmt.Sprintf("%.0f %%", 100*part/max(whole, 1e-9)) },
	"time":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"set":     set,
	"join":    strings.Join,
}

// systemName is how people call a system.
func systemName(s contact.System) string {
	if s == contact.HubSpot {
		return "HubSpot"
	}
	return "Aloware"
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
	return fmt.Sprintf("%d days", int(d.Hours()/24))
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
