package mapper

import (
	"context"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
)

// judged is one message under judgement.
type judged struct {
	*handling
	message     *people.Message
	tenant      contact.Tenant
	rules       *resolve.Rules
	context     context.Context
	traceparent string
}

// directory takes over a list and judges again what waited for it.
func (j *judged) directory(ctx context.Context, d *contact.Directory) error {
	j.lists = append(j.lists, listing{j.tenant, *d})
	key := resolve.ListKey{System: d.System, List: d.List}
	if known, ok := j.rules.Lists[key]; ok && slices.Equal(known, d.Entries) {
		return nil // nothing can have been waiting for what was known
	}
	lists := make(resolve.Lists, len(j.rules.Lists)+1)
	for other, entries := range j.rules.Lists {
		lists[other] = entries
	}
	lists[key] = d.Entries
	fresh := *j.rules
	fresh.Lists = lists
	*j.rules = fresh
	// More of them would hold up live edits: ingest asks for those by a job.
	waiting, err := j.config.DB.ContactsWaiting(ctx, j.tenant, "", contact.FewWaiting)
	if err != nil {
		return err
	}
	refs := make([]contact.Ref, len(waiting))
	for i, name := range waiting {
		refs[i] = contact.KeyRef(j.tenant, name)
	}
	if err := j.batch.Load(ctx, refs); err != nil {
		return err
	}
	for _, name := range waiting {
		if e := j.batch.ByKey(j.tenant, name); e != nil {
			j.message.Judge(e, "list/"+d.System.String()+"/"+d.List).Refresh()
		}
	}
	return nil
}

// conclude keeps what was decided over the contacts of the message.
func (j *judged) conclude(ctx context.Context) error {
	judgements, err := j.message.Conclude(ctx)
	if err != nil {
		return err
	}
	j.stale += j.message.Stale
	j.echoes += j.message.Echoes
	for _, outcome := range j.message.Written {
		j.written = append(j.written, written{outcome, j.context})
	}
	for _, decided := range judgements {
		j.echoes += decided.Echoes
		j.stale += decided.Verdict.Stale
		j.lost += decided.Lost
		if decided.Verdict.Erased {
			if err := j.erase(ctx, decided.Entry); err != nil {
				return err
			}
			continue
		}
		for _, patch := range decided.Patches {
			j.add(patch, decided.Bulk)
		}
		j.keep(decided)
		j.count(decided)
	}
	return nil
}

// add appends a patch to the run of its system. What an answer of the bulk
// streams led to is bulk, and so is a read for an echo: nobody waits for it.
func (j *judged) add(patch contact.Patch, bulk bool) {
	j.patches++
	bulk = bulk || j.echo && onlyReads(&patch)
	for i := range j.runs {
		if r := &j.runs[i]; r.tenant == j.tenant && r.system == patch.System && r.bulk == bulk {
			r.patches = append(r.patches, patch)
			return
		}
	}
	j.runs = append(j.runs, run{tenant: j.tenant, system: patch.System, bulk: bulk, patches: []contact.Patch{patch}, context: j.context})
}

// onlyReads reports whether a patch reads a known record and changes nothing.
func onlyReads(p *contact.Patch) bool {
	return p.Fetch != nil && p.TargetID != "" && !p.Archive && len(p.Properties) == 0
}

// keep turns what was decided into history, and counts what was written by
// field.
func (j *judged) keep(decided people.Judgement) {
	at := time.UnixMilli(int64(j.now))
	for _, s := range decided.Steps {
		if s.Rule == "stopped" && s.Side == contact.HubSpot {
			j.stopped[0]++
		} else if s.Rule == "stopped" {
			j.stopped[1]++
		}
		j.history = append(j.history, postgres.HistoryRow{
			Tenant: j.tenant, Contact: decided.Key, At: at, Field: s.Field, System: s.Side, Rule: s.Rule, Value: resolve.Shown(s.Value),
			EditedAt: s.At, Version: s.Version, MappingVersion: j.rules.Set.Version, EventID: decided.EventID,
			Reason: s.Reason, Traceparent: j.traceparent,
		})
		if s.Rule == "settled" {
			j.fields[postgres.WrittenField{Tenant: j.tenant, Field: s.Field, System: s.Side}]++
		}
	}
}
