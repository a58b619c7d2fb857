package lockstep_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestNoEditsByTheAPIReachAWrongSet: whatever sequence of edits people send, wrong
// ones among them, what is saved keeps the rules: each property once, directions
// that the row allows, types that fit, a target that takes values, and no lost
// locked or special row. The rules are told here in words of their own.
func TestNoEditsByTheAPIReachAWrongSet(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=0")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	properties := d.mappable()
	names := [2][]string{slices.Sorted(maps.Keys(properties[0])), slices.Sorted(maps.Keys(properties[1]))}
	_, now := d.mapping()
	keys := append(slices.Sorted(maps.Keys(now)), "nothing")
	one := func(list []string) string { return list[random.IntN(len(list))] }
	directions := []string{"DIRECTION_BOTH", "DIRECTION_TO_ALOWARE", "DIRECTION_TO_HUBSPOT", "DIRECTION_UNSPECIFIED"}
	edit := func() map[string]any {
		switch random.IntN(9) {
		case 0, 1:
			return map[string]any{"set": map[string]any{"key": one(keys), "direction": one(directions)}}
		case 2:
			return map[string]any{"set": map[string]any{"key": one(keys), "hubspot": one(names[0])}}
		case 3, 4:
			return map[string]any{"add": map[string]any{"aloware": one(names[1]), "hubspot": one(names[0]), "direction": one(directions)}}
		case 5:
			return map[string]any{"addBuiltIn": map[string]any{"key": one(keys), "hubspot": one(append(names[0], ""))}}
		case 6:
			return map[string]any{"set": map[string]any{"key": one(keys), "policy": one([]string{"newest", "only_if_empty", "review", "x"}), "ignoreBlank": random.IntN(2) == 0}}
		case 7:
			return map[string]any{"remove": one(keys)}
		default:
			if random.IntN(4) > 0 {
				return map[string]any{"restore": 1 + random.IntN(20)}
			}
			return map[string]any{"reset": true}
		}
	}
	saved := 0
	for range 150 {
		edits := []map[string]any{edit()}
		if random.IntN(3) == 0 {
			edits = append(edits, edit())
		}
		if d.edit(edits...) == nil {
			saved++
		}
		if wrong := d.wrongSet(properties); wrong != "" {
			t.Fatalf("after %v: %s", edits, wrong)
		}
	}
	if saved < 15 {
		t.Errorf("%d of 150 edits were saved: too few to tell anything", saved)
	}
}

// mappable are what both systems tell of theirs, by name.
func (d *demo) mappable() (all [2]map[string]map[string]any) {
	d.t.Helper()
	for i, system := range []string{"SYSTEM_HUBSPOT", "SYSTEM_ALOWARE"} {
		all[i] = make(map[string]map[string]any)
		answer := d.must("MappingService/ListProperties", map[string]any{"tenant": "demo", "system": system})
		for _, p := range answer["properties"].([]any) {
			one := p.(map[string]any)
			all[i][one["name"].(string)] = one
		}
	}
	return all
}

// wrongSet is what is wrong with the saved mappings; "" for nothing.
func (d *demo) wrongSet(properties [2]map[string]map[string]any) string {
	d.t.Helper()
	_, now := d.mapping()
	used := [2]map[string]string{{}, {}}
	for key, m := range now {
		direction, category := fmt.Sprint(m["direction"]), fmt.Sprint(m["category"])
		for i, side := range []string{"hubspot", "aloware"} {
			name := fmt.Sprint(m[side])
			if other, taken := used[i][name]; taken {
				return fmt.Sprintf("%s of %s is in %s and in %s", name, side, key, other)
			}
			used[i][name] = key
		}
		allowed := []string{"DIRECTION_BOTH", "DIRECTION_TO_ALOWARE", "DIRECTION_TO_HUBSPOT"}
		switch {
		case category == "locked":
			allowed = allowed[:1]
		case key == "contact_disposition_status":
			allowed = allowed[:2]
		case category == "special", category == "open", category == "aloware_custom", category == "custom":
		default:
			allowed = allowed[2:]
		}
		if !slices.Contains(allowed, direction) {
			return fmt.Sprintf("%s (%s) leads %s", key, category, direction)
		}
		hub := properties[0][fmt.Sprint(m["hubspot"])]
		if hub == nil {
			return fmt.Sprintf("%s uses %v, which HubSpot has not", key, m["hubspot"])
		}
		if hub["readOnly"] == true && direction != "DIRECTION_TO_ALOWARE" {
			return fmt.Sprintf("%s writes to %v, which takes no values", key, m["hubspot"])
		}
		if alo := properties[1][fmt.Sprint(m["aloware"])]; alo != nil && !fits(alo["type"], hub["type"]) {
			return fmt.Sprintf("%s joins a %v with a %v", key, alo["type"], hub["type"])
		}
	}
	for _, key := range []string{"phone_number", "email", "contact_owner", "contact_disposition_status", "lifecycle_stage"} {
		if now[key] == nil {
			return key + " is lost"
		}
	}
	return ""
}

// fits reports whether values of two types can be in step.
func fits(aloware, hubspot any) bool {
	var types [2]contact.Type
	for i, name := range []any{aloware, hubspot} {
		t, err := contact.ParseType(fmt.Sprint(name))
		if err != nil {
			return false
		}
		types[i] = t
	}
	joined, _ := mapping.Compatible(types[0], types[1])
	return joined != 0
}
