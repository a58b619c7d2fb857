package alowaresim

import (
	"math"
	"time"
)

// limiter is the bucket of calls, and the memory of when they came. Times are
// in microseconds, so that it goes on after a restart where it was.
type limiter struct {
	level    float64
	filled   int64   // when level was right
	arrivals []int64 // of the last 10 s, refused ones included
}

// arrive takes a call. It reports whether the bucket lets it pass, else after
// how long one would, and how many calls came in the last second and 10 s.
func (l *limiter) arrive(now int64, rate float64, burst int) (ok bool, wait time.Duration) {
	const second = int64(time.Second / time.Microsecond)
	l.arrivals = append(l.arrivals, now)
	old := 0
	for old < len(l.arrivals) && l.arrivals[old] <= now-10*second {
		old++
	}
	l.arrivals = l.arrivals[old:]
	if rate <= 0 {
		return true, 0
	}
	if now > l.filled {
		l.level = min(float64(burst), l.level+float64(now-l.filled)/float64(second)*rate)
		l.filled = now
	}
	if l.level < 1 {
		return false, time.Duration(math.Ceil((1 - l.level) / rate * float64(time.Second)))
	}
	l.level--
	return true, 0
}

// within counts the calls of the latest time.
func (l *limiter) within(now int64, d time.Duration) int {
	n := 0
	for i := len(l.arrivals) - 1; i >= 0 && l.arrivals[i] > now-d.Microseconds(); i-- {
		n++
	}
	return n
}
