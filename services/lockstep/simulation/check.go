package simulation

import (
	"slices"
	"strconv"

	"lockstep.internal/pkg/contact"
)

// check holds the world at rest against what must be true of it.
func (w *world) check() {
	w.checkReleased()
	for person := range mostPeople {
		if w.same(person) != person || w.crossed(person) {
			continue
		}
		w.checkPerson(person)
		if w.failure != nil {
			return
		}
	}
	if w.shared {
		w.checkCrossed()
	}
}

func (w *world) checkPerson(person int) {
	hubspot, aloware := w.living(contact.HubSpot, person), w.living(contact.Aloware, person)
	if w.erasedOf[person] {
		w.checkErased(person)
		return
	}
	several := w.several(person)
	for _, list := range [][]*record{hubspot, aloware} {
		if len(list) > 1 && !several && !w.restored[person] {
			w.fail("twice", "person %d is in %s %d times", person, list[0].system, len(list))
			return
		}
	}
	if w.outside(person) {
		return
	}
	if w.deleted[person] {
		if slices.ContainsFunc(hubspot, w.remade) {
			w.fail("made anew", "person %d was deleted in HubSpot, and is there again", person)
		}
		return
	}
	if len(hubspot)+len(aloware) == 0 {
		return
	}
	if several {
		aloware = w.linkedTo(hubspot, aloware)
	}
	for _, system := range contact.Systems {
		here, there := hubspot, aloware
		if system == contact.Aloware {
			here, there = aloware, hubspot
		}
		if w.documented && system == contact.HubSpot && len(there) == 1 && !there[0].told {
			return // no delivery told of it, and nothing else can
		}
		if len(here) == 0 && len(there) > 0 && w.rules.Creation.Into(system) && !w.refusesPerson[index(system)][person] && !several && !w.archived[person] {
			w.fail("missing", "person %d is not in %s", person, system)
			return
		}
	}
	if len(hubspot) != 1 || len(aloware) != 1 {
		return
	}
	pair := [2]*record{hubspot[0], aloware[0]}
	if !w.checkBelief(person, pair, several) {
		return
	}
	for field := range firstComputed {
		w.checkField(person, field, pair)
		w.checkCleared(person, field, pair)
	}
	if !several { // else what was counted for the one that is not linked counts, or not
		w.checkTotals(person, pair)
	}
}

// remade reports whether a record stands for a contact whose counterpart was
// deleted. Who was merged with that one, and was not known to be there himself,
// can be made.
func (w *world) remade(r *record) bool {
	return slices.ContainsFunc(w.mapper.contacts, func(e *entry) bool {
		_, cut := w.cut[e.state.Side(contact.Aloware).ID]
		return cut && e.state.Side(contact.HubSpot).ID == r.id
	})
}

// linkedTo picks the record of Aloware that is linked with one of HubSpot.
func (w *world) linkedTo(hubspot, aloware []*record) []*record {
	for _, e := range w.mapper.contacts {
		for _, r := range aloware {
			if len(hubspot) == 1 && e.state.Side(contact.HubSpot).ID == hubspot[0].id && e.state.Side(contact.Aloware).ID == r.id {
				return []*record{r}
			}
		}
	}
	return nil
}

// checkBelief checks that the two are linked, and that what is believed of them
// is so.
func (w *world) checkBelief(person int, pair [2]*record, several bool) bool {
	for _, e := range w.mapper.contacts {
		if e.state.Sides[0].ID != pair[0].id || e.state.Sides[1].ID != pair[1].id {
			continue
		}
		for i, r := range pair {
			for field := range firstComputed {
				f := e.state.Fields[fieldKeys[field]]
				if f == nil || w.removed[field] || w.terms[field].atRest || w.untold(r, field) || !f.Sides[i].Known || f.Sides[i].Value == r.value(field) {
					continue
				}
				w.fail("belief", "%s is %q and is believed to be %q", cell{r.system, person, field}, r.value(field), f.Sides[i].Value)
				return false
			}
		}
		return true
	}
	if !several && !w.restored[person] { // who was made anew meanwhile is for people to settle
		w.fail("link", "person %d is in both systems and not linked", person)
	}
	return false
}

