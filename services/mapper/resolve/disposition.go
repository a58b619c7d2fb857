package resolve

import (
	"strings"

	"lockstep.internal/pkg/contact"
)

// SeenDisposition is a contact disposition that Aloware has of a contact, by
// its id, and that neither list nor option map resolves; Value is what HubSpot
// has of the same contact, "" where that is not known. The zero value is none.
type SeenDisposition struct{ ID, Value string }

// longestID and longestOption bound what is taken for an id of Aloware and for
// an option of HubSpot, in bytes.
const longestID, longestOption = 20, 500

// SeenDisposition is the contact's.
func (s *State) SeenDisposition() SeenDisposition {
	f := s.Fields["contact_disposition_status"]
	if f == nil {
		return SeenDisposition{}
	}
	ours, theirs := &f.Sides[index(contact.Aloware)], &f.Sides[index(contact.HubSpot)]
	id := strings.TrimPrefix(ours.Value, unresolved+contact.Aloware.String()+":")
	if !ours.Known || id == "" || len(id) > longestID || !number(id) {
		return SeenDisposition{}
	}
	seen := SeenDisposition{ID: id}
	if theirs.Known && !Unresolved(theirs.Value) && len(theirs.Value) <= longestOption {
		seen.Value = theirs.Value
	}
	return seen
}
