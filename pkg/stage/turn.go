package stage

import "sync"

// mostAhead is how many batches of the leading stream go ahead of others that wait,
// one after another.
const mostAhead = 7

// turn is whose batch of a partition is worked on: one at a time, and the leading
// stream's next, whoever else waits. While both wait, one of eight is another's. It
// is made by newTurn.
type turn struct {
	mu      sync.Mutex
	given   *sync.Cond
	taken   bool
	leader  bool // the leading stream waits
	others  int  // of the others, how many wait
	inARow  int  // batches of the leading stream for which others waited
	forgone bool // the leading stream lets another go first
}

func newTurn() *turn {
	t := &turn{}
	t.given = sync.NewCond(&t.mu)
	return t
}

// take waits for the turn, which give gives back.
func (t *turn) take(leads bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if leads {
		t.leader = true
		for t.taken || t.forgone && t.others > 0 {
			t.given.Wait()
		}
		t.leader, t.taken = false, true
		if t.inARow++; t.others == 0 {
			t.inARow = 0
		}
		t.forgone = t.inARow >= mostAhead
		return
	}
	t.others++
	for t.taken || t.leader && !t.forgone {
		t.given.Wait()
	}
	t.others--
	t.taken, t.inARow, t.forgone = true, 0, false
}

func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = false
	t.given.Broadcast()
}