// checkField checks that both sides agree, and on the right value.
func (w *world) checkField(person, field int, pair [2]*record) {
	values := [2]string{pair[0].value(field), pair[1].value(field)}
	switch {
	case w.untold(pair[1], field):
		w.stats.Decided++
		w.stats.Ambiguous++
		return
	case w.dropped[field]:
		return
	case w.loose[field]:
		w.checkTerms(person, field, values)
		return
	}
	if tug := w.resting(person, field); tug != nil {
		w.checkResting(person, field, pair, tug)
		return
	}
	direction := w.directionOf(field)
	switch direction {
	case 0:
	case contact.Both:
		if values[0] != values[1] {
			if !w.refusedOne(person, field, values) {
				w.fail("agreement", "%s of person %d is %q in HubSpot and %q in Aloware", fieldKeys[field], person, values[0], values[1])
			}
			w.stats.Decided++
			w.stats.Ambiguous++
			return
		}
		if !w.rebound[field] && !w.undone[field] && !w.wentOn[spot{person, field}] { // else what was there then is nobody's edit, or somebody chose
			w.checkWinner(person, field, values[0], pair)
		}
	case contact.ToAloware, contact.ToHubSpot:
		if w.undone[field] {
			return
		}
		w.checkTarget(person, field, direction, pair)
	}
}

// untold reports whether the last change of a value was told by no delivery, and
// can be told by nothing else: Aloware cannot be read by id under every profile.
func (w *world) untold(r *record, field int) bool {
	c := r.cells[field]
	return w.documented && r.system == contact.Aloware && c != nil && !c.ours && c.shown == 0
}

// refusedOne reports whether one side refused what the other holds.
func (w *world) refusedOne(person, field int, values [2]string) bool {
	for i, system := range contact.Systems {
		if w.refusedOf(system, person, field, values[1-i]) {
			return true
		}
	}
	return false
}

// refusedOf reports whether a system refused a value of a person, or of one that
// was merged into this person.
func (w *world) refusedOf(system contact.System, person, field int, value string) bool {
	for other := range mostPeople {
		if w.same(other) == w.same(person) && w.refused[refusedValue{system, other, field, value}] > 0 {
			return true
		}
	}
	return false
}

// checkTarget checks a field that flows one way: the target holds the source's
// value, or its own user's later one.
func (w *world) checkTarget(person, field int, direction contact.Direction, pair [2]*record) {
	source, target := pair[0], pair[1]
	if direction == contact.ToHubSpot {
		source, target = target, source
	}
	want, got := source.value(field), target.value(field)
	if source.cells[field] == nil && target.cells[field] == nil {
		return
	}
	w.stats.Decided++
	if want == got {
		return
	}
	if w.refusedOf(target.system, person, field, want) {
		w.stats.Ambiguous++
		return
	}
	s, t := source.cells[field], target.cells[field]
	if s == nil || s.ours || w.unsure(s) != "" || s.first && w.anonymous || s.value == "" && s.first {
		w.stats.Ambiguous++
		return // nobody is known to have meant what the source holds
	}
	from, _ := w.interval(s)
	own := t != nil && !t.ours
	for _, r := range w.records[index(target.system)] {
		for _, c := range r.past[field] {
			// Also where we wrote that very value ourselves later.
			if w.personOf(r) == person && !c.ours && !own && (w.remapped || c.value == got) && c.clock+precision(target.system) >= from {
				own, t = true, c
			}
		}
	}
	if !own && w.madeUnknown(target, t) {
		w.stats.Ambiguous++
		return
	}
	if own {
		if _, to := w.interval(t); w.remapped || to > from || to == from && target.system == contact.HubSpot || w.unsure(t) != "" {
			if w.remapped || w.unsure(t) != "" {
				w.stats.Ambiguous++
			}
			return // the target's own edit stands
		}
	}
	w.stats.Lost++
	w.fail("one-way", "%s of person %d is %q in %s, set at %d, and %q in %s", fieldKeys[field], person, want, source.system, s.clock, got, target.system)
}

