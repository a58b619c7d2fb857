package alowaresim

import (
	"encoding/json"
	"strconv"
	"time"
)

// object writes a JSON object member by member. Seed other than 0 makes the
// shapes unreliable, as those of Aloware are: whether a number is written as
// text, or a boolean as 0 or 1, depends on the seed and the member's name, so
// that the same contact always looks the same.
type object struct {
	b    []byte
	seed uint64
}

func newObject(seed uint64) *object {
	return &object{b: append(make([]byte, 0, 2048), '{'), seed: seed}
}

// end closes the object and gives its JSON.
func (o *object) end() []byte {
	o.b = append(o.b, '}')
	return o.b
}

func (o *object) key(name string) {
	if len(o.b) > 1 {
		o.b = append(o.b, ',')
	}
	o.b = append(appendText(o.b, name), ':')
}

// chance is 0 to 7, by seed and name.
func (o *object) chance(name string) uint64 {
	h := o.seed*0x9e3779b97f4a7c15 + 0x632be59bd9b4e019
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	h ^= h >> 29
	return (h * 0xbf58476d1ce4e5b9) >> 61
}

// text writes a text; blank is null.
func (o *object) text(name, value string) {
	o.key(name)
	if value == "" {
		o.b = append(o.b, "null"...)
		return
	}
	o.b = appendText(o.b, value)
}

func (o *object) number(name string, value int64) {
	o.key(name)
	quoted := o.seed != 0 && o.chance(name) < 2
	if quoted {
		o.b = append(o.b, '"')
	}
	o.b = strconv.AppendInt(o.b, value, 10)
	if quoted {
		o.b = append(o.b, '"')
	}
}

// ref writes an id; 0 is null.
func (o *object) ref(name string, id int64) {
	if id == 0 {
		o.text(name, "")
		return
	}
	o.number(name, id)
}

func (o *object) flag(name string, value bool) {
	o.key(name)
	digit := flagText(value)
	switch {
	case o.seed != 0 && o.chance(name) < 2:
		o.b = append(o.b, digit...)
	case o.seed != 0 && o.chance(name) < 3:
		o.b = append(append(append(o.b, '"'), digit...), '"')
	default:
		o.b = strconv.AppendBool(o.b, value)
	}
}

// moment writes a time of the account; 0 is null.
func (o *object) moment(name string, at int64) {
	if at == 0 {
		o.text(name, "")
		return
	}
	o.text(name, moment(at))
}

// raw writes JSON as it is.
func (o *object) raw(name string, value []byte) {
	o.key(name)
	o.b = append(o.b, value...)
}

// moment is a time as Aloware writes it: UTC without a zone.
func moment(at int64) string { return time.Unix(at, 0).UTC().Format(time.DateTime) }

// appendText appends a JSON string.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			raw, _ := json.Marshal(text) // a string always has a form
			return append(b, raw...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}
