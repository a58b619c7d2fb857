package mapping

import "fmt"

// Rule is the stable word of a rule that refuses an edit.
type Rule string

// The rules.
const (
	RuleLocked       Rule = "locked"        // phone and e-mail are never edited
	RuleProperty     Rule = "property"      // the category keeps its HubSpot property
	RuleDirection    Rule = "direction"     // the category or the row does not allow the direction
	RuleRemove       Rule = "not_removable" // the category may not be removed
	RuleTaken        Rule = "taken"         // the property is in another mapping
	RuleIncompatible Rule = "incompatible"  // the types do not fit
	RuleReadOnly     Rule = "read_only"     // a property that takes no values can only be a source
	RuleReserved     Rule = "reserved"      // the property is Lockstep's or the system's own
	RuleUnknown      Rule = "unknown_property"
	RuleNotFound     Rule = "not_found" // no such mapping
	RuleExists       Rule = "exists"    // the built-in mapping is there already
	RuleOptions      Rule = "options"   // the option map is wrong
	RuleTransform    Rule = "transform" // the transform does not fit the mapping
	RulePolicy       Rule = "policy"    // the policy does not fit the mapping
	RuleFilter       Rule = "filter"    // the contact filter is wrong
	RuleInvalid      Rule = "invalid"   // the request itself is wrong
	RuleMissing      Rule = "missing"   // a mapping that must be there is not
)

// Refusal is an edit that a rule forbids. Key is the mapping it is about.
type Refusal struct {
	Rule    Rule
	Key     string
	Message string // what is wrong and what to do, for people
}

// Error is the message with the mapping before it.
func (r *Refusal) Error() string {
	if r.Key == "" {
		return r.Message
	}
	return r.Key + ": " + r.Message
}

// Refusal gives the parts that an API tells.
func (r *Refusal) Refusal() (rule, subject, message string) {
	return string(r.Rule), r.Key, r.Message
}

func refuse(rule Rule, key, format string, args ...any) *Refusal {
	return &Refusal{Rule: rule, Key: key, Message: fmt.Sprintf(format, args...)}
}
