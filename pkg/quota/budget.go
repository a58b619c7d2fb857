// Package quota keeps the calls to one system of one tenant within that
// system's limits. It decides when a call may go out; it makes none.
//
// A client cannot be built without a Budget, so that nothing calls a system
// outside its limits.
package quota

import (
	"context"
	"time"
)

// Pool is a limit of its own within one system.
type Pool uint8

// The pools.
const (
	General Pool = iota // every call that has no limit of its own
	Search              // HubSpot's search: 5 a second per account, apart from the others
)

// Budget gives out calls. It is safe for concurrent use.
type Budget interface {
	// Take waits until one call of a pool may go out, at most until ctx ends.
	// The caller must call Done on the ticket when the answer (or its failure)
	// is in, exactly once.
	Take(ctx context.Context, pool Pool) (Ticket, error)
}

// Ticket is the permission for one call.
type Ticket interface {
	// Done reports what the answer told of the limits.
	Done(Answer)
}

// Answer is what one answer of a system told of its limits; zero members were
// not told.
type Answer struct {
	Throttled bool          // the call was refused for the limit (429)
	Wait      time.Duration // how long the system asked to wait
	Scope     string        // "", "daily" or "search": the limit that was hit
	// WindowMax and WindowLeft are HubSpot's X-HubSpot-RateLimit-Max and
	// -Remaining; HasWindow tells whether they were sent.
	HasWindow             bool
	WindowMax, WindowLeft int
	// DailyMax and DailyLeft are HubSpot's X-HubSpot-RateLimit-Daily and
	// -Daily-Remaining; HasDaily tells whether they were sent.
	HasDaily            bool
	DailyMax, DailyLeft int
}
