// Package contact is the vocabulary that all services share: tenants, the two
// systems, what one of them says (Change), what must be written (Patch), what
// came of it (Outcome), and values in canonical form.
//
// It is pure: no I/O, no clock, no knowledge of a vendor's wire form, of NATS,
// protobuf or SQL. Times are milliseconds since 1970 UTC (Millis), because
// that is the finest time that either system tells.
package contact

import (
	"fmt"
	"regexp"
)

// Tenant names one tenant: one Aloware account connected to one HubSpot portal.
type Tenant string

var tenantPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ParseTenant checks that a text can be a tenant: 1 to 63 of a-z, 0-9, "-" and
// "_", beginning with a letter or digit, so that it fits into a subject.
func ParseTenant(text string) (Tenant, error) {
	if !tenantPattern.MatchString(text) {
		return "", fmt.Errorf("tenant %q: use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit", text)
	}
	return Tenant(text), nil
}

// System is one of the two systems.
type System uint8

// The two systems. The zero value is no system.
const (
	HubSpot System = 1
	Aloware System = 2
)

// Systems are the two systems in the order in which state is kept.
var Systems = [2]System{HubSpot, Aloware}

// String is the system's name in subjects, SQL, metrics and URLs.
func (s System) String() string {
	switch s {
	case HubSpot:
		return "hubspot"
	case Aloware:
		return "aloware"
	}
	return "none"
}

// Name is what people call the system.
func (s System) Name() string {
	switch s {
	case HubSpot:
		return "HubSpot"
	case Aloware:
		return "Aloware"
	}
	return "none"
}

// ParseSystem is the inverse of String.
func ParseSystem(text string) (System, error) {
	switch text {
	case "hubspot":
		return HubSpot, nil
	case "aloware":
		return Aloware, nil
	}
	return 0, fmt.Errorf("system %q: want hubspot or aloware", text)
}

// Other is the system on the other side.
func (s System) Other() System {
	if s == HubSpot {
		return Aloware
	}
	return HubSpot
}

// Key is Lockstep's own name of a contact within a tenant. It is made from the
// first id under which the contact was seen ("hubspot:501") and never changes,
// whatever is linked, merged or deleted later.
type Key string

// NewKey makes the key of a contact first seen in a system.
func NewKey(s System, id string) Key { return Key(s.String() + ":" + id) }

// Millis is a time in milliseconds since 1970 UTC; 0 is no time.
type Millis int64

// Direction tells which sides a mapping may write to. It names the receiver.
type Direction uint8

// The directions. The zero value is invalid.
const (
	Both      Direction = 1
	ToAloware Direction = 2
	ToHubSpot Direction = 3
)

// String is the direction as written in configuration, API and catalogue.
func (d Direction) String() string {
	switch d {
	case Both:
		return "both"
	case ToAloware:
		return "to_aloware"
	case ToHubSpot:
		return "to_hubspot"
	}
	return "none"
}

// ParseDirection is the inverse of String.
func ParseDirection(text string) (Direction, error) {
	switch text {
	case "both":
		return Both, nil
	case "to_aloware":
		return ToAloware, nil
	case "to_hubspot":
		return ToHubSpot, nil
	}
	return 0, fmt.Errorf("direction %q: want both, to_aloware or to_hubspot", text)
}

// Into reports whether the direction lets values flow into a system.
func (d Direction) Into(s System) bool {
	return d == Both || d == ToAloware && s == Aloware || d == ToHubSpot && s == HubSpot
}

// From reports whether an edit made in a system may flow to the other.
func (d Direction) From(s System) bool { return d.Into(s.Other()) }
