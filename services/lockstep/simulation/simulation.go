// Package simulation proves that the two systems come to agree. It plays
// schedules: people who edit, merge, delete and erase contacts on both sides, and
// who may share a number or an e-mail; webhooks that come late, twice, out of
// order or never; automations in either system that rewrite a value whenever we
// write it; calls whose answers are lost, values that are refused, pauses
// that a system asks for; a mapping that changes under way; retries, pulls and
// choices; services that end between any two steps or are replaced while they
// still act. Then it lets everything come to rest and holds the result against
// what really happened.
//
// The decisions are the real ones, of services/mapper/people,
// services/mapper/resolve and services/writer/row. The two systems, the streams
// and what is stored are models: without I/O, goroutines or a clock, so that a
// seed always gives the same schedule and the same end.
//
// A schedule is a Script, plain text of one step a line. What fails is shrunk
// to the few steps that matter, and kept in testdata.
//
// What must hold at rest: both sides of a two-way field agree on the last edit,
// later by its own system's clock, HubSpot's on a tie; the target of a one-way
// field holds the source's value unless its own user changed it later; what the
// rules believe of each side is so; nobody is created twice, and nobody is made
// anew who was deleted; nothing of an erased person is stored or sent, also of
// what a call made meanwhile; communications are counted once, and where some
// were lost, Aloware's own totals are reached; nothing is cleared that nobody
// cleared, whatever is mapped meanwhile; who is not linked says why, and what
// somebody chose stands; what was refused is in step after a retry, and so is what
// something kept rewriting, once it has ended. And on the
// way: a mapping that is applied does what its preview told, what a property held
// before it was mapped is read before it is written, the writes end within 90
// seconds of the last edit, and with automations that go on for ever after a few
// rounds, none goes where none may flow, no known edit of a
// target's own user is overwritten before the source changes, nobody is shown an
// older winner after a newer one (but over a hand-over of a writer, where a
// former owner's call lands late; it is counted and put right), a value that is
// on its way is not sent again, and an event that was judged before counts as
// such.
//
// Two cases are ambiguous by nature, and counted: an edit to the very value
// that we are writing at that moment, and changes of one value within one tick
// of Aloware's clock. A write that is carried out once more, by who takes over from
// a process that died, is on its way until then; where no answer ever tells of it,
// it looks like somebody's edit. What no delivered message ever told cannot be known
// either: under Aloware's documented profile nothing can be read again, so that
// a lost webhook keeps its values from us until the next one of that contact,
// and what Aloware does not offer (a cleared value, another number) stays apart,
// refused. All fields that are not judged for such a reason count as ambiguous.
package simulation

import (
	"fmt"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
)

// Stats are what happened over some schedules.
type Stats struct {
	Schedules   int
	Edits       int // changes that people made
	Decided     int // fields at rest that somebody has edited
	Ambiguous   int // of them, those in which no one edit must have won
	Lost        int // of them, those that a wrong edit has won
	Writes      int // values of ours that changed something
	Calls       int // values that were sent
	Regressions int // older winners shown after newer ones, over a hand-over
}

// Add adds what happened over other schedules.
func (s *Stats) Add(o Stats) {
	s.Schedules += o.Schedules
	s.Edits += o.Edits
	s.Decided += o.Decided
	s.Ambiguous += o.Ambiguous
	s.Lost += o.Lost
	s.Writes += o.Writes
	s.Calls += o.Calls
	s.Regressions += o.Regressions
}

// Failure is an invariant that did not hold.
type Failure struct{ Invariant, Detail string }

func (f *Failure) Error() string { return f.Invariant + ": " + f.Detail }

// Run plays a script to its end and to rest.
func Run(script Script) (Stats, *Failure) {
	w := newWorld()
	w.play(script)
	return w.stats, w.failure
}

// Trace is what happened in a script, line by line, for people.
func Trace(script Script) string {
	w := newWorld()
	w.tracing = true
	w.play(script)
	return strings.Join(w.log, "\n")
}

func (w *world) play(script Script) {
	for _, step := range script {
		if w.failure != nil {
			break
		}
		w.trace("%s", step)
		if !slices.Contains(onItsOwn, step.Op) {
			clear(w.fought)
		}
		operations[step.Op](w, step)
	}
	if w.failure == nil {
		w.letGo()
		w.trace("rest")
		w.rest()
	}
	if w.failure == nil {
		w.check()
	}
	if w.failure == nil && (len(w.refused) > 0 || len(w.robots) > 0 || w.rests()) {
		w.tryAgain()
	}
	w.stats.Schedules++
	w.stats.Writes += w.landings
	w.stats.Calls += w.calls
}

// tryAgain lets both systems take what they refused, ends the robots, and asks for
// it once more: then nothing of it may stay apart.
func (w *world) tryAgain() {
	w.trace("try again")
	w.robots, w.reactions = nil, nil
	w.refuses, w.refused = [2]map[int]string{{}, {}}, map[refusedValue]int{}
	for _, e := range w.mapper.contacts {
		w.ask(contact.Command{Contact: e.key, Kind: contact.Retry})
	}
	w.rest()
	if w.failure == nil {
		counted := w.stats
		w.check()
		w.stats = counted
		if w.failure == nil && w.rests() {
			w.fail("rests", "a field is still left alone, though somebody asked for it again and nothing rewrites it")
		}
	}
}

// Shrink reduces a failing script to steps none of which can be left out.
func Shrink(script Script) Script {
	_, failure := Run(script)
	if failure == nil {
		return script
	}
	fails := func(s Script) bool {
		_, f := Run(s)
		return f != nil && f.Invariant == failure.Invariant
	}
	return lower(reduce(script, fails), fails)
}

// reduce leaves steps out, many at once at first, as long as it keeps failing.
func reduce(script Script, fails func(Script) bool) Script {
	for size := (len(script) + 1) / 2; size > 0; {
		removed := false
		for at := 0; at < len(script); {
			end := min(at+size, len(script))
			rest := append(append(Script{}, script[:at]...), script[end:]...)
			if fails(rest) {
				script, removed = rest, true
				continue
			}
			at = end
		}
		switch {
		case size > 1:
			size /= 2
		case !removed:
			size = 0
		}
	}
	return script
}

// lower makes the numbers of a script small where that keeps it failing.
func lower(script Script, fails func(Script) bool) Script {
	for i := range script {
		for k := range script[i].N {
			for _, n := range []int{0, 1, script[i].N[k] / 2} {
				if n >= script[i].N[k] && n != 0 || n == script[i].N[k] {
					continue
				}
				changed := append(Script{}, script...)
				changed[i].N = append([]int{}, script[i].N...)
				changed[i].N[k] = n
				if fails(changed) {
					script = changed
					break
				}
			}
		}
	}
	return script
}

// Report is a failing schedule as it is kept in testdata.
func Report(seed uint64, script Script, failure *Failure) string {
	return fmt.Sprintf("# seed %d\n# %s\n%s", seed, failure, script)
}
