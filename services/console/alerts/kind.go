package alerts

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is a kind of state that a tenant is told of. A target may want some of
// them only.
type Kind = string

// The kinds. Who adds one gives it facts (fact.go), a sentence (words.go) and a
// page to look at (link.go), and adds it to Kinds.
const (
	// Connection: a system refuses the credentials.
	Connection Kind = "connection"
	// Lane: writing to a system has rested for a while.
	Lane Kind = "lane"
	// Mapping: a mapping is at rest, because its property is not there.
	Mapping Kind = "mapping"
	// Sync: a job failed, or tries again and again in vain.
	Sync Kind = "sync"
	// Burst: a burst of changes is held, and a person must say whether it goes on.
	Burst Kind = "burst"
	// Decision: a person must say who a contact is, or which value stands.
	Decision Kind = "decision"
	// Problem: what was not written, by cause and field.
	Problem Kind = "error"
)

// KindInfo is a kind with what people read.
type KindInfo struct {
	Kind  Kind
	Words string
}

// Kinds are all kinds, the gravest first, which is how the changes of an alert
// are ordered.
var Kinds = []KindInfo{
	{Connection, "A connection stops, because its credentials are refused"},
	{Lane, "Writing rests for a while: an outage, or a limit of the system"},
	{Mapping, "A mapping rests, because its property is not there"},
	{Sync, "A sync failed, or does not get on"},
	{Burst, "A burst of changes is held, and somebody must say whether it goes on"},
	{Decision, "A decision is needed: who a contact is, or which value stands"},
	{Problem, "Errors: what a system refuses, by cause and field"},
}

// rank is the place of a kind in the order of gravity.
func rank(kind Kind) int {
	return slices.IndexFunc(Kinds, func(k KindInfo) bool { return k.Kind == kind })
}

// chosen checks kinds that somebody wants, and orders them; all of them are
// the same as none.
func chosen(kinds []Kind) ([]Kind, error) {
	var wanted []Kind
	for _, k := range kinds {
		if rank(k) < 0 {
			names := make([]string, len(Kinds))
			for i, known := range Kinds {
				names[i] = known.Kind
			}
			return nil, refuse("invalid", "kinds", fmt.Sprintf("%q is no kind of alert: want %s", k, strings.Join(names, ", ")))
		}
		if !slices.Contains(wanted, k) {
			wanted = append(wanted, k)
		}
	}
	if len(wanted) == len(Kinds) {
		return nil, nil
	}
	slices.SortFunc(wanted, func(a, b Kind) int { return rank(a) - rank(b) })
	return wanted, nil
}
