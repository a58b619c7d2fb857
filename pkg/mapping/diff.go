package mapping

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Difference is what two sets have different in one mapping, or in the filter
// (Key "").
type Difference struct {
	Key   string
	Label string
	// Before and After are nil where the mapping is not there.
	Before, After *Mapping
	// Changes name the differing fields with both values, for people.
	Changes []FieldChange
}

// FieldChange is one field that differs; a value that is not there is "".
type FieldChange struct{ Field, Before, After string }

// Diff gives what must change for a set to become another, in the order of the
// sets.
func Diff(before, after *Set) []Difference {
	var out []Difference
	for i := range before.Mappings {
		old := &before.Mappings[i]
		now := after.ByKey(old.Key)
		if now == nil {
			out = append(out, Difference{Key: old.Key, Label: old.Label(), Before: old})
			continue
		}
		if changes := changed(old, now); len(changes) > 0 {
			out = append(out, Difference{Key: old.Key, Label: old.Label(), Before: old, After: now, Changes: changes})
		}
	}
	for i := range after.Mappings {
		if now := &after.Mappings[i]; before.ByKey(now.Key) == nil {
			out = append(out, Difference{Key: now.Key, Label: now.Label(), After: now})
		}
	}
	if !reflect.DeepEqual(before.Filter, after.Filter) {
		out = append(out, Difference{Label: "Contact filter", Changes: []FieldChange{{"filter", asText(before.Filter), asText(after.Filter)}}})
	}
	return out
}

func changed(old, now *Mapping) []FieldChange {
	var out []FieldChange
	add := func(field string, before, after any) {
		if b, a := asText(before), asText(after); b != a {
			out = append(out, FieldChange{field, b, a})
		}
	}
	add("aloware", old.Aloware, now.Aloware)
	add("hubspot", old.HubSpot, now.HubSpot)
	add("type", old.Type, now.Type)
	add("direction", old.Direction, now.Direction)
	add("policy", old.policy(), now.policy())
	add("ignore_blank", old.IgnoreBlank, now.IgnoreBlank)
	add("transforms", old.Transforms, now.Transforms)
	add("options", old.Options, now.Options)
	return out
}

func (m *Mapping) policy() Policy {
	if m.Policy == "" {
		return Newest
	}
	return m.Policy
}

// asText is a value for people: words as they are, structures as JSON.
func asText(v any) string {
	switch value := v.(type) {
	case string:
		return value
	case bool:
		return fmt.Sprint(value)
	case Policy:
		return string(value)
	case fmt.Stringer:
		return value.String()
	}
	if rv := reflect.ValueOf(v); (rv.Kind() == reflect.Slice || rv.Kind() == reflect.Pointer) && (rv.IsNil() || rv.Kind() == reflect.Slice && rv.Len() == 0) {
		return ""
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
