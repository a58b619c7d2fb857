package mapping

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lockstep.internal/pkg/contact"
)

func hub(name string, t contact.Type, more ...func(*Property)) Property {
	p := Property{System: contact.HubSpot, Name: name, Label: name, Type: t}
	for _, f := range more {
		f(&p)
	}
	return p
}

func readOnly(p *Property)   { p.ReadOnly = true }
func renewed(p *Property)    { p.Renewed = 1 }
func custom(p *Property)     { p.Custom = true }
func impossible(p *Property) { p.Problem = "several values at once" }

// portal is a schema with all that the built-in mappings use and some more.
func portal() Schema {
	var properties []Property
	set := Default(nil)
	for i := range set.Mappings {
		m := &set.Mappings[i]
		properties = append(properties, hub(m.HubSpot, m.Type))
		properties = append(properties, Property{System: contact.Aloware, Name: m.Aloware, Label: m.Label(), Type: m.Type})
	}
	for name, t := range map[string]contact.Type{
		"plan": contact.Text, "notes2": contact.Multiline, "score": contact.Number, "vip": contact.Checkbox, "renewal": contact.Date,
		"tier": contact.Option, "owner_text": contact.Text, "second_phone": contact.Phone, "second_owner": contact.User,
	} {
		properties = append(properties, hub(name, t, custom), Property{System: contact.Aloware, Name: "my_" + name, Label: name, Type: t})
	}
	properties = append(properties, hub("jobtitle", contact.Text), hub("computed", contact.Number, readOnly), hub("many", 0, impossible), hub("hs_object_id", contact.Number, readOnly))
	return NewSchema([]contact.System{contact.HubSpot, contact.Aloware}, properties)
}

func ptr[T any](v T) *T { return &v }

