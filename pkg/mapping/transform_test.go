package mapping

import (
	"testing"

	"pgregory.net/rapid"

	"lockstep.internal/pkg/contact"
)

// TestTransforms do what they say, in both ways.
func TestTransforms(t *testing.T) {
	t.Parallel()
	const hubspot, aloware = contact.HubSpot, contact.Aloware
	cases := []struct {
		name       string
		typ        contact.Type
		transforms []Transform
		aloware    string // what somebody types in Aloware
		value      string // what it stands for
		hubspot    string // what HubSpot gets
	}{
		{"none", contact.Text, nil, "Bob", "Bob", "Bob"},
		{"trim", contact.Text, []Transform{{Kind: Trim}}, "a   b", "a b", "a b"},
		{"upper case", contact.Text, []Transform{{Kind: Upper}}, "Bob", "BOB", "BOB"},
		{"lower case", contact.Text, []Transform{{Kind: Lower}}, "Bob", "bob", "bob"},
		{"title case", contact.Text, []Transform{{Kind: Title}}, "new york", "New York", "New York"},
		{"default for a cleared value", contact.Text, []Transform{{Kind: DefaultText, Text: "unknown"}}, "", "unknown", "unknown"},
		{"prefix and suffix", contact.Text, []Transform{{hubspotPrefix, hubspot, "AL-"}, {Suffix, hubspot, "!"}}, "7", "7", "AL-7!"},
		{"a blank has no prefix", contact.Text, []Transform{{hubspotPrefix, hubspot, "AL-"}}, "", "", ""},
		{"the other side's prefix is taken off", contact.Text, []Transform{{Prefix, aloware, "X-"}}, "X-7", "7", "7"},
	}
	for _, c := range cases {
		m := Mapping{Key: "k", Type: c.typ, Transforms: c.transforms}
		if refused := m.checkTransforms(); refused != nil {
			t.Errorf("%s: refused: %v", c.name, refused)
		}
		value := m.In(aloware, c.aloware)
		if value != c.value || m.Out(hubspot, value) != c.hubspot {
			t.Errorf("%s: %q gives %q and %q, want %q and %q", c.name, c.aloware, value, m.Out(hubspot, value), c.value, c.hubspot)
		}
		if back := m.In(hubspot, m.Out(hubspot, value)); back != value {
			t.Errorf("%s: comes back as %q, want %q", c.name, back, value)
		}
	}
	day := Mapping{Type: contact.Date, Transforms: []Transform{{DateFormat, hubspot, "dd/mm/yyyy"}}}
	if text, typ := day.Write(hubspot, "2026-04-03"); text != "03/04/2026" || typ != contact.Text || day.Read(hubspot, text) != "2026-04-03" {
		t.Errorf("a date is written %q as %s", text, typ)
	}
	phone := Mapping{Type: contact.Phone, Transforms: []Transform{{PhoneFormat, hubspot, "national"}}}
	if text, _ := phone.Write(hubspot, "+12025550142"); text != "(202) 555-0142" {
		t.Errorf("a phone number is written %q", text)
	}
}

const hubspotPrefix = Prefix

// TestTransformsDoNotBounce: a value that was written and comes back is the
// value that it was, whatever transforms somebody chose.
func TestTransformsDoNotBounce(t *testing.T) {
	t.Parallel()
	affix := rapid.StringMatching(`[A-Za-z#]{1,3}( [A-Z])?`)
	rapid.Check(t, func(t *rapid.T) {
		m := Mapping{Key: "k", Type: rapid.SampledFrom([]contact.Type{contact.Text, contact.Multiline}).Draw(t, "type")}
		for _, kind := range []TransformKind{Trim, Upper, Lower, Title, DefaultText, Prefix, Suffix} {
			if !rapid.Bool().Draw(t, string(kind)) {
				continue
			}
			tr := Transform{Kind: kind}
			switch kind {
			case Prefix, Suffix:
				tr.Side, tr.Text = contact.System(rapid.IntRange(1, 2).Draw(t, "side")), affix.Draw(t, "affix")
			case DefaultText:
				tr.Text = affix.Draw(t, "default")
			}
			m.Transforms = append(m.Transforms, tr)
		}
		if m.checkTransforms() != nil {
			return
		}
		for _, side := range contact.Systems {
			raw, err := contact.Canonical(m.Type, rapid.OneOf(rapid.String(), affix).Draw(t, "raw"), "")
			if err != nil {
				return
			}
			value := m.In(side, raw)
			for _, system := range contact.Systems {
				out := m.Out(system, value)
				if tidy, _ := contact.Canonical(m.Type, out, ""); tidy != out {
					t.Fatalf("%q is written as %q, which is read as %q", value, out, tidy)
				}
				if back := m.In(system, out); back != value {
					t.Fatalf("%v: %q is written as %q and comes back as %q", m.Transforms, value, out, back)
				}
			}
		}
	})
}

