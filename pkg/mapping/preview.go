package mapping

import "lockstep.internal/pkg/contact"

// PreviewTopic is where the mapper answers a Proposal with Tallies.
const PreviewTopic = "preview"

// Proposal is a set, as it would be in force, that somebody wants to know the
// effect of.
type Proposal struct {
	Tenant contact.Tenant `json:"tenant"`
	Set    *Set           `json:"set"`
	// Sample asks about these contacts alone, of which was read what a tally
	// says to be unread.
	Sample []Sampled `json:"sample,omitempty"`
}

// Sampled is a contact as its systems hold it.
type Sampled struct {
	Key  contact.Key      `json:"key"`
	Told []contact.Change `json:"told"`
}

// Unread is a contact of which something must be read before it is known what
// would be written.
type Unread struct {
	Key contact.Key `json:"key"`
	// By system, in the order of contact.Systems: the id where it is to be read,
	// "" where all is known. Phone is the number by which Aloware knows it.
	IDs   [2]string `json:"ids"`
	Phone string    `json:"phone,omitempty"`
}

// MostSample bounds the Unread of a Tally.
const MostSample = 50

// Tally is what a proposed set would do to the contacts looked at so far; the
// last one is about all.
type Tally struct {
	Looked int64 `json:"looked"` // contacts
	Total  int64 `json:"total"`  // contacts there are
	// Of each side, in the order of contact.Systems: contacts that would be
	// written, created, or must be read first, because a property is mapped
	// that was never read; what is read may lead to further writes.
	Written [2]int64     `json:"written"`
	Created [2]int64     `json:"created"`
	Reads   [2]int64     `json:"reads"`
	Fields  []FieldTally `json:"fields,omitempty"`
	// Unread are some of the contacts that must be read first; the last part
	// alone has them.
	Unread []Unread `json:"unread,omitempty"`
}

// FieldTally is what would be written of one field into one system.
type FieldTally struct {
	Key      string         `json:"key"`
	System   contact.System `json:"system"`
	Fills    int64          `json:"fills"`    // a blank gets a value
	Replaces int64          `json:"replaces"` // a value gets another
	Clears   int64          `json:"clears"`   // a value becomes blank
	Examples []Example      `json:"examples,omitempty"`
}

// Example is one write that would follow; at most MostExamples per field and
// side are given.
type Example struct {
	Contact contact.Key `json:"contact"`
	Before  string      `json:"before"`
	After   string      `json:"after"`
}

// MostExamples bounds the examples of a FieldTally.
const MostExamples = 5