// TestWhoMayEditWhat has a case for each cell of the table of categories, and
// for each rule beside it.
func TestWhoMayEditWhat(t *testing.T) {
	t.Parallel()
	direction := func(key string, d contact.Direction) Edit { return SetFields{Key: key, Direction: &d} }
	property := func(key, name string) Edit { return SetFields{Key: key, HubSpot: &name} }
	const both, toAloware, toHubSpot = contact.Both, contact.ToAloware, contact.ToHubSpot
	cases := []struct {
		name string
		edit []Edit
		want Rule // "" is allowed
	}{
		{"locked: the property stays", []Edit{property("phone_number", "second_phone")}, RuleLocked},
		{"locked: the direction is always both", []Edit{direction("email", toAloware)}, RuleLocked},
		{"locked: never removed", []Edit{Remove{"email"}}, RuleLocked},
		{"locked: no policy either", []Edit{SetFields{Key: "email", Policy: ptr(Review)}}, RuleLocked},
		{"owner: a custom text property may be chosen", []Edit{property("contact_owner", "owner_text")}, ""},
		{"owner: not a number", []Edit{property("contact_owner", "score")}, RuleProperty},
		{"owner: not a text of HubSpot's own", []Edit{property("contact_owner", "jobtitle")}, RuleProperty},
		{"owner: not another user", []Edit{property("contact_owner", "second_owner")}, RuleProperty},
		{"owner: both", []Edit{direction("contact_owner", both)}, ""},
		{"owner: to_hubspot", []Edit{direction("contact_owner", toHubSpot)}, ""},
		{"owner: never removed", []Edit{Remove{"contact_owner"}}, RuleRemove},
		{"disposition status: the property stays", []Edit{property("contact_disposition_status", "tier")}, RuleProperty},
		{"disposition status: both", []Edit{direction("contact_disposition_status", both)}, ""},
		{"disposition status: not to_hubspot alone", []Edit{direction("contact_disposition_status", toHubSpot)}, RuleDirection},
		{"disposition status: never removed", []Edit{Remove{"contact_disposition_status"}}, RuleRemove},
		{"lifecycle stage: the property stays", []Edit{property("lifecycle_stage", "tier")}, RuleProperty},
		{"lifecycle stage: all three directions", []Edit{direction("lifecycle_stage", both), direction("lifecycle_stage", toHubSpot), direction("lifecycle_stage", toAloware)}, ""},
		{"lifecycle stage: never removed", []Edit{Remove{"lifecycle_stage"}}, RuleRemove},
		{"open: another property", []Edit{property("first_name", "plan")}, ""},
		{"open: all three directions", []Edit{direction("city", both), direction("city", toHubSpot), direction("city", toAloware)}, ""},
		{"open: removable", []Edit{Remove{"city"}}, ""},
		{"aloware_custom: another property", []Edit{property("custom_field_1", "plan")}, ""},
		{"aloware_custom: all three directions", []Edit{direction("lead_source", both), direction("lead_source", toAloware)}, ""},
		{"aloware_custom: removable", []Edit{Remove{"tcpa_approved"}}, ""},
		{"activity: another property", []Edit{property("total_inbound_calls", "score")}, ""},
		{"activity: always to_hubspot", []Edit{direction("total_inbound_calls", both)}, RuleDirection},
		{"compliance: always to_hubspot", []Edit{direction("dnc", toAloware)}, RuleDirection},
		{"activity: removable", []Edit{Remove{"total_inbound_calls"}}, ""},
		{"user-defined: any direction, any property, removable", []Edit{
			Add{Aloware: "my_plan", HubSpot: "plan", Direction: both}, direction("custom_my_plan", toAloware), property("custom_my_plan", "notes2"), Remove{"custom_my_plan"},
		}, ""},
		{"user-defined: another Aloware field", []Edit{Add{Aloware: "my_plan", HubSpot: "plan", Direction: both}, SetFields{Key: "custom_my_plan", Aloware: ptr("my_notes2")}}, ""},
		{"built-in: the Aloware field stays", []Edit{SetFields{Key: "city", Aloware: ptr("my_plan")}}, RuleProperty},
		{"a HubSpot property is in one mapping only", []Edit{property("city", "state")}, RuleTaken},
		{"an Aloware field is in one mapping only", []Edit{Add{Aloware: "city", HubSpot: "plan", Direction: both}}, RuleTaken},
		{"types must fit", []Edit{Add{Aloware: "my_renewal", HubSpot: "vip", Direction: both}}, RuleIncompatible},
		{"several values at once cannot be mapped", []Edit{Add{Aloware: "my_plan", HubSpot: "many", Direction: both}}, RuleIncompatible},
		{"a property that takes no values is no target", []Edit{Add{Aloware: "my_score", HubSpot: "computed", Direction: both}}, RuleReadOnly},
		{"a property that takes no values is a source", []Edit{Add{Aloware: "my_score", HubSpot: "computed", Direction: toAloware}}, ""},
		{"a source cannot be turned into a target", []Edit{Add{Aloware: "my_score", HubSpot: "computed", Direction: toAloware}, direction("custom_my_score", both)}, RuleReadOnly},
		{"the system's own id is never mapped", []Edit{Add{Aloware: "my_score", HubSpot: "hs_object_id", Direction: toAloware}}, RuleReserved},
		{"a property that is not there", []Edit{property("city", "nowhere")}, RuleUnknown},
		{"a mapping that is not there", []Edit{direction("nothing", both)}, RuleNotFound},
		{"a removed built-in mapping comes back by its name", []Edit{Remove{"city"}, AddBuiltIn{Key: "city"}}, ""},
		{"a removed built-in mapping does not come back as user-defined", []Edit{Remove{"city"}, Add{Aloware: "city", HubSpot: "city", Direction: both}}, RuleExists},
		{"a built-in mapping is there once", []Edit{AddBuiltIn{Key: "city"}}, RuleExists},
		{"options are paired once", []Edit{Add{Aloware: "my_tier", HubSpot: "tier", Direction: toHubSpot, Options: []Pair{{"a", "x"}, {"a", "y"}}}}, RuleOptions},
		{"two options may become one on one way", []Edit{Add{Aloware: "my_tier", HubSpot: "tier", Direction: toHubSpot, Options: []Pair{{"a", "x"}, {"b", "x"}}}}, ""},
		{"two options cannot become one on both ways", []Edit{Add{Aloware: "my_tier", HubSpot: "tier", Direction: both, Options: []Pair{{"a", "x"}, {"b", "x"}}}}, RuleOptions},
		{"an option map is for options", []Edit{SetFields{Key: "city", Options: &[]Pair{{"a", "x"}}}}, RuleOptions},
		{"ignore_blank", []Edit{SetFields{Key: "city", IgnoreBlank: ptr(true)}}, ""},
		{"the four policies", []Edit{SetFields{Key: "city", Policy: ptr(OnlyIfEmpty)}, SetFields{Key: "city", Policy: ptr(OnlyOnCreate)}, SetFields{Key: "city", Policy: ptr(Review)}, SetFields{Key: "city", Policy: ptr(Newest)}}, ""},
		{"no fifth policy", []Edit{SetFields{Key: "city", Policy: ptr(Policy("loudest"))}}, RulePolicy},
		{"a computed value has no policy", []Edit{SetFields{Key: "total_inbound_calls", Policy: ptr(Review)}}, RulePolicy},
		{"transforms on a text", []Edit{SetFields{Key: "city", Transforms: &[]Transform{{Kind: Trim}, {Kind: Title}, {Kind: Prefix, Side: contact.HubSpot, Text: "City: "}}}}, ""},
		{"no unknown transform", []Edit{SetFields{Key: "city", Transforms: &[]Transform{{Kind: "shuffle"}}}}, RuleTransform},
		{"case is for texts", []Edit{Add{Aloware: "my_score", HubSpot: "score", Direction: both, Transforms: []Transform{{Kind: Upper}}}}, RuleTransform},
		{"a date has a form in a text property", []Edit{Add{Aloware: "my_renewal", HubSpot: "plan", Direction: both, Transforms: []Transform{{Kind: DateFormat, Side: contact.HubSpot, Text: "dd.mm.yyyy"}}}}, ""},
		{"a date property has its own form", []Edit{Add{Aloware: "my_renewal", HubSpot: "renewal", Direction: both, Transforms: []Transform{{Kind: DateFormat, Side: contact.HubSpot, Text: "dd.mm.yyyy"}}}}, RuleTransform},
		{"a filter", []Edit{SetFilter{&Filter{Conditions: []Condition{{Key: "city", Op: Is, Texts: []string{"Austin"}}}}}}, ""},
		{"a filter on what is not mapped", []Edit{SetFilter{&Filter{Conditions: []Condition{{Key: "nothing", Op: IsBlank}}}}}, RuleFilter},
		{"a filter without conditions", []Edit{SetFilter{&Filter{}}}, RuleFilter},
		{"what the filter looks at is not removed", []Edit{SetFilter{&Filter{Conditions: []Condition{{Key: "city", Op: IsBlank}}}}, Remove{"city"}}, RuleFilter},
		{"reset returns the built-in set", []Edit{direction("city", both), Remove{"state"}, ResetToDefaults{}}, ""},
	}
	schema := portal()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before := Default(nil)
			after, err := before.Apply(schema, c.edit...)
			var refused *Refusal
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want == "" && after.Check() != nil:
				t.Errorf("allowed, but the set is wrong: %v", after.Check())
			case c.want != "" && !errors.As(err, &refused):
				t.Errorf("got %v, want the rule %s", err, c.want)
			case c.want != "" && refused.Rule != c.want:
				t.Errorf("rule %s (%s), want %s", refused.Rule, refused.Message, c.want)
			case c.want != "" && strings.TrimSpace(refused.Message) == "":
				t.Error("the refusal says nothing")
			}
			if diff := Diff(Default(nil), before); len(diff) > 0 {
				t.Errorf("the set that was edited changed: %v", diff)
			}
		})
	}
}

