// Package row is the pure logic of the writer's rows: how patches of one
// contact become one, and what remains after a write.
package row

import (
	"slices"

	"lockstep.internal/pkg/contact"
)

// Merge joins a patch to a row. Per property the higher version wins; what is
// to be read and how the contact is found come from the newer patch, where it
// says so.
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
	merged.Fetch = mergeFetch(older.Fetch, newer.Fetch)
	merged.Archive = older.Archive || newer.Archive
	if older.EditedAt != 0 && (merged.EditedAt == 0 || older.EditedAt < merged.EditedAt) {
		merged.EditedAt = older.EditedAt
	}
	if older.ReceivedAt != 0 && (merged.ReceivedAt == 0 || older.ReceivedAt < merged.ReceivedAt) {
		merged.ReceivedAt = older.ReceivedAt
	}
	return merged
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

// Remainder is what is left of a row after a patch was delivered with an
// outcome; done when nothing is.
func Remainder(row, sent contact.Patch, outcome contact.Outcome) (left contact.Patch, done bool) {
	left = row
	left.Properties = slices.DeleteFunc(slices.Clone(row.Properties), func(p contact.Property) bool {
		return slices.ContainsFunc(sent.Properties, func(s contact.Property) bool { return s.Name == p.Name && s.Version >= p.Version })
	})
	if sent.Fetch != nil && (row.Fetch == nil || sent.Fetch.NotBefore >= row.Fetch.NotBefore) {
		left.Fetch = nil
	}
	left.Archive = row.Archive && !sent.Archive
	if outcome.TargetID != "" {
		left.TargetID = outcome.TargetID
	}
	sought := left.TargetID == "" && left.Create != nil && row.Version > sent.Version
	return left, len(left.Properties) == 0 && left.Fetch == nil && !left.Archive && !sought
}
