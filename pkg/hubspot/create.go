package hubspot

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// keylessTime is how long a portal is taken to lack KeyProperty.
const keylessTime = 10 * time.Minute

// key is the value of KeyProperty for a job.
func (d *Destination) key(j *job) string { return string(d.tenant) + "/" + string(j.patch.Contact) }

// creatable reports whether HubSpot would make a contact of what is left.
func (j *job) creatable() bool {
	for _, property := range j.left {
		switch property.Name {
		case emailName, firstName, lastName:
			if property.Value != "" {
				return true
			}
		}
	}
	return false
}

// create makes the contacts of the jobs that found none. With KeyProperty a
// repeated create finds what the first one made.
func (r *run) create(ctx context.Context, jobs []*job) {
	for round := 0; ; round++ {
		var open []*job
		for _, j := range jobs {
			if !j.open() || j.id != "" {
				continue
			}
			if !j.creatable() {
				refusal := &fault.Refusal{
					Class: fault.Permanent, Reason: "NO_NAME_OR_EMAIL",
					Message: "HubSpot makes no contact without an e-mail, a first name or a last name",
				}
				for _, name := range []string{emailName, firstName, lastName} {
					if j.refused[name] != nil {
						refusal = j.refused[name]
					}
				}
				j.reject(refusal)
				continue
			}
			open = append(open, j)
		}
		if len(open) == 0 {
			return
		}
		if r.halted(ctx, open) {
			return
		}
		if round >= mostRounds {
			r.fail(ctx, open, fault.New(fault.Refusal{Class: fault.Transient, Reason: "NO_PROGRESS", Message: "HubSpot's answers lead to no end"}))
			return
		}
		if r.d.keyed(r.c.now()) {
			r.upsertChunk(ctx, open)
		} else {
			r.createPlain(ctx, open)
		}
	}
}

func (d *Destination) keyed(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !now.Before(d.keyless)
}

// lacksKey reports whether a refusal is about KeyProperty not being usable in
// the portal, and remembers it.
func (r *run) lacksKey(body errorBody) bool {
	refusal := body.refusals(0)[KeyProperty]
	about := refusal != nil && refusal.Reason != "CONFLICTING_UNIQUE_VALUE"
	if refusal == nil && strings.Contains(string(body.Message), KeyProperty) && !strings.Contains(string(body.Message), "already") {
		about = true
	}
	if about {
		r.d.mu.Lock()
		r.d.keyless = r.c.now().Add(keylessTime)
		r.d.mu.Unlock()
	}
	return about
}

// firstValues are the values of a new contact; blanks clear nothing there.
func firstValues(properties []contact.Property) map[string]string {
	values := wireOf(properties)
	for name, value := range values {
		if value == "" {
			delete(values, name)
		}
	}
	return values
}

// upsertChunk makes contacts keyed by KeyProperty.
func (r *run) upsertChunk(ctx context.Context, jobs []*job) {
	if r.halted(ctx, jobs) || !r.d.keyed(r.c.now()) {
		return
	}
	var body writeBody
	for i, j := range jobs {
		body.Inputs = append(body.Inputs, writeInput{
			ID: r.d.key(j), IDProperty: KeyProperty, Trace: strconv.Itoa(i), Properties: firstValues(j.left),
		})
	}
	called(jobs)
	got, a, err := r.c.batch(ctx, "upsert", body, false)
	if err != nil {
		if refused := refusedCall(err); refused != nil && refused.Status < 500 && r.lacksKey(refused.body) {
			return
		}
		r.divide(ctx, jobs, err, r.upsertChunk, r.refuseCreate)
		return
	}
	open, stray := r.settleMade(ctx, jobs, got, a)
	switch {
	case len(open) == 0:
	case len(stray) == 0:
		r.readByKey(ctx, open)
	case len(open) == 1:
		r.refuseCreate(ctx, open[0], stray[0], 0)
	default:
		r.halves(ctx, open, r.upsertChunk)
	}
}

// createPlain makes contacts in a portal without KeyProperty. A contact whose
// last create had no answer waits until the search would show it.
func (r *run) createPlain(ctx context.Context, jobs []*job) {
	var ready []*job
	for _, j := range jobs {
		if wait := r.d.doubted(j, r.c.now()); wait > 0 && j.patch.Create.Email == "" {
			f := fault.New(fault.Refusal{Class: fault.Unknown, Reason: "CREATE_UNANSWERED", Message: "waiting until the search would show what was created"})
			f.Wait = wait
			r.fail(ctx, []*job{j}, f)
			continue
		}
		ready = append(ready, j)
	}
	if len(ready) > 0 {
		r.createChunk(ctx, ready)
	}
}

func (r *run) createChunk(ctx context.Context, jobs []*job) {
	if r.halted(ctx, jobs) {
		return
	}
	var body writeBody
	for i, j := range jobs {
		body.Inputs = append(body.Inputs, writeInput{Trace: strconv.Itoa(i), Properties: firstValues(j.left)})
	}
	called(jobs)
	got, a, err := r.c.batch(ctx, "create", body, true)
	if err != nil {
		refused := refusedCall(err)
		if fault.Is(err, fault.Unknown) || refused != nil && refused.Status >= 500 {
			// The call was sent; a 5xx or 524 does not say that nothing was
			// made either.
			r.d.doubt(jobs, r.c.now())
			if refused != nil {
				refused.Class = fault.Unknown
			}
		}
		r.divide(ctx, jobs, err, r.createChunk, r.refuseCreate)
		return
	}
	open, stray := r.settleMade(ctx, jobs, got, a)
	switch {
	case len(open) == 0:
	case len(open) == 1 && len(stray) > 0:
		r.refuseCreate(ctx, open[0], stray[0], 0)
	default:
		r.d.doubt(open, r.c.now())
		r.fail(ctx, open, fault.New(fault.Refusal{Class: fault.Unknown, Reason: "PASSED_OVER", Message: "HubSpot's answer does not say which contacts were created"}))
	}
}

