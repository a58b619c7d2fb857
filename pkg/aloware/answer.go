package aloware

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/fault"
)

// maxMessage bounds Aloware's words in an error, in bytes.
const maxMessage = 500

// maxWait bounds a pause that Aloware asks for.
const maxWait = time.Hour

// classify gives an answer's JSON, or the fault that it stands for.
func (c *Client) classify(r request, response *http.Response, body []byte, wait time.Duration) (any, error) {
	status := response.StatusCode
	value, err := decode(body)
	if status == http.StatusNoContent && len(body) == 0 {
		return nil, nil
	}
	isJSON := err == nil && (asObject(value) != nil || isList(value) || value == nil)
	if !isJSON && (status/100 == 2 || status/100 == 3 || status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		return nil, noData(r, status, body)
	}
	if status/100 == 2 {
		return value, nil
	}
	f := c.explain(status, asObject(value))
	f.fault.CorrelationID = response.Header.Get("X-Request-Id")
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		f.fault.Class = fault.Unauthorized
	case status == http.StatusNotFound || status == http.StatusGone:
		f.fault.Class, f.fault.Reason = fault.Gone, NotFound
	case status == http.StatusTooManyRequests:
		f.fault.Class, f.fault.Wait = fault.Throttled, wait
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		f.fault.Class = fault.Transient
	case r.assumed && status == http.StatusMethodNotAllowed:
		f.fault.Reason = NotCapable
	}
	return nil, f
}

func isList(v any) bool {
	_, ok := v.([]any)
	return ok
}

// noData is the fault of a page where data was expected. Aloware answers
// unknown paths with 200 and its web page (seen on a live account in August
// 2026), and so may a wrong token.
func noData(r request, status int, body []byte) error {
	start := bytes.TrimSpace(body)
	if status/100 == 2 && len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		return fail(fault.Transient, status, Malformed, "the answer was cut short")
	}
	if r.assumed {
		return fail(fault.Permanent, status, NotCapable, "Aloware does not offer "+r.method+" "+prefix+endpoint(r.path)+" to this account; the connection's profile should be documented")
	}
	return fail(fault.Unauthorized, status, HTMLAnswer, "Aloware answered with a web page instead of data: most often the API token or the address is wrong")
}

// endpoint is a path without the ids in it.
func endpoint(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if isDigits(part) {
			parts[i] = "{id}"
		}
	}
	return strings.Join(parts, "/")
}

// explain takes Aloware's words out of an error answer: {"error"}, {"message"}
// and {"errors":{field:[text]}}.
func (c *Client) explain(status int, body object) *failure {
	f := fail(fault.Permanent, status, strconv.Itoa(status), "")
	fields := asObject(body["errors"])
	if fields == nil {
		fields = asObject(body["error"])
	}
	for name, said := range fields {
		if f.fields == nil {
			f.fields = make(map[string]string, len(fields))
		}
		f.fields[name] = c.words(said)
	}
	for _, key := range []string{"error", "message"} {
		if text, ok := body[key].(string); ok && text != "" {
			f.fault.Message = c.words(text)
			break
		}
	}
	if f.fault.Message == "" {
		for name, said := range f.fields {
			f.fault.Message = max(f.fault.Message, name+": "+said)
		}
	}
	if f.fault.Message == "" {
		f.fault.Message = http.StatusText(status)
	}
	return f
}

// words is what Aloware says, as one bounded line without the token.
func (c *Client) words(v any) string {
	var parts []string
	switch v := v.(type) {
	case string:
		parts = append(parts, v)
	case []any:
		for _, part := range v {
			if text, ok := part.(string); ok {
				parts = append(parts, text)
			}
		}
	}
	text := c.redact(strings.Join(strings.Fields(strings.Join(parts, "; ")), " "))
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// retryAfter is the pause asked for: seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1e6 {
		return min(time.Duration(seconds*float64(time.Second)), maxWait)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return 0
}

// blame finds which of the named properties an answer refuses, with Aloware's
// words: by the keys of its field errors, else by the field that its message
// names.
func (f *failure) blame(names []string) map[string]string {
	guilty := map[string]string{}
	for key, said := range f.fields {
		key = strings.TrimPrefix(key, "attributes.")
		if !slices.Contains(names, key) {
			key, _, _ = strings.Cut(key, ".")
		}
		for _, name := range names {
			if wireKey(name) == key || name == key {
				guilty[name] = said
			}
		}
	}
	if len(f.fields) > 0 {
		return guilty
	}
	// The field is what a message names first: "The email must be a valid email
	// address." is not about the address.
	said := " " + strings.Map(letterOrSpace, strings.ToLower(f.fault.Message)) + " "
	first, at := "", len(said)
	for _, name := range names {
		spaced := " " + strings.Map(letterOrSpace, strings.ToLower(name)) + " "
		if i := strings.Index(said, spaced); i >= 0 && i < at {
			first, at = name, i
		}
	}
	if first != "" {
		guilty[first] = f.fault.Message
	}
	return guilty
}

func letterOrSpace(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return ' '
}

// wireKey is the key of a property in a body that is sent.
func wireKey(property string) string {
	if f := fieldOf[property]; f != nil && f.put != "" {
		return f.put
	}
	return property
}