// TestResetAndReconnect give back what they should and leave the rest.
func TestResetAndReconnect(t *testing.T) {
	t.Parallel()
	schema := portal()
	edited, err := Default(nil).Apply(schema,
		SetFields{Key: "city", Direction: ptr(contact.Both)}, SetFields{Key: "contact_owner", Direction: ptr(contact.ToHubSpot)},
		SetFields{Key: "contact_disposition_status", Direction: ptr(contact.Both)}, Add{Aloware: "my_plan", HubSpot: "plan", Direction: contact.Both},
	)
	if err != nil {
		t.Fatal(err)
	}
	again, err := edited.Apply(schema, Reconnected{})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]contact.Direction{
		"contact_owner": contact.ToAloware, "contact_disposition_status": contact.ToAloware, "city": contact.Both, "custom_my_plan": contact.Both,
	} {
		if got := again.ByKey(key).Direction; got != want {
			t.Errorf("reconnected: %s leads %s, want %s", key, got, want)
		}
	}
	reset, err := edited.Apply(schema, ResetToDefaults{})
	if err != nil {
		t.Fatal(err)
	}
	diff := Diff(Default(nil), reset)
	if len(diff) != 1 || diff[0].Key != "custom_my_plan" || diff[0].Before != nil {
		t.Errorf("after a reset the defaults and the user's own are there; got %+v", diff)
	}
}

