// Package resolve is the decision: from what is stored of a contact, what a
// system says, and a mapping version it makes the new state, the patches to
// write, and an explanation of each step.
//
// It is pure: no I/O, no clock, no goroutine, no randomness. Preview, dry run,
// explanations and the simulation call the same functions as the service.
//
// The rules, in the order in which an observation meets them:
//
//  1. An event id that was judged before says nothing new.
//  2. Values are compared in canonical form only.
//  3. An observation is somebody's intent unless it is our own write. With an
//     unknown author it is no intent if the side may have had that value at
//     that time by our own belief.
//  4. The side's known value moves forward; an older observation joins the
//     past that rule 3 reads.
//  5. An intent from a side that may flow replaces the desired value if it is
//     later; HubSpot wins ties.
//  6. Level-triggered: a side that may receive, and that will not hold the
//     desired value once our outstanding writes have landed, gets a patch.
//  7. An outcome settles our writes up to its version, and rule 6 runs again.
//     A refused value is not sent again until something changes.
package resolve

import (
	"hash/fnv"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// Flow limits creation or updates of a whole tenant to a direction.
type Flow string

// The flows.
const (
	FlowBoth      Flow = "both"
	FlowToAloware Flow = "to_aloware"
	FlowToHubSpot Flow = "to_hubspot"
	FlowNone      Flow = "none"
)

// Into reports whether the flow leads into a system.
func (f Flow) Into(s contact.System) bool {
	return f == FlowBoth || f == FlowToAloware && s == contact.Aloware || f == FlowToHubSpot && s == contact.HubSpot
}

// Rules are what a tenant decided, in the version in force.
type Rules struct {
	Set      *mapping.Set
	Region   string         // default region of phone numbers, "US"
	Zone     *time.Location // tenant's time zone, for dates of activity; nil is UTC
	Creation Flow
	Updates  Flow
	Archive  Flow  // of the counterparts of deleted contacts; "" is none
	Lists    Lists // users and options of both systems
	// Profiles name what the connections can do, in the order of
	// contact.Systems; "" where that is always the same.
	Profiles [2]string
	// Watch counts changes and knows the holds; nil holds nothing.
	Watch *Watch
	// Defaults are values, canonical and by mapping key, for contacts that are
	// created with none: an owner, a lead source.
	Defaults map[string]string
}

// Decision is what the caller lends to one call: the version for what it
// decides, the time, and the cause.
type Decision struct {
	// Version is higher than any that an earlier owner of the partition, or an
	// earlier attempt, can have given out; the contact's counter is raised to it.
	Version contact.Version
	Now     contact.Millis // our clock
	EventID string
	// Traceparent goes into the patches.
	Traceparent string
}

// Verdict is what a call decided.
type Verdict struct {
	Patches []contact.Patch
	Steps   []Step
	// Erased tells that the person asked to be forgotten: the caller must
	// remove everything stored, this state included.
	Erased bool
	// Echoes counts our own writes that came back, Stale events that had been
	// judged before.
	Echoes, Stale int
	// Bulk tells that what is decided is part of a job, whoever told of it.
	Bulk bool
	// Lost is by how many the communications have grown that Aloware counted
	// and never told of; negative when some came late.
	Lost int64
}

// Step explains one thing that was decided; the caller keeps them as history.
type Step struct {
	Field   string // mapping key; "" for the contact as a whole
	Side    contact.System
	Rule    string // stable word: intent, echo, stale, write, settled, refused, linked ...
	Value   string
	At      contact.Millis // the side's clock; 0 where there is none
	Version contact.Version
	Reason  string
}

// Judge judges the events of one contact that came in one message: first
// Observe, Count and Settle for each event, then Conclude once.
type Judge struct {
	rules    *Rules
	state    *State
	key      contact.Key
	decision Decision
	verdict  Verdict
	version  contact.Version     // 0 until the first decision
	received contact.Millis      // when ingest received the newest intent
	asked    map[string]bool     // questions that were open before
	searches []search            // under way for what was joined
	rests    [2]bool             // sides on which nothing is to follow now
	barred   bool                // from being made in HubSpot
	live     bool                // somebody may wait for what is decided
	source   string              // of the event that is judged
	sudden   bool                // it can be part of a burst
	notes    map[string]*[2]note // edits that were heard, by field and side
	// By side: what the mapping joins is another, so that it must be read again;
	// a read was answered; the answer was the whole contact.
	rebound, answered, told [2]bool
}

// search is a find-or-create that is under way under a name.
type search struct {
	system contact.System
	key    contact.Key
}

// NewJudge starts the judgement of one contact. The state is changed in place.
func NewJudge(rules *Rules, key contact.Key, state *State, decision Decision) *Judge {
	j := &Judge{rules: rules, key: key, state: state, decision: decision}
	j.bind(state)
	return j
}

// next is the version of what this judgement decides.
func (j *Judge) next() contact.Version {
	if j.version == 0 {
		j.version = max(j.state.Version+1, j.decision.Version)
		j.state.Version = j.version
	}
	return j.version
}

func (j *Judge) step(s Step) { j.verdict.Steps = append(j.verdict.Steps, s) }

// follows notes whether an event is part of a job. What is decided is, if all
// events are.
func (j *Judge) follows(job bool) {
	j.live = j.live || !job
	j.verdict.Bulk = !j.live
}

// seenBefore is rule 1; it remembers the newest ids of the contact.
func (j *Judge) seenBefore(eventID string) bool {
	const keep = 64
	hash := fnv.New64a()
	hash.Write([]byte(eventID))
	id := hash.Sum64()
	for _, seen := range j.state.Seen {
		if seen == id {
			return true
		}
	}
	if len(j.state.Seen) >= keep {
		j.state.Seen = append(j.state.Seen[:0], j.state.Seen[1:]...)
	}
	j.state.Seen = append(j.state.Seen, id)
	return false
}

// refusal makes a refusal of our own.
func refusal(reason, message string) *fault.Refusal {
	return &fault.Refusal{Class: fault.Permanent, Reason: reason, Message: message}
}
