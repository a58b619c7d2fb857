// Package row is the pure logic of the writer's rows: how patches of one
// contact become one, what of it may go out, and what remains after a write.
//
// It promises that a value is never replaced by an older one, and that nothing
// that was asked for is lost: what came while a patch was under way stays.
package row

import (
	"slices"

	"lockstep.internal/pkg/contact"
)

// Merge joins a patch to a row. Per property the higher version wins; how the
// contact is found comes from the newer patch, where it says so, and what is to
// be read from both.
func Merge(row, patch contact.Patch) contact.Patch {
	older, newer := row, patch
	if row.Version > patch.Version {
		older, newer = patch, row
	}
	merged := newer
	merged.Properties = slices.Clone(newer.Properties)
	for _, p := range older.Properties {
		at := slices.IndexFunc(merged.Properties, func(q contact.Property) bool { return q.Name == p.Name })
		switch {
		case at < 0:
			merged.Properties = append(merged.Properties, p)
		case p.Version > merged.Properties[at].Version:
			merged.Properties[at] = p
		}
	}
	if merged.TargetID == "" {
		merged.TargetID = older.TargetID
	}
	if merged.Create == nil {
		merged.Create = older.Create
	}
	merged.Traceparent, merged.Merged = traces(older, newer)
	if merged.CauseEventID == "" {
		merged.CauseEventID = older.CauseEventID
	}
	if merged.Unfetch = older.Unfetch || newer.Unfetch; !newer.Unfetch {
		merged.Fetch = mergeFetch(older.Fetch, newer.Fetch)
	}
	if seeks(older) && newer.TargetID != "" {
		// The older was decided before anything was known of the contact that
		// the newer names: it is read, and that is decided again.
		merged.Properties = newer.Properties
	}
	merged.Archive = newer.Archive || older.Archive && newer.Wake // whatever else is decided later takes it back
	merged.Wake = older.Wake && newer.Wake
	merged.EditedAt = earlier(older.EditedAt, newer.EditedAt)
	merged.ReceivedAt = earlier(older.ReceivedAt, newer.ReceivedAt)
	return merged
}

// mostMerged bounds the earlier edits whose traces a patch knows.
const mostMerged = 7

// traces gives the trace of the newest edit of two patches, and those of the
// earlier ones, of which the oldest are forgotten.
func traces(older, newer contact.Patch) (newest string, merged []string) {
	for _, trace := range slices.Concat(older.Merged, []string{older.Traceparent}, newer.Merged, []string{newer.Traceparent}) {
		if trace == "" {
			continue
		}
		if at := slices.Index(merged, trace); at >= 0 {
			merged = slices.Delete(merged, at, at+1) // a batch that is repeated brings it again
		}
		merged = append(merged, trace)
	}
	if len(merged) == 0 {
		return "", nil
	}
	last := len(merged) - 1
	newest, merged = merged[last], merged[:last]
	if len(merged) == 0 {
		return newest, nil
	}
	return newest, merged[max(0, len(merged)-mostMerged):]
}

// seeks reports whether a patch is for a contact to be found or created, and to
// be read where it is found.
func seeks(patch contact.Patch) bool {
	return patch.TargetID == "" && patch.Create != nil && patch.Fetch != nil && len(patch.Properties) > 0
}

