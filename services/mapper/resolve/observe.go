package resolve

import (
	"slices"
	"strconv"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
)

// MobilePhone is the HubSpot property that is looked at for matching besides
// the mapped phone; it is never written.
const MobilePhone = "mobilephone"

// baselineAt is the time of a value of which only is known that it was there
// when we first looked: any real edit is later.
const baselineAt contact.Millis = 1

// Observe judges what one system says of the contact (rules 1 to 5).
func (j *Judge) Observe(change *contact.Change) {
	if j.seenBefore(j.rules.RememberedAs(change)) {
		j.verdict.Stale++
		return
	}
	j.heard(change)
	side := j.state.Side(change.System)
	if !j.lifecycle(change, side) {
		return
	}
	if change.Origin != contact.Ours {
		j.follows(side.cameWith(change))
	}
	whole := change.Event == contact.Snapshot || change.Event == contact.Created && len(change.Values) > 0 && change.System == contact.Aloware
	j.values(change.System, change.Values, reading{
		occurred: change.OccurredAt, precision: change.Precision, received: change.ReceivedAt,
		origin: change.Origin, cause: change.Cause, whole: whole, created: change.Event == contact.Created,
	})
	if whole {
		side.Read = true
	}
	if change.Counters != nil {
		j.totals(change)
	}
}

// RememberedAs is what tells a change that was judged before: the event's id, and
// for a whole contact the mapping's version, as others may see more in the same.
func (r *Rules) RememberedAs(change *contact.Change) string {
	if change.Event != contact.Snapshot {
		return change.EventID
	}
	return change.EventID + "/" + strconv.FormatInt(r.Set.Version, 10)
}

// reading is what holds for all values of one observation.
type reading struct {
	occurred, precision, received contact.Millis
	origin                        contact.Origin
	cause                         string // who, in the system's words
	whole                         bool   // the whole contact, not named changes
	created                       bool   // the contact as it was made
	dated                         bool   // the value has a time of its own
	final                         bool   // read after the tick it tells of: nothing in that tick is newer
}

// span is the stretch of the side's clock for a value. Within a coarse tick
// the time of receipt is the best guess, for whatever it is worth: it lies in
// the tick unless the event was held up, and then the tick's end is meant.
func (r reading) span(value contact.Value) Span {
	from := r.occurred
	if value.OccurredAt != 0 {
		from = value.OccurredAt
	}
	to := from + r.precision
	return Span{from, min(max(r.received, from), to), to}
}

func (j *Judge) values(system contact.System, values []contact.Value, r reading) {
	side := j.state.Side(system)
	if r.whole && side.Linked() {
		for _, f := range j.state.Fields {
			f.Sides[index(system)].found(r.occurred + r.precision)
		}
	}
	for _, value := range values {
		j.matchKey(side, system, value)
		m := j.rules.Set.ByProperty(system, value.Name)
		if m == nil || m.Category.Computed() || m.Stopped != "" && system == contact.HubSpot {
			continue // what a property at rest holds is not to be judged
		}
		origin := value.Origin
		if origin == contact.Unknown {
			origin = r.origin
		}
		text, refused := j.rules.canonical(m, system, m.Read(system, value.Text))
		when := r.span(value)
		fs := &j.field(m).Sides[index(system)]
		if fs.Known && fs.Native != "" && m.Type != contact.Option && strings.TrimSpace(value.Text) == fs.Native {
			text, refused = fs.Value, nil // as it was before, and may read otherwise in the form of now
		}
		switch believed := fs.Seen.To; {
		case !r.whole || value.OccurredAt == 0 || fs.Value == text || believed > r.occurred:
		case believed == r.occurred && !r.final && fs.mayHaveWritten(fs.Value, Span{From: believed, To: believed}):
			// It was read in the moment in which we wrote, before it or after.
			j.confirm(system, when)
		default:
			// The contact was read after what is believed: a value with an
			// earlier time of its own was moved here by a merge.
			after := min(believed+1, r.occurred)
			when = Span{max(when.From, after), max(when.At, after), max(when.To, after)}
		}
		r.dated = value.OccurredAt != 0
		j.value(m, system, text, refused, when, origin, r)
		fs.named(m, system, text, value.Text)
		if origin != contact.Ours {
			j.field(m).heardFrom(system, text, r.cause)
		}
	}
}