// settleMade hands the results of a create or upsert to their jobs. HubSpot may
// leave the trace out of results; then our key, the e-mail or the number tells.
func (r *run) settleMade(ctx context.Context, jobs []*job, got batchAnswer, a answer) (open []*job, stray []errorBody) {
	for i := range got.Results {
		result := &got.Results[i]
		if result.Trace != "" {
			continue
		}
		for n, j := range jobs {
			if j.id == "" && r.madeFor(j, result) {
				result.Trace = text(strconv.Itoa(n))
				break
			}
		}
	}
	return r.attribute(ctx, jobs, got, nil, func(j *job, result record) { r.acceptMade(ctx, j, result, a) }, r.refuseCreate)
}

func (r *run) madeFor(j *job, result *record) bool {
	if key := result.Properties[KeyProperty]; key != "" {
		return string(key) == r.d.key(j)
	}
	for _, name := range []string{emailName, phoneName, mobileName} {
		if held := string(result.Properties[name]); held != "" {
			property, ok := j.wanted(name)
			return ok && same(property.Type, held, property.Value, r.d.region)
		}
	}
	return false
}

// acceptMade notes a contact that was created, or that our key led to.
func (r *run) acceptMade(ctx context.Context, j *job, result record, a answer) {
	if result.ID == "" {
		r.fail(ctx, []*job{j}, fault.New(fault.Refusal{Class: fault.Transient, Reason: "PASSED_OVER", Message: "HubSpot's answer names no contact"}))
		return
	}
	j.id = string(result.ID)
	j.made = result.New == nil || *result.New
	var blanks []contact.Property
	for _, property := range j.left {
		if property.Value == "" {
			blanks = append(blanks, property)
		}
	}
	r.accept(j, result, a)
	if !j.made && len(blanks) > 0 {
		j.later = append(j.later, blanks)
	}
	r.d.remember(j, r.c.now())
}

// readByKey learns what became of contacts that an accepted upsert does not
// tell of.
func (r *run) readByKey(ctx context.Context, jobs []*job) {
	if r.halted(ctx, jobs) {
		return
	}
	var keys []string
	byKey := map[string]*job{}
	for _, j := range jobs {
		keys = append(keys, r.d.key(j))
		byKey[r.d.key(j)] = j
	}
	called(jobs)
	results, a, err := r.c.read(ctx, keys, KeyProperty, append(slices.Clone(matchNames), KeyProperty), nil)
	if err != nil && !fault.Is(err, fault.Gone) {
		r.fail(ctx, jobs, err)
		return
	}
	for _, result := range results {
		if j := byKey[string(result.Properties[KeyProperty])]; j != nil && j.id == "" {
			r.acceptMade(ctx, j, result, a)
		}
	}
	for _, j := range jobs {
		if j.open() && j.id == "" {
			r.fail(ctx, []*job{j}, fault.New(fault.Refusal{Class: fault.Transient, Reason: "PASSED_OVER", Message: "HubSpot answered an upsert without a result"}))
		}
	}
}

// refuseCreate reacts to a refused create: an existing contact is taken for
// found, a refused property is left out, and where nothing is named the
// contact is made of its name and e-mail first.
func (r *run) refuseCreate(ctx context.Context, j *job, body errorBody, status int) {
	refusals := body.refusals(status)
	if refusal := refusals[KeyProperty]; refusal != nil && refusal.Reason == "CONFLICTING_UNIQUE_VALUE" {
		r.readByKey(ctx, []*job{j})
		return
	}
	if r.d.keyed(r.c.now()) && r.lacksKey(body) {
		return
	}
	if body.conflict() {
		r.takeExisting(ctx, j, body, status)
		return
	}
	if r.dropRefused(j, body, status) {
		return
	}
	if status == 0 && !settled(body) {
		r.fail(ctx, []*job{j}, fault.New(*body.refusal(fault.Transient, 0)))
		return
	}
	var identity, rest []contact.Property
	for _, property := range j.left {
		switch property.Name {
		case emailName, firstName, lastName:
			identity = append(identity, property)
		default:
			rest = append(rest, property)
		}
	}
	// A value that is required and missing is not cured by sending less.
	if len(rest) > 0 && len(refusals) == 0 {
		j.left, j.later = identity, append([][]contact.Property{rest}, j.later...)
		return
	}
	refusal := body.refusal(fault.Permanent, status)
	for _, named := range refusals {
		refusal = named
	}
	j.reject(refusal)
}

// takeExisting goes on with the contact that a conflict is about.
func (r *run) takeExisting(ctx context.Context, j *job, body errorBody, status int) {
	if id := body.existing(); isID(id) {
		j.id = id
		return
	}
	property, ok := j.wanted(emailName)
	if !ok || property.Value == "" || r.halted(ctx, []*job{j}) {
		if j.open() {
			j.reject(body.refusal(fault.Permanent, status))
		}
		return
	}
	j.calls++
	results, _, err := r.c.read(ctx, []string{property.Value}, emailName, matchNames, nil)
	switch {
	case err != nil && !fault.Is(err, fault.Gone) && !fault.Is(err, fault.Permanent):
		r.fail(ctx, []*job{j}, err)
	case len(results) == 1 && results[0].ID != "":
		j.id = string(results[0].ID)
	default:
		j.reject(body.refusal(fault.Permanent, status))
	}
}
