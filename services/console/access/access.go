// Package access says who calls the console and what they may do there, by
// tenant and role.
//
// It promises that nothing is allowed for being unknown: a caller without a
// role for a tenant may not even learn that the tenant exists.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"lockstep.internal/pkg/contact"
)

// Role is what somebody may do; each role may do all that the lower ones may.
type Role uint8

// The roles, from low to high. The zero value may nothing.
const (
	Viewer        Role = 1 // look at everything of the tenant
	Agent         Role = 2 // sync one contact, pick statuses, settle conflicts
	Administrator Role = 3 // change mappings, lists and connections
	Operator      Role = 4 // start and stop syncs, replay, manage tenants and access
)

var roleNames = map[Role]string{Viewer: "viewer", Agent: "agent", Administrator: "administrator", Operator: "operator"}

// String is the role's name in configuration and API.
func (r Role) String() string {
	if name, ok := roleNames[r]; ok {
		return name
	}
	return "none"
}

// Caller is somebody, or some program, that was recognised.
type Caller struct {
	Name string
	// Everywhere is the role in every tenant and for the installation; 0 none.
	Everywhere Role
	// Tenants are the roles in single tenants.
	Tenants map[contact.Tenant]Role
}

// May reports whether the caller has a role in a tenant.
func (c Caller) May(tenant contact.Tenant, role Role) bool {
	return role > 0 && (c.Everywhere >= role || c.Tenants[tenant] >= role)
}

// ErrUnknown tells that a credential is nobody's.
var ErrUnknown = errors.New("the credential is not known; ask an operator for a new token")

// Guard recognises callers.
type Guard interface {
	// Bearer recognises the token of an API call; ErrUnknown where it is nobody's.
	Bearer(ctx context.Context, token string) (Caller, error)
}

// Token is a Guard that knows one token: the installation's own, for its
// operator's command line.
type Token string

// Bearer compares in constant time.
func (t Token) Bearer(_ context.Context, token string) (Caller, error) {
	want, got := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(token))
	if t == "" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return Caller{}, ErrUnknown
	}
	return Caller{Name: "operator", Everywhere: Operator}, nil
}

type callerKey struct{}

// With puts the caller into a context.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From is the caller of a context; one who may nothing where there is none.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