// value judges one value of one field on one side.
func (j *Judge) value(m *mapping.Mapping, system contact.System, text string, refused *fault.Refusal, when Span, origin contact.Origin, r reading) {
	f, side := j.field(m), j.state.Side(system)
	fs := &f.Sides[index(system)]
	own := when
	first := !fs.Known && fs.unwritten(text, when)
	always := text == "" && r.whole && (r.created || fs.before(when))
	intent := false
	var together contact.Millis // when the value was seen in one tick with the present one
	switch {
	case origin == contact.Ours:
		j.verdict.Echoes++
		if text != "" && j.desired(m, f).Side == 0 && (!fs.mayHaveWritten(text, when) || r.whole && j.apart(m, f, system, text)) {
			// Nobody is known to have meant anything: it was written for a
			// contact that was merged into this one, and stands.
			intent, when.At = true, baselineAt
		}
	case always:
		// A blank that was always there is nobody's edit, also where we wrote
		// something meanwhile.
	case first && r.whole && origin == contact.Others && !j.flows(m, system.Other()):
		// What the target of a one-way field held before it was ever written is
		// no edit over it.
		intent, when.At = true, baselineAt
	case origin == contact.Others:
		intent = true
	case first && r.whole && !(fs.Forgotten && r.dated): // else it tells by itself since when it is there
		intent, when.At = true, baselineAt
	case first:
		intent = true
	case r.final && when.At >= fs.Seen.At && (fs.Value != text || j.meantWithin(m, system, text, when)) && !fs.mayHaveWritten(text, when):
		// Read after the tick in which another value was seen: it was set again.
		intent = true
	case !r.whole && r.precision == 0 && fs.Value == text && fs.Since == when.From && j.field(m).Edits[index(system)].At <= baselineAt && !fs.mayHaveWritten(text, when):
		// A reading told of it first, as of something that was always there: it was
		// set at that very time.
		intent = true
	case fs.setLater(text, when):
		intent = true
		together = fs.seenWith(text)
	default:
		intent = fs.Value != text && fs.setSince(text, when) || !fs.mayHaveHeld(text, when) && !(side.Doubt != 0 && fs.doubted(text))
	}
	at := when.edited()
	if together != 0 {
		at = together // it was set then
	}
	if ours := fs.cameOver(text, when, r.final); intent && ours != nil {
		at = j.afterOurs(m, f, system, ours, at)
	}
	if intent && when.At == baselineAt {
		at = baselineAt
		when = Span{r.occurred, max(r.occurred, baselineAt), r.occurred + r.precision}
		if origin == contact.Others {
			when = own // its system tells when it was set
		}
	}
	changed := !fs.Known || fs.Value != text
	source := !first && origin == contact.Unknown && !j.flows(m, system)
	var reset Edit
	hasReset := false
	if origin == contact.Unknown { // else each value is told by an event of its own
		reset, hasReset = fs.setAgain(text, when, intent || source)
	}
	newest := !fs.Known || when.At >= fs.Seen.At
	former, _ := fs.will()
	current, ambiguous := fs.observe(text, when, r.final)
	if source && current && !always {
		// Nothing of ours is written here, but what a new contact needs: what
		// comes to be there, somebody meant.
		intent = changed && !fs.mayHaveWritten(text, when)
	}
	if ambiguous {
		j.confirm(system, when)
	}
	if origin == contact.Unknown { // else each observation is an edit of its own, or none
		f.date(m, system, text, when, at)
	}
	if earlier := f.Edits[index(system)]; current && newest && earlier.Side != 0 {
		at = max(at, earlier.At) // the side's own order is known: this one came after it
	}
	if edit := &f.Edits[index(system)]; intent && !current && edit.At == baselineAt && in(m, system, text) != edit.Value {
		// Not there from the beginning, if it came after this one.
		edit.At = max(edit.At, fs.cameAfter(m.Out(system, edit.Value), when))
	}
	if intent {
		edit := Edit{Value: in(m, system, text), At: at, Side: system}
		if current && refused == nil {
			j.note(m, edit, former)
		}
		j.intend(m, f, edit, origin != contact.Others, refused, r.received)
	}
	if hasReset {
		reset.Value = in(m, system, reset.Value)
		j.intend(m, f, Edit{Value: reset.Value, At: reset.At, Side: system}, true, nil, r.received)
	}
}

