package hubspot

import (
	"context"
	"slices"

	"lockstep.internal/pkg/contact"
)

// stageState is how far the repair of a life-cycle stage got.
type stageState struct {
	doubt bool           // the answer did not confirm the stage
	tried bool           // it was cleared and written again
	at    contact.Millis // when it was written, HubSpot's clock in second ticks
}

// stageSlack is how much older than the write's answer a history entry may be
// and still be of that write.
const stageSlack = contact.Millis(5_000)

// mendStages sees to stages that went backwards: HubSpot answers such a write
// with success and ignores it. They are cleared, and written again in a second
// request. A stage that somebody else set after ours is left, and reported.
func (r *run) mendStages(ctx context.Context, jobs []*job) {
	for {
		var doubted []*job
		for _, j := range jobs {
			if j.open() && j.stage.doubt {
				doubted = append(doubted, j)
			}
		}
		if len(doubted) == 0 {
			return
		}
		// Two jobs of one contact are read with one input.
		for chunk := range slices.Chunk(doubted, mostInputs/2) {
			r.checkStages(ctx, chunk)
		}
		r.update(ctx, doubted)
	}
}

func (r *run) checkStages(ctx context.Context, jobs []*job) {
	if r.halted(ctx, jobs) {
		return
	}
	var ids []string
	for _, j := range jobs {
		ids = appendNew(ids, j.id)
	}
	called(jobs)
	names := []string{stageName}
	results, _, err := r.c.read(ctx, ids, "", names, names)
	if err != nil {
		r.fail(ctx, jobs, err)
		return
	}
	byID := map[string]record{}
	for _, result := range results {
		byID[string(result.ID)] = result
	}
	for _, j := range jobs {
		j.stage.doubt = false
		property, wanted := j.wanted(stageName)
		result, read := byID[j.id]
		if !wanted || !read {
			continue
		}
		held, told := result.Properties[stageName]
		switch {
		case !told:
		case string(held) == property.Value:
			delete(j.holds, stageName)
		case j.stage.tried || r.overtaken(j, property.Value, result.History[stageName]):
			j.hold(result.values(names, r.c.app)[0])
		default:
			j.stage.tried = true
			blank := property
			blank.Value = ""
			j.later = append(j.later, []contact.Property{blank}, []contact.Property{property})
		}
	}
}

// overtaken reports whether our stage was taken by HubSpot just now, and
// another one set after it.
func (r *run) overtaken(j *job, written string, history []historyEntry) bool {
	if len(history) == 0 || j.stage.at == 0 {
		return false
	}
	newest := newestOf(history)
	if string(newest.Value) == written {
		return false
	}
	for _, entry := range history {
		if string(entry.Value) == written && instant(string(entry.Timestamp)) >= j.stage.at-stageSlack &&
			originOf(string(entry.SourceType), string(entry.SourceID), r.c.app) == contact.Ours {
			return true
		}
	}
	return false
}

// wanted gives a property of the patch that was not refused, in wire form.
func (j *job) wanted(name string) (contact.Property, bool) {
	for _, property := range j.patch.Properties {
		if property.Name == name && j.refused[name] == nil {
			wire, err := Wire(property.Type, property.Value)
			property.Value = wire
			return property, err == nil
		}
	}
	return contact.Property{}, false
}
