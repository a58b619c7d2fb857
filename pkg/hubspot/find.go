package hubspot

import (
	"context"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// matchNames are the properties by which a contact is recognised.
var matchNames = []string{emailName, phoneName, mobileName, furtherEmails, mergedName}

// seek finds the contacts of jobs without an id, creates what may be created,
// and carries the patches out. Jobs that share a number or an e-mail with an
// earlier one are returned, to be sought when that one is done.
func (r *run) seek(ctx context.Context, jobs []*job) (deferred []*job) {
	var wave []*job
	taken := map[string]bool{}
	for _, j := range jobs {
		keys := j.matchKeys()
		if len(wave) == mostInputs || slices.ContainsFunc(keys, func(key string) bool { return taken[key] }) {
			deferred = append(deferred, j)
		} else {
			wave = append(wave, j)
		}
		for _, key := range keys {
			taken[key] = true
		}
	}
	r.find(ctx, wave)
	r.create(ctx, wave)
	for _, j := range wave {
		j.readInstead()
	}
	r.settle(ctx, wave)
	return deferred
}

// readInstead leaves a contact that was found as it is where the patch asks for
// a read: what it holds may be worth more than what is to be written.
func (j *job) readInstead() {
	if !j.open() || j.id == "" || j.made || j.patch.Fetch == nil || len(j.left) == 0 {
		return
	}
	patch := *j.patch
	patch.Properties = nil
	j.patch, j.left, j.later, j.refused = &patch, nil, nil, nil
}

// matchKeys are the numbers and the e-mail by which the job's contact is found.
func (j *job) matchKeys() []string {
	keys := slices.Clone(j.patch.Create.Phones)
	if j.patch.Create.Email != "" {
		keys = append(keys, j.patch.Create.Email)
	}
	return keys
}

// sighting is what was found for a job: contacts by e-mail and by number.
type sighting map[*job][]string

func (s sighting) add(j *job, id string) { s[j] = appendNew(s[j], id) }

// find looks for each job's contact and decides: found, conflict, absent, or
// left without an id to be created.
func (r *run) find(ctx context.Context, jobs []*job) {
	seen := sighting{}
	known := map[string]record{}
	sought, listed := jobs, listable(jobs)
	if ids, complete := r.list(ctx, listed); complete {
		r.confirm(ctx, listed, ids, seen, known)
		sought = slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return j.patch.Bulk })
	}
	r.findByEmail(ctx, sought, seen, known)
	r.confirm(ctx, sought, r.searchPhones(ctx, sought), seen, known)
	for _, j := range jobs {
		if !j.open() {
			continue
		}
		switch ids := seen[j]; {
		case len(ids) == 1:
			j.id = ids[0]
			j.absorbed(mergedInto(j.id, string(known[j.id].Properties[mergedName])))
		case len(ids) > 1:
			slices.Sort(ids)
			j.final, j.candidates = contact.Conflict, ids
			j.refusal = &fault.Refusal{Class: fault.Permanent, Reason: "SEVERAL_CONTACTS", Message: "several HubSpot contacts have this number or e-mail"}
		case !j.patch.Create.MayCreate:
			j.final = contact.Absent
		}
	}
}

// findByEmail reads contacts by e-mail, which is exact and immediate. A further
// e-mail of a contact leads to it too.
func (r *run) findByEmail(ctx context.Context, jobs []*job, seen sighting, known map[string]record) {
	byEmail := map[string][]*job{}
	var emails []string
	for _, j := range jobs {
		if email := j.patch.Create.Email; email != "" && j.open() {
			if byEmail[email] == nil {
				emails = append(emails, email)
			}
			byEmail[email] = append(byEmail[email], j)
		}
	}
	for chunk := range slices.Chunk(emails, mostInputs) {
		r.readEmails(ctx, chunk, byEmail, seen, known)
	}
}