// apart reports whether the other side is known to hold something else than a
// value of one.
func (j *Judge) apart(m *mapping.Mapping, f *Field, system contact.System, text string) bool {
	will, known := f.Sides[index(system.Other())].will()
	return known && will != m.Out(system.Other(), in(m, system, text))
}

// afterOurs is the time of an edit that replaced a write of ours: after the edit
// that this one carried, however coarse the system's clock is.
func (j *Judge) afterOurs(m *mapping.Mapping, f *Field, system contact.System, ours *Write, at contact.Millis) contact.Millis {
	carried := j.desired(m, f)
	if carried.Side != system.Other() || m.Out(system, carried.Value) != ours.Value {
		return at
	}
	return max(at, min(carried.At+1, ours.Applied))
}

// named keeps what a system itself calls the option that it holds now, or how
// it shows the date or number.
func (f *FieldSide) named(m *mapping.Mapping, system contact.System, value, native string) {
	switch native = strings.TrimSpace(native); {
	case !f.Known || f.Value != value:
	case m.Type != contact.Option && !m.HasForm(system), native == value:
		f.Native = ""
	default:
		f.Native = native
	}
}

// setAgain recognises that an older observation of another value splits what was
// believed of the time around it: the side had value X, then this one, and X again
// when it was last seen. Then X was set again after it, by a person unless a write
// of ours explains it. Where this one is no intent itself, it must lie in a tick of
// its own: what it tells may be from before X else.
func (f *FieldSide) setAgain(text string, when Span, intent bool) (again Edit, ok bool) {
	apart := func(since, seen contact.Millis) bool {
		return intent && since <= when.From || since+when.To-when.From < when.From && seen > when.To
	}
	split := func(value string, since, seen contact.Millis) bool {
		return value != text && apart(since, seen) && !f.mayHaveWritten(value, Span{From: when.From, To: seen})
	}
	for i := range f.Past {
		if p := &f.Past[i]; p.Last > when.To && split(p.Value, p.Since, p.Last) {
			again, ok = Edit{Value: p.Value, At: p.Last}, true
		}
	}
	if f.Known && f.Value != text && when.At < f.Seen.At && apart(f.Since, f.Seen.From) {
		again, ok = Edit{}, split(f.Value, f.Since, f.Seen.To)
		if ok {
			again = Edit{Value: f.Value, At: f.Seen.edited()}
		}
		f.remember(Past{Value: f.Value, Since: f.Since, Last: f.Since, Until: when.To})
		f.Since = f.Seen.From
	}
	return again, ok
}

// setAfter recognises that the present value, which the side had already before
// a write of ours was applied, or may have had by what was doubtful in the tick of
// that write, was set after it.
func (f *FieldSide) setAfter(applied Span) (Edit, bool) {
	if f.Seen.From <= applied.To || f.mayHaveWritten(f.Value, f.Seen) {
		return Edit{}, false
	}
	if f.Since > applied.To && f.Since != f.Seen.From {
		return Edit{Value: f.Value, At: f.Since}, true // seen again since then
	}
	f.Since = f.Seen.From
	return Edit{Value: f.Value, At: f.Seen.edited()}, true
}

