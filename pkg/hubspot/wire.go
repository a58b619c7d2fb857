package hubspot

import (
	_ "embed"
	"slices"
	"strings"
	"unicode/utf8"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// longestText is the number of characters that HubSpot stores of a property.
const longestText = 65536

// Wire makes the form in which HubSpot takes a canonical value: dates
// YYYY-MM-DD, datetimes ISO in UTC with milliseconds, checkboxes true or
// false, everything else as it is. "" clears. The error is a permanent fault
// without the value in it.
func Wire(t contact.Type, canonical string) (string, error) {
	switch t {
	case contact.Date, contact.Datetime, contact.Checkbox, contact.Number:
		again, err := contact.Canonical(t, canonical, "")
		if err != nil || again != canonical {
			return "", fault.New(fault.Refusal{Class: fault.Permanent, Reason: "UNREADABLE", Message: "not a canonical " + t.String()})
		}
	}
	if len(canonical) > longestText && utf8.RuneCountInString(canonical) > longestText {
		return "", fault.New(fault.Refusal{Class: fault.Permanent, Reason: "TOO_LONG", Message: "HubSpot stores at most 65,536 characters"})
	}
	return canonical, nil
}

// same reports whether HubSpot's text holds the canonical value that was
// written. A list of checked options has no order.
func same(t contact.Type, held, canonical, region string) bool {
	if held == canonical {
		return true // as it mostly is: reading a number costs a search for its country's form
	}
	again, err := contact.Canonical(t, held, region)
	if err != nil {
		return strings.TrimSpace(held) == canonical
	}
	if again == canonical {
		return true
	}
	return t == contact.Option && strings.Contains(canonical, ";") && slices.Equal(optionSet(again), optionSet(canonical))
}

func optionSet(list string) []string {
	options := strings.Split(list, ";")
	slices.Sort(options)
	return options
}

//go:embed zones.txt
var zoneText string

// zones are the IANA time zone names by the folded form that they share with
// HubSpot's option values.
var zones = func() map[string]string {
	byFold := map[string]string{}
	for _, name := range strings.Fields(zoneText) {
		byFold[foldZone(name)] = name
	}
	return byFold
}()

// zoneSpelling undoes what HubSpot's option values do to a zone's name. Only
// "_slash_" was seen; the others are tolerated.
var zoneSpelling = strings.NewReplacer(
	"_slash_", "/", "_plus_", "+", "_hyphen_", "_", "_dash_", "_", "_minus_", "_", "-", "_", " ", "_",
)

func foldZone(name string) string { return zoneSpelling.Replace(strings.ToLower(name)) }

// Zone gives the IANA name of an option of HubSpot's time zone property:
// america_slash_los_angeles is America/Los_Angeles. An unknown option stays as
// it is.
func Zone(option string) string {
	if name, ok := zones[foldZone(option)]; ok {
		return name
	}
	return option
}
