package contact

// Event is what happened to a contact in one system.
type Event uint8

// The events; see proto/contact/v1/change.proto for each.
const (
	Changed  Event = 1
	Created  Event = 2
	Snapshot Event = 3
	Deleted  Event = 4
	Merged   Event = 5
	Restored Event = 6
	Erased   Event = 7
)

// Channel is how an event reached us.
type Channel uint8

// The channels.
const (
	Webhook Channel = 1
	Poll    Channel = 2
	Walk    Channel = 3
	Read    Channel = 4
)

// Origin is who caused a value.
type Origin uint8

// The origins; Unknown where the system does not tell.
const (
	Unknown Origin = 0
	Others  Origin = 1
	Ours    Origin = 2
)

// Change is what one system says of one contact at one time.
type Change struct {
	System  System
	ID      string // contact's id in that system, decimal text
	EventID string // unique within tenant and system; equal ids are one event
	Event   Event
	// OccurredAt is the time by that system's clock; the event lies within
	// OccurredAt and OccurredAt+Precision (0 for an exact time).
	OccurredAt Millis
	Precision  Millis
	ReceivedAt Millis // our clock
	Channel    Channel
	Origin     Origin
	Cause      string // the system's words for the cause; never contact data
	Values     []Value
	MergedIDs  []string // absorbed ids, or further ids of the contact
	// Counters are Aloware's totals of the contact; nil where they are not told,
	// or told with a communication.
	Counters *Counters
}

// Value is one property as one system holds it.
type Value struct {
	Name string // property name in that system, as it is written there
	Text string // as the system gave it; "" for a cleared property
	// OccurredAt and Origin are of this very value where the system tells
	// them per property; zero means those of the Change.
	OccurredAt Millis
	Origin     Origin
}

// Communication is one state of one call or text in Aloware.
type Communication struct {
	ID          string // Aloware's id: the key to count by
	ContactID   string // Aloware's id of the contact
	EventID     string // of the delivery
	Text        bool   // true for a text, false for a call
	Inbound     bool
	StartedAt   Millis // Aloware's clock
	UpdatedAt   Millis // Aloware's clock: when this state was made
	ReceivedAt  Millis // our clock
	Body        string // of a text
	Disposition string // call outcome by name; "" while there is none
	Finished    bool
	// Counters are Aloware's lifetime totals of the contact; -1 unknown.
	Counters Counters
}

// Counters are Aloware's lifetime totals of one contact; -1 where unknown.
type Counters struct {
	InboundCalls, OutboundCalls, InboundTexts, OutboundTexts int64
}

// UnknownCounters are counters of which nothing is known.
var UnknownCounters = Counters{-1, -1, -1, -1}

// FewWaiting is how many contacts the mapper judges again at once when a list
// comes that they may have waited for. Where more wait, a job asks for them.
const FewWaiting = 200

// Directory replaces what is known of one list of one system: its users, or
// the options of one property.
type Directory struct {
	System  System
	List    string // UserList or OptionList(property)
	ReadAt  Millis // our clock
	Entries []DirectoryEntry
}

// UserList is the Directory.List of a system's users.
const UserList = "users"

// OptionList is the Directory.List of one property's options.
func OptionList(property string) string { return "options:" + property }

// DirectoryEntry is one user or option.
type DirectoryEntry struct {
	Value  string // what the system stores: owner id, user id, option value
	Match  string // canonical form: e-mail of a user, value of an option
	Label  string // name for people
	Active bool
}

// Incoming is one event of a run; exactly one member is set.
type Incoming struct {
	Change        *Change
	Communication *Communication
	Outcome       *Outcome
	Directory     *Directory
	Command       *Command
}

// CommandKind is what a command asks for.
type CommandKind uint8

// The commands; see proto/contact/v1/change.proto for each.
const (
	Recheck CommandKind = 1
	Retry   CommandKind = 2
	Pull    CommandKind = 3
	Choose  CommandKind = 4
	Answer  CommandKind = 5
	Release CommandKind = 6
)

// HoldAnswer is what becomes of the edits of a burst that was held.
type HoldAnswer string

// The answers.
const (
	AnswerGo   HoldAnswer = "go"   // they are written
	AnswerDrop HoldAnswer = "drop" // the other side keeps what it has
	AnswerUndo HoldAnswer = "undo" // their own side gets back what it had
)

// Known reports whether an answer is one.
func (a HoldAnswer) Known() bool { return a == AnswerGo || a == AnswerDrop || a == AnswerUndo }

// Command asks the mapper to do something with one contact, for a person or a
// job.
type Command struct {
	EventID string // unique within the tenant; equal ids are one command
	Contact Key    // "" where System and ID name the contact
	System  System // of ID, of an answer, or where a conflict is; 0 for none
	ID      string // contact's id in System; with Choose the one that was chosen
	Kind    CommandKind
	Fields  []string // mapping keys; none means all
	Author  string   // who asked
	AskedAt Millis   // our clock
	// Hold and Answer are of Release: what becomes of the edits that a hold keeps.
	Hold   string
	Answer HoldAnswer
}
