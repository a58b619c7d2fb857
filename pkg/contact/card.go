package contact

// CardTopic is the topic under which the mapper answers questions for cards: a
// CardQuestion as JSON is answered by a Card in each part, in no order.
const CardTopic = "contact.cards"

// CardQuestion asks for what is known of some contacts of a tenant.
type CardQuestion struct {
	Tenant Tenant
	Keys   []Key
	// Brief leaves the fields out.
	Brief bool
}

// Card is what is known of one contact, for people.
type Card struct {
	Key     Key
	Name    string
	Sides   [2]CardSide // in the order of Systems
	Fields  []CardField // in the order of the mapping set
	Outside bool        // the tenant's filter leaves it out
	Missing int64       // communications that Aloware counted and never told of
}

// CardSide is the contact in one system.
type CardSide struct {
	ID         string // "" while there is none
	Aliases    []string
	Gone       bool // deleted there
	Read       bool // all of it was read
	Seeking    bool // being looked for, or made
	Phones     []string
	Email      string
	Candidates []string // to choose from, in a conflict
	Refused    *CardRefusal
}

// CardRefusal is why something was not written, in the system's own words.
type CardRefusal struct{ Class, Reason, Message string }

// FieldState is how one field of a contact stands.
type FieldState string

// The states of a field.
const (
	FieldInStep  FieldState = "in_step" // both sides hold what they should
	FieldWaiting FieldState = "waiting" // a write is under way
	FieldRefused FieldState = "refused" // a side refused the value
	FieldReview  FieldState = "review"  // a person must say which side's value stands
	FieldHeld    FieldState = "held"    // part of a burst that somebody must answer about
	FieldOwn     FieldState = "own"     // the target's own edit stands until the source changes
	FieldUnread  FieldState = "unread"  // a side is not known
	FieldDiffers FieldState = "differs" // the sides differ, and nothing is to be written
	FieldStopped FieldState = "stopped" // the mapping is at rest
	// FieldRewritten: somebody else keeps rewriting it, and it is left alone.
	FieldRewritten FieldState = "rewritten"
)

// CardField is one mapped field of a contact.
type CardField struct {
	Key       string
	Direction Direction
	Type      Type
	State     FieldState
	Stopped   string // why the mapping is at rest, or the field is left alone
	Sides     [2]CardValue
}

// CardValue is one field on one side.
type CardValue struct {
	Property string
	Known    bool
	Value    string
	Since    Millis // by the system's clock: since when it holds the value
	SeenAt   Millis // when it was last seen there
	Waiting  bool   // a write is under way
	Writing  string // its value
	Refused  *CardRefusal
	Rejected string // the value that was refused
}
