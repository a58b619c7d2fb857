package contact

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// TestOneValueHasOneForm, in whatever form a system gives it.
func TestOneValueHasOneForm(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		t    Type
		want string
		from []string
	}{
		{"a blank is a value", Number, "", []string{"", "  ", "\n"}},
		{"text is trimmed and in one line", Text, "Zoë Ray", []string{"Zoë Ray", " Zoe\u0308 Ray ", "Zoë Ray\r\n"}},
		{"line breaks of a long text are one kind", Multiline, "a\nb", []string{"a\nb", "a\r\nb", "a\rb "}},
		{"a number is exact", Number, "12.5", []string{"12.5", "12.50", "012.5", "1.25e1"}},
		{"a whole number has no point", Number, "100", []string{"100", "100.0", "1e2"}},
		{"a checkbox", Checkbox, "true", []string{"true", "1", "TRUE", "yes"}},
		{"a date", Date, "1988-04-17", []string{"1988-04-17", "04/17/1988", "577238400000", "1988-04-17T00:00:00Z", "1988-04-17 00:00:00"}},
		{"an instant, UTC where no zone is told", Datetime, "2026-08-05T21:00:00.000Z", []string{"2026-08-05T21:00:00Z", "2026-08-05 21:00:00", "2026-08-05T17:00:00-04:00", "1785963600000"}},
		{"a phone number", Phone, "+12025550142", []string{"+12025550142", "(202) 555-0142", "202.555.0142", "1 202 555 0142"}},
		{"an e-mail address", Email, "ada@example.com", []string{"Ada@Example.com", " ada@example.com "}},
	}
	for _, c := range cases {
		for _, text := range c.from {
			got, err := Canonical(c.t, text, "US")
			if err != nil || got != c.want {
				t.Errorf("%s: %q gives %q, %v; want %q", c.name, text, got, err, c.want)
			}
		}
	}
}

// TestWhatIsNoValueIsRefused, without repeating the text.
func TestWhatIsNoValueIsRefused(t *testing.T) {
	t.Parallel()
	for typ, text := range map[Type]string{
		Number: "1e999", Checkbox: "perhaps", Date: "soon", Datetime: "99999999999999999", Phone: "call me",
	} {
		if got, err := Canonical(typ, text, "US"); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s %q gives %q, %v; want a refusal", typ, text, got, err)
		}
	}
}

// TestCanonicalOfCanonicalIsItself for every type: else a value would bounce
// between the systems for ever.
func TestCanonicalOfCanonicalIsItself(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := Type(rapid.IntRange(int(Text), int(User)).Draw(t, "type"))
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[+0-9 ()eE./:TZ-]{0,24}`)).Draw(t, "text")
		once, err := Canonical(typ, text, "US")
		if err != nil {
			return
		}
		twice, err := Canonical(typ, once, "US")
		if err != nil || twice != once {
			t.Fatalf("%s: %q gives %q, which gives %q, %v", typ, text, once, twice, err)
		}
	})
}
