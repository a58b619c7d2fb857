package contact

import "strings"

// Jobs that walk all contacts of a tenant name their events, so that it can be
// told by the event which job something came of.
const (
	jobPrefix     = "sync/"
	outcomePrefix = "outcome/"
	bulkPrefix    = "bulk/"
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

// BulkOutcome is the id of an outcome of what came over a bulk stream and not of a
// job.
func BulkOutcome(id string) string { return outcomePrefix + bulkPrefix + id }

// Bulk reports whether an outcome is of what came over a bulk stream, so that
// what follows from it goes there too.
func Bulk(eventID string) bool {
	rest, ok := strings.CutPrefix(eventID, outcomePrefix)
	return ok && (strings.HasPrefix(rest, bulkPrefix) || JobOf(rest) != "")
}

// JobBehind is the job that led to an event, directly or by an outcome; "" for
// none.
func JobBehind(eventID string) string { return JobOf(strings.TrimPrefix(eventID, outcomePrefix)) }
