package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// State is what is stored of one contact. The zero value is a contact of which
// nothing is known.
type State struct {
	Version  contact.Version
	Sides    [2]Side // in the order of contact.Systems
	Fields   map[string]*Field
	Seen     []uint64 // hashes of judged event ids, oldest first
	Activity *Activity
	Outside  bool // the tenant's filter leaves the contact out
}

// Side is what is known of the contact in one system.
type Side struct {
	ID      string   // "" while unlinked
	Aliases []string // ids that lead to ID after merges
	Read    bool     // the whole contact was read once
	Gone    bool     // deleted there
	// Creating and Fetching are the versions of an outstanding find-or-create
	// and of an outstanding read; 0 for none.
	Creating, Fetching contact.Version
	// Doubt is the time, by our clock, from which a read tells for sure what
	// the side holds; 0 while there is no doubt.
	Doubt         contact.Millis
	Refused       *fault.Refusal // why the contact cannot be there
	Candidates    []string       // to choose from, in a conflict
	Phone, Mobile string         // match keys that this side holds, E.164
	Email         string
	Sought        string // match keys of the last find-or-create
	// Pull is when somebody asked for a sync of this contact, by our clock,
	// that no read has answered yet; 0 for none.
	Pull  contact.Millis
	Apart []string // ids there of which a person said that they are somebody else
	// Leaving is the time, by our clock, from which an answer that the contact is
	// gone lets the other side's be archived; 0 where nothing is to be archived.
	// Left tells that such an answer came.
	Leaving contact.Millis
	Left    bool
	// Archiving is the version of an outstanding archiving of this side's
	// contact; 0 for none.
	Archiving contact.Version
	// Made is when a job had the contact made, by the side's clock; 0 where none
	// had.
	Made contact.Millis
}

// cameWith reports whether a change came with a contact that a job had made: what
// a system sets by itself then is part of the job.
func (s *Side) cameWith(c *contact.Change) bool {
	const together contact.Millis = 2000
	return s.Made != 0 && c.Event == contact.Changed && !slices.ContainsFunc(c.Values, func(v contact.Value) bool {
		at := v.OccurredAt
		if at == 0 {
			at = c.OccurredAt
		}
		return at > s.Made+together && v.Origin != contact.Ours
	})
}

// Linked reports whether the contact exists in the system and is not deleted.
func (s *Side) Linked() bool { return s.ID != "" && !s.Gone }

// ambiguous reports whether the contact that is linked was looked for by what it
// is found by, and others were found as well.
func (s *Side) ambiguous() bool { return s.ID != "" && slices.Contains(s.Candidates, s.ID) }

// Field is what is known of one mapped field.
type Field struct {
	// Edits are the newest intent of each side. The later one of those that
	// may flow is the desired value; that of the target of a one-way field is
	// its own affair, left alone until the source changes later.
	Edits [2]Edit
	// Former are what those replaced, each on its side: it counts again where the
	// newer one turns out to be a write of ours.
	Former [2]Edit
	// Guessed are the sides whose system did not tell who made the newest edit.
	Guessed [2]bool
	Sides   [2]FieldSide
	// Asked tells that a difference waits for a person, under the policy
	// review; Approved is the edit that a person approved last.
	Asked    bool
	Approved Edit
	// Held is the desired edit while it waits for the answer about a burst; nil
	// for none. LetBe is an edit of which somebody said that the other side keeps
	// what it has, and Undone one by which a side got its former value back.
	Held          *Held
	LetBe, Undone Edit
	// Counted is the time of the last edit that counted as a change of the field.
	Counted contact.Millis
	// Binding is the mapping's of which all this is known.
	Binding mapping.Binding
	// Tug is what is known of somebody else who keeps rewriting the field; nil
	// while nobody does.
	Tug *Tug
}

// Edit is a value that somebody meant.
type Edit struct {
	Value string
	At    contact.Millis
	Side  contact.System // 0: no edit
}

// later reports whether an edit comes after another; HubSpot wins ties.
func (e Edit) later(other Edit) bool {
	switch {
	case e.Side == 0:
		return false
	case other.Side == 0:
		return true
	case e.At != other.At:
		return e.At > other.At
	default:
		return e.Side == contact.HubSpot || other.Side == contact.Aloware
	}
}

// index is a system's place in pairs.
func index(s contact.System) int {
	if s == contact.HubSpot {
		return 0
	}
	return 1
}

// Side gives what is known of a system.
func (s *State) Side(system contact.System) *Side { return &s.Sides[index(system)] }
