package resolve

import (
	"fmt"
	"hash/fnv"
	"strings"

	"lockstep.internal/pkg/contact"
)

// A burst is more changes of one field into one system, from one source, within
// ten minutes than that field ever saw in an hour of the last week. Changes are
// dated by their own system's clock, so that an outage whose edits come all at
// once is none.
const (
	slot     contact.Millis = 5 * 60_000 // a window is the present slot and the one before
	hour     contact.Millis = 60 * 60_000
	normalIn contact.Millis = 7 * 24 * hour
	// burstTimes is how many times the greatest hour a burst must exceed.
	burstTimes = 10
)

// FieldInto is a field on its way into one system.
type FieldInto struct {
	Field string // mapping key
	Into  contact.System
}

// FieldSource is a field on its way into one system, as one source changes it.
type FieldSource struct {
	FieldInto
	Source string // "" where the system tells none
}

// FieldHour is an hour of a field on its way into one system.
type FieldHour struct {
	FieldInto
	Hour contact.Millis // its beginning
}

// HourOf is the beginning of the hour of a time.
func HourOf(at contact.Millis) contact.Millis { return at - at%hour }

// Normal is the rate that is usual for a field: the most contacts that it
// changed in one hour of the trailing seven days. The hour in which the present
// window began does not count yet, else a burst would call itself usual.
func Normal(hours map[contact.Millis]int64, now contact.Millis) (most int64) {
	for at, contacts := range hours {
		if at >= HourOf(now-normalIn) && at < Settled(now) {
			most = max(most, contacts)
		}
	}
	return most
}

// Settled is the hour from which on nothing counts as usual yet.
func Settled(now contact.Millis) contact.Millis { return HourOf(now - 2*slot) }

// Threshold is how many contacts a field may change within a window before it is
// held, by the tenant's floor and the field's normal rate.
func Threshold(floor, normal int64) int64 { return max(floor, burstTimes*normal) }

// Taught is by how much an hour is raised when somebody lets a burst go: twice
// as many contacts pass without a question for seven days.
func Taught(contacts int64) int64 { return (contacts + burstTimes/2 - 1) / (burstTimes / 2) }

// Window counts the contacts of a slot of five minutes and of the one before.
type Window struct{ Slot, Now, Before int64 }

// Add counts one contact, changed at a time; ok is false for one that the window
// has left behind.
func (w Window) Add(at contact.Millis) (next Window, ok bool) {
	switch n := int64(at / slot); {
	case n > w.Slot+1:
		return Window{n, 1, 0}, true
	case n == w.Slot+1:
		return Window{n, 1, w.Now}, true
	case n == w.Slot:
		return Window{n, w.Now + 1, w.Before}, true
	case n == w.Slot-1:
		return Window{w.Slot, w.Now, w.Before + 1}, true
	}
	return w, false
}

// Total are the contacts of the window.
func (w Window) Total() int64 { return w.Now + w.Before }

// Hold is a burst about which somebody is asked.
type Hold struct {
	ID string
	FieldSource
	Since contact.Millis // our clock
	// Passed are the contacts that were written before it was recognised.
	Passed int64
	// Threshold is what it exceeded.
	Threshold int64
	// Answered tells that it takes in nothing more.
	Answered bool
}

// covers reports whether an edit of a source belongs to the burst: of the same
// source, or where one of both is not told.
func (h *Hold) covers(on FieldInto, source string) bool {
	return !h.Answered && h.FieldInto == on && (h.Source == "" || source == "" || h.Source == source)
}

// Watch counts the changes of a tenant's fields, and knows its holds. It is lent
// to the rules for one batch; what it counted is stored with the batch.
type Watch struct {
	Floor   int64 // contacts that always pass; 0 lets everything pass
	Normal  map[FieldInto]int64
	Windows map[FieldSource]Window
	// Trusted are sources that somebody let go on.
	Trusted map[FieldSource]bool
	// Holds are those that are open or being carried out; recognised ones come to it.
	Holds []*Hold

	// What came of the batch.
	Begun   []*Hold
	Touched map[FieldSource]Window
	Counted map[FieldHour]int64
}

// Hold finds a hold; nil where there is none any more.
func (w *Watch) Hold(id string) *Hold {
	if w == nil {
		return nil
	}
	for _, h := range w.Holds {
		if h.ID == id {
			return h
		}
	}
	return nil
}

// change counts one contact, and gives the hold that its change belongs to; nil
// lets it pass. Changes that do not count belong to a hold all the same.
func (w *Watch) change(on FieldSource, at, now contact.Millis, counts bool, version contact.Version) *Hold {
	if w == nil || w.Floor <= 0 {
		return nil
	}
	at = min(at, now)
	window, within := w.window(on).Add(at)
	if counts && within {
		w.touch(on, window)
	}
	for _, h := range w.Holds {
		if h.covers(on.FieldInto, on.Source) {
			return h
		}
	}
	if !counts || w.Trusted[on] {
		return nil
	}
	limit := Threshold(w.Floor, w.Normal[on.FieldInto])
	if !within || window.Total() <= limit {
		w.count(on.FieldInto, at, 1)
		return nil
	}
	// What passed so far was no usual change either.
	begun := contact.Millis(window.Slot) * slot
	w.count(on.FieldInto, begun, 1-window.Now)
	w.count(on.FieldInto, begun-slot, -window.Before)
	h := &Hold{ID: holdID(on, version), FieldSource: on, Since: now, Passed: window.Total() - 1, Threshold: limit}
	w.Holds, w.Begun = append(w.Holds, h), append(w.Begun, h)
	return h
}

func (w *Watch) window(on FieldSource) Window {
	if window, touched := w.Touched[on]; touched {
		return window
	}
	return w.Windows[on]
}

func (w *Watch) touch(on FieldSource, window Window) {
	if w.Touched == nil {
		w.Touched = make(map[FieldSource]Window)
	}
	w.Touched[on] = window
}

func (w *Watch) count(on FieldInto, at contact.Millis, contacts int64) {
	if contacts == 0 {
		return
	}
	if w.Counted == nil {
		w.Counted = make(map[FieldHour]int64)
	}
	w.Counted[FieldHour{on, HourOf(at)}] += contacts
}

// holdID names a hold within its tenant, the same when its batch is decided again.
func holdID(on FieldSource, version contact.Version) string {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%s/%s/%s/%d", on.Field, on.Into, on.Source, version)
	return fmt.Sprintf("%010x", hash.Sum64()&(1<<40-1))
}

// SourceOf is who made a change, as far as edits of one burst have it in common:
// HubSpot names the person or the app, and the kind of anything else, whose ids
// may be of single contacts. Aloware names nobody.
func SourceOf(c *contact.Change) string {
	if c.System != contact.HubSpot || c.Channel != contact.Webhook {
		return ""
	}
	kind, _, _ := strings.Cut(c.Cause, " ")
	if kind == "CRM_UI" || kind == "INTEGRATION" {
		return c.Cause
	}
	return kind
}
