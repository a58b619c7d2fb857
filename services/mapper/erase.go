package mapper

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
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
	if _, err := j.config.Bus.RedactDeadLetters(ctx, e.Tenant, about, words(e, j.rules.Set)); err != nil {
		return fmt.Errorf("erase a person from the dead letters: %w", err)
	}
	return nil
}

// words are what a letter that cannot be read is taken to be about the person
// by: numbers, e-mails, long ids, the full name, and texts that are long enough
// to be nobody else's. What many people share, a city or a yes, is none of
// them, or their letters would go too.
func words(e *people.Entry, set *mapping.Set) []string {
	const longID, longText = 6, 12
	var list []string
	for i := range contact.Systems {
		side := &e.State.Sides[i]
		list = append(list, append(side.Phones(), side.Email)...)
		for _, id := range append([]string{side.ID}, side.Aliases...) {
			if len(id) >= longID {
				list = append(list, id)
			}
		}
	}
	if name := e.State.Name(); strings.Contains(name, " ") {
		list = append(list, name)
	}
	if a := e.State.Activity; a != nil {
		for _, line := range []*resolve.Line{&a.InboundTexts, &a.OutboundTexts} {
			if len(line.LastBody) >= longText {
				list = append(list, line.LastBody)
			}
		}
	}
	for key, f := range e.State.Fields {
		for i := range f.Sides {
			m := set.ByKey(key)
			if value := f.Sides[i].Value; len(value) >= longText && (personal[key] || m != nil && m.Type == contact.Multiline) {
				list = append(list, value)
			}
		}
	}
	return list
}

// personal are the fields of one line whose long texts are one person's.
var personal = map[string]bool{"address": true, "website": true}

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
