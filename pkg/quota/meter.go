package quota

import (
	"time"
)

// meter decides when calls may go out. It is pure: time is an argument, and a
// caller must not let it run backwards.
type meter struct {
	limits  Limits
	general window
	search  window
	day     string
	dayUsed int
	dayShut time.Time // the account's day is used up by all its apps: no call before
	dayTold int       // our part of the day's maximum as answers told it; 0 while none did
}

// newMeter begins to count at a time, up to which an unknown predecessor may
// have used everything.
func newMeter(limits Limits, since time.Time) *meter {
	m := &meter{limits: limits}
	if limits.Rate > 0 {
		m.general = newPaced(limits.Rate, limits.Burst, since)
	} else {
		m.general = newWindow(limits.Window, limits.Max, since)
	}
	if limits.Searches > 0 {
		m.search = newWindow(time.Second, limits.Searches, since)
	}
	return m
}

// setLimits takes over new limits without forgetting what was used.
func (m *meter) setLimits(limits Limits, now time.Time) {
	old := m.limits
	m.limits = limits
	switch {
	case (limits.Rate > 0) != (old.Rate > 0) || limits.Window != old.Window || (limits.Searches > 0) != (old.Searches > 0):
		fresh := newMeter(limits, now) // another kind of limit
		fresh.general.underway, fresh.search.underway = m.general.underway, m.search.underway
		m.general, m.search = fresh.general, fresh.search
	case limits.Rate > 0:
		m.general.setPace(limits.Rate, limits.Burst)
	case limits.Max != old.Max:
		m.general.setMost(limits.Max)
	}
	if limits.Searches > 0 {
		m.search.setMost(limits.Searches)
	}
}

// of is the limit of a pool.
func (m *meter) of(pool Pool) *window {
	if pool == Search && m.limits.Searches > 0 {
		return &m.search
	}
	return &m.general
}

// next is when the next call of a pool may go out, a bulk one or another; now or
// before means now. Without a known time an answer must come in first.
func (m *meter) next(pool Pool, now time.Time, bulk bool) (time.Time, bool) {
	at, known := m.of(pool).next(now, bulk)
	return latest(at, m.dayEnds(now)), known
}

// shut is until when a pool is closed for another reason than its pace, with
// the scope of that reason; a time that has passed means open.
func (m *meter) shut(pool Pool, now time.Time) (until time.Time, scope string) {
	w := m.of(pool)
	until = w.closed
	if w == &m.search {
		scope = "search"
	}
	if day := m.dayEnds(now); day.After(until) {
		until, scope = day, "daily"
	}
	return until, scope
}

// dayEnds is until when the day's budget forbids calls; the zero time when it
// does not.
func (m *meter) dayEnds(now time.Time) time.Time {
	until := m.dayShut
	if most := m.daily(); most > 0 && m.today(now) >= most {
		until = latest(until, m.midnight(now))
	}
	return until
}

// daily is what may be used in a day: what is configured, else our part of what
// the system told; 0 for no limit.
func (m *meter) daily() int {
	if m.limits.Daily > 0 {
		return m.limits.Daily
	}
	return m.dayTold
}

// take counts a call that goes out.
func (m *meter) take(pool Pool, now time.Time) {
	m.today(now)
	m.dayUsed++
	m.of(pool).take(now)
}

// giveBack undoes a take whose call is not made.
func (m *meter) giveBack(pool Pool) {
	m.dayUsed = max(0, m.dayUsed-1)
	m.of(pool).giveBack()
}

// done counts a call's answer. jitter lengthens a pause that it asks for.
func (m *meter) done(pool Pool, a Answer, now time.Time, jitter time.Duration) {
	w := m.of(pool)
	w.done(now)
	if w == &m.general {
		m.learn(a, now)
	}
	if a.HasDaily && a.DailyMax > 0 {
		m.dayTold = max(1, int(float64(a.DailyMax)*m.share()))
	}
	if a.HasDaily && a.DailyMax > 0 && a.DailyLeft <= 0 {
		m.dayShut = latest(m.dayShut, now.Add(time.Minute+jitter)) // then one call asks again
	}
	if !a.Throttled {
		return
	}
	switch {
	case a.Scope == "daily":
		m.dayShut = latest(m.dayShut, now.Add(max(a.Wait, time.Minute)+jitter))
	case a.Scope == "search" && m.limits.Searches > 0:
		m.search.close(a.Wait, now, jitter)
	default:
		w.close(a.Wait, now, jitter)
	}
}

// close lets no call out for a time that the system asked for, or until all
// that it has counted has left the span.
func (w *window) close(wait time.Duration, now time.Time, jitter time.Duration) {
	if wait <= 0 {
		wait = w.span
	}
	w.closed = latest(w.closed, now.Add(max(wait, time.Second)+jitter))
}

// learn corrects the window by what an answer told.
func (m *meter) learn(a Answer, now time.Time) {
	if !a.HasWindow || a.WindowMax <= 0 || m.limits.Max == 0 {
		return
	}
	if most := max(1, int(float64(a.WindowMax)*m.share())); most != m.general.most {
		m.general.setMost(most)
	}
	m.general.told(a.WindowMax, a.WindowLeft, now)
}

// share is the part of a maximum that is ours.
func (m *meter) share() float64 {
	if m.limits.Share == 0 {
		return 1
	}
	return m.limits.Share
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
