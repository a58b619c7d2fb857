package hubspot

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// mostRounds ends a job whose writes come to no end; a sound answer takes at
// least one property or half of the rest away.
const mostRounds = 128

// writeBody is the body of a batch create, update or upsert.
type writeBody struct {
	Inputs []writeInput `json:"inputs"`
}

type writeInput struct {
	ID         string            `json:"id,omitempty"`
	IDProperty string            `json:"idProperty,omitempty"`
	Trace      string            `json:"objectWriteTraceId"`
	Properties map[string]string `json:"properties"`
}

func wireOf(properties []contact.Property) map[string]string {
	values := make(map[string]string, len(properties))
	for _, property := range properties {
		values[property.Name] = property.Value
	}
	return values
}

// update writes what the jobs have left, until each is written, refused or
// failed. A contact appears once in a call: jobs of the same contact follow
// each other.
func (r *run) update(ctx context.Context, jobs []*job) {
	for round := 0; ; round++ {
		var wave []*job
		taken := map[string]bool{}
		for _, j := range jobs {
			for j.open() && len(j.left) == 0 && len(j.later) > 0 {
				j.left, j.later = j.later[0], j.later[1:]
			}
			if !j.pending() || taken[j.id] {
				continue
			}
			taken[j.id] = true
			wave = append(wave, j)
		}
		if len(wave) == 0 || r.halted(ctx, wave) {
			if len(wave) == 0 {
				return
			}
			continue
		}
		if round >= mostRounds {
			r.fail(ctx, wave, fault.New(fault.Refusal{Class: fault.Transient, Reason: "NO_PROGRESS", Message: "HubSpot's answers lead to no end"}))
			continue
		}
		for chunk := range slices.Chunk(wave, mostInputs) {
			r.updateChunk(ctx, chunk)
		}
	}
}

// updateChunk makes one batch update.
func (r *run) updateChunk(ctx context.Context, jobs []*job) {
	if r.halted(ctx, jobs) {
		return
	}
	var body writeBody
	for i, j := range jobs {
		body.Inputs = append(body.Inputs, writeInput{ID: j.id, Trace: strconv.Itoa(i), Properties: wireOf(j.left)})
	}
	called(jobs)
	got, a, err := r.c.batch(ctx, "update", body, false)
	if err != nil {
		r.divide(ctx, jobs, err, r.updateChunk, r.refuseUpdate)
		return
	}
	byID := make(map[string]*job, len(jobs))
	for _, j := range jobs {
		byID[j.id] = j
	}
	open, stray := r.attribute(ctx, jobs, got, byID, func(j *job, result record) { r.accept(j, result, a) }, r.refuseUpdate)
	switch {
	case len(open) == 0:
	case len(stray) == 0:
		// A merged-away id is left out without a word.
		for _, j := range open {
			r.lookup(ctx, j)
		}
	case len(open) == 1:
		r.refuseUpdate(ctx, open[0], stray[0], 0)
	default:
		r.halves(ctx, open, r.updateChunk)
	}
}

// attribute hands every result and every error of a batch answer to its job.
// It returns the jobs that the answer is silent on, and the errors that name
// none.
func (r *run) attribute(
	ctx context.Context, jobs []*job, got batchAnswer, byID map[string]*job,
	accept func(*job, record), refuse func(context.Context, *job, errorBody, int),
) (open []*job, stray []errorBody) {
	answered := make(map[*job]bool, len(jobs))
	traced := func(trace string) *job {
		if i, err := strconv.Atoi(trace); err == nil && i >= 0 && i < len(jobs) {
			return jobs[i]
		}
		return nil
	}
	for _, result := range got.Results {
		j := traced(string(result.Trace))
		if j == nil {
			j = byID[string(result.ID)]
		}
		if j != nil && !answered[j] {
			answered[j] = true
			accept(j, result)
		}
	}
	for _, entry := range got.Errors {
		var about []*job
		for _, trace := range entry.Context["objectWriteTraceId"] {
			if j := traced(trace); j != nil {
				about = append(about, j)
			}
		}
		if len(about) == 0 {
			for _, id := range append(slices.Clone(entry.Context["ids"]), append(slices.Clone(entry.Context["id"]), string(entry.ID))...) {
				if j := byID[id]; j != nil {
					about = append(about, j)
				}
			}
		}
		if len(about) == 0 {
			stray = append(stray, entry)
		}
		for _, j := range about {
			if !answered[j] {
				answered[j] = true
				refuse(ctx, j, entry, 0)
			}
		}
	}
	for _, j := range jobs {
		if !answered[j] {
			open = append(open, j)
		}
	}
	return open, stray
}

