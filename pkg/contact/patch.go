package contact

import "lockstep.internal/pkg/fault"

// Version numbers the decisions for one contact. It rises with each and is
// never used for two different decisions, not even over a crash.
type Version int64

// NewVersion makes the version of a decision: the owner's epoch leads, then the
// stream, from 0 to 3, then a count within both.
func NewVersion(epoch int64, stream int, count int64) Version {
	return Version(epoch<<34 | int64(stream)<<32 | count)
}

// Patch is what must be done to one contact in one system.
type Patch struct {
	Contact    Key
	System     System
	Version    Version
	TargetID   string // id in System; "" while unknown
	Properties []Property
	Create     *Create // how to find the contact, and whether to create it
	// Fetch asks to read the contact and to report what it holds. Without a
	// TargetID a contact that is found is read instead of written.
	Fetch          *Fetch
	Archive        bool // archive it in System
	Wake           bool // try what waits for the contact now; nothing where nothing waits
	Unfetch        bool // a read that waits is taken back: what it would tell is known; nothing where nothing waits
	Forget         bool // the person is erased: forget what waits, write nothing
	Bulk           bool // waits for live ones; told by the writer's row, and not sent
	CauseEventID   string
	EditedAt       Millis // the edit's time by its own system's clock
	ReceivedAt     Millis // when ingest received that edit, our clock
	MappingVersion int64
	Traceparent    string // W3C trace context of the edit, for rows that wait
	// Merged are the trace contexts of earlier edits that were merged into this
	// patch, the oldest first.
	Merged []string
}

// Property is one value to write.
type Property struct {
	Name    string // in the target system, as it is written there
	Type    Type
	Value   string // canonical, users and options as the target's own values; "" clears
	Version Version
}

// Create says how to find a contact before creating it.
type Create struct {
	Phones    []string // E.164, the main one first
	Email     string   // lower case
	MayCreate bool     // false: find only
}

// Fetch asks for a read of the named properties, not before a time.
type Fetch struct {
	Properties []string
	NotBefore  Millis // our clock; 0 at once
}

// Result is what happened to the contact of a patch as a whole.
type Result uint8

// The results; see proto/contact/v1/outcome.proto for each.
const (
	Written  Result = 1
	Made     Result = 2 // it did not exist and was created
	Fetched  Result = 3
	Absent   Result = 4
	Rejected Result = 5
	Gone     Result = 6
	Conflict Result = 7
	Archived Result = 8
	Dropped  Result = 9 // it was withdrawn before it was sent
)

// Outcome is the writer's answer for a patch or for several merged ones.
type Outcome struct {
	System     System
	Contact    Key
	Version    Version // settles this and all lower versions
	TargetID   string
	Result     Result
	AppliedAt  Millis // the system's clock, with Precision as in Change
	Precision  Millis
	AnsweredAt Millis // our clock
	ClockAt    Millis // the system's clock when it answered, in whole seconds; 0 not known
	Properties []PropertyOutcome
	Holds      []Value // what the contact holds, where it was read
	Refusal    *fault.Refusal
	Candidates []string // ids to choose from, with Conflict
	MergedIDs  []string
	Attempts   int
	EditedAt   Millis
	ReceivedAt Millis
	EventID    string
}

// PropertyOutcome is what became of one property of a patch.
type PropertyOutcome struct {
	Name    string
	Version Version
	Value   string         // as in the patch
	Refusal *fault.Refusal // nil when it was accepted
}

// Delivery is a destination's answer for one patch: an outcome, or an error
// that leaves the patch to be tried again. The error's class (package fault)
// says when.
type Delivery struct {
	Outcome Outcome
	Err     error
}
