package mapper

import (
	"context"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/mapper/people"
)

// count adds what a job's event led to for one contact. An observation that
// was nothing new leads to nothing: what is counted was missed until now.
func (j *judged) count(decided people.Judgement) {
	job, answer := contact.JobBehind(decided.EventID), contact.JobOf(decided.EventID) == ""
	if job == "" {
		return
	}
	add := func(cause string) {
		if j.effects == nil {
			j.effects = make(map[postgres.SyncEffect]int64)
		}
		j.effects[postgres.SyncEffect{Tenant: j.tenant, Job: job, Cause: cause}]++
	}
	if answer { // of a write or a read that the job led to
		for _, s := range decided.Steps {
			switch s.Rule {
			case "refused", "conflict", "gone":
				add(s.Rule)
			}
		}
		return
	}
	add("judged")
	fresh := decided.Revision == 0
	if fresh {
		add("new_contact")
	}
	edited, drifted := make(map[string]bool), make(map[string]bool)
	for _, s := range decided.Steps {
		switch s.Rule {
		case "intent":
			edited[s.Field] = true
			if !fresh {
				add("changed_" + s.Side.String())
				drifted[s.Field] = true
			}
		case "joined":
			add("matched")
		case "sought":
			add("created_or_found_" + s.Side.String())
		case "refused", "conflict", "deleted", "gone", "merged", "restored":
			add(s.Rule)
		}
	}
	for _, s := range decided.Steps {
		if s.Rule != "write" {
			continue
		}
		add("written_" + s.Side.String())
		m := j.rules.Set.ByKey(s.Field)
		switch {
		case m != nil && m.Category.Computed():
			add("counters_" + contact.HubSpot.String())
			drifted[s.Field] = !fresh
		case !edited[s.Field] && !fresh:
			add("differed_" + s.Side.String())
			drifted[s.Field] = true
		}
	}
	for field, yes := range drifted {
		if yes {
			add(postgres.DriftOf(field))
		}
	}
}

// repaired tells the observer what jobs found that no event had told.
func (h *handling) repaired(ctx context.Context) {
	for effect, n := range h.effects {
		for _, side := range contact.Systems {
			switch effect.Cause {
			case "changed_" + side.String():
				h.config.Observer.Repaired(ctx, side, "missed_edit", n)
			case "differed_" + side.String():
				h.config.Observer.Repaired(ctx, side, "differing_value", n)
			}
		}
	}
}
