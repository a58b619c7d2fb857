// Package fault gives the errors of the outside world their class, which is
// all that a caller needs to choose between waiting, retrying, giving up a
// value and stopping a connection.
//
// Adapters classify; the writer and ingest alone turn a class into a reaction.
// An error without a class is Transient: nothing is dropped for being unknown.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Class is the kind of reaction that an error asks for.
type Class uint8

// The classes.
const (
	// Transient: try again with backoff (5xx, connection cut before an answer
	// to a request that is safe to repeat).
	Transient Class = iota
	// Throttled: the system asks for a pause; see Fault.Wait.
	Throttled
	// Permanent: the same request will be refused again.
	Permanent
	// Unauthorized: the credentials are refused; refresh once, then stop.
	Unauthorized
	// Gone: the object does not exist (any more).
	Gone
	// Unknown: the request may or may not have been carried out.
	Unknown
)

// String is the class's name in metrics, SQL and events.
func (c Class) String() string {
	switch c {
	case Transient:
		return "transient"
	case Throttled:
		return "throttled"
	case Permanent:
		return "permanent"
	case Unauthorized:
		return "unauthorized"
	case Gone:
		return "gone"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// ParseClass is the inverse of String; an unknown text is Transient.
func ParseClass(text string) Class {
	for c := Transient; c <= Unknown; c++ {
		if c.String() == text {
			return c
		}
	}
	return Transient
}

// Refusal is a system's answer in its own words. It carries no contact data
// beyond what the system put into Message.
type Refusal struct {
	Class         Class
	Reason        string // stable: INVALID_OPTION, CONFLICT, or the status as text
	Message       string
	Status        int    // HTTP status; 0 without an answer
	CorrelationID string // for the system's support
}

// Fault is an error with its class.
type Fault struct {
	Refusal
	// Wait is how long the system asks to wait; 0 leaves it to the caller.
	Wait time.Duration
	// Scope is what a Throttled pause is about: "" the connection's window,
	// "daily", or "search".
	Scope string
	err   error
}

// New makes a fault out of a refusal.
func New(refusal Refusal) *Fault { return &Fault{Refusal: refusal} }

// Wrap gives an error a class; nil stays nil.
func Wrap(class Class, err error) error {
	if err == nil {
		return nil
	}
	return &Fault{Refusal: Refusal{Class: class, Reason: class.String(), Message: err.Error()}, err: err}
}

// Error says the class, the reason and the system's words.
func (f *Fault) Error() string {
	if f.err != nil {
		return fmt.Sprintf("%s: %v", f.Class, f.err)
	}
	if f.Status != 0 {
		return fmt.Sprintf("%s: %s (HTTP %d): %s", f.Class, f.Reason, f.Status, f.Message)
	}
	return fmt.Sprintf("%s: %s: %s", f.Class, f.Reason, f.Message)
}

// Unwrap is the error that was classified, if any.
func (f *Fault) Unwrap() error { return f.err }

// As finds the fault in an error's chain; an error without one is Transient.
func As(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Refusal: Refusal{Class: Transient, Reason: "transient", Message: err.Error()}, err: err}
}

// Is reports whether an error has a class.
func Is(err error, class Class) bool { return err != nil && As(err).Class == class }
