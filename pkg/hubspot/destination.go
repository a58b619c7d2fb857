package hubspot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// mostInputs is HubSpot's bound on the inputs of one batch call.
const mostInputs = 100

// DestinationConfig is what a destination needs besides its client.
type DestinationConfig struct {
	// Tenant is part of the key by which a created contact is found again;
	// required.
	Tenant contact.Tenant
	// Region is the default for phone numbers without a country code; "" is US.
	Region string
	// Listed gives the ids of the portal's contacts that have one of some
	// canonical numbers and e-mails, where all of them were listed lately; else
	// complete is false. Patches that are Bulk are looked up there, as
	// HubSpot's search allows few calls. Nil always searches.
	Listed func(ctx context.Context, keys []string) (ids []string, complete bool, err error)
}

// Destination carries out patches in one portal. It is safe for concurrent
// use, but two calls of Deliver must not hold patches of the same contact.
type Destination struct {
	client *Client
	tenant contact.Tenant
	region string
	listed func(ctx context.Context, keys []string) (ids []string, complete bool, err error)

	mu     sync.Mutex // guards the rest
	recent recent
	search searchForm
	// keyless is until when the portal is taken to lack KeyProperty.
	keyless time.Time
}

// NewDestination makes a destination.
func NewDestination(c *Client, config DestinationConfig) *Destination {
	if config.Region == "" {
		config.Region = "US"
	}
	return &Destination{client: c, tenant: config.Tenant, region: config.Region, listed: config.Listed, recent: newRecent()}
}

// Batch is how many patches are worth handing over at once.
func (d *Destination) Batch() int { return mostInputs }

// Deliver carries out patches, in as few calls as it can: updates and reads of
// known contacts first, then what must be found or created. The answers have
// the order and length of the patches; a delivery without Err is final.
func (d *Destination) Deliver(ctx context.Context, patches []contact.Patch) []contact.Delivery {
	r := &run{d: d, c: d.client}
	var known, sought []*job
	for i := range patches {
		j := newJob(&patches[i])
		r.jobs = append(r.jobs, j)
		switch {
		case j.patch.Archive && j.id != "":
			r.archive(ctx, j)
		case j.id != "":
			known = append(known, j)
		case j.patch.Create != nil:
			sought = append(sought, j)
		default:
			j.reject(&fault.Refusal{Class: fault.Permanent, Reason: "NO_TARGET", Message: "the patch names no contact and no way to find one"})
		}
	}
	r.settle(ctx, known)
	for len(sought) > 0 {
		sought = r.seek(ctx, sought)
	}
	return r.deliveries()
}

// run is one call of Deliver.
type run struct {
	d    *Destination
	c    *Client
	jobs []*job
	halt error // no further call may be made in this run
	// searchHalt is that no further search may be made in this run.
	searchHalt error
}

// job is one patch under way.
type job struct {
	patch *contact.Patch
	id    string // in HubSpot; "" while unknown

	left  []contact.Property   // to write with the next call
	later [][]contact.Property // to write with calls after that, one group each

	made       bool
	fetched    bool
	final      contact.Result // when nothing more can be done; 0 otherwise
	refusal    *fault.Refusal
	refused    map[string]*fault.Refusal
	holds      map[string]contact.Value
	reads      []contact.Value // of a fetch
	candidates []string
	merged     []string
	applied    contact.Millis
	precision  contact.Millis
	clock      contact.Millis // HubSpot's, of the answer
	calls      int
	lookups    int
	stage      stageState
	err        error
}

// newJob begins a patch; a value that HubSpot cannot hold is refused here.
func newJob(p *contact.Patch) *job {
	j := &job{patch: p, id: p.TargetID}
	if p.Archive {
		return j
	}
	j.left = make([]contact.Property, 0, len(p.Properties))
	for _, property := range p.Properties {
		wire, err := Wire(property.Type, property.Value)
		if err != nil {
			refusal := fault.As(err).Refusal
			j.refuse(property.Name, &refusal)
			continue
		}
		property.Value = wire
		if j.has(property.Name) {
			j.left = without(j.left, property.Name)
		}
		j.left = append(j.left, property)
	}
	return j
}

// open reports whether more can be done for the job in this run.
func (j *job) open() bool { return j.err == nil && j.final == 0 }

// pending reports whether values are still to be written.
func (j *job) pending() bool { return j.open() && j.id != "" && (len(j.left) > 0 || len(j.later) > 0) }

func (j *job) reject(refusal *fault.Refusal) { j.final, j.refusal = contact.Rejected, refusal }

func (j *job) refuse(name string, refusal *fault.Refusal) {
	if j.refused == nil {
		j.refused = map[string]*fault.Refusal{}
	}
	j.refused[name] = refusal
}

// hold notes what the contact holds instead of a written value.
func (j *job) hold(value contact.Value) {
	if j.holds == nil {
		j.holds = map[string]contact.Value{}
	}
	j.holds[value.Name] = value
}

// has reports whether a property is still to be written with the next call.
func (j *job) has(name string) bool {
	for _, property := range j.left {
		if property.Name == name {
			return true
		}
	}
	return false
}

// drop takes a refused property out of what is to be written. It reports false
// when the property was not in it.
func (j *job) drop(name string, refusal *fault.Refusal) bool {
	if !j.has(name) {
		return false
	}
	j.refuse(name, refusal)
	j.left = without(j.left, name)
	for i := range j.later {
		j.later[i] = without(j.later[i], name)
	}
	return true
}

