package resolve

import (
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// FieldSide is what is known of one field in one system.
type FieldSide struct {
	Known    bool
	Value    string
	Since    contact.Millis // earliest time at which it can have begun
	Seen     Span           // when it was last seen
	Past     []Past         // values known before, newest first
	Writes   []Write        // ours, outstanding or recent, oldest first
	Rejected *Rejection
	// Forgotten tells that the side holds something that was not read yet: the
	// mapping has another property there, or it was away.
	Forgotten bool
	// Native is an option as its own system names it, or a date or a number in
	// the form that it has there, where that is not Value.
	Native string
	// Stale tells that the side holds Value in a form that was given up.
	Stale bool
}

// Span is a stretch of a side's clock in which an observation or an applied
// write lies: At is the best guess within it.
type Span struct{ From, At, To contact.Millis }

// edited is the time of an edit that was observed within a span, for the
// comparison with edits of the other side. One that was held up is taken at its
// tick's beginning, which is what its own system's clock says.
func (s Span) edited() contact.Millis {
	if s.At == s.To {
		return s.From
	}
	return s.At
}

// Past is a value that a side held between two times at most, and that it was
// last seen with at a time in between.
type Past struct {
	Value              string
	Since, Last, Until contact.Millis
}

// Write is a write of ours.
type Write struct {
	Version contact.Version
	Value   string
	After   contact.Millis // earliest time by the side's clock of its effect
	Applied contact.Millis // latest time by the side's clock; 0 outstanding
	// Sought marks a write for a contact that was to be found or created: one
	// that is found is only read.
	Sought bool
	// Replaced tells that an edit of another value came after it; see Tug.
	Replaced bool
	// Doubtful tells that a later write was withdrawn: this one was replaced by it
	// before it was sent, or was sent and is not answered yet. Or the contact was told to
	// be deleted meanwhile. It may be applied, and is not counted on.
	Doubtful bool
}

// Rejection is a value that the system refused.
type Rejection struct {
	Value   string
	Version contact.Version
	Refusal fault.Refusal
	Profile string // what the connection could do, as Rules name it
}

// doubtFor is how long the loser of two values of one tick counts as possibly
// held: until a confirming read has surely told.
const doubtFor contact.Millis = 10_000

const (
	keepPast   = 16
	keepWrites = 32
)

// outstanding is the newest write that is not settled and will be carried out.
func (f *FieldSide) outstanding() *Write {
	for i := len(f.Writes) - 1; i >= 0; i-- {
		if f.Writes[i].Applied == 0 && !f.Writes[i].Doubtful {
			return &f.Writes[i]
		}
	}
	return nil
}

// will is the value that the side holds once all outstanding writes have
// landed; ok is false while nothing is known.
func (f *FieldSide) will() (value string, ok bool) {
	if w := f.outstanding(); w != nil {
		return w.Value, true
	}
	return f.Value, f.Known
}

// mayHaveHeld reports whether by our own belief the side can have had a value
// within a span: known then, or one of our writes under way then.
func (f *FieldSide) mayHaveHeld(value string, when Span) bool {
	if f.Known && f.Value == value && (f.Since <= when.To || f.Seen.From <= when.To || !f.heldOtherwise(value, when)) {
		return true
	}
	for _, p := range f.Past {
		if p.Value == value && p.Since <= when.To && p.Until >= when.From {
			return true
		}
	}
	return f.mayHaveWritten(value, when)
}

// setSince reports whether a value that was seen within a span was surely set
// after a write of ours of another value: that one was applied before, no
// write of ours of this value can have come after it, and the value was not seen
// after it yet. What was doubtful in the tick of the write is none any more.
func (f *FieldSide) setSince(value string, when Span) bool {
	ours := f.cameOver(value, when, false)
	return ours != nil && !slices.ContainsFunc(f.Past, func(p Past) bool { return p.Value == value && p.Last > ours.Applied })
}

// cameAfter is when a value came that was seen after a span in which another one
// was there, and that no write of ours has brought since; 0 for none.
func (f *FieldSide) cameAfter(value string, when Span) (at contact.Millis) {
	if f.Value == value && f.Seen.From >= when.From && !f.mayHaveWritten(value, Span{From: when.From, To: f.Seen.To}) {
		if at = f.Seen.From; f.Since >= when.From {
			at = f.Since
		}
	}
	for _, p := range f.Past {
		if p.Value == value && p.Since >= when.From && !f.mayHaveWritten(value, Span{From: when.From, To: p.Last}) {
			at = max(at, p.Since)
		}
	}
	return at
}

// setLater reports whether a value was seen in a later tick than the present one,
// so that it was surely set after that, and no write of ours can have done it.
func (f *FieldSide) setLater(value string, when Span) bool {
	return f.Value != value && when.From > f.Seen.To &&
		(f.cameOver(value, when, false) != nil || !f.mayHaveWritten(value, Span{From: f.Seen.From, To: when.To}))
}

// cameOver is the newest write of ours of another value that one which was seen
// within a span surely came after: it was applied before, or in that tick if the
// value is what that ended with, and none of ours of the value can have come after
// it; nil for none.
func (f *FieldSide) cameOver(value string, when Span, final bool) *Write {
	until := when.From - 1
	if final {
		until = when.To
	}
	for i := len(f.Writes) - 1; i >= 0; i-- {
		switch w := &f.Writes[i]; {
		case w.Value == value:
			return nil
		case !w.Sought && w.Applied != 0 && w.Applied <= until:
			return w
		}
	}
	return nil
}

// seenWith is when a value was seen in the tick in which the present one was
// seen last, while nobody knows which of them it ended with; 0 for never.
func (f *FieldSide) seenWith(value string) (at contact.Millis) {
	for _, p := range f.Past {
		if p.Value == value && p.Last >= f.Seen.From && p.Last <= f.Seen.To && p.Until > f.Seen.To {
			at = max(at, p.Last)
		}
	}
	return at
}

// inDoubt reports whether another value was seen in the tick in which the present
// one came, and nobody knows yet which of them it ended with: neither is the order
// that of two writes of ours.
func (f *FieldSide) inDoubt() bool {
	tick := Span{From: f.Since, To: max(f.Seen.To, f.Since)}
	return slices.ContainsFunc(f.Past, func(p Past) bool { return p.Until >= f.Since+doubtFor && !f.overwritten(p.Value, f.Value, tick) })
}

// doubted reports whether a value and the present one were seen in one tick, so
// that either can be the one that is there since then.
func (f *FieldSide) doubted(value string) bool {
	return slices.ContainsFunc(f.Past, func(p Past) bool { return p.Value == value && p.Until >= f.Since+doubtFor })
}

// before reports whether no value is known of the time up to the end of a span,
// so that a blank which was there then is nobody's edit.
func (f *FieldSide) before(when Span) bool {
	if f.Known && f.Value == "" && f.Since == when.From {
		return true // the same blank, read once more
	}
	return !f.Known || f.Since > when.From && !slices.ContainsFunc(f.Past, func(p Past) bool { return p.Since <= when.From })
}

// mayHaveWritten reports whether one of our writes can have been applied within
// a span.
func (f *FieldSide) mayHaveWritten(value string, when Span) bool {
	for _, w := range f.Writes {
		if w.Value == value && w.After <= when.To && (w.Applied == 0 || w.Applied >= when.From) {
			return true
		}
	}
	return false
}

// observe is rule 4. It reports whether the value is now the side's known one,
// and whether the order of two different values cannot be told. A final one is
// the last of its tick.
func (f *FieldSide) observe(value string, when Span, final bool) (current, ambiguous bool) {
	switch {
	case !f.Known:
		f.Known, f.Forgotten, f.Value, f.Since, f.Seen = true, false, value, when.From, when
		return true, false
	case f.Value == value:
		if when.From < f.Since && !f.heldOtherwise(value, when) {
			f.Since = when.From
			f.endBefore(when)
		}
		if when.At >= f.Seen.At {
			if when.From > f.Seen.To {
				f.settleDoubt(when)
			}
			if final {
				f.settleDoubt(Span{From: when.To + 1})
			}
			f.Seen = when
		}
		return true, false
	}
	ambiguous = !final && when.From <= f.Seen.To && when.To >= f.Seen.From
	var doubt contact.Millis
	if ambiguous {
		doubt = doubtFor
	}
	if when.At >= f.Seen.At && !(ambiguous && (f.leftInTick(value, when) || f.overwritten(value, f.Value, when))) {
		f.remember(Past{Value: f.Value, Since: f.Since, Last: f.Seen.At, Until: when.To + doubt})
		f.Value, f.Since, f.Seen = value, when.From, when
		return true, ambiguous
	}
	if !ambiguous {
		f.interrupt(value, when)
	}
	f.remember(Past{Value: value, Since: when.From, Last: when.At, Until: f.heldUntil(value, when) + doubt})
	return false, ambiguous
}

// interrupt ends what was last seen before another value was there.
func (f *FieldSide) interrupt(value string, when Span) {
	for i := range f.Past {
		if p := &f.Past[i]; p.Value != value && p.Since < when.From && p.Last < when.From {
			p.Until = min(p.Until, when.To)
		}
	}
}

// leftInTick reports whether a value was held before a tick in which the
// present one began. Of two whole contacts of one tick the one with the value
// from before is then the older: people rarely change a value and back within
// a second, and a confirming read finds out if they did. Where we did, it is not.
func (f *FieldSide) leftInTick(value string, when Span) bool {
	return f.Since >= when.From && !f.overwritten(f.Value, value, when) && slices.ContainsFunc(f.Past, func(p Past) bool { return p.Value == value && p.Since < when.From })
}

// overwritten reports whether within a tick a write of ours replaced a value that
// an earlier write of ours had brought, by another one. Of two whole contacts of
// that tick the one with the earlier value is then the older, whichever came
// first.
func (f *FieldSide) overwritten(value, by string, when Span) bool {
	within := func(value string) (newest contact.Version) {
		for _, w := range f.Writes {
			if w.Value == value && !w.Sought && w.Applied >= when.From && w.Applied <= when.To {
				newest = max(newest, w.Version)
			}
		}
		return newest
	}
	earlier := within(value)
	return earlier != 0 && earlier < within(by)
}

// heldUntil is the latest time until which a value that was seen in the past can
// have been held: the end of the tick in which the next value was first seen.
func (f *FieldSide) heldUntil(value string, when Span) contact.Millis {
	var next contact.Millis
	consider := func(other string, since contact.Millis) {
		if other != value && since > when.From && (next == 0 || since < next) {
			next = since
		}
	}
	consider(f.Value, f.Since)
	for _, p := range f.Past {
		consider(p.Value, p.Since)
	}
	if next == 0 {
		return when.To
	}
	return max(when.To, next+when.To-when.From)
}

// heldOtherwise reports whether another value was seen after a time and before
// the present one.
func (f *FieldSide) heldOtherwise(value string, when Span) bool {
	return slices.ContainsFunc(f.Past, func(p Past) bool { return p.Value != value && p.Last > when.At })
}

// settleDoubt ends what counted as possibly held: the present value was seen
// again in a later tick.
func (f *FieldSide) settleDoubt(when Span) {
	for i := range f.Past {
		if p := &f.Past[i]; p.Until >= when.From {
			p.Until = max(p.Last, when.From-1)
		}
	}
}

// endBefore shortens the past: at that time the side had the present value.
func (f *FieldSide) endBefore(when Span) {
	for i := range f.Past {
		f.Past[i].Until = min(f.Past[i].Until, when.To)
	}
}

func (f *FieldSide) remember(p Past) {
	for i := range f.Past {
		if known := &f.Past[i]; known.Value == p.Value && known.Since == p.Since {
			known.Last, known.Until = max(known.Last, p.Last), max(known.Until, p.Until)
			return
		}
	}
	at := 0
	for at < len(f.Past) && f.Past[at].Until > p.Until {
		at++
	}
	f.Past = slices.Insert(f.Past, at, p)
	if len(f.Past) > keepPast {
		f.Past = f.Past[:keepPast]
	}
}

// issue records a write that is about to be sent.
func (f *FieldSide) issue(version contact.Version, value string, sought bool) {
	f.Writes = append(f.Writes, Write{Version: version, Value: value, After: f.Seen.From, Sought: sought})
	f.Stale = false
	if len(f.Writes) > keepWrites {
		f.Writes = slices.Delete(f.Writes, 0, len(f.Writes)-keepWrites)
	}
}

// recall takes in a write that an answer tells of and that is not known: it was
// given up, or its decision was never stored.
func (f *FieldSide) recall(w Write) {
	at := 0
	for at < len(f.Writes) && f.Writes[at].Version < w.Version {
		at++
	}
	f.Writes = slices.Insert(f.Writes, at, w)
}

// found ends the writes for a contact that was to be found or created, which
// was read whole now: they made it what it is, or will not be written any more.
func (f *FieldSide) found(read contact.Millis) {
	for i := range f.Writes {
		if w := &f.Writes[i]; w.Sought && w.Applied == 0 {
			w.Applied = max(read, 1)
		}
	}
}

// unseek removes the outstanding writes up to a version for a contact that was to
// be found or created: another one than this.
func (f *FieldSide) unseek(version contact.Version) {
	f.Writes = slices.DeleteFunc(f.Writes, func(w Write) bool { return w.Sought && w.Version <= version && w.Applied == 0 })
}

// unwritten reports whether nothing of ours can have led to the value.
func (f *FieldSide) unwritten(value string, when Span) bool {
	return !slices.ContainsFunc(f.Writes, func(w Write) bool { return !w.Sought }) && !f.mayHaveWritten(value, when)
}

// justWrote reports whether our newest write is settled and of this value.
func (f *FieldSide) justWrote(value string) bool {
	n := len(f.Writes)
	return n > 0 && f.Writes[n-1].Applied != 0 && f.Writes[n-1].Value == value
}

// settle marks the writes up to a version, which is of a value, as applied at the
// latest at a time.
func (f *FieldSide) settle(version contact.Version, value string, applied contact.Millis) {
	exact := slices.ContainsFunc(f.Writes, func(w Write) bool { return w.Version == version && w.Value == value })
	for i := range f.Writes {
		w := &f.Writes[i]
		if exact && w.Version == version && w.Value != value {
			continue // of a contact that was joined
		}
		if w.Version <= version && w.Applied == 0 || w.Version == version { // the same write can be repeated
			w.Applied = max(w.Applied, applied, 1)
		}
	}
	f.forget()
}

// drop removes the outstanding writes up to a version: they were never applied.
func (f *FieldSide) drop(version contact.Version) {
	f.Writes = slices.DeleteFunc(f.Writes, func(w Write) bool { return w.Version <= version && w.Applied == 0 })
}

// abandon makes the outstanding writes doubtful.
func (f *FieldSide) abandon() {
	for i := range f.Writes {
		if w := &f.Writes[i]; w.Applied == 0 {
			w.Doubtful = true
		}
	}
}

// withdraw removes the outstanding write of a version, which was never sent.
func (f *FieldSide) withdraw(version contact.Version) {
	f.Writes = slices.DeleteFunc(f.Writes, func(w Write) bool { return w.Version == version && w.Applied == 0 })
	for i := range f.Writes {
		if w := &f.Writes[i]; w.Version < version && w.Applied == 0 {
			w.Doubtful = true
		}
	}
}

// ended settles what was doubtful before a version that was answered: calls about
// one contact follow each other.
func (f *FieldSide) ended(version contact.Version, applied contact.Millis) {
	for i := range f.Writes {
		if w := &f.Writes[i]; w.Doubtful && w.Version < version && w.Applied == 0 {
			w.Applied = max(applied, 1)
		}
	}
}

// forget keeps a few settled writes, which late echoes are known by.
func (f *FieldSide) forget() {
	const keepSettled = 8
	settled := 0
	for i := len(f.Writes) - 1; i >= 0; i-- {
		if f.Writes[i].Applied == 0 {
			continue
		}
		if settled++; settled > keepSettled {
			f.Writes = slices.Delete(f.Writes, i, i+1)
		}
	}
}
