package pages

import (
	"net/http"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// optionView is the option map of an open mapping: a choice for each option, or
// lines of pairs where too little is known of the options.
type optionView struct {
	Pairs   []pairRow
	Choices []contact.DirectoryEntry // HubSpot's options
	Lines   string                   // where there are no Pairs
}

// pairRow is one pair to choose.
type pairRow struct {
	Aloware string // option; "" for one to be typed
	Label   string // Aloware's, where it lists its options
	HubSpot string // paired option; "" for none
	Lost    bool   // HubSpot does not have it any more
	Itself  string // label of HubSpot's option that it meets without a pair
	// Unpaired tells that the option meets nothing: its contacts get an error.
	Unpaired bool
}

// mostOptions is how many options a side has at most to be chosen from; longer
// maps are edited as lines.
const mostOptions = 100

// optionsOf shows the pairs of a mapping. Where Aloware lists its options, each
// of them gets one of HubSpot's; where it does not, each of HubSpot's gets the
// id that somebody types.
func optionsOf(pairs []mapping.Pair, options [2][]contact.DirectoryEntry) optionView {
	hubspot, aloware := options[0], options[1]
	v := optionView{Choices: hubspot}
	if len(hubspot) == 0 || len(hubspot) > mostOptions || len(aloware) > mostOptions {
		text := make([]string, 0, len(pairs))
		for _, pair := range pairs {
			text = append(text, pair.Aloware+" = "+pair.HubSpot)
		}
		v.Lines = strings.Join(text, "\n")
		return v
	}
	lost := func(value string) bool {
		return !slices.ContainsFunc(hubspot, func(e contact.DirectoryEntry) bool { return e.Value == value })
	}
	shown := make(map[string]bool)
	for _, e := range aloware {
		row := pairRow{Aloware: e.Value, Label: e.Label, Itself: itself(e, hubspot)}
		if at := slices.IndexFunc(pairs, func(p mapping.Pair) bool { return p.Aloware == e.Value }); at >= 0 {
			row.HubSpot, row.Lost = pairs[at].HubSpot, lost(pairs[at].HubSpot)
		}
		row.Unpaired = row.HubSpot == "" && row.Itself == "" || row.Lost
		v.Pairs, shown[e.Value] = append(v.Pairs, row), true
	}
	met := make(map[string]bool)
	for _, p := range pairs {
		if !shown[p.Aloware] {
			v.Pairs = append(v.Pairs, pairRow{Aloware: p.Aloware, HubSpot: p.HubSpot, Lost: lost(p.HubSpot), Unpaired: lost(p.HubSpot)})
		}
		met[p.HubSpot] = true
	}
	for _, e := range hubspot {
		if len(aloware) == 0 && !met[e.Value] {
			v.Pairs = append(v.Pairs, pairRow{HubSpot: e.Value})
		}
	}
	if len(aloware) == 0 {
		v.Pairs = append(v.Pairs, pairRow{}) // a second id of some option
	}
	return v
}

// itself is the label of the option that one of Aloware's meets without a pair:
// by value, then by label.
func itself(e contact.DirectoryEntry, hubspot []contact.DirectoryEntry) string {
	at := -1
	if e.Match != "" {
		at = slices.IndexFunc(hubspot, func(h contact.DirectoryEntry) bool { return h.Match == e.Match })
	} else {
		at = slices.IndexFunc(hubspot, func(h contact.DirectoryEntry) bool { return strings.EqualFold(h.Label, e.Label) })
	}
	if at < 0 {
		return ""
	}
	return hubspot[at].Label
}

// pairsOf reads the choices; a row with one side empty is no pair.
func pairsOf(r *http.Request) ([]mapping.Pair, error) {
	pairs := make([]mapping.Pair, 0)
	aloware, hubspot := r.Form["pair-aloware"], r.Form["pair-hubspot"]
	if len(aloware) != len(hubspot) {
		return nil, invalid("A pair has an option of Aloware and one of HubSpot; load the page again.")
	}
	for i := range aloware {
		if pair := (mapping.Pair{Aloware: strings.TrimSpace(aloware[i]), HubSpot: hubspot[i]}); pair.Aloware != "" && pair.HubSpot != "" {
			pairs = append(pairs, pair)
		}
	}
	return pairs, nil
}
