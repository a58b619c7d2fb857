// Package daemon is what every main needs: settings from the environment,
// signals, a health page, and an HTTP server that stops cleanly.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// reserve counts as alive and is never touched: it takes addresses and no memory.
var reserve []byte

// Main runs a program until it ends or is told to stop by SIGINT or SIGTERM; a
// second signal ends it at once. An error is printed in one line, and the exit
// code is then 1. Unless the environment sets GOGC, garbage is collected once 200 MB
// were used since the last time, or three times of what is alive if that is more; and
// unless it sets GOMAXPROCS, there are six threads at least.
func Main(name string, run func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // from here on a signal has its usual effect
	}()
	if os.Getenv("GOGC") == "" {
		// Live memory is small. Collecting each time that a few times of it were used
		// would be five times a second under load, and each stops everything in the
		// middle of a live change.
		debug.SetGCPercent(300)
		reserve = make([]byte, 48<<20)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		spread()
	}
	err := run(ctx)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// spread lets Go code run on six threads at least, also where there are fewer
// processors. With as many threads as processors, what comes over the network while
// all work through a backlog waits until one is interrupted, which Go does after 10 ms;
// the kernel lets a thread that has waited go ahead sooner. The limit of a container
// stays: more threads would only use it up sooner.
func spread() {
	const threads = 6
	if now := runtime.GOMAXPROCS(0); now == runtime.NumCPU() && now < threads {
		runtime.GOMAXPROCS(threads)
	}
}

// Listen opens an address for a server, so that a wrong one is found at start.
func Listen(name, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: listen on %s: %w", name, address, err)
	}
	return listener, nil
}

// Serve serves until ctx ends; then it lets running requests finish for a
// while.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	const grace = 10 * time.Second
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		server.Close()
	}
	return nil
}
