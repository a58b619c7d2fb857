package mapper

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
)

// TestWordsOfAPersonAreNobodyElses: an erasure takes a letter that cannot be
// read for what tells the person, not for a city, a yes or a short id.
func TestWordsOfAPersonAreNobodyElses(t *testing.T) {
	t.Parallel()
	field := func(value string) *resolve.Field {
		return &resolve.Field{Sides: [2]resolve.FieldSide{{Known: true, Value: value}, {}}}
	}
	e := &people.Entry{State: &resolve.State{
		Sides: [2]resolve.Side{{ID: "512345678", Aliases: []string{"501"}, Phone: "+12025550142", Email: "z@example.com"}, {ID: "42"}},
		Fields: map[string]*resolve.Field{
			"first_name": field("Zebulon"), "last_name": field("Pike"), "city": field("San Francisco"), "dnc": field("true"), "company_name": field("International Business Machines"),
			"lifecycle_stage": field("marketingqualifiedlead"), "address": field("12 Sentinel Road"),
		},
		Activity: &resolve.Activity{InboundTexts: resolve.Line{LastBody: "I am at the station"}, OutboundTexts: resolve.Line{LastBody: "Yes"}},
	}}
	got := words(e, mapping.Default(nil))
	slices.Sort(got)
	want := []string{"+12025550142", "12 Sentinel Road", "512345678", "I am at the station", "Zebulon Pike", "z@example.com"}
	if diff := cmp.Diff(want, slices.DeleteFunc(got, func(word string) bool { return word == "" })); diff != "" {
		t.Errorf("the words differ (-want +got):\n%s", diff)
	}
}