func without(properties []contact.Property, name string) []contact.Property {
	kept := make([]contact.Property, 0, len(properties))
	for _, property := range properties {
		if property.Name != name {
			kept = append(kept, property)
		}
	}
	return kept
}

// moved tells that the contact is known by another id now.
func (j *job) moved(id string) {
	if j.id != "" && j.id != id {
		j.merged = appendNew(j.merged, j.id)
	}
	j.id = id
}

// absorbed notes ids that lead to the contact.
func (j *job) absorbed(ids []string) {
	for _, id := range ids {
		if id != j.id {
			j.merged = appendNew(j.merged, id)
		}
	}
}

func appendNew(list []string, item string) []string {
	for _, known := range list {
		if known == item {
			return list
		}
	}
	return append(list, item)
}

// appliedAt notes when HubSpot carried the job out; without a time in the
// result the answer's own, which ticks in seconds.
func (j *job) appliedAt(at contact.Millis, a answer) {
	j.applied, j.precision, j.clock = at, 0, a.date
	if at == 0 {
		j.applied, j.precision = a.date, 999
	}
}

// fail leaves jobs to be tried again, or rejects them where that is of no use,
// and ends the run when no other call could do better.
func (r *run) fail(ctx context.Context, jobs []*job, err error) {
	f := fault.As(err)
	for _, j := range jobs {
		switch {
		case !j.open():
		case f.Class == fault.Permanent:
			refusal := f.Refusal
			j.reject(&refusal)
		default:
			j.err = err
		}
	}
	switch {
	case f.Class == fault.Throttled && f.Scope == "search":
		r.searchHalt = err
	case f.Class == fault.Throttled, f.Class == fault.Unauthorized,
		errors.Is(err, context.Canceled), ctx.Err() != nil:
		r.halt = err
	}
}

// halted fails jobs that no call can be made for any more.
func (r *run) halted(ctx context.Context, jobs []*job) bool {
	if r.halt == nil && ctx.Err() != nil {
		r.halt = fmt.Errorf("hubspot: %w", ctx.Err())
	}
	if r.halt != nil {
		r.fail(ctx, jobs, r.halt)
		return true
	}
	return false
}

// called counts one call for each job.
func called(jobs []*job) {
	for _, j := range jobs {
		j.calls++
	}
}

// settle writes and reads all jobs whose contact is known.
func (r *run) settle(ctx context.Context, jobs []*job) {
	r.update(ctx, jobs)
	r.mendStages(ctx, jobs)
	r.fetch(ctx, jobs)
}

// archive puts one contact into the recycle bin.
func (r *run) archive(ctx context.Context, j *job) {
	if r.halted(ctx, []*job{j}) {
		return
	}
	j.calls++
	a, err := r.c.do(ctx, request{
		method: http.MethodDelete, path: r.c.contacts("/" + url.PathEscape(j.id)), pattern: r.c.contacts("/{id}"),
	}, nil)
	switch {
	case err == nil:
		j.final = contact.Archived
		j.appliedAt(0, a)
	case fault.Is(err, fault.Gone):
		j.gone(err)
	case fault.Is(err, fault.Permanent):
		j.reject(&fault.As(err).Refusal)
	default:
		r.fail(ctx, []*job{j}, err)
	}
}

// gone ends a job whose contact does not exist any more.
func (j *job) gone(err error) {
	j.final = contact.Gone
	refusal := fault.As(err).Refusal
	refusal.Class = fault.Gone
	j.refusal = &refusal
}

// deliveries are the answers of the run.
func (r *run) deliveries() []contact.Delivery {
	answered := contact.Millis(r.c.now().UnixMilli())
	deliveries := make([]contact.Delivery, len(r.jobs))
	for i, j := range r.jobs {
		if j.err != nil {
			deliveries[i].Err = j.err
			deliveries[i].Outcome.Attempts = j.calls
			continue
		}
		deliveries[i].Outcome = j.outcome(answered)
	}
	return deliveries
}

func (j *job) outcome(answered contact.Millis) contact.Outcome {
	p := j.patch
	o := contact.Outcome{
		System: contact.HubSpot, Contact: p.Contact, Version: p.Version, TargetID: j.id, Result: j.final,
		AppliedAt: j.applied, Precision: j.precision, AnsweredAt: answered, ClockAt: j.clock,
		Refusal: j.refusal, Candidates: j.candidates, MergedIDs: j.merged, Attempts: j.calls,
		EditedAt: p.EditedAt, ReceivedAt: p.ReceivedAt,
		EventID: fmt.Sprintf("hubspot/%s/%d/%s", p.Contact, p.Version, rand.Text()),
	}
	if o.Result == 0 {
		switch {
		case j.made:
			o.Result = contact.Made
		case j.fetched:
			o.Result = contact.Fetched
		default:
			o.Result = contact.Written
		}
	}
	for _, property := range p.Properties {
		refusal := j.refused[property.Name]
		if refusal == nil && (o.Result == contact.Rejected || o.Result == contact.Gone || o.Result == contact.Conflict) {
			refusal = j.refusal
		}
		o.Properties = append(o.Properties, contact.PropertyOutcome{
			Name: property.Name, Version: property.Version, Value: property.Value, Refusal: refusal,
		})
	}
	o.Holds = append(o.Holds, j.reads...)
	for _, property := range p.Properties {
		if hold, ok := j.holds[property.Name]; ok && !j.fetched {
			o.Holds = append(o.Holds, hold)
		}
	}
	return o
}