// intend is rule 5.
func (j *Judge) intend(m *mapping.Mapping, f *Field, edit Edit, guessed bool, refused *fault.Refusal, received contact.Millis) {
	target := edit.Side.Other()
	if edit.Value == "" && m.IgnoreBlank {
		j.step(Step{Field: m.Key, Side: edit.Side, Rule: "ignored", At: edit.At, Reason: "in this mapping a blank clears nothing"})
		return
	}
	before := j.desired(m, f)
	newest := f.meant(edit, guessed)
	if !j.flows(m, target) {
		if *newest == edit && edit.At > baselineAt {
			j.step(Step{Field: m.Key, Side: edit.Side, Rule: "own", Value: edit.Value, At: edit.At, Reason: j.oneWay(m, target)})
		}
		return
	}
	if m.Manual() && edit.Side == contact.HubSpot {
		j.step(Step{Field: m.Key, Side: edit.Side, Rule: "held", Value: edit.Value, At: edit.At, Reason: "this field follows HubSpot by hand"})
		return
	}
	if j.desired(m, f) != edit {
		j.step(Step{Field: m.Key, Side: edit.Side, Rule: "stale", Value: edit.Value, At: edit.At})
		return
	}
	changed := before.Side == 0 || before.Value != edit.Value
	j.received = max(j.received, received)
	fs := &f.Sides[index(target)]
	switch {
	case refused != nil:
		fs.Rejected = j.rejection(target, m.Out(target, edit.Value), 0, refused)
		j.step(Step{Field: m.Key, Side: target, Rule: "refused", Value: edit.Value, At: edit.At, Reason: refused.Reason + ": " + refused.Message})
	case changed:
		fs.Rejected = nil
	}
	if changed {
		j.step(Step{Field: m.Key, Side: edit.Side, Rule: "intent", Value: edit.Value, At: edit.At})
		if why := j.kept(m, f, target, edit); why != "" {
			j.step(Step{Field: m.Key, Side: target, Rule: "kept", Value: edit.Value, At: edit.At, Reason: why})
		}
	}
}

// meant keeps an edit if it is its side's newest, which it gives, or the one
// before.
func (f *Field) meant(edit Edit, guessed bool) (newest *Edit) {
	at := index(edit.Side)
	newest, former := &f.Edits[at], &f.Former[at]
	switch {
	case edit == *newest:
		f.Guessed[at] = f.Guessed[at] && guessed
	case edit.later(*newest):
		*newest, *former, f.Guessed[at] = edit, *newest, guessed
	case edit.later(*former):
		*former = edit
	}
	return newest
}

// retract takes back an edit that turns out to be a write of ours, which was
// carried out once more within a stretch of time.
func (j *Judge) retract(m *mapping.Mapping, f *Field, system contact.System, value string, after, until contact.Millis) {
	newest, former := &f.Edits[index(system)], &f.Former[index(system)]
	if newest.Side == 0 || !f.Guessed[index(system)] || newest.Value != in(m, system, value) || newest.At <= after || newest.At > until {
		return
	}
	j.step(Step{Field: m.Key, Side: system, Rule: "retracted", Value: newest.Value, At: newest.At, Reason: "it was a write of ours, carried out once more"})
	*newest, *former, f.Guessed[index(system)] = *former, Edit{}, false
}

// holds reports whether a value is one of the last edits of a side.
func (f *Field) holds(system contact.System, value string) bool {
	newest, former := f.Edits[index(system)], f.Former[index(system)]
	return newest.Side != 0 && newest.Value == value || former.Side != 0 && former.Value == value
}

// meantWithin reports whether the newest intent of a side is another value and lies
// within a span.
func (j *Judge) meantWithin(m *mapping.Mapping, system contact.System, text string, when Span) bool {
	edit := j.field(m).Edits[index(system)]
	return edit.Side != 0 && edit.Value != in(m, system, text) && edit.At >= when.From && edit.At <= when.To
}

// oneWay says why nothing flows into a system.
func (j *Judge) oneWay(m *mapping.Mapping, target contact.System) string {
	if m.Direction.Into(target) {
		return "the tenant's updates do not lead to " + target.Name()
	}
	return "this field leads to " + target.Other().Name() + " alone; what was set there stays until the value in " + target.Name() + " changes"
}

// kept says why an edit that counts is not written over what the other side
// holds; "" where it is.
func (j *Judge) kept(m *mapping.Mapping, f *Field, target contact.System, edit Edit) string {
	if !j.state.Side(target).Linked() {
		return ""
	}
	will, known := f.Sides[index(target)].will()
	own := f.Edits[index(target)]
	switch {
	case known && will == m.Out(target, edit.Value):
		return "" // it is there already
	case m.Stopped != "":
		return "the mapping is at rest: " + m.Stopped
	case m.Policy == mapping.OnlyOnCreate:
		return "by its policy this mapping gives a value to new contacts only"
	case m.Policy == mapping.OnlyIfEmpty && known && will != "":
		return "by its policy this mapping fills a blank only, and there is a value"
	case j.standing(m, f, target, edit):
		return "what was set in " + target.Name() + " is later, and stays until the value in " + edit.Side.Name() + " changes again: " + own.Value
	}
	return ""
}

