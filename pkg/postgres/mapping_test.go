package postgres

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// TestVersionsAreKeptWhole: each can be listed and read as it was saved.
func TestVersionsAreKeptWhole(t *testing.T) {
	t.Parallel()
	db, sealer := open(t, migrated(t)), newSealer(t)
	save(t, db, sealer, filled("demo", 7))
	first := mapping.Default(nil)
	second, err := first.Apply(mapping.Schema{},
		mapping.SetFields{Key: "city", Direction: new(contact.Both), Policy: new(mapping.Review), Transforms: &[]mapping.Transform{{Kind: mapping.Prefix, Side: contact.HubSpot, Text: "x"}}},
		mapping.Add{Aloware: "tier", HubSpot: "tier", Direction: contact.ToAloware},
		mapping.SetFilter{Filter: &mapping.Filter{Any: true, Conditions: []mapping.Condition{{Key: "state", Op: mapping.Is, Texts: []string{"TX"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	for i, set := range []*mapping.Set{first, second, first} {
		if _, err := db.ReplaceMapping(t.Context(), "demo", int64(i), set, "ann", "because"); err != nil {
			t.Fatal(err)
		}
	}
	list, err := db.MappingVersions(t.Context(), "demo", 0, 2)
	if err != nil || len(list) != 2 || list[0].Version != 3 || list[1].Version != 2 || list[1].Author != "ann" || list[1].Reason != "because" || list[1].CreatedAt.IsZero() {
		t.Errorf("listed %+v, %v", list, err)
	}
	if rest, err := db.MappingVersions(t.Context(), "demo", 2, 10); err != nil || len(rest) != 1 || rest[0].Version != 1 {
		t.Errorf("before 2: %+v, %v", rest, err)
	}
	got, ok, err := db.MappingVersion(t.Context(), "demo", 2)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if diff := cmp.Diff(second.Mappings, got.Set.Mappings, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("mappings (-saved +read):\n%s", diff)
	}
	if diff := cmp.Diff(second.Filter, got.Set.Filter); diff != "" {
		t.Errorf("filter (-saved +read):\n%s", diff)
	}
	if _, ok, err := db.MappingVersion(t.Context(), "demo", 9); ok || err != nil {
		t.Errorf("a version that was never saved: %v, %v", ok, err)
	}
}

// TestAMappingRestsWhileItsPropertyIsAway and goes on by itself.
func TestAMappingRestsWhileItsPropertyIsAway(t *testing.T) {
	t.Parallel()
	db, sealer := open(t, migrated(t)), newSealer(t)
	save(t, db, sealer, filled("demo", 7))
	set := mapping.Default(nil)
	if _, err := db.SaveMapping(t.Context(), "demo", set, "ann", "because"); err != nil {
		t.Fatal(err)
	}
	var all []mapping.Property
	for i := range set.Mappings {
		m := &set.Mappings[i]
		all = append(all, mapping.Property{System: contact.HubSpot, Name: m.HubSpot, Label: m.HubSpot, Type: m.Type})
	}
	stopped := func(properties []mapping.Property, wantChange bool) (keys []string) {
		t.Helper()
		changed, err := db.SaveProperties(t.Context(), "demo", contact.HubSpot, properties)
		if err != nil || changed != wantChange {
			t.Fatalf("changed %v, %v; want %v", changed, err, wantChange)
		}
		config, err := db.Config(t.Context(), sealer)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range config.Tenants[0].Mapping.Mappings {
			if m.Stopped != "" {
				keys = append(keys, m.Key)
			}
		}
		return keys
	}
	if keys := stopped(all, true); len(keys) > 0 {
		t.Errorf("at rest with all there: %v", keys)
	}
	if keys := stopped(all[1:], true); len(keys) != 1 || keys[0] != set.Mappings[0].Key {
		t.Errorf("at rest without the first: %v", keys)
	}
	if keys := stopped(all[1:], false); len(keys) != 1 {
		t.Errorf("at rest when nothing changed: %v", keys)
	}
	if keys := stopped(all, true); len(keys) > 0 {
		t.Errorf("still at rest: %v", keys)
	}
	config, err := db.Config(t.Context(), sealer)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range config.Tenants[0].Mapping.Mappings {
		if want := map[bool]int64{true: 1}[i == 0]; m.Binding.Renewed != want {
			t.Errorf("%s came back %d times", m.Key, m.Binding.Renewed)
		}
	}
	// What is of another type for a while came back twice.
	retyped := slices.Clone(all)
	retyped[0].Type = contact.Number
	stopped(retyped, true)
	stopped(all, true)
	schema, err := db.Properties(t.Context(), "demo")
	if p, ok := schema.Property(contact.HubSpot, "city"); err != nil || !ok || p.Type != contact.Text || p.Renewed != 0 || schema.Known(contact.Aloware) {
		t.Errorf("read back %+v, %v, %v", p, ok, err)
	}
	if p, _ := schema.Property(contact.HubSpot, all[0].Name); p.Renewed != 3 {
		t.Errorf("the first came back %d times, want 3", p.Renewed)
	}
}
