package mapper

import (
	"context"
	"fmt"
	"slices"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/stage"
)

// erase forgets a person: what is stored goes in the batch's transaction, the
// writers are told to forget what waits, and dead letters lose what is about
// the person. Only hashes of the ids remain.
func (j *judged) erase(ctx context.Context, e *entry) error {
	e.deleted, e.erased = true, true
	keys := []contact.Key{e.key}
	for ref := range e.stored {
		if ref.Kind == postgres.RefKey && j.batch.contacts[name{e.tenant, contact.Key(ref.Value)}].gone() {
			keys = append(keys, contact.Key(ref.Value))
		}
	}
	for i := 0; i < len(keys); i++ { // those of contacts that were joined in this batch too
		former, err := j.config.DB.FormerKeys(ctx, e.tenant, keys[i])
		if err != nil {
			return err
		}
		for _, key := range former {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	e.former = keys[1:]
	for _, change := range e.tombstones() {
		j.batch.erased[change.Ref] = true
	}
	j.forget(e.tenant, keys)
	for _, system := range contact.Systems {
		for _, key := range keys {
			j.erasures = append(j.erasures, run{tenant: e.tenant, system: system, context: j.context, patches: []contact.Patch{{
				Contact: key, System: system, Version: max(e.state.Version+1, j.version), Forget: true,
			}}})
		}
	}
	ids := [2][]string{}
	for i := range contact.Systems {
		side := &e.state.Sides[i]
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
		side := &e.state.Sides[i]
		words = append(words, append(side.Phones(), side.Email)...)
		words = append(words, ids[i]...)
	}
	for _, f := range e.state.Fields {
		words = append(words, f.Sides[0].Value, f.Sides[1].Value)
	}
	if _, err := j.config.Bus.RedactDeadLetters(ctx, e.tenant, about, words); err != nil {
		return fmt.Errorf("erase a person from the dead letters: %w", err)
	}
	return nil
}

// gone reports whether a contact is not there any more; nil never was.
func (e *entry) gone() bool { return e == nil || e.deleted }

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
	for i := len(j.counted) - 1; i >= 0; i-- {
		if j.counted[i].Tenant == tenant && slices.Contains(keys, j.heard[i]) {
			j.counted, j.heard = slices.Delete(j.counted, i, i+1), slices.Delete(j.heard, i, i+1)
		}
	}
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
