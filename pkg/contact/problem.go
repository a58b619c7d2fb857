package contact

// ProblemKind is what kind of problem keeps a contact from being in step.
type ProblemKind string

// The kinds of problem.
const (
	// ProblemRefused: a system refused a value, or the contact as a whole.
	ProblemRefused ProblemKind = "refused"
	// ProblemConflict: several contacts could be the counterpart; a person
	// must choose.
	ProblemConflict ProblemKind = "conflict"
	// ProblemReview: both sides differ, and a person must say which stands.
	ProblemReview ProblemKind = "review"
	// ProblemAbsent: there is no counterpart, and none may be created.
	ProblemAbsent ProblemKind = "absent"
	// ProblemRewritten: somebody else keeps rewriting a field, and it is left
	// alone.
	ProblemRewritten ProblemKind = "rewritten"
)
