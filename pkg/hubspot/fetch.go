package hubspot

import (
	"context"
	"slices"

	"lockstep.internal/pkg/fault"
)

// mostHistories is how many contacts one read with history may ask for.
const mostHistories = 50

// fetch reads the contacts of the jobs that ask for it, with the history of
// each property. One that was just made holds nothing but what was written.
func (r *run) fetch(ctx context.Context, jobs []*job) {
	var reads []*job
	for _, j := range jobs {
		if j.open() && j.patch.Fetch != nil && j.id != "" && !j.made && !j.fetched {
			reads = append(reads, j)
		}
	}
	for chunk := range slices.Chunk(reads, mostHistories) {
		r.fetchChunk(ctx, chunk, true)
	}
}

func (r *run) fetchChunk(ctx context.Context, jobs []*job, history bool) {
	if r.halted(ctx, jobs) {
		return
	}
	var ids, names []string
	for _, j := range jobs {
		ids = appendNew(ids, j.id)
		for _, name := range j.patch.Fetch.Properties {
			names = append(names, name)
		}
	}
	names = withAlways(names)
	called(jobs)
	var past []string
	if history {
		past = names
	}
	results, a, err := r.c.read(ctx, ids, "", names, past)
	if err != nil {
		r.divideFetch(ctx, jobs, err, history)
		return
	}
	byID := map[string]record{}
	for _, result := range results {
		byID[string(result.ID)] = result
	}
	var passed []*job
	for _, j := range jobs {
		result, ok := byID[j.id]
		if !ok {
			passed = append(passed, j)
			continue
		}
		j.fetched = true
		j.reads = result.values(withAlways(j.patch.Fetch.Properties), r.c.app)
		j.appliedAt(result.modified(), a)
		j.absorbed(mergedInto(j.id, string(result.Properties[mergedName])))
	}
	for _, j := range passed {
		r.lookup(ctx, j)
	}
	for _, j := range passed {
		if j.open() {
			r.fetchChunk(ctx, []*job{j}, history)
		}
	}
}

// divideFetch reads again what one refused read did not give: by halves, and a
// single contact without its history.
func (r *run) divideFetch(ctx context.Context, jobs []*job, err error, history bool) {
	refused := refusedCall(err)
	switch {
	case !fault.Is(err, fault.Permanent) && !fault.Is(err, fault.Gone):
		r.fail(ctx, jobs, err)
	case refused != nil && refused.Status == 403:
		for _, j := range jobs {
			j.reject(&refused.Refusal)
		}
	case len(jobs) > 1:
		r.halves(ctx, jobs, func(ctx context.Context, half []*job) { r.fetchChunk(ctx, half, history) })
	case history:
		r.fetchChunk(ctx, jobs, false)
	case fault.Is(err, fault.Gone):
		r.lookup(ctx, jobs[0])
		r.fail(ctx, jobs, fault.New(fault.Refusal{Class: fault.Transient, Reason: "PASSED_OVER", Message: "HubSpot does not read a contact that exists"}))
	default:
		jobs[0].reject(&fault.As(err).Refusal)
	}
}
