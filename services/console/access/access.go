// Package access says who calls the console and what they may do there, by
// tenant and role: people with sessions, programs with API tokens, and the
// audit of what they changed.
//
// It promises that nothing is allowed for being unknown: a caller without a
// role for a tenant may not even learn that the tenant exists. Nobody grants
// more than they have, and somebody can always operate the installation.
// Passwords and tokens are stored as hashes, and never logged or audited.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
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

// ParseRole reads a role's name.
func ParseRole(name string) (Role, error) {
	for role, known := range roleNames {
		if name == known {
			return role, nil
		}
	}
	return 0, &Error{"invalid", "role", fmt.Sprintf("%q is no role: want viewer, agent, administrator or operator", name)}
}

// Everywhere stands for all tenants and the installation among Roles.
const Everywhere = postgres.Everywhere

// Roles are somebody's roles by tenant.
type Roles map[contact.Tenant]Role

// Kind is what sort of caller somebody is.
type Kind string

// The kinds of callers. The zero value is nobody.
const (
	Human   Kind = "person"   // signed in by a browser
	Program Kind = "token"    // an API token
	Own     Kind = "operator" // the installation's own token
)

// Caller is somebody, or some program, that was recognised.
type Caller struct {
	// Name is the login of a person or the name of a token.
	Name string
	Kind Kind
	// ID is the person's or the token's; "" of the installation's own token.
	ID string
	// MustChange tells that this person may do nothing but change the password.
	// Such a caller has no roles.
	MustChange bool
	// Everywhere is the role in every tenant and for the installation; 0 none.
	Everywhere Role
	// Tenants are the roles in single tenants.
	Tenants map[contact.Tenant]Role
}

// May reports whether the caller has a role in a tenant.
func (c Caller) May(tenant contact.Tenant, role Role) bool {
	return role > 0 && (c.Everywhere >= role || c.Tenants[tenant] >= role)
}

// Roles are the caller's roles as one table.
func (c Caller) Roles() Roles {
	roles := make(Roles, len(c.Tenants)+1)
	for tenant, role := range c.Tenants {
		roles[tenant] = role
	}
	if c.Everywhere > 0 {
		roles[Everywhere] = c.Everywhere
	}
	return roles
}

// within is the caller with those roles only that another one has too.
func (c Caller) within(most Caller) Caller {
	tenants := make(map[contact.Tenant]Role)
	for tenant, role := range c.Tenants {
		if role = min(role, max(most.Everywhere, most.Tenants[tenant])); role > 0 {
			tenants[tenant] = role
		}
	}
	for tenant, role := range most.Tenants { // of a token for everywhere
		if role = min(role, c.Everywhere); role > tenants[tenant] {
			tenants[tenant] = role
		}
	}
	c.Everywhere, c.Tenants = min(c.Everywhere, most.Everywhere), tenants
	return c
}

// operates reports whether the caller manages access to a tenant.
func (c Caller) operates(tenant contact.Tenant) bool {
	if tenant == Everywhere {
		return c.Everywhere >= Operator
	}
	return c.May(tenant, Operator)
}

// manages reports whether the caller manages access to some tenant at least.
func (c Caller) manages() bool {
	for tenant := range c.Tenants {
		if c.operates(tenant) {
			return true
		}
	}
	return c.Everywhere >= Operator
}

// recognised is the caller with the roles that are stored.
func recognised(name string, kind Kind, id string, stored postgres.Roles) Caller {
	c := Caller{Name: name, Kind: kind, ID: id, Tenants: make(map[contact.Tenant]Role)}
	for tenant, rank := range stored {
		if tenant == Everywhere {
			c.Everywhere = Role(rank)
		} else {
			c.Tenants[tenant] = Role(rank)
		}
	}
	return c
}

// ErrUnknown tells that a credential is nobody's.
var ErrUnknown = errors.New("the credential is not known; ask an operator for a new token")

// Guard recognises callers by a token.
type Guard interface {
	// Bearer recognises a token; ErrUnknown where it is nobody's.
	Bearer(ctx context.Context, token string) (Caller, error)
}

// Token is the installation's own API token, for its operator's command line.
type Token string

// Bearer compares in constant time.
func (t Token) Bearer(_ context.Context, token string) (Caller, error) {
	want, got := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(token))
	if t == "" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return Caller{}, ErrUnknown
	}
	return Caller{Name: "operator", Kind: Own, Everywhere: Operator}, nil
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
