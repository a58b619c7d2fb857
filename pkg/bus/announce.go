package bus

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// announceSubject is where announcements of a topic go.
func announceSubject(topic string) string { return "announce." + topic }

// Announce tells all listeners of a topic that something changed. It is heard
// at most once and not stored: whoever relies on it must also look by age.
func (b *Bus) Announce(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	err := b.nc.Publish(announceSubject(topic), nil)
	if err == nil {
		err = b.nc.FlushWithContext(ctx)
	}
	if err != nil {
		return unavailable("announce "+topic, err)
	}
	return nil
}

// Listen calls f after announcements of a topic, and after the connection was
// lost, since one may have been missed. Calls never overlap; announcements
// that come while f runs give one call. After stop, f does not run any more;
// f itself must not call it.
func (b *Bus) Listen(topic string, f func()) (stop func(), err error) {
	l := &listener{called: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{})}
	l.sub, err = b.nc.Subscribe(announceSubject(topic), func(*nats.Msg) { l.call() })
	if err != nil {
		return nil, unavailable("listen to "+topic, err)
	}
	l.stop = sync.OnceFunc(func() {
		_ = l.sub.Unsubscribe() // fails only on a closed connection
		close(l.done)
		<-l.ended
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners, l)
	})
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		return nil, fmt.Errorf("listen to %s: %w", topic, ErrClosed)
	}
	b.listeners[l] = struct{}{}
	b.mu.Unlock()
	go func() {
		defer close(l.ended)
		for {
			select {
			case <-l.called:
				f()
			case <-l.done:
				return
			}
		}
	}()
	return l.stop, nil
}

type listener struct {
	sub         *nats.Subscription
	called      chan struct{} // capacity 1
	done, ended chan struct{}
	stop        func()
}

func (l *listener) call() {
	select {
	case l.called <- struct{}{}:
	default:
	}
}

// recall calls all listeners.
func (b *Bus) recall() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.listeners {
		l.call()
	}
}
