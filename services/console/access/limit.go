package access

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter bounds how often something is tried by each of many keys. It holds
// the keys that were used last.
type limiter struct {
	every rate.Limit
	burst int
	most  int

	mu    sync.Mutex // guards what follows
	keys  map[string]*list.Element
	order *list.List // of *limited, the last used first
}

type limited struct {
	key     string
	limiter *rate.Limiter
}

func newLimiter(every time.Duration, burst, most int) *limiter {
	return &limiter{every: rate.Every(every), burst: burst, most: most, keys: make(map[string]*list.Element), order: list.New()}
}

// take counts an attempt; TooMany where there were too many.
func (l *limiter) take(key string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.keys[key]
	if !ok {
		if l.order.Len() >= l.most {
			oldest := l.order.Back()
			delete(l.keys, oldest.Value.(*limited).key)
			l.order.Remove(oldest)
		}
		at = l.order.PushFront(&limited{key, rate.NewLimiter(l.every, l.burst)})
		l.keys[key] = at
	}
	l.order.MoveToFront(at)
	r := at.Value.(*limited).limiter.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return &TooMany{RetryAfter: wait}
	}
	return nil
}

// clear forgets the attempts of a key.
func (l *limiter) clear(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.keys[key]; ok {
		l.order.Remove(at)
		delete(l.keys, key)
	}
}
