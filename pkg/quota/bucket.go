package quota

import "time"

// bucket is a generic cell rate: it holds burst calls at most and is refilled
// by rate a second. A zero rate never limits.
type bucket struct {
	rate  float64
	burst float64
	empty time.Time // when the bucket was, or will have been, empty
}

// cell is the time in which one call is refilled.
func (b *bucket) cell() time.Duration { return time.Duration(float64(time.Second) / b.rate) }

// take takes a call out at a time; it must be free then.
func (b *bucket) take(now time.Time) {
	if b.rate == 0 {
		return
	}
	if full := now.Add(-time.Duration(b.burst * float64(b.cell()))); b.empty.Before(full) {
		b.empty = full
	}
	b.empty = b.empty.Add(b.cell())
}

// giveBack undoes a take.
func (b *bucket) giveBack() {
	if b.rate != 0 {
		b.empty = b.empty.Add(-b.cell())
	}
}

// free is when the next call may be taken such that some are left.
func (b *bucket) free(left float64) time.Time {
	if b.rate == 0 {
		return time.Time{}
	}
	return b.empty.Add(time.Duration((1 + left) * float64(b.cell())))
}
