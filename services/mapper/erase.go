package mapper

import (
	"context"
	"fmt"
	"slices"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/services/mapper/people"
)

// erase forgets a person: what is stored goes in the batch's transaction, the
// writers are told to forget what waits, and dead letters lose what is about
// the person. Only hashes of the ids remain.
func (j *judged) erase(ctx context.Context, e *people.Entry) error {
	keys := e.Keys()
	j.forget(e.Tenant, keys)
	for _, patch := range e.Forget(j.version) {
		j.erasures = append(j.erasures, run{tenant: e.Tenant, system: patch.System, context: j.context, patches: []contact.Patch{patch}})
	}
	ids := [2][]string{}
	for i := range contact.Systems {
		side := &e.State.Sides[i]
		ids[i] = append([]string{side.ID}, side.Aliases...)
	}
	about := func(in contact.Mention) bool {
		for _, key := range in.Keys {
			if slices.Contains(keys, key) {
				return true
			}
		}
		for _, id := range in.IDs {
			if id.ID != "" && slices.Contains(ids[sideOf(id.System)], id.ID) {
				return true
			}
		}
		return false
	}
	var words []string
	for i := range contact.Systems {
		side := &e.State.Sides[i]
		words = append(words, append(side.Phones(), side.Email)...)
		words = append(words, ids[i]...)
	}
	for _, f := range e.State.Fields {
		words = append(words, f.Sides[0].Value, f.Sides[1].Value)
	}
	if _, err := j.config.Bus.RedactDeadLetters(ctx, e.Tenant, about, words); err != nil {
		return fmt.Errorf("erase a person from the dead letters: %w", err)
	}
	return nil
}

func sideOf(s contact.System) int {
	if s == contact.HubSpot {
		return 0
	}
	return 1
}

// forget drops what this batch would have stored and sent of an erased person.
func (j *judged) forget(tenant contact.Tenant, keys []contact.Key) {
	j.history = slices.DeleteFunc(j.history, func(h postgres.HistoryRow) bool { return h.Tenant == tenant && slices.Contains(keys, h.Contact) })
	for i := range j.runs {
		if r := &j.runs[i]; r.tenant == tenant {
			r.patches = slices.DeleteFunc(r.patches, func(p contact.Patch) bool { return slices.Contains(keys, p.Contact) })
		}
	}
	j.runs = slices.DeleteFunc(j.runs, func(r run) bool { return len(r.patches) == 0 })
}

// forgetOutputs tell the writers to forget, behind all patches that went out
// before, on both streams: on either one a patch may still be under way.
func (h *handling) forgetOutputs(b stage.Batch) []stage.Output {
	var outputs []stage.Output
	for i, r := range h.erasures {
		for _, stream := range []bus.Stream{bus.Patches, bus.PatchesBulk} {
			outputs = append(outputs, stage.Output{Stream: stream, Message: bus.Message{
				Tenant: r.tenant, System: r.system, Patches: r.patches, Context: r.context,
				ID: fmt.Sprintf("%s-%02d/%d/forget-%d", b.Stream, b.Partition, h.version, i),
			}})
		}
	}
	return outputs
}