// TestTypesFitByTheTable holds every cell of the matrix against the list of the
// pairs that people expect to fit.
func TestTypesFitByTheTable(t *testing.T) {
	t.Parallel()
	texts := []contact.Type{contact.Text, contact.Multiline}
	want := make(map[[2]contact.Type]contact.Type)
	for typ := contact.Text; typ <= contact.User; typ++ {
		want[[2]contact.Type{typ, typ}] = typ
		for _, text := range texts {
			if typ != contact.User {
				want[[2]contact.Type{text, typ}] = typ // the stricter one rules
			}
			want[[2]contact.Type{typ, text}] = typ
		}
	}
	delete(want, [2]contact.Type{contact.User, contact.Multiline})
	want[[2]contact.Type{contact.Text, contact.Multiline}] = contact.Text
	want[[2]contact.Type{contact.Multiline, contact.Text}] = contact.Text
	want[[2]contact.Type{contact.Multiline, contact.Multiline}] = contact.Multiline
	want[[2]contact.Type{contact.Text, contact.Text}] = contact.Text
	want[[2]contact.Type{contact.Checkbox, contact.Option}] = contact.Option
	want[[2]contact.Type{contact.Option, contact.Checkbox}] = contact.Option
	for a := contact.Text; a <= contact.User; a++ {
		for h := contact.Text; h <= contact.User; h++ {
			got, why := Compatible(a, h)
			if got != want[[2]contact.Type{a, h}] {
				t.Errorf("Aloware %s with HubSpot %s: %s, want %s", a, h, got, want[[2]contact.Type{a, h}])
			}
			if got == 0 && !strings.Contains(why, people(a)) {
				t.Errorf("Aloware %s with HubSpot %s: no reason for people: %q", a, h, why)
			}
		}
	}
}

// TestNoEditsLeadToAWrongSet, whatever somebody tries in whatever order.
func TestNoEditsLeadToAWrongSet(t *testing.T) {
	t.Parallel()
	schema := portal()
	keys := []string{"custom_my_plan", "custom_my_score", "custom_my_tier", "nothing"}
	for _, row := range Catalogue() {
		keys = append(keys, row.Key)
	}
	hubspot := []string{"plan", "notes2", "score", "vip", "renewal", "tier", "computed", "many", "hs_object_id", "phone", "email", "city", "owner_text", "second_owner", "jobtitle", "nowhere", "lifecyclestage"}
	aloware := []string{"my_plan", "my_notes2", "my_score", "my_vip", "my_renewal", "my_tier", "city", "email", "nowhere"}
	directions := []contact.Direction{contact.Both, contact.ToAloware, contact.ToHubSpot, 0, 9}
	kinds := []TransformKind{Trim, Upper, Lower, Title, DefaultText, Prefix, Suffix, DateFormat, PhoneFormat, "x"}
	transforms := rapid.Custom(func(t *rapid.T) Transform {
		return Transform{
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Side: contact.System(rapid.IntRange(0, 2).Draw(t, "side")),
			Text: rapid.SampledFrom([]string{"", " ", "a", "x ", "e164", "dd.mm.yyyy", "12", "true"}).Draw(t, "text"),
		}
	})
	pairs := rapid.Custom(func(t *rapid.T) Pair {
		return Pair{rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "a"), rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "h")}
	})
	rapid.Check(t, func(t *rapid.T) {
		set := Default(nil)
		versions := []*Set{set}
		for range rapid.IntRange(1, 15).Draw(t, "edits") {
			var edit Edit
			key := rapid.SampledFrom(keys).Draw(t, "key")
			property := rapid.SampledFrom(hubspot).Draw(t, "property")
			direction := rapid.SampledFrom(directions).Draw(t, "direction")
			switch rapid.IntRange(0, 9).Draw(t, "action") {
			case 0, 1:
				edit = SetFields{Key: key, Direction: &direction}
			case 2:
				edit = SetFields{Key: key, HubSpot: &property}
			case 3:
				edit = Add{
					Aloware: rapid.SampledFrom(aloware).Draw(t, "field"), HubSpot: property, Direction: direction,
					Transforms: rapid.SliceOfN(transforms, 0, 3).Draw(t, "transforms"), Options: rapid.SliceOfN(pairs, 0, 3).Draw(t, "options"),
				}
			case 4:
				edit = Remove{key}
			case 5:
				edit = AddBuiltIn{Key: key, HubSpot: rapid.SampledFrom(append(hubspot, "")).Draw(t, "as")}
			case 6:
				edit = SetFields{Key: key, Policy: ptr(rapid.SampledFrom(append(Policies, "x")).Draw(t, "policy")), IgnoreBlank: ptr(rapid.Bool().Draw(t, "blank"))}
			case 7:
				edit = SetFields{Key: key, Transforms: ptr(rapid.SliceOfN(transforms, 0, 3).Draw(t, "transforms")), Options: ptr(rapid.SliceOfN(pairs, 0, 3).Draw(t, "options"))}
			case 8:
				edit = rapid.SampledFrom([]Edit{ResetToDefaults{}, Reconnected{}}).Draw(t, "reset")
			case 9:
				edit = Replace{With: rapid.SampledFrom(versions).Draw(t, "version")}
			}
			next, err := set.Apply(schema, edit)
			if err != nil {
				var refused *Refusal
				if !errors.As(err, &refused) || refused.Rule == "" || refused.Message == "" {
					t.Fatalf("%#v: refused without a rule: %v", edit, err)
				}
				continue
			}
			set = next
			versions = append(versions, set)
			sound(t, set, schema)
		}
	})
}

