package pages

import (
	"strings"

	"lockstep.internal/pkg/postgres"
)

// decided says in words what a row of the history decided.
func decided(h postgres.HistoryRow) string {
	value, system := h.Value, h.System.Name()
	if value == "" {
		value = "blank"
	}
	switch h.Rule {
	case "intent":
		return "was set to " + value + " in " + system
	case "stale":
		return "an older " + value + " from " + system + " came late and changes nothing"
	case "retracted":
		return value + " in " + system + " was nobody's edit"
	case "write":
		return "is to be written to " + system + ": " + value
	case "settled":
		return system + " has taken " + value
	case "refused":
		return system + " refused " + value
	case "own":
		return "was set to " + value + " in " + system + ", and stays there alone"
	case "kept":
		return "is not written to " + system + ": " + value
	case "ignored":
		return "a blank in " + system + " changes nothing"
	case "rewritten":
		return "was set to " + value + " in " + system + ", over what Lockstep had written there"
	case "stopped":
		return "is left alone from now on: it was set to " + value + " in " + system + " once more"
	case "resumed":
		return "is kept in step again"
	case "dropped":
		return "what was to be written to " + system + " is withdrawn"
	case "held":
		return value + " from " + system + " is held back"
	case "released":
		return value + " goes on to " + system + ": somebody let the burst go"
	case "let_be":
		return value + " is not written to " + system + ": somebody dropped the burst"
	case "undone":
		return system + " gets " + value + " back: somebody undid the burst"
	case "rebound":
		return "is another property in " + system + " from now on"
	case "linked":
		return "linked to " + h.Reason + " in " + system
	case "sought":
		return "is looked for in " + system
	case "joined":
		return "joined with another contact"
	case "merged":
		return "merged in " + system
	case "deleted":
		return "deleted in " + system
	case "restored":
		return "restored in " + system
	case "vanished":
		return "is really gone from " + system
	case "archiving":
		return "is to be archived in " + system
	case "archived":
		return "is archived in " + system
	case "gone":
		return "is not in " + system + " any more"
	case "pulled":
		return "was synced with HubSpot by hand"
	case "pull_answered":
		return "HubSpot has answered the sync by hand"
	case "retried":
		if h.Field == "" {
			return "what " + system + " had refused was tried again by hand"
		}
		return value + " was tried again in " + system + " by hand"
	case "answered":
		return system + "'s " + value + " was chosen by hand"
	case "chosen":
		return "the counterpart in " + system + " was chosen by hand"
	case "unlinked":
		return "the link to " + h.Reason + " in " + system + " was cut"
	case "conflict":
		return "somebody must choose the counterpart in " + system
	case "review":
		return "somebody must decide whether " + value + " goes to " + system
	case "lost":
		return "Aloware never told of some calls or texts"
	case "left":
		return "left the contacts that are kept in step"
	case "entered":
		return "is among the contacts that are kept in step"
	}
	return strings.ReplaceAll(h.Rule, "_", " ")
}

// traceLink is where a decision's trace is shown.
type traceLink struct{ ID, URL string }

// traceOf is the trace of a W3C traceparent; nil for none. The pattern has
// {trace} where the id goes; "" gives no address.
func traceOf(traceparent, pattern string) *traceLink {
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 || len(parts[1]) != 32 {
		return nil
	}
	link := &traceLink{ID: parts[1]}
	if pattern != "" {
		link.URL = strings.ReplaceAll(pattern, "{trace}", link.ID)
	}
	return link
}
