package quota

import (
	"time"
)

// meter decides when calls may go out. It is pure: time is an argument, and a
// caller must not let it run backwards.
//
// For a window it keeps two rules. No call goes out while Max calls are under
// way or were answered within the window: the server counted each at the
// latest when it answered, so its count can never exceed Max. And calls are
// paced like a bucket that begins empty, so that together with what an earlier
// owner sent just before its end the window is not exceeded either.
type meter struct {
	limits   Limits
	answered []time.Time // within the window, oldest first
	underway int
	pace     bucket
	search   bucket
	closed   time.Time // no general call before
	noSearch time.Time // no search before
	day      string
	dayUsed  int
}

// bucket is a generic cell rate: full at most by burst, refilled by rate.
type bucket struct {
	rate  float64
	burst float64
	empty time.Time // when the bucket was, or will have been, empty
}

// take empties a call out at a time; it must be free then.
func (b *bucket) take(now time.Time) {
	if b.rate == 0 {
		return
	}
	if full := now.Add(-time.Duration(b.burst / b.rate * float64(time.Second))); b.empty.Before(full) {
		b.empty = full
	}
	b.empty = b.empty.Add(time.Duration(float64(time.Second) / b.rate))
}

// free is when the next call may be taken.
func (b *bucket) free() time.Time {
	if b.rate == 0 {
		return time.Time{}
	}
	return b.empty.Add(time.Duration(float64(time.Second) / b.rate))
}

// takeOver is the time that a new owner leaves for the calls of its
// predecessor that were still on their way.
const takeOver = time.Second

func newMeter(limits Limits, now time.Time) *meter {
	m := &meter{limits: limits}
	m.setMax(limits.Max, now)
	if limits.SearchRate > 0 {
		m.search = bucket{rate: limits.SearchRate, burst: 1, empty: now.Add(takeOver)}
	}
	return m
}

// setMax sets the window's maximum and the pace that follows from it.
func (m *meter) setMax(most int, now time.Time) {
	m.limits.Max = most
	empty := m.pace.empty
	if empty.IsZero() {
		empty = now.Add(takeOver)
	}
	switch {
	case m.limits.Rate > 0:
		m.pace = bucket{rate: m.limits.Rate, burst: float64(max(1, m.limits.Burst)), empty: empty}
	case most > 0:
		burst := max(1, most/10)
		m.pace = bucket{rate: max(0.1, float64(most-burst)/m.limits.Window.Seconds()), burst: float64(burst), empty: empty}
	}
}

// next is when the next call of a pool may go out; now or before means now. A
// zero time means that an answer must come in first.
func (m *meter) next(pool Pool, now time.Time) (time.Time, bool) {
	if pool == Search && m.search.rate > 0 {
		return latest(m.search.free(), m.noSearch), true
	}
	at := latest(m.pace.free(), m.closed)
	if m.limits.Max > 0 {
		m.trim(now)
		if used := m.underway + len(m.answered); used >= m.limits.Max {
			if len(m.answered) == 0 {
				return time.Time{}, false
			}
			at = latest(at, m.answered[used-m.limits.Max].Add(m.limits.Window))
		}
	}
	if m.limits.Daily > 0 && m.today(now) >= m.limits.Daily {
		at = latest(at, m.midnight(now))
	}
	return at, true
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (m *meter) trim(now time.Time) {
	old := 0
	for old < len(m.answered) && !m.answered[old].Add(m.limits.Window).After(now) {
		old++
	}
	if old > 0 {
		m.answered = append(m.answered[:0], m.answered[old:]...)
	}
}

// take counts a call that goes out.
func (m *meter) take(pool Pool, now time.Time) {
	m.today(now)
	m.dayUsed++
	if pool == Search && m.search.rate > 0 {
		m.search.take(now)
		return
	}
	m.pace.take(now)
	m.underway++
}

// done counts its answer.
func (m *meter) done(pool Pool, a Answer, now time.Time) {
	general := pool != Search || m.search.rate == 0
	if general {
		m.underway--
		if m.limits.Max > 0 {
			m.answered = append(m.answered, now)
		}
		m.learn(a, now)
	}
	if !a.Throttled {
		return
	}
	wait := a.Wait
	switch {
	case !general || a.Scope == "search":
		m.noSearch = latest(m.noSearch, now.Add(max(wait, time.Second)))
	case a.Scope == "daily":
		m.closed = latest(m.closed, now.Add(max(wait, time.Minute)))
	default:
		m.closed = latest(m.closed, now.Add(max(wait, m.limits.Window, time.Second)))
	}
}

// learn corrects the meter by what an answer told.
func (m *meter) learn(a Answer, now time.Time) {
	share := m.limits.Share
	if share == 0 {
		share = 1
	}
	if a.HasWindow && a.WindowMax > 0 && m.limits.Max > 0 {
		if most := max(1, int(float64(a.WindowMax)*share)); most != m.limits.Max {
			m.setMax(most, now)
		}
		if a.WindowLeft == 0 && len(m.answered) < m.limits.Max {
			// Others used what we counted as free: leave them a tenth of the window.
			m.closed = latest(m.closed, now.Add(m.limits.Window/10))
		}
	}
	if a.HasDaily && a.DailyLeft == 0 && a.DailyMax > 0 {
		m.closed = latest(m.closed, now.Add(time.Minute))
	}
}

// today is what was used since midnight.
func (m *meter) today(now time.Time) int {
	if day := m.local(now).Format(time.DateOnly); day != m.day {
		m.day, m.dayUsed = day, 0
	}
	return m.dayUsed
}

func (m *meter) local(now time.Time) time.Time {
	if m.limits.Zone == nil {
		return now.UTC()
	}
	return now.In(m.limits.Zone)
}

func (m *meter) midnight(now time.Time) time.Time {
	year, month, day := m.local(now).Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, m.local(now).Location())
}
