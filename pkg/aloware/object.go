package aloware

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
)

// object is a JSON object of Aloware. The shapes are not reliable: numbers
// come as strings, booleans as 0, 1, "0" or "1", and keys are absent, which is
// not the same as null.
type object map[string]any

// decode reads one JSON value and nothing behind it; numbers stay as written.
func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("decode JSON: more than one value")
	}
	return v, nil
}

func asObject(v any) object {
	m, _ := v.(map[string]any)
	return m
}

// scalar is a value as text; null is "", and false is returned for what is no
// scalar.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return strings.ReplaceAll(v, "\x00", ""), true // PostgreSQL keeps no NUL
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// text is a member as text; "" when it is absent, null or no scalar.
func (o object) text(name string) string {
	s, _ := scalar(o[name])
	return strings.TrimSpace(s)
}

// id is a member as decimal text; "" when it is none.
func (o object) id(name string) string { return asID(o[name]) }

func asID(v any) string {
	s, ok := scalar(v)
	s = strings.TrimSpace(s)
	if !ok || s == "" || len(s) > 40 {
		return ""
	}
	if isDigits(s) {
		return s
	}
	// 4.82e7 and 48210937.0 are ids that went through someone's float.
	if n, isNumber := v.(json.Number); isNumber && plainExponent(n.String()) {
		if exact, ok := new(big.Rat).SetString(n.String()); ok && exact.IsInt() && exact.Sign() >= 0 {
			return exact.Num().String()
		}
	}
	return ""
}

// plainExponent reports whether a number's exponent is small enough to be
// written out.
func plainExponent(n string) bool {
	_, exponent, ok := strings.Cut(strings.ToLower(n), "e")
	return !ok || len(strings.TrimLeft(exponent, "+-0")) <= 1 || strings.TrimLeft(exponent, "+0") == "10"
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// number is a member as an integer; false when it is none.
func (o object) number(name string) (int64, bool) {
	id := o.id(name)
	if id == "" || len(id) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(id) {
		n = n*10 + int64(id[i]-'0')
	}
	return n, true
}

// timeForms are the forms in which times were seen; without a zone it is UTC.
var timeForms = []string{time.DateTime, time.RFC3339Nano, "2006-01-02T15:04:05"}

// time is a member as a time; 0 when it is none.
func (o object) time(name string) contact.Millis {
	s := o.text(name)
	for _, form := range timeForms {
		if at, err := time.Parse(form, s); err == nil && at.Year() > 1970 && at.Year() < 10000 {
			return contact.Millis(at.UnixMilli())
		}
	}
	return 0
}