func (r *run) readEmails(ctx context.Context, emails []string, byEmail map[string][]*job, seen sighting, known map[string]record) {
	var jobs []*job
	for _, email := range emails {
		jobs = append(jobs, byEmail[email]...)
	}
	if r.halted(ctx, jobs) {
		return
	}
	called(jobs)
	results, _, err := r.c.read(ctx, emails, emailName, matchNames, nil)
	if fault.Is(err, fault.Permanent) || fault.Is(err, fault.Gone) {
		// An address that HubSpot does not take for one is no contact's; it
		// must not hide the others'.
		refused := refusedCall(err)
		switch {
		case refused != nil && refused.Status == 403:
			for _, j := range jobs {
				j.reject(&refused.Refusal)
			}
		case len(emails) > 1:
			r.readEmails(ctx, emails[:len(emails)/2], byEmail, seen, known)
			r.readEmails(ctx, emails[len(emails)/2:], byEmail, seen, known)
		}
		return
	}
	if err != nil {
		r.fail(ctx, jobs, err)
		return
	}
	unclaimed := false
	answered := map[string]bool{}
	for _, result := range results {
		known[string(result.ID)] = result
		addresses := append(strings.Split(string(result.Properties[furtherEmails]), ";"), string(result.Properties[emailName]))
		claimed := len(emails) == 1
		if claimed {
			addresses = emails
		}
		for _, address := range addresses {
			address = strings.ToLower(strings.TrimSpace(address))
			for _, j := range byEmail[address] {
				seen.add(j, string(result.ID))
				claimed, answered[address] = true, true
			}
		}
		unclaimed = unclaimed || !claimed
	}
	if !unclaimed {
		return
	}
	// A contact came back that does not show the address it was asked by.
	for _, email := range emails {
		if !answered[email] {
			r.readEmails(ctx, []string{email}, byEmail, seen, known)
		}
	}
}

// listable are the jobs that can do with what the portal held when it was listed.
func listable(jobs []*job) (bulk []*job) {
	for _, j := range jobs {
		if j.patch.Bulk {
			bulk = append(bulk, j)
		}
	}
	return bulk
}

// list gives the contacts that may be those of some jobs, where the portal's
// contacts were listed. Without KeyProperty only the search finds what a create
// without an answer has made.
func (r *run) list(ctx context.Context, jobs []*job) (ids []string, complete bool) {
	if r.d.listed == nil || len(jobs) == 0 || !r.d.keyed(r.c.now()) {
		return nil, false
	}
	var keys []string
	for _, j := range jobs {
		keys = append(keys, j.matchKeys()...)
	}
	ids, complete, err := r.d.listed(ctx, keys)
	return ids, complete && err == nil // without the list there is the search
}

// confirm reads contacts that may be the jobs' by id: the index of the search
// lags, and still lists merged-away contacts. Those that were made lately are
// among them.
func (r *run) confirm(ctx context.Context, jobs []*job, ids []string, seen sighting, known map[string]record) {
	byPhone := map[string][]*job{}
	for _, j := range jobs {
		if !j.open() {
			continue
		}
		for _, phone := range j.patch.Create.Phones {
			byPhone[phone] = append(byPhone[phone], j)
		}
		for _, key := range j.matchKeys() {
			if id, ok := r.d.recall(key, r.c.now()); ok {
				ids = appendNew(ids, id)
			}
		}
	}
	for chunk := range slices.Chunk(ids, mostInputs) {
		if r.halted(ctx, jobs) {
			return
		}
		called(jobs)
		results, _, err := r.c.read(ctx, chunk, "", matchNames, nil)
		if err != nil && !fault.Is(err, fault.Gone) {
			r.fail(ctx, jobs, err)
			return
		}
		for _, result := range results {
			known[string(result.ID)] = result
		}
	}
	byEmail := map[string][]*job{}
	for _, j := range jobs {
		if email := j.patch.Create.Email; email != "" {
			byEmail[email] = append(byEmail[email], j)
		}
	}
	for id, result := range known {
		for _, name := range []string{phoneName, mobileName} {
			phone, err := contact.Canonical(contact.Phone, string(result.Properties[name]), r.d.region)
			if err != nil || phone == "" {
				continue
			}
			for _, j := range byPhone[phone] {
				seen.add(j, id)
			}
		}
		for _, j := range byEmail[strings.ToLower(string(result.Properties[emailName]))] {
			seen.add(j, id)
		}
	}
}
