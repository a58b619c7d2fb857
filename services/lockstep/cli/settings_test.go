package cli

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	consolev1 "lockstep.internal/proto/console/v1"
)

// TestSettingsAreToldAsTheyAreSet: what "mapping show" tells of a mapping is
// what "mapping set" takes to make it so again.
func TestSettingsAreToldAsTheyAreSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mapping *consolev1.Mapping
		want    string
	}{
		{&consolev1.Mapping{}, ""},
		{&consolev1.Mapping{IgnoreBlank: true, Transforms: []*consolev1.Transform{{Kind: "trim"}, {Kind: "prefix", Side: consolev1.System_SYSTEM_HUBSPOT, Text: "AL-"}}},
			"--ignore-blank --transform trim --transform prefix@hubspot=AL-"},
		{&consolev1.Mapping{Transforms: []*consolev1.Transform{{Kind: "default", Text: "it's none"}}, Options: []*consolev1.OptionPair{{Aloware: "3", Hubspot: "In progress"}}},
			`--transform 'default=it'\''s none' --option '3=In progress'`},
	} {
		got := settings(c.mapping)
		if got != c.want {
			t.Errorf("told is %s, want %s", got, c.want)
		}
		// Read back as the command reads its flags, once a shell has unquoted them.
		var transforms, options []string
		words := unquoted(got)
		for i, text := range words {
			switch {
			case text == "--transform":
				transforms = append(transforms, words[i+1])
			case text == "--option":
				options = append(options, words[i+1])
			}
		}
		steps, err := parseTransforms(transforms)
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := parsePairs(options)
		if err != nil {
			t.Fatal(err)
		}
		again := &consolev1.Mapping{IgnoreBlank: c.mapping.IgnoreBlank, Transforms: steps, Options: pairs}
		if !proto.Equal(again, c.mapping) {
			t.Errorf("%s reads as %v, want %v", got, again, c.mapping)
		}
	}
	filter := &consolev1.Filter{Any: true, Conditions: []*consolev1.Condition{{Key: "state", Op: "is", Texts: []string{"TX", "New Mexico"}}, {Key: "email", Op: "is_not_blank"}}}
	if got, want := conditions(filter), "state 'is=TX,New Mexico' email is_not_blank --any"; got != want {
		t.Errorf("the filter is told as %s, want %s", got, want)
	}
}

// unquoted are the words of a line as a shell makes them.
func unquoted(line string) (words []string) {
	var one strings.Builder
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'':
			quoted = !quoted
		case c == '\\' && !quoted:
			i++
			one.WriteByte(line[i])
		case c == ' ' && !quoted:
			words = append(words, one.String())
			one.Reset()
		default:
			one.WriteByte(c)
		}
	}
	return append(words, one.String())
}