// sound holds a set against the rules in words of its own, not by Check.
func sound(t *rapid.T, set *Set, schema Schema) {
	used := make(map[string]string)
	for i := range set.Mappings {
		m := &set.Mappings[i]
		for _, name := range []string{"a:" + m.Aloware, "h:" + m.HubSpot} {
			if used[name] != "" {
				t.Fatalf("%s is used by %s and %s", name, used[name], m.Key)
			}
			used[name] = m.Key
		}
		p, ok := schema.Property(contact.HubSpot, m.HubSpot)
		if !ok || p.Problem != "" {
			t.Fatalf("%s uses %s, which cannot be mapped", m.Key, m.HubSpot)
		}
		if p.ReadOnly && m.Direction != contact.ToAloware {
			t.Fatalf("%s writes to %s, which takes no values", m.Key, m.HubSpot)
		}
		if _, why := Compatible(m.Type, p.Type); why != "" {
			t.Fatalf("%s is a %s on a %s", m.Key, m.Type, p.Type)
		}
		switch m.Category {
		case Locked:
			if m.Direction != contact.Both {
				t.Fatalf("%s leads %s", m.Key, m.Direction)
			}
		case Open, AlowareCustom, Custom, Special:
			if m.Direction != contact.Both && m.Direction != contact.ToAloware && m.Direction != contact.ToHubSpot {
				t.Fatalf("%s has no direction", m.Key)
			}
		default:
			if m.Direction != contact.ToHubSpot {
				t.Fatalf("%s leads %s", m.Key, m.Direction)
			}
		}
	}
	for _, key := range []string{"phone_number", "email", "contact_owner", "contact_disposition_status", "lifecycle_stage"} {
		if set.ByKey(key) == nil {
			t.Fatalf("%s is lost", key)
		}
	}
	if owner := set.ByKey("contact_owner").HubSpot; owner != OwnerProperty {
		if p, _ := schema.Property(contact.HubSpot, owner); !p.Custom || p.Type != contact.Text {
			t.Fatalf("the owner is on %s", owner)
		}
	}
	if set.ByKey("phone_number").HubSpot != "phone" || set.ByKey("contact_disposition_status").Direction == contact.ToHubSpot {
		t.Fatal("a fixed property or direction was changed")
	}
}

// TestAnEditTellsWhatIsBoundAnew: what was known under another property, type
// or form is not taken for what the mapping joins now.
func TestAnEditTellsWhatIsBoundAnew(t *testing.T) {
	t.Parallel()
	schema := portal()
	set := Default(nil)
	set.Version = 4
	apply := func(edits ...Edit) *Set {
		t.Helper()
		next, err := set.Apply(schema, edits...)
		if err != nil {
			t.Fatal(err)
		}
		next.Version = set.Version + 1
		set = next
		return next
	}
	check := func(what string, want Binding) {
		t.Helper()
		if got := set.ByKey("city").Binding; got != want {
			t.Errorf("%s: bound %+v, want %+v", what, got, want)
		}
	}
	direction, property, own := contact.Both, "plan", "city"
	apply(SetFields{Key: "city", Direction: &direction, IgnoreBlank: ptr(true)})
	check("another direction", Binding{})
	apply(SetFields{Key: "city", Transforms: &[]Transform{{Kind: Upper}}})
	check("a transform", Binding{Formed: 6})
	apply(SetFields{Key: "city", HubSpot: &property})
	check("another property", Binding{Since: [2]int64{7, 0}, Formed: 6})
	seventh := set
	apply(Remove{"city"}, AddBuiltIn{Key: "city", HubSpot: property})
	check("removed and added back at once, without its transform", Binding{Since: [2]int64{7, 0}, Formed: 8})
	apply(Remove{"city"})
	apply(AddBuiltIn{Key: "city", HubSpot: property})
	check("added back later", Binding{Since: [2]int64{10, 10}, Formed: 10})
	apply(Replace{With: seventh})
	check("an earlier version with the same property", Binding{Since: [2]int64{10, 10}, Formed: 11})
	apply(SetFields{Key: "city", HubSpot: &own})
	check("its own property", Binding{Since: [2]int64{12, 10}, Formed: 11})
	if other := set.ByKey("state").Binding; other != (Binding{}) {
		t.Errorf("a mapping that nobody edited is bound %+v", other)
	}
}
