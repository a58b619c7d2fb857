package chaos

import (
	"context"
	"fmt"
	"time"

	"lockstep.internal/pkg/bus/embedded"
)

// stopNode stops a server of the bus; its folder stays.
func (w *world) stopNode(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bus[i].Stop()
	w.bus[i] = nil
}

// startNode starts a server of the bus on its folder and waits until its
// replicas have caught up.
func (w *world) startNode(ctx context.Context, i int) error {
	name := w.busNodes[i].Name
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	server, err := embedded.Start(starting, w.busNodes[i])
	if err != nil {
		return fmt.Errorf("start %s again: %w", name, err)
	}
	w.mu.Lock()
	w.bus[i] = server
	w.mu.Unlock()
	// A server that has just started may not know yet what it has to catch up with.
	const steady = time.Second
	from := time.Now()
	for since := from; ; {
		err := server.Health()
		if err != nil {
			since = time.Now()
		}
		if time.Since(since) >= steady {
			w.say("%s is back, healthy after %.1fs", name, since.Sub(from).Seconds())
			return nil
		}
		if starting.Err() != nil {
			return fmt.Errorf("%s is not healthy within a minute: %w", name, err)
		}
		wait(starting, 100*time.Millisecond)
	}
}