// standing reports whether the target's own edit stands against the desired
// value: until the source changes, where no earlier write of ours ran over it.
func (j *Judge) standing(m *mapping.Mapping, f *Field, target contact.System, desired Edit) bool {
	own := f.Edits[index(target)]
	if j.flows(m, target.Other()) && !m.Manual() || own.At <= baselineAt || !own.later(desired) {
		return false
	}
	will, _ := f.Sides[index(target)].will()
	return will == m.Out(target, own.Value)
}

// date corrects the time of an edit that was first seen late: the side had the
// value earlier already, so that the edit was made then.
func (f *Field) date(m *mapping.Mapping, system contact.System, value string, when Span, at contact.Millis) {
	edit, side := &f.Edits[index(system)], &f.Sides[index(system)]
	if edit.Side == 0 || edit.Value != in(m, system, value) || when.To >= edit.At || !side.Known || side.Value != value || side.Since > when.From {
		return
	}
	edit.At = at
}

// in is the value that a side's canonical text stands for. What waits for a
// list is left as it is.
func in(m *mapping.Mapping, system contact.System, text string) string {
	if Unresolved(text) {
		return text
	}
	return m.In(system, text)
}

// desired is what both sides should hold: the later of the edits that may
// flow; no Side before the first.
func (j *Judge) desired(m *mapping.Mapping, f *Field) Edit {
	var newest Edit
	for i, side := range contact.Systems {
		if m.Manual() && side == contact.HubSpot && f.Edits[i] != f.Approved {
			continue // until somebody asks for it
		}
		if f.Edits[i].later(newest) && j.flows(m, side.Other()) {
			newest = f.Edits[i]
		}
	}
	return newest
}

// flows reports whether a field's values may be written into a system.
func (j *Judge) flows(m *mapping.Mapping, into contact.System) bool {
	return m.Direction.Into(into) && j.rules.Updates.Into(into)
}

// confirm asks for a read of a side whose order cannot be told: after the tick
// in which both values were seen, so that the answer is final for it.
func (j *Judge) confirm(system contact.System, when Span) {
	side := j.state.Side(system)
	side.Doubt = max(when.To, j.decision.Now) + confirmAfter
	if side.Linked() && side.Fetching == 0 {
		j.fetch(system, side.Doubt)
	}
}

// confirmAfter is the distance of a confirming read from the tick in
// question: one tick of Aloware's clock and some skew.
const confirmAfter contact.Millis = 1200

// matchKey keeps the numbers and the e-mail by which the contact is found.
func (j *Judge) matchKey(side *Side, system contact.System, value contact.Value) {
	before := [...]string{side.Phone, side.Mobile, side.Email}
	defer func() {
		if side.ambiguous() && before != [...]string{side.Phone, side.Mobile, side.Email} {
			side.Candidates = nil // it is found by something else now
		}
	}()
	switch {
	case value.Name == j.property("email", system):
		side.Email, _ = contact.Canonical(contact.Email, value.Text, j.rules.Region)
	case value.Name == j.property("phone_number", system):
		side.Phone, _ = contact.Canonical(contact.Phone, value.Text, j.rules.Region)
	case system == contact.HubSpot && value.Name == MobilePhone:
		side.Mobile, _ = contact.Canonical(contact.Phone, value.Text, j.rules.Region)
	}
}

func (j *Judge) property(key string, system contact.System) string {
	if m := j.rules.Set.ByKey(key); m != nil {
		return m.Property(system)
	}
	return ""
}

// Phones are the numbers of a side, the main one first.
func (s *Side) Phones() []string {
	phones := []string{s.Phone, s.Mobile}
	phones = slices.DeleteFunc(phones, func(p string) bool { return p == "" })
	return slices.Compact(phones)
}
