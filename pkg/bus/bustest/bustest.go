// Package bustest gives tests a real bus: an embedded server of their own, or
// a cluster of three in one process.
package bustest

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/embedded"
)

// Option changes what New and Start make.
type Option func(*options)

type options struct {
	bus    bus.Config
	server embedded.Config
}

// Partitions sets the number of partitions; 2 without it.
func Partitions(n int) Option { return func(o *options) { o.bus.Partitions = n } }

// MaxBytes sets how much a stream takes before it is full.
func MaxBytes(n int64) Option { return func(o *options) { o.bus.MaxBytes = n } }

// SyncAlways makes the server sync every message, as in production. Without
// it tests do not wait for the disk.
func SyncAlways() Option { return func(o *options) { o.server.SyncInterval = 0 } }

// Dir sets the server's folder, to be used again by another Start.
func Dir(dir string) Option { return func(o *options) { o.server.Dir = dir } }

// New gives a bus with its streams on a fresh server, both closed at the end
// of the test.
func New(t testing.TB, opts ...Option) *bus.Bus {
	t.Helper()
	return Start(t, opts...).Bus
}

// Env is a server that can be restarted under its bus.
type Env struct {
	// Bus is connected and has its streams.
	Bus *bus.Bus

	t      testing.TB
	config options
	server atomic.Pointer[embedded.Server]
}

// Start is New for tests that stop and start the server.
func Start(t testing.TB, opts ...Option) *Env {
	t.Helper()
	o := options{server: embedded.Config{SyncInterval: 2 * time.Minute}}
	o.bus.Partitions = 2
	o.bus.Name = t.Name()
	for _, option := range opts {
		option(&o)
	}
	if o.server.Dir == "" {
		o.server.Dir = Folder(t)
	}
	logger := slog.New(slog.DiscardHandler)
	o.bus.Logger, o.server.Logger = logger, logger
	e := &Env{t: t, config: o}
	t.Cleanup(func() {
		if s := e.server.Load(); s != nil {
			s.Stop()
		}
	})
	e.StartServer()
	e.Bus = e.Connect()
	if err := e.Bus.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// Folder is a folder for a server's files, which goes with the test. One that was a node
// of a cluster may write a little longer than it runs.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lockstep-bus-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var err error
		for range 50 {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error(err)
	})
	return dir
}

// Connect gives another bus on the same server, as another process has.
func (e *Env) Connect() *bus.Bus {
	e.t.Helper()
	return e.connect(e.config.bus)
}

// ConnectLazily is Connect while the server may be away; Ensure comes later.
func (e *Env) ConnectLazily(opts ...Option) *bus.Bus {
	e.t.Helper()
	o := e.config
	for _, option := range opts {
		option(&o)
	}
	o.bus.Lazy = true
	return e.connect(o.bus)
}

func (e *Env) connect(config bus.Config) *bus.Bus {
	e.t.Helper()
	config.InProcess = e
	b, err := bus.Connect(e.t.Context(), config)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { closeBus(e.t, b) })
	return b
}

func closeBus(t testing.TB, b *bus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// InProcessConn gives connections to whichever server runs now.
func (e *Env) InProcessConn() (net.Conn, error) {
	s := e.server.Load()
	if s == nil {
		return nil, net.ErrClosed
	}
	return s.InProcessConn()
}

// StartServer starts the server on the same folder.
func (e *Env) StartServer() {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	s, err := embedded.Start(ctx, e.config.server)
	if err != nil {
		e.t.Fatal(err)
	}
	e.server.Store(s)
}

// StopServer stops the server; its folder stays.
func (e *Env) StopServer() {
	if s := e.server.Swap(nil); s != nil {
		s.Stop()
	}
}

// Dir is the server's folder.
func (e *Env) Dir() string { return e.config.server.Dir }
