package quota

import (
	"math"
	"time"
)

const (
	// takeOver is the time that a new owner leaves for the calls of its
	// predecessor that were still on their way.
	takeOver = time.Second
	// stray is how many calls readers may have made for themselves while there
	// was no owner; their own parts are too small for any.
	stray = 3
	// lately is how far back calls count as a sign of how many are to come.
	lately = 10 * time.Second
)

// window is one limit: so many calls in any span of a length. It keeps two
// rules.
//
// No call goes out while most calls are under way or were answered within the
// span: the system counted each at the latest when it answered, so its count
// can never exceed the limit, whatever the latencies.
//
// And calls are paced by a bucket of a tenth of the limit that begins empty,
// with a debt of that tenth: in the span around a take-over the predecessor
// sent at most tenth + rate·x, the new owner sends at most rate·(span−x) −
// tenth, which is the limit together. The debt is also greater by takeOver and
// stray, for calls that were still on their way, and for those of readers.
//
// Bulk calls leave a little of both to those that somebody waits for, so that one of
// these goes out at once even while the limit is used to the full: of what leaves the
// span, or is refilled, so much that the next few of them need not wait, as many as
// came lately.
type window struct {
	span     time.Duration
	most     int         // 0: only the pace limits
	answered []time.Time // ours, within the span, oldest first
	foreign  []time.Time // what others used beyond their part, like answered
	underway int
	together int // most calls under way, of a limit without most; 0: any number
	pace     bucket
	urgent   []time.Time // calls within lately that somebody waited for, oldest first
	closed   time.Time   // no call before
	begun    time.Time
}

// newWindow begins a limit that an unknown predecessor may have used up to a
// time.
func newWindow(span time.Duration, most int, since time.Time) window {
	w := window{span: span, begun: since}
	w.setMost(most)
	w.pace.empty = since.Add(takeOver)
	if most > 0 {
		w.pace.empty = w.pace.empty.Add(time.Duration((w.pace.burst + min(stray, float64(most/20))) * float64(w.pace.cell())))
	}
	return w
}

// newPaced begins a limit by rate and burst alone.
func newPaced(rate float64, burst int, since time.Time) window {
	w := window{begun: since, pace: bucket{empty: since.Add(takeOver)}}
	w.setPace(rate, burst)
	return w
}

// setPace changes a limit by rate and burst. Half of the burst may go out at once,
// and the other half may be under way: what arrives in a time was under way when
// it began or went out in it, so the system's bucket is not overdrawn, however
// much closer together calls arrive than they were sent.
func (w *window) setPace(rate float64, burst int) {
	w.pace.rate, w.pace.burst = rate, float64(max(1, (burst+1)/2))
	w.together = max(1, burst/2)
}

// setMost changes the limit and the pace that follows from it.
func (w *window) setMost(most int) {
	w.most = most
	if most > 0 {
		w.pace.rate, w.pace.burst = float64(most)/w.span.Seconds(), float64(max(1, most/10))
	}
}

// next is when the next call may go out, a bulk one or another; now or before
// means now. Without a known time an answer must come in first.
func (w *window) next(now time.Time, bulk bool) (at time.Time, known bool) {
	kept, tokens := 0, 0.0 // for the others
	if bulk {
		w.urgent = since(w.urgent, now.Add(-lately))
		expected := len(w.urgent) / 16 // what comes in five eighths of a second
		if w.most >= 4 {
			kept = 1 + min(expected, w.most/20)
		}
		tokens = min(2, math.Floor(w.pace.burst/4)) + min(float64(expected), math.Floor(w.pace.burst/4))
	}
	at = latest(w.pace.free(tokens), w.closed)
	if w.most == 0 {
		if w.together >= 4 && bulk {
			kept = 1
		}
		return at, w.together == 0 || w.underway+kept < w.together
	}
	w.trim(now)
	over := w.used() + kept - w.most // how many must leave the span, less one
	if over < 0 {
		return at, true
	}
	if over >= len(w.answered)+len(w.foreign) {
		return time.Time{}, false
	}
	return latest(at, w.leaving(over).Add(w.span)), true
}

// leaving is the n-th oldest of all that was answered, from 0.
func (w *window) leaving(n int) time.Time {
	own, others := w.answered, w.foreign
	for {
		first := &own
		if len(own) == 0 || len(others) > 0 && others[0].Before(own[0]) {
			first = &others
		}
		if n == 0 {
			return (*first)[0]
		}
		*first = (*first)[1:]
		n--
	}
}

func (w *window) used() int { return w.underway + len(w.answered) + len(w.foreign) }

// trim forgets what has left the span.
func (w *window) trim(now time.Time) {
	w.answered = since(w.answered, now.Add(-w.span))
	w.foreign = since(w.foreign, now.Add(-w.span))
}

// since keeps the times after a time.
func since(times []time.Time, after time.Time) []time.Time {
	old := 0
	for old < len(times) && !times[old].After(after) {
		old++
	}
	if old == 0 {
		return times
	}
	return append(times[:0], times[old:]...)
}

func (w *window) take(now time.Time) {
	w.pace.take(now)
	w.underway++
}

// hurried notes that somebody waited for the call that was taken.
func (w *window) hurried(now time.Time) { w.urgent = append(since(w.urgent, now.Add(-lately)), now) }

// giveBack undoes a take whose call is not made.
func (w *window) giveBack() {
	w.pace.giveBack()
	w.underway--
}

// done counts an answer.
func (w *window) done(now time.Time) {
	w.underway--
	if w.most > 0 {
		w.answered = append(w.answered, now)
	}
}

// told compares what the system says is left of a limit with our own count.
// What others used beyond their part counts as used until it has left the span
// for sure.
func (w *window) told(limit, left int, now time.Time) {
	// In the first span the predecessor's calls would be taken for others',
	// and the pace allows for them already.
	if w.most == 0 || now.Before(w.begun.Add(w.span+2*takeOver)) {
		return
	}
	w.trim(now)
	// Calls may be counted at slightly different times here and there.
	slack := max(2, limit/20)
	excess := limit - left - w.used() - (limit - w.most)
	if excess <= slack {
		return
	}
	for range min(excess, w.most) {
		w.foreign = append(w.foreign, now)
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
