// Package tenant is what the services know of a tenant: its two connections,
// its mapping version in force, and how contacts are created and updated.
//
// It is pure. Secrets never print.
package tenant

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"lockstep.internal/pkg/contact"
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

// Secret is a credential. It prints, logs and encodes as "[secret]", "" as "".
type Secret string

// Reveal is the credential itself, for the call that needs it.
func (s Secret) Reveal() string { return string(s) }

// Fingerprint tells a credential from others without revealing it; "" for none.
func (s Secret) Fingerprint() string {
	if s == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// String hides the credential.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// Format hides the credential from every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText hides the credential.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// State is the state of a connection.
type State string

// The states of a connection.
const (
	Connected    State = "connected"
	Unauthorized State = "unauthorized" // the credentials were refused
	Disconnected State = "disconnected"
)

// Tenant is one Aloware account connected to one HubSpot portal.
type Tenant struct {
	ID       contact.Tenant
	Revision int64 // rises with each save; 0 for one that was not read
	Name     string
	Region   string // default region of phone numbers, "US"
	TimeZone string // IANA name, for dates of activity
	Active   bool
	Creation Flow
	Updates  Flow
	// Archive is where the counterpart of a contact that was deleted is put
	// away; FlowNone and "" keep it.
	Archive Flow
	// DefaultOwner (an e-mail) and DefaultLeadSource are given to contacts that
	// Lockstep creates and that have none; "" gives nothing.
	DefaultOwner, DefaultLeadSource string
	// BurstFloor is how many contacts a field may change within ten minutes
	// before a burst is held, whatever is usual; 0 holds nothing.
	BurstFloor int64

	HubSpot HubSpot
	Aloware Aloware
	Mapping mapping.Set
}

// UsualBurstFloor is the floor of a tenant that nobody decided about.
const UsualBurstFloor = 500

// Archives is where counterparts are archived in effect: a connection that
// reads Aloware's contacts by their numbers only cannot tell a deletion from a
// number that was changed.
func (t *Tenant) Archives() Flow {
	switch {
	case t.Aloware.Profile == "full":
		return t.Archive
	case t.Archive == FlowBoth || t.Archive == FlowToAloware:
		return FlowToAloware
	}
	return FlowNone
}

// HubSpot is the connection to a portal.
type HubSpot struct {
	BaseURL      string // "" is HubSpot's own
	PortalID     int64
	AppID        int64
	AccessToken  Secret // static token
	RefreshToken Secret // of OAuth; "" with a static token
	// Expires is the end of AccessToken; the zero time is never.
	Expires     time.Time
	WindowLimit int // calls in 10 s; 0 means 100
	DailyLimit  int // calls a day that may be used; 0 means no limit
	Ceiling     int // percent of the limits that Lockstep may use; 0 means all
	// TimeZone is the portal's, whose midnight ends a day; "" is UTC.
	TimeZone string
	State    State
}

// Credential is what calls to a system prove themselves with; two are the same
// only if nothing of them was renewed.
func (t *Tenant) Credential(system contact.System) Secret {
	if system == contact.HubSpot {
		return t.HubSpot.AccessToken + "/" + t.HubSpot.RefreshToken
	}
	return t.Aloware.Token + "/"
}

// Aloware is the connection to an account.
type Aloware struct {
	BaseURL         string // "" is Aloware's own
	Token           Secret
	Profile         string // "documented" or "full"
	WebhookAuth     string // "none", "basic" or "bearer"
	WebhookUser     string
	WebhookPassword Secret
	WebhookToken    Secret
	Rate            float64 // calls a second; 0 means 5
	Burst           int     // calls at once; 0 means 10
	Ceiling         int     // percent of the limits that Lockstep may use; 0 means all
	State           State
}

// App is an app in HubSpot, whose webhooks come for all its portals.
type App struct {
	AppID int64
	// BaseURL is where consents and tokens are asked for, with the secret; "" is
	// HubSpot's own.
	BaseURL      string
	ClientID     string
	ClientSecret Secret
	SignatureV1  bool // accept v1 where v3 is absent
}