// madeUnknown reports whether a value came with a contact that we made in a
// HubSpot that does not tell who made it: until our call is answered, it looks
// as if somebody had made it by hand.
func (w *world) madeUnknown(r *record, c *change) bool {
	return w.anonymous && r.system == contact.HubSpot && r.ours && c != nil && c.ours && c.clock == r.created
}

// interval is between when and when, by its own system's clock, a change can
// be taken to have been made.
func (w *world) interval(c *change) (from, to contact.Millis) {
	from, to = w.tickOf(c.record.system, c.clock), c.upTo
	switch {
	case c.shown == 0:
		to = from + precision(c.record.system)
	case w.unsure(c) != "":
		to = c.latest // not believed at first, it can be taken for a later one
	}
	if c.first && (c.record.system == contact.Aloware || w.anonymous || c.doubt == "merged" || c.doubt == "restored") {
		from = 1
	}
	return from, to
}

// doubtful is how long a value that was left within a tick with several changes
// can be taken to be there still: until a read tells, and that can be slow.
const doubtful = 60_000

// unsure says why an observer may take a change for none, or for another time.
func (w *world) unsure(c *change) string {
	if c.doubt != "" {
		return c.doubt
	}
	if c.shown == 0 {
		return "never told"
	}
	if c.value == "" && c.first {
		return "blank from the beginning"
	}
	if c.record.system == contact.HubSpot && !w.anonymous {
		return ""
	}
	// The value that was there before, with nothing told in between.
	past := c.record.past[c.field]
	at := slices.Index(past, c)
	if at > 0 && c.record.busy[w.tickOf(c.record.system, c.clock)] && (past[at-1].shown == 0 || past[at-1].shown >= c.shown) {
		return "same tick, told in disorder"
	}
	told := false
	for i := at - 1; i >= 0; i-- {
		if past[i].value == c.value {
			if !told {
				return "told as unchanged"
			}
			left := past[i+1].clock
			if c.clock-left < doubtful && (past[i].doubt != "" || past[i+1].doubt == "same tick" || c.record.busy[w.tickOf(c.record.system, left)]) {
				return "again after a doubt"
			}
		}
		told = told || past[i].shown != 0 && past[i].doubt == ""
	}
	if c.value == "" && at >= 0 { // it was blank at the beginning
		left := past[0].clock
		switch {
		case !told:
			return "told as unchanged"
		case c.clock-left < doubtful && c.record.busy[w.tickOf(c.record.system, left)]:
			return "again after a doubt"
		}
	}
	return ""
}

// checkWinner checks that the last edit by the rules has won.
func (w *world) checkWinner(person, field int, got string, pair [2]*record) {
	type candidate struct {
		*change
		from, to contact.Millis
		sure     bool
		place    int
	}
	possible := map[string]bool{}
	var all []candidate
	for _, records := range w.records {
		for _, r := range records {
			if w.personOf(r) != person {
				continue
			}
			for i, c := range r.past[field] {
				if c.ours && !c.moved {
					if w.unheard(c) {
						possible[c.value] = true
					}
					continue
				}
				from, to := w.interval(c)
				all = append(all, candidate{c, from, to, w.unsure(c) == "" && (r == pair[0] || r == pair[1]), i})
			}
		}
	}
	sure := false
	for _, c := range all {
		beaten := false
		for _, other := range all {
			if !other.sure || other.change == c.change {
				continue
			}
			sure = true
			beaten = beaten || other.from > c.to || other.record == c.record && other.place > c.place ||
				other.from == c.to && other.record.system == contact.HubSpot && c.record.system == contact.Aloware
		}
		sure = sure || c.sure
		if !beaten {
			possible[c.value] = true
		}
	}
	if len(all) == 0 {
		return // nobody ever edited it
	}
	w.stats.Decided++
	if !sure || len(possible) > 1 {
		w.stats.Ambiguous++
	}
	if !sure {
		return
	}
	if !possible[got] && !w.madeUnknown(pair[0], pair[0].cells[field]) {
		w.stats.Lost++
		var edits []string
		for _, c := range all {
			edits = append(edits, c.record.system.String()+" "+strconv.Quote(c.value)+" "+strconv.FormatInt(int64(c.from-1_700_000_000_000), 10)+".."+strconv.FormatInt(int64(c.to-1_700_000_000_000), 10)+" "+w.unsure(c.change))
		}
		w.fail("lost", "%s of person %d is %q; edits: %q", fieldKeys[field], person, got, edits)
	}
}