// TestFilter admits whom it should.
func TestFilter(t *testing.T) {
	t.Parallel()
	values := map[string]string{"city": "Austin", "state": "", "custom_my_score": "12", "date_of_birth": "1990-05-01"}
	set := Default(nil)
	set.Mappings = append(set.Mappings, Mapping{Key: "custom_my_score", Category: Custom, Aloware: "my_score", HubSpot: "score", Type: contact.Number, Direction: contact.Both})
	set.Index()
	for _, c := range []struct {
		name string
		cond Condition
		want bool
	}{
		{"is, without regard to case", Condition{"city", Is, []string{"Dallas", "AUSTIN"}}, true},
		{"is another", Condition{"city", Is, []string{"Dallas"}}, false},
		{"is not", Condition{"city", IsNot, []string{"Dallas"}}, true},
		{"contains", Condition{"city", Contains, []string{"UST"}}, true},
		{"starts with", Condition{"city", StartsWith, []string{"us"}}, false},
		{"blank", Condition{"state", IsBlank, nil}, true},
		{"not blank", Condition{"state", IsNotBlank, nil}, false},
		{"numbers compare as numbers", Condition{"custom_my_score", AtLeast, []string{"9"}}, true},
		{"at most", Condition{"custom_my_score", AtMost, []string{"9"}}, false},
		{"a blank is neither more nor less", Condition{"state", AtMost, []string{"9"}}, false},
		{"dates", Condition{"date_of_birth", AtMost, []string{"1999-12-31"}}, true},
	} {
		set.Filter = &Filter{Conditions: []Condition{c.cond}}
		if got := set.Admits(func(key string) string { return values[key] }); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	two := []Condition{{"city", Is, []string{"Austin"}}, {"state", IsNotBlank, nil}}
	for any, want := range map[bool]bool{true: true, false: false} {
		set.Filter = &Filter{Any: any, Conditions: two}
		if got := set.Admits(func(key string) string { return values[key] }); got != want {
			t.Errorf("any %v: %v, want %v", any, got, want)
		}
	}
	if set.Filter = nil; !set.Admits(func(string) string { return "" }) {
		t.Error("without a filter everybody is admitted")
	}
}

// TestDrift stops a mapping alone while its property is away, and not longer.
func TestDrift(t *testing.T) {
	t.Parallel()
	set := Default(nil)
	change := func(f func(properties map[string]Property)) Schema {
		s := portal()
		f(s[0])
		return s
	}
	for name, c := range map[string]struct {
		schema Schema
		key    string
	}{
		"archived or renamed": {change(func(p map[string]Property) { delete(p, "city") }), "city"},
		"retyped":             {change(func(p map[string]Property) { p["city"] = hub("city", contact.Number) }), "city"},
		"unreadable":          {change(func(p map[string]Property) { p["city"] = hub("city", 0, impossible) }), "city"},
		"read-only target":    {change(func(p map[string]Property) { p["email"] = hub("email", contact.Email, readOnly) }), "email"},
		"read-only source":    {change(func(p map[string]Property) { p["city"] = hub("city", contact.Text, readOnly) }), ""},
		"a longer text":       {change(func(p map[string]Property) { p["city"] = hub("city", contact.Multiline) }), ""},
		"as it was":           {portal(), ""},
		"back again":          {change(func(p map[string]Property) { p["city"] = hub("city", contact.Text, renewed) }), ""},
		"nothing known":       {Schema{}, ""},
	} {
		stopped := set.InForce(c.schema)
		for i := range stopped.Mappings {
			if m := &stopped.Mappings[i]; (m.Stopped != "") != (m.Key == c.key) {
				t.Errorf("%s: %s at rest: %q", name, m.Key, m.Stopped)
			}
			if m := &stopped.Mappings[i]; (m.Binding.Renewed != 0) != (name == "back again" && m.Key == "city") {
				t.Errorf("%s: %s came back %d times", name, m.Key, m.Binding.Renewed)
			}
		}
	}
}
