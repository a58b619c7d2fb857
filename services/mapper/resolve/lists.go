package resolve

import (
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// Lists are the users and options of a tenant's two systems, by system and
// list name (see contact.Directory).
type Lists map[ListKey][]contact.DirectoryEntry

// ListKey names one list.
type ListKey struct {
	System contact.System
	List   string
}

// unresolved marks a user or option whose counterpart is not known yet; the
// text of its own system follows, so that it can be resolved later.
const unresolved = "unresolved:"

// Unresolved reports whether a stored value waits for a user or option list.
func Unresolved(value string) bool { return strings.HasPrefix(value, unresolved) }

// Shown is a stored value as people are told it: what waits for a list is the
// text of its own system.
func Shown(value string) string {
	if text, ok := strings.CutPrefix(value, unresolved); ok {
		_, value, _ = strings.Cut(text, ":")
	}
	return value
}

// canonical is rule 2: the canonical text of what a system said. A text that
// is no value of the type, or a user nobody knows, gives a refusal, and the
// text itself in a form that compares equal only to itself.
func (r *Rules) canonical(m *mapping.Mapping, side contact.System, text string) (string, *fault.Refusal) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", nil
	}
	if m.Type == contact.User || m.Type == contact.Option {
		if paired, ok := m.Paired(contact.Aloware, text); ok && side == contact.Aloware {
			return r.canonical(m, contact.HubSpot, paired)
		}
		entry, known, listed := r.lookup(m, side, func(e contact.DirectoryEntry) bool { return e.Value == text })
		if !known && m.Manual() && side == contact.HubSpot {
			entry, known, listed = r.named(text)
		}
		switch {
		case known && entry.Match != "":
			return entry.Match, nil
		case known:
			if match, ok := r.byLabel(m, side.Other(), entry.Label); ok && m.Type == contact.Option { // names are not matched
				return match, nil
			}
			return unresolved + side.String() + ":" + text, refusal("NO_COUNTERPART", "\""+entry.Label+"\" has no counterpart in "+side.Other().Name())
		case listed || m.Type == contact.User:
			return unresolved + side.String() + ":" + text, refusal("UNKNOWN_"+strings.ToUpper(m.Type.String()), "no "+m.Type.String()+" with this id is known in "+side.Name())
		case side == contact.Aloware && !r.offers(m, text):
			return unresolved + side.String() + ":" + text, refusal("UNKNOWN_OPTION", "\""+text+"\" of Aloware is no option of HubSpot; pair it in the option map")
		}
		return text, nil
	}
	value, err := contact.Canonical(m.Type, text, r.Region)
	if err != nil {
		return text, refusal("UNREADABLE_VALUE", "the value in "+side.Name()+" is no "+m.Type.String())
	}
	return value, nil
}

// offers reports whether HubSpot has an option, as far as its list is known.
func (r *Rules) offers(m *mapping.Mapping, value string) bool {
	_, known, listed := r.lookup(m, contact.HubSpot, func(e contact.DirectoryEntry) bool { return e.Match == value })
	return known || !listed
}

// native is the target's own value for a canonical one.
func (r *Rules) native(m *mapping.Mapping, target contact.System, value string) (string, *fault.Refusal) {
	if value == "" || m.Type != contact.User && m.Type != contact.Option {
		return value, nil
	}
	if Unresolved(value) {
		return "", refusal("NO_COUNTERPART", "the "+m.Type.String()+" has no counterpart in "+target.Name())
	}
	if target == contact.Aloware {
		for _, pair := range m.Options {
			if canonical, refused := r.canonical(m, contact.HubSpot, pair.HubSpot); refused == nil && canonical == value {
				return pair.Aloware, nil
			}
		}
	}
	entry, known, listed := r.lookup(m, target, func(e contact.DirectoryEntry) bool { return e.Match == value })
	if !known {
		entry, known, _ = r.lookup(m, target, func(e contact.DirectoryEntry) bool {
			return e.Match == "" && r.labelled(m, target.Other(), value, e.Label)
		})
	}
	switch {
	case known && !entry.Active && m.Type == contact.User:
		return "", refusal("INACTIVE_USER", value+" is deactivated in "+target.Name())
	case known && m.Manual() && target == contact.HubSpot:
		return entry.Match, nil // a text for people; ids mean nothing there
	case known:
		return entry.Value, nil
	case m.Type == contact.User:
		return "", refusal("NO_COUNTERPART", value+" is no user of "+target.Name())
	case listed:
		return "", refusal("UNKNOWN_OPTION", "\""+value+"\" is no option of "+target.Name())
	case target == contact.Aloware && m.Key == "contact_disposition_status" && !number(value):
		return "", refusal("UNKNOWN_OPTION", "the id of \""+value+"\" in Aloware is not known; pair the two in the option map")
	}
	return value, nil
}

// number reports whether a value is an id, as Aloware gives its dispositions.
func number(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' })
}

// named finds the HubSpot user whose e-mail, or whose name if only one has it,
// stands in a text.
func (r *Rules) named(text string) (found contact.DirectoryEntry, known, listed bool) {
	entries, listed := r.Lists[ListKey{contact.HubSpot, contact.UserList}]
	for _, e := range entries {
		switch {
		case e.Match != "" && strings.EqualFold(e.Match, text):
			return e, true, true
		case !strings.EqualFold(e.Label, text):
		case known:
			return contact.DirectoryEntry{}, false, true // two people of one name
		default:
			found, known = e, true
		}
	}
	return found, known, listed
}

// lookup finds an entry of the list that a mapping's property takes its values
// from; listed tells whether that list is known at all.
func (r *Rules) lookup(m *mapping.Mapping, side contact.System, fits func(contact.DirectoryEntry) bool) (entry contact.DirectoryEntry, known, listed bool) {
	name := contact.UserList
	if m.Type == contact.Option {
		name = contact.OptionList(m.Property(side))
	}
	entries, listed := r.Lists[ListKey{side, name}]
	for _, e := range entries {
		if fits(e) {
			return e, true, true
		}
	}
	return contact.DirectoryEntry{}, false, listed
}

// byLabel finds the canonical value of an option by its label.
func (r *Rules) byLabel(m *mapping.Mapping, side contact.System, label string) (string, bool) {
	entry, known, _ := r.lookup(m, side, func(e contact.DirectoryEntry) bool { return e.Match != "" && strings.EqualFold(e.Label, label) })
	return entry.Match, known
}

// labelled reports whether an option of a side has both a value and a label.
func (r *Rules) labelled(m *mapping.Mapping, side contact.System, value, label string) bool {
	match, known := r.byLabel(m, side, label)
	return known && match == value
}
