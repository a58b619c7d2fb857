package contact

import (
	"crypto/sha256"
	"encoding/hex"
)

// RefKind is a way in which a contact is found.
type RefKind string

// The kinds of reference.
const (
	RefKey     RefKind = "key" // a former key, after two contacts were joined
	RefHubSpot RefKind = "hubspot"
	RefAloware RefKind = "aloware"
	RefPhone   RefKind = "phone"
	RefEmail   RefKind = "email"
	RefErased  RefKind = "erased" // hash of what a person who was forgotten was known by
)

// Ref is one thing that a contact is found by.
type Ref struct {
	Tenant Tenant
	Kind   RefKind
	Value  string
}

// IDRef refers to a contact by its id in a system.
func IDRef(tenant Tenant, system System, id string) Ref {
	if system == HubSpot {
		return Ref{tenant, RefHubSpot, id}
	}
	return Ref{tenant, RefAloware, id}
}

// KeyRef refers to a contact by its key.
func KeyRef(tenant Tenant, key Key) Ref { return Ref{tenant, RefKey, string(key)} }

// ErasedRef is a hash of an erased person's id. This one and the next three
// are all that remains of somebody.
func ErasedRef(tenant Tenant, system System, id string) Ref {
	return erasedRef(tenant, system.String(), id)
}

// ErasedKey is a hash of an erased person's key: answers of calls that were
// under way come under it.
func ErasedKey(tenant Tenant, key Key) Ref { return erasedRef(tenant, "key", string(key)) }

// ErasedMatch is a hash of an erased person's number or e-mail, canonical.
func ErasedMatch(tenant Tenant, value string) Ref { return erasedRef(tenant, "match", value) }

// ErasedSearch is a hash of a number under which an erased person was being
// looked for in Aloware, to be made there, at that very time.
func ErasedSearch(tenant Tenant, phone string) Ref { return erasedRef(tenant, "search", phone) }

func erasedRef(tenant Tenant, kind, value string) Ref {
	sum := sha256.Sum256([]byte(string(tenant) + "\x00" + kind + "\x00" + value))
	return Ref{Tenant: tenant, Kind: RefErased, Value: hex.EncodeToString(sum[:])}
}

// CommunicationID names one communication of a tenant.
type CommunicationID struct {
	Tenant Tenant
	ID     string
}
