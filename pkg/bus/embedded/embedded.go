// Package embedded runs a NATS server with JetStream inside the process, for
// small installations, the single binary and tests.
//
// By default it syncs every message to disk before acknowledging it, listens
// on no port, and is reached through memory. Only one process at a time may
// use a folder. After a crash or kill the next Start on the same folder finds
// everything that was acknowledged.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Config is how the server runs.
type Config struct {
	// Dir holds the streams; it is made if it is missing.
	Dir string
	// Port to listen on; 0 or less for none.
	Port int
	// Host to listen on, with Port; "" means 127.0.0.1.
	Host string
	// SyncInterval is how long acknowledged messages may be unsynced; 0 syncs
	// each before it is acknowledged, which is what production wants.
	SyncInterval time.Duration
	// MaxStore is how many bytes all streams together may reserve; 0 means
	// 1 TiB, which leaves the limits to the streams.
	MaxStore int64
	// Name of the server; "" means "lockstep".
	Name string
	// Logger for the server's warnings and errors; nil means slog.Default().
	Logger *slog.Logger
	// Cluster makes the server a node of a cluster; nil for a server by itself.
	Cluster *Cluster
}

// Cluster is how a node finds the others. Nodes need names of their own
// (Config.Name). Clients are told of no other node: they keep to the addresses
// they were given, which may be those of a proxy.
type Cluster struct {
	// Name of the cluster, the same on all nodes.
	Name string
	// Port on which the others reach this node.
	Port int
	// Routes are the URLs (nats://host:port) of all nodes' cluster ports.
	Routes []string
}

// Server is a running server.
type Server struct {
	server *server.Server
	lock   *os.File
	listen bool
}

// Start starts a server and waits until it is ready or ctx is done.
func Start(ctx context.Context, config Config) (*Server, error) {
	if config.Dir == "" {
		return nil, errors.New("embedded bus: no folder")
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded bus: %w", err)
	}
	lock, err := lockDir(config.Dir)
	if err != nil {
		return nil, err
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.Default()
	}
	options := &server.Options{
		ServerName: cmp.Or(config.Name, "lockstep"), DontListen: config.Port <= 0,
		Host: cmp.Or(config.Host, "127.0.0.1"), Port: config.Port,
		JetStream: true, StoreDir: config.Dir,
		JetStreamMaxStore: cmp.Or(config.MaxStore, 1<<40), JetStreamMaxMemory: 256 << 20,
		SyncInterval: config.SyncInterval, SyncAlways: config.SyncInterval <= 0,
		NoSigs: true, NoSystemAccount: false, MaxControlLine: 4096,
	}
	if c := config.Cluster; c != nil {
		options.Cluster = server.ClusterOpts{Name: c.Name, Host: options.Host, Port: c.Port, NoAdvertise: true}
		options.Routes = server.RoutesFromStr(strings.Join(c.Routes, ","))
	}
	s := &Server{lock: lock, listen: config.Port > 0}
	if s.server, err = server.NewServer(options); err != nil {
		lock.Close()
		return nil, fmt.Errorf("embedded bus: %w", err)
	}
	s.server.SetLoggerV2(serverLog{logger.With("room", "bus", "server", options.ServerName)}, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		s.server.Start()
	}()
	for ready := false; !ready; {
		select {
		case <-ctx.Done():
			s.Stop()
			<-started
			return nil, fmt.Errorf("embedded bus: start: %w", ctx.Err())
		default:
			ready = s.server.ReadyForConnections(100 * time.Millisecond)
		}
		if !ready && !s.server.Running() {
			select {
			case <-started: // it gave up; why is in its log
				s.Stop()
				return nil, errors.New("embedded bus: the server did not start, see its log")
			default:
			}
		}
	}
	<-started
	if !s.server.JetStreamEnabled() {
		s.Stop()
		return nil, errors.New("embedded bus: JetStream did not start, see the server's log")
	}
	return s, nil
}

// InProcessConn gives a connection through memory: the server is a
// bus.Config.InProcess.
func (s *Server) InProcessConn() (net.Conn, error) { return s.server.InProcessConn() }

// URL is where clients outside the process connect; "" without a port.
func (s *Server) URL() string {
	if !s.listen {
		return ""
	}
	return s.server.ClientURL()
}

// Health tells what keeps the server from serving every stream: in a cluster,
// also whether its replicas have caught up.
func (s *Server) Health() error {
	if health := s.server.Healthz(nil); health.Error != "" {
		return fmt.Errorf("embedded bus: %s: %s", health.Status, health.Error)
	}
	return nil
}

// Stop stops the server and waits until its folder is closed.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.lock.Close()
}

// lockDir keeps a second process out of a folder. The lock goes with the
// process, however it ends.
func lockDir(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded bus: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("embedded bus: folder is in use by another process: %w", err)
	}
	return file, nil
}

// serverLog passes on what the server warns of; its notices are for debugging.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}
