// Package mapping says what may be kept in step: the catalogue of built-in
// mappings as data, a tenant's set of mappings, and who may edit what.
//
// It is pure: no I/O and no clock. It knows neither system's wire forms.
package mapping

import (
	"lockstep.internal/pkg/contact"
)

// Category groups mappings for people and decides what they may edit.
type Category string

// The categories, as the catalogue names them; Custom is the user's own.
const (
	Locked            Category = "locked"
	Special           Category = "special"
	Open              Category = "open"
	AlowareCustom     Category = "aloware_custom"
	Compliance        Category = "compliance"
	MessagingActivity Category = "messaging_activity"
	CallActivity      Category = "call_activity"
	Tracking          Category = "call_message_tracking"
	Engagement        Category = "engagement_tracking"
	FirstActivity     Category = "first_activity_tracking"
	Custom            Category = "custom"
)

// Computed reports whether a category's values are computed from calls and
// texts instead of being read from Aloware's contact.
func (c Category) Computed() bool {
	switch c {
	case MessagingActivity, CallActivity, Tracking, Engagement, FirstActivity:
		return true
	}
	return false
}

// Mapping joins one Aloware field with one HubSpot property.
type Mapping struct {
	// Key names the mapping for ever; built-in ones have the catalogue's key.
	Key string `json:"key"`
	// Category of the catalogue, or Custom.
	Category Category `json:"category"`
	// Aloware and HubSpot are the property names as they are written there.
	Aloware string `json:"aloware"`
	HubSpot string `json:"hubspot"`
	// Type is the canonical type of the values.
	Type contact.Type `json:"type"`
	// Direction tells who may receive.
	Direction contact.Direction `json:"direction"`
	// IgnoreBlank keeps a cleared value on one side from clearing the other.
	IgnoreBlank bool `json:"ignore_blank,omitempty"`
	// Policy says what an edit may do to the other side; "" is Newest.
	Policy Policy `json:"policy,omitempty"`
	// Transforms are applied in their order.
	Transforms []Transform `json:"transforms,omitempty"`
	// Options pair the options of both sides; what is not in it is paired by
	// equal value, then by equal label.
	Options []Pair `json:"options,omitempty"`
	// Stopped is why the mapping is at rest ("" when it is not): the property
	// is missing, incompatible or read-only in the portal. It follows the
	// portal and is no part of a version (see Drift).
	Stopped string `json:"stopped,omitempty"`
	// Binding tells since when the mapping joins what it joins.
	Binding Binding `json:"binding,omitzero"`
}

// Binding dates what values are bound to: what was stored of a contact under
// another one says nothing of the properties of now. Of mappings that nobody
// ever edited it is zero.
type Binding struct {
	// Since are the versions since which the properties of HubSpot and of
	// Aloware, and the type, are these without a break.
	Since [2]int64 `json:"since,omitzero"`
	// Formed is the version since which transforms and options are these.
	Formed int64 `json:"formed,omitempty"`
	// Renewed counts how often HubSpot's property came back, and may have come
	// back blank. It follows the portal and is no part of a version.
	Renewed int64 `json:"renewed,omitempty"`
}

// Pair is one option of Aloware and its counterpart in HubSpot, by value.
type Pair struct {
	Aloware string `json:"aloware"`
	HubSpot string `json:"hubspot"`
}

// OwnerProperty is HubSpot's standard owner property.
const OwnerProperty = "hubspot_owner_id"

// Manual reports whether HubSpot's values arrive only when somebody presses
// "Sync with HubSpot": the contact owner on a custom text property.
func (m *Mapping) Manual() bool { return m.Key == "contact_owner" && m.HubSpot != OwnerProperty }

// Paired is the other side's option for one of a side, from the mapping's own
// pairs.
func (m *Mapping) Paired(side contact.System, value string) (string, bool) {
	for _, p := range m.Options {
		if side == contact.HubSpot && p.HubSpot == value {
			return p.Aloware, true
		}
		if side == contact.Aloware && p.Aloware == value {
			return p.HubSpot, true
		}
	}
	return "", false
}

// Property is the mapping's property name in a system.
func (m *Mapping) Property(s contact.System) string {
	if s == contact.HubSpot {
		return m.HubSpot
	}
	return m.Aloware
}

// Set is one version of a tenant's mappings. It is immutable once indexed.
type Set struct {
	Version  int64     `json:"version"`
	Mappings []Mapping `json:"mappings"`
	// Filter limits which contacts are kept in step; nil admits all.
	Filter *Filter `json:"filter,omitempty"`

	byKey      map[string]*Mapping
	byProperty [2]map[string]*Mapping
}

// Index prepares the lookups; it must be called once after the mappings are
// set and before the set is shared.
func (s *Set) Index() *Set {
	s.byKey = make(map[string]*Mapping, len(s.Mappings))
	s.byProperty = [2]map[string]*Mapping{{}, {}}
	for i := range s.Mappings {
		m := &s.Mappings[i]
		s.byKey[m.Key] = m
		for at, system := range contact.Systems {
			s.byProperty[at][m.Property(system)] = m
		}
	}
	return s
}

// ByKey finds a mapping by its key; nil when the set has none.
func (s *Set) ByKey(key string) *Mapping { return s.byKey[key] }

// AtRest is how many mappings the portal cannot serve as it is.
func (s *Set) AtRest() int {
	n := 0
	for i := range s.Mappings {
		if s.Mappings[i].Stopped != "" {
			n++
		}
	}
	return n
}

// ByProperty finds the mapping of a system's property; nil when it has none.
func (s *Set) ByProperty(system contact.System, property string) *Mapping {
	if system == contact.HubSpot {
		return s.byProperty[0][property]
	}
	return s.byProperty[1][property]
}

// Properties are the names of all mapped properties of a system, in the order
// of the set. Stopped mappings are left out.
func (s *Set) Properties(system contact.System) []string {
	names := make([]string, 0, len(s.Mappings))
	for i := range s.Mappings {
		if s.Mappings[i].Stopped == "" {
			names = append(names, s.Mappings[i].Property(system))
		}
	}
	return names
}