// earlier is the earlier of two times that are known.
func earlier(a, b contact.Millis) contact.Millis {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// mergeFetch asks for all that either asked for. The later time counts: a read
// that must not be too early serves the other as well.
func mergeFetch(a, b *contact.Fetch) *contact.Fetch {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	merged := contact.Fetch{Properties: slices.Clone(a.Properties), NotBefore: max(a.NotBefore, b.NotBefore)}
	for _, name := range b.Properties {
		if !slices.Contains(merged.Properties, name) {
			merged.Properties = append(merged.Properties, name)
		}
	}
	return &merged
}

// Ready splits what may go out now from what must wait: a read that is too
// early. now is our clock. Nothing to send gives ok false.
func Ready(row contact.Patch, now contact.Millis) (send contact.Patch, ok bool) {
	if row.Fetch == nil || row.Fetch.NotBefore <= now {
		return row, true
	}
	send = row
	send.Fetch = nil
	return send, len(send.Properties) > 0 || send.Archive || send.TargetID == "" && send.Create != nil
}

// Delivered is the version of each property that was sent last.
type Delivered map[string]contact.Version

// Step is what is to be done with a row now.
type Step int

// Send it, leave it until its read's time, or take it as done: all that it
// would write was overtaken.
const (
	Send Step = iota
	Wait
	Overtaken
)

// Next decides over a row that is due: what of it to send at a time of our
// clock, given what was sent before.
func Next(row contact.Patch, now contact.Millis, sent Delivered) (contact.Patch, Step) {
	ready, ok := Ready(row, now)
	if !ok {
		return ready, Wait
	}
	fresh, empty := Fresh(ready, sent)
	switch {
	case !empty:
		return fresh, Send
	case row.Fetch != nil && ready.Fetch == nil:
		return fresh, Wait
	}
	return fresh, Overtaken
}

// Fresh takes the values out of a patch than which newer ones were sent
// already: a patch of the bulk stream may come behind a later one of the live
// stream. empty tells that nothing is left to do.
func Fresh(patch contact.Patch, sent Delivered) (fresh contact.Patch, empty bool) {
	stale := func(p contact.Property) bool { return p.Version < sent[p.Name] }
	if !slices.ContainsFunc(patch.Properties, stale) {
		return patch, false
	}
	patch.Properties = slices.DeleteFunc(slices.Clone(patch.Properties), stale)
	return patch, Empty(patch)
}

// Empty reports whether a patch asks for nothing.
func Empty(patch contact.Patch) bool {
	return len(patch.Properties) == 0 && patch.Fetch == nil && !patch.Archive && (patch.TargetID != "" || patch.Create == nil)
}

// Misled reports whether an outcome is due to an id that the patch inherited:
// one that may create the contact was decided without an id, so an id that
// leads nowhere came from an earlier patch, and the contact is to be sought.
func Misled(sent contact.Patch, outcome contact.Outcome) bool {
	return outcome.Result == contact.Gone && sent.TargetID != "" && sent.Create != nil && sent.Create.MayCreate && !sent.Archive
}

// Remainder is what is left of a row after a patch of it was sent with an
// outcome, changed meanwhile or not; done when nothing is. Where the contact is
// Gone under an id that the patch inherited (Misled), all of it is left,
// without the id.
func Remainder(row, sent contact.Patch, outcome contact.Outcome) (left contact.Patch, done bool) {
	left = row
	if Misled(sent, outcome) {
		if left.TargetID == sent.TargetID {
			left.TargetID = ""
		}
		return left, false
	}
	left.Properties = slices.DeleteFunc(slices.Clone(row.Properties), func(p contact.Property) bool {
		return slices.ContainsFunc(sent.Properties, func(s contact.Property) bool { return s.Name == p.Name && s.Version >= p.Version })
	})
	// The ways of the edits that were sent have ended.
	left.Merged = slices.DeleteFunc(slices.Clone(row.Merged), func(trace string) bool {
		return trace == sent.Traceparent || slices.Contains(sent.Merged, trace)
	})
	newer := row.Version > sent.Version
	nowhere := outcome.Result == contact.Gone ||
		outcome.TargetID == "" && (outcome.Result == contact.Absent || outcome.Result == contact.Rejected || outcome.Result == contact.Conflict)
	if (sent.Fetch != nil || nowhere) && !newer {
		// Read, or nothing there to be read later. A newer patch may have asked
		// again, after this one.
		left.Fetch = nil
	}
	left.Archive = row.Archive && (!sent.Archive || newer)
	switch {
	case outcome.Result == contact.Gone && left.TargetID == sent.TargetID && !newer:
		left.TargetID = ""
	case outcome.TargetID != "" && left.TargetID == sent.TargetID:
		left.TargetID = outcome.TargetID
		if seeks(sent) && seeks(row) && outcome.Result == contact.Fetched {
			left.Properties = nil // as in Merge: what came meanwhile knew no more of the contact
		}
	}
	sought := newer && left.TargetID == "" && left.Create != nil
	return left, len(left.Properties) == 0 && left.Fetch == nil && !left.Archive && !sought
}

// Rides reports whether a bulk patch may go with a live one of which this is so too
// because it costs no call and so no time: HubSpot writes a hundred known contacts in one
// (contacts/batch/update), while what is sought, made, read or removed takes calls of its
// own, and so does each contact in Aloware.
func Rides(p contact.Patch) bool {
	return p.System == contact.HubSpot && p.TargetID != "" && len(p.Properties) > 0 && p.Fetch == nil && !p.Archive
}