// divide reacts to a refused batch call: one job bears the refusal, of several
// the faulty one is sought by halves.
func (r *run) divide(ctx context.Context, jobs []*job, err error, again func(context.Context, []*job), refuse func(context.Context, *job, errorBody, int)) {
	refused := refusedCall(err)
	if refused == nil || refused.Class != fault.Permanent && refused.Class != fault.Gone {
		r.fail(ctx, jobs, err)
		return
	}
	switch refused.Status {
	case 400, 404, 409, 422:
	default:
		for _, j := range jobs {
			j.reject(&refused.Refusal)
		}
		return
	}
	if len(jobs) == 1 {
		refuse(ctx, jobs[0], refused.body, refused.Status)
		return
	}
	// A property that no contact can be given is taken out of all at once.
	progress := false
	for name, refusal := range refused.body.refusals(refused.Status) {
		if refusal.Reason != "PROPERTY_DOESNT_EXIST" && refusal.Reason != "READ_ONLY_VALUE" {
			continue
		}
		for _, j := range jobs {
			progress = j.drop(name, refusal) || progress
		}
	}
	if !progress {
		r.halves(ctx, jobs, again)
	}
}

func (r *run) halves(ctx context.Context, jobs []*job, again func(context.Context, []*job)) {
	again(ctx, jobs[:len(jobs)/2])
	again(ctx, jobs[len(jobs)/2:])
}

// accept notes an accepted write, and what the answer contradicts of it.
func (r *run) accept(j *job, result record, a answer) {
	if result.ID != "" && string(result.ID) != j.id {
		j.moved(string(result.ID))
	}
	j.appliedAt(result.modified(), a)
	for _, property := range j.left {
		held, told := result.Properties[property.Name]
		if property.Name == stageName && property.Value != "" && (!told || string(held) != property.Value) {
			j.stage.doubt, j.stage.at = true, a.date
		}
		if !told || same(property.Type, string(held), property.Value, r.d.region) {
			delete(j.holds, property.Name)
			continue
		}
		j.hold(contact.Value{Name: property.Name, Text: string(held)})
	}
	j.left = nil
}

var triggers = regexp.MustCompile(`rule based on \[([^\]]*)\]`)

// refuseUpdate takes what HubSpot refused out of an update. Where the refusal
// names no property of it, halves of the properties are tried on their own.
// status is 0 for an entry of a batch answer.
func (r *run) refuseUpdate(ctx context.Context, j *job, body errorBody, status int) {
	if body.missing() || status == 404 {
		r.lookup(ctx, j)
		return
	}
	if r.dropRefused(j, body, status) {
		return
	}
	if status == 0 && !settled(body) {
		r.fail(ctx, []*job{j}, fault.New(*body.refusal(fault.Transient, 0)))
		return
	}
	if len(j.left) == 1 {
		j.drop(j.left[0].Name, body.refusal(fault.Permanent, status))
		return
	}
	half := len(j.left) / 2
	j.left, j.later = j.left[:half:half], append([][]contact.Property{j.left[half:]}, j.later...)
}

// settled reports whether an entry's category says that repeating is of no use.
func settled(body errorBody) bool {
	switch body.Category {
	case "VALIDATION_ERROR", "BAD_REQUEST", "CONFLICT", "OBJECT_ALREADY_EXISTS", "MISSING_SCOPES", "":
		return true
	}
	return false
}

// dropRefused takes the properties that a refusal names out of a job; false
// when it names none of them.
func (r *run) dropRefused(j *job, body errorBody, status int) bool {
	progress := false
	refusals := body.refusals(status)
	for _, name := range slices.Sorted(maps.Keys(refusals)) {
		refusal := refusals[name]
		if j.drop(name, refusal) {
			progress = true
			continue
		}
		// A rule can ask for a property that is not written at all; then the
		// value that triggers the rule is what cannot be written.
		if found := triggers.FindStringSubmatch(refusal.Message); found != nil {
			for _, trigger := range strings.Split(found[1], ",") {
				progress = j.drop(strings.TrimSpace(trigger), refusal) || progress
			}
		}
	}
	if progress {
		return true
	}
	message := strings.ToLower(string(body.Message))
	switch {
	case body.conflict():
		return j.drop(emailName, body.refusal(fault.Permanent, status))
	case strings.Contains(message, "not a valid email") || strings.Contains(message, "email address") && strings.Contains(message, "invalid"):
		refusal := body.refusal(fault.Permanent, status)
		refusal.Reason = "INVALID_EMAIL"
		return j.drop(emailName, refusal)
	}
	return false
}

// lookup learns what became of a contact that an update passed over: merged
// into another, gone, or there after all.
func (r *run) lookup(ctx context.Context, j *job) {
	if r.halted(ctx, []*job{j}) {
		return
	}
	j.calls++
	j.lookups++
	found, err := r.c.contact(ctx, j.id, mergedName)
	switch {
	case fault.Is(err, fault.Gone):
		j.gone(err)
	case fault.Is(err, fault.Permanent):
		j.reject(&fault.As(err).Refusal)
	case err != nil:
		r.fail(ctx, []*job{j}, err)
	case found.ID == "" || string(found.ID) == j.id && j.lookups > 2 || j.lookups > 8:
		r.fail(ctx, []*job{j}, fault.New(fault.Refusal{Class: fault.Transient, Reason: "PASSED_OVER", Message: "HubSpot answered without a result for an existing contact"}))
	default:
		j.moved(string(found.ID))
		j.absorbed(mergedInto(j.id, string(found.Properties[mergedName])))
	}
}
