package aloware

import (
	"context"
	"slices"
	"sync"
)

// keys are locks by name: phone numbers and e-mails under which a contact is
// being looked for or created right now. The zero value is ready.
type keys struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the name is free again
}

// lock waits until all names are free and takes them at once; unlock must be
// called when it gave no error.
func (k *keys) lock(ctx context.Context, names []string) (unlock func(), err error) {
	if len(names) == 0 {
		return func() {}, nil
	}
	names = slices.Clone(names)
	for {
		busy := k.try(names)
		if busy == nil {
			return func() { k.unlock(names) }, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (k *keys) try(names []string) (busy chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		if busy := k.held[name]; busy != nil {
			return busy
		}
	}
	if k.held == nil {
		k.held = map[string]chan struct{}{}
	}
	free := make(chan struct{})
	for _, name := range names {
		k.held[name] = free
	}
	return nil
}

func (k *keys) unlock(names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	free := k.held[names[0]]
	for _, name := range names {
		delete(k.held, name)
	}
	close(free)
}
