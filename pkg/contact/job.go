package contact

import "strings"

// Jobs that walk all contacts of a tenant name their events, so that it can be
// told by the event which job something came of.
const (
	jobPrefix     = "sync/"
	outcomePrefix = "outcome/"
)

// JobEvent is the id of an event of a job.
func JobEvent(job, id string) string { return jobPrefix + job + "/" + id }

// JobOf is the job whose event it is; "" for none.
func JobOf(eventID string) string {
	rest, ok := strings.CutPrefix(eventID, jobPrefix)
	if !ok {
		return ""
	}
	job, _, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return job
}

// JobOutcome is the id of an outcome that a job led to.
func JobOutcome(job, id string) string { return outcomePrefix + JobEvent(job, id) }

// JobBehind is the job that led to an event, directly or by an outcome; "" for
// none.
func JobBehind(eventID string) string { return JobOf(strings.TrimPrefix(eventID, outcomePrefix)) }
