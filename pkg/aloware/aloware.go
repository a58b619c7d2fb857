// Package aloware is everything that is known of Aloware: its HTTP API, the
// webhooks that it sends, what a connection can and cannot do, and its wire
// forms.
//
// It promises that a value which cannot be written is refused with a sentence
// for people instead of being tried for ever, that every call is taken from
// the connection's budget, and that the token never appears in an error, a log
// or a span. It never decides what should be written and keeps no state of a
// contact.
//
// The public API is small: one lookup by phone, one upsert by phone, one list
// of users. All else is an assumed shape that a real account may not answer;
// it is used with the profile Full only.
package aloware

import (
	"errors"
	"fmt"

	"lockstep.internal/pkg/fault"
)

// Profile says which of Aloware's functions a connection may use.
type Profile string

// The profiles.
const (
	// Documented is only what Aloware has published.
	Documented Profile = "documented"
	// Full adds reading by id, lists, and updating any field.
	Full Profile = "full"
)

// ParseProfile checks the name of a profile; "" is Documented.
func ParseProfile(text string) (Profile, error) {
	switch Profile(text) {
	case "", Documented:
		return Documented, nil
	case Full:
		return Full, nil
	}
	return "", fmt.Errorf("profile %q: want documented or full", text)
}

// The reasons of refusals that this package makes itself. They are stable.
const (
	NotCapable    = "NOT_CAPABLE"    // this connection has no way to do it
	HTMLAnswer    = "HTML_ANSWER"    // a web page where data was expected: most often a wrong token
	Malformed     = "MALFORMED"      // an answer that is cut short or has no contact in it
	InvalidValue  = "INVALID_VALUE"  // Aloware refuses the value
	InvalidOption = "INVALID_OPTION" // Aloware knows no such user or disposition
	InvalidPhone  = "INVALID_PHONE"  // Aloware refuses the number that names the contact
	PhoneTaken    = "PHONE_TAKEN"    // another contact in Aloware has the number
	PhoneRequired = "PHONE_REQUIRED" // Aloware creates no contact without a number
	PhoneChanged  = "PHONE_CHANGED"  // the contact is not to be found under its new number
	NotFound      = "NOT_FOUND"      // Aloware has no such contact
	Ambiguous     = "AMBIGUOUS"      // several contacts fit
	NoKey         = "NO_KEY"         // the patch says neither which contact nor how to find it
)

// ErrNotCapable marks what the connection's profile, or the account behind it,
// does not offer. Its class is Permanent.
var ErrNotCapable = errors.New("this Aloware connection cannot do this")

// failure is a classified answer; fields are Aloware's words per field.
type failure struct {
	fault  *fault.Fault
	fields map[string]string
}

func (f *failure) Error() string { return f.fault.Error() }

// Unwrap gives the fault, and ErrNotCapable where that is the reason.
func (f *failure) Unwrap() []error {
	if f.fault.Reason == NotCapable {
		return []error{f.fault, ErrNotCapable}
	}
	return []error{f.fault}
}

func fail(class fault.Class, status int, reason, message string) *failure {
	return &failure{fault: fault.New(fault.Refusal{Class: class, Reason: reason, Message: message, Status: status})}
}

func refusal(reason, message string) *fault.Refusal {
	return &fault.Refusal{Class: fault.Permanent, Reason: reason, Message: message}
}