// checkTotals checks that every communication counts once.
func (w *world) checkTotals(person int, pair [2]*record) {
	if !w.rules.Updates.Into(contact.HubSpot) {
		return
	}
	var totals [4]int
	var first, last spoken // the first inbound call, and the last outbound one
	var outcomes []spoken  // the latest calls that have one
	for _, sp := range w.spoken {
		if !sp.heard || w.personOf(sp.record) != person {
			continue
		}
		totals[sp.kind]++
		if sp.kind == 0 && (first.at == 0 || sp.at < first.at) {
			first = sp
		}
		if sp.kind == 1 && sp.at > last.at {
			last = sp
		}
		if sp.kind < 2 && sp.disposition != "" {
			outcomes = slices.DeleteFunc(outcomes, func(other spoken) bool { return other.at < sp.at })
			if len(outcomes) == 0 || outcomes[0].at == sp.at {
				outcomes = append(outcomes, sp)
			}
		}
	}
	expect := func(field int, wants ...string) {
		if got := pair[0].value(field); !w.removed[field] && !slices.Contains(wants, got) {
			w.fail("totals", "%s of person %d is %q, want %q", fieldKeys[field], person, got, wants)
		}
	}
	for kind, total := range totals {
		least, most := w.spokenOf(person, kind, total)
		wants := []string{""}
		if least > 0 {
			wants = nil
		}
		for n := max(least, 1); n <= most+w.close(person, kind); n++ {
			wants = append(wants, strconv.Itoa(n))
		}
		expect(firstComputed+kind, wants...)
	}
	instant := func(sp spoken) string {
		if sp.at == 0 {
			return ""
		}
		return contact.FormatInstant(sp.at)
	}
	expect(firstComputed+4, instant(first))
	expect(firstComputed+5, instant(last))
	if len(outcomes) == 0 {
		expect(firstComputed+6, "")
		return
	}
	var dispositions []string
	for _, sp := range outcomes {
		dispositions = append(dispositions, sp.disposition)
	}
	expect(firstComputed+6, dispositions...)
}

// spokenOf is how many of a kind are known, of which so many were heard: what was
// lost, a later total tells of. A call whose end was lost can be told twice.
func (w *world) spokenOf(person, kind, heard int) (least, most int) {
	least, most = heard, heard
	for _, sp := range w.spoken {
		if sp.kind != kind || w.personOf(sp.record) != person {
			continue
		}
		told := w.toldTotals[sp.record][kind]
		least = max(least, int(told))
		if !sp.heard && sp.place > 0 && sp.place <= told {
			most++
		}
	}
	return least, max(least, most)
}

// close is how many of a kind ended about when another began: whether the totals
// that Aloware told with that one have them cannot be told.
func (w *world) close(person, kind int) (n int) {
	for _, sp := range w.spoken {
		if sp.kind == kind && w.personOf(sp.record) == person && slices.ContainsFunc(w.spoken, func(other spoken) bool {
			return other.id != sp.id && other.record == sp.record && max(other.at-sp.at, sp.at-other.at) <= 2*tick
		}) {
			n++
		}
	}
	return n
}

// checkErased checks that nothing of an erased person remains.
func (w *world) checkErased(person int) {
	for _, r := range w.records[0] {
		if w.personOf(r) == person && r.gone && !r.erased {
			return // deleted only, and kept to be restored
		}
	}
	for _, r := range w.records[1] {
		if w.personOf(r) == person && !r.ours && !w.mapper.erased(contact.Aloware, r.id) {
			return // made by hand, and not known to be his when he was erased
		}
	}
	for _, text := range []string{"p" + strconv.Itoa(person) + "v", valueOf(person, phone, 0)} {
		if w.mapper.remains(text) {
			w.fail("erased", "something of the erased person %d is stored", person)
		}
	}
	if list := w.living(contact.HubSpot, person); len(list) > 0 {
		w.fail("erased", "the erased person %d is in HubSpot again", person)
	}
}
