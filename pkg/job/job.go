// Package job is what a job over all contacts of a tenant is: its kinds, its
// states, and what people may order. It is pure.
package job

import (
	"time"

	"lockstep.internal/pkg/contact"
)

// Topic is where ingest, which runs the jobs, takes Orders.
const Topic = "job"

// Kind is what a job does.
type Kind string

// The kinds.
const (
	// FirstSync reads all contacts of the named systems and keeps them in step.
	FirstSync Kind = "first_sync"
	// Reconcile reads all contacts again and repairs what was missed.
	Reconcile Kind = "reconcile"
	// Apply judges every known contact by the mapping in force.
	Apply Kind = "apply"
)

// State is where a job stands.
type State string

// The states. Queued and Running go on by themselves; Paused waits for a
// person; the others are final.
const (
	Queued    State = "queued"
	Running   State = "running"
	Paused    State = "paused"
	Cancelled State = "cancelled"
	Done      State = "done"
	Failed    State = "failed"
)

// Final reports whether nothing more will happen.
func (s State) Final() bool { return s == Cancelled || s == Done || s == Failed }

// Job is one job.
type Job struct {
	ID          int64            `json:"id"`
	Tenant      contact.Tenant   `json:"tenant"`
	Kind        Kind             `json:"kind"`
	Sides       []contact.System `json:"sides,omitempty"`  // that are read
	Fields      []string         `json:"fields,omitempty"` // of Apply: read anew, by mapping key
	State       State            `json:"state"`
	Cursor      string           `json:"cursor,omitempty"` // where it goes on
	Side        int              `json:"side"`             // place in Sides that is being read
	Total       int64            `json:"total"`            // contacts there are; 0 while not known
	Looked      int64            `json:"looked"`           // contacts so far
	Repaired    int64            `json:"repaired"`         // values that were found to be missed
	RequestedBy string           `json:"requested_by"`
	CreatedAt   time.Time        `json:"created_at"`
	StartedAt   time.Time        `json:"started_at"` // zero before
	EndedAt     time.Time        `json:"ended_at"`   // zero before
	Error       string           `json:"error,omitempty"`
}

// Rate is contacts a second so far; left is the time that the rest takes at
// that rate, 0 while it cannot be told.
func (j *Job) Rate(now time.Time) (rate float64, left time.Duration) {
	if !j.EndedAt.IsZero() {
		now = j.EndedAt
	}
	seconds := now.Sub(j.StartedAt).Seconds()
	if j.StartedAt.IsZero() || seconds <= 0 || j.Looked == 0 {
		return 0, 0
	}
	rate = float64(j.Looked) / seconds
	if j.Total > j.Looked && !j.State.Final() {
		left = time.Duration(float64(j.Total-j.Looked) / rate * float64(time.Second))
	}
	return rate, left
}

// Action is what somebody orders.
type Action string

// The actions.
const (
	Start  Action = "start"
	Pause  Action = "pause"
	Resume Action = "resume"
	Cancel Action = "cancel"
)

// Order is an action on a job. Start makes one of Job's Tenant, Kind, Sides,
// Fields and RequestedBy; the others name it by Tenant and ID.
type Order struct {
	Action Action `json:"action"`
	Job    Job    `json:"job"`
}
