// Package local starts and supervises a PostgreSQL server that is installed on
// this machine, on a socket of its own: for trying Lockstep, for small
// installations, and for tests.
//
// It survives a SIGKILL of this process: the server ends with it, and the next
// Start on the same folder recovers. It listens on the network only where it is
// told to, and then on this machine's own address.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config says where a server keeps its data.
type Config struct {
	// Dir holds the data, and stays after the server has stopped. It is made
	// when missing.
	Dir string
	// Throwaway trades durability for speed: for tests only.
	Throwaway bool
	// Port makes the server listen on 127.0.0.1 too, without a password: for
	// tests that put a proxy between. 0 listens on the socket alone.
	Port int
	// Logger hears what an operator should know; nil is slog.Default().
	Logger *slog.Logger
}

// Server is a running server.
type Server struct {
	command *exec.Cmd
	socket  string
	user    string
	port    int // 0: PostgreSQL's own default, in the socket's name
	lock    *os.File
	output  *tail
	done    chan struct{}

	mu  sync.Mutex
	err error
}

const databaseName = "lockstep"

// startLimit bounds the start, recovery after a crash included.
const startLimit = 60 * time.Second

// Start starts a server and waits until it takes connections.
func Start(ctx context.Context, config Config) (*Server, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("local postgres: %w", err)
	}
	if err := prepare(dir, account); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, user: "lockstep", port: config.Port, output: &tail{}, done: make(chan struct{})}
	if err := s.start(ctx, config, bin, dir, account); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, config Config, bin, dir string, account *account) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	data := filepath.Join(dir, "data")
	if err := initialise(ctx, bin, data, s.user, account); err != nil {
		return err
	}
	socket, err := socketFolder(dir, account)
	if err != nil {
		return err
	}
	s.socket = socket
	for {
		err := s.launch(config, bin, data, account)
		if err == nil {
			err = s.ready(ctx)
		}
		if err == nil {
			return nil
		}
		s.halt(syscall.SIGQUIT)
		// Children of a server that was killed may hold the data for a moment.
		if ctx.Err() != nil || !s.output.mentions("pre-existing shared memory", "is being used by", "lock file") {
			return fmt.Errorf("local postgres in %s: %w; its last words: %s", dir, err, s.output.text())
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
		s.output, s.done = &tail{}, make(chan struct{})
	}
}

// launch starts the server process. It ends with this one: the parent-death
// signal belongs to the thread that forked, so that thread is kept until the
// server has ended.
func (s *Server) launch(config Config, bin, data string, account *account) error {
	settings := []string{
		"-D", data, "-k", s.socket, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0777",
		"-c", "max_connections=100", "-c", "shared_buffers=128MB", "-c", "max_wal_size=2GB", "-c", "checkpoint_timeout=15min", "-c", "wal_buffers=64MB",
		"-c", "log_min_messages=warning", "-c", "log_destination=stderr", "-c", "timezone=UTC",
	}
	if config.Port > 0 {
		settings = append(settings, "-c", "listen_addresses=127.0.0.1", "-c", fmt.Sprintf("port=%d", config.Port), "-c", "max_connections=200")
	}
	if config.Throwaway {
		settings = append(settings, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	command := exec.Command(filepath.Join(bin, "postgres"), settings...)
	command.Dir = data
	command.Stdout, command.Stderr = s.output, s.output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT, Credential: account.credential()}
	s.command = command
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		err = command.Wait()
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		close(s.done)
	}()
	if err := <-started; err != nil {
		close(s.done)
		return fmt.Errorf("start the server: %w", err)
	}
	return nil
}

// ready waits for the first connection, and makes the database.
func (s *Server) ready(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			defer conn.Close(ctx)
			var there bool
			if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, databaseName).Scan(&there); err != nil {
				return fmt.Errorf("look for the database: %w", err)
			}
			if !there {
				if _, err := conn.Exec(ctx, `CREATE DATABASE `+databaseName); err != nil {
					return fmt.Errorf("make the database: %w", err)
				}
			}
			return nil
		}
		select {
		case <-s.done:
			return errors.New("the server ended")
		case <-ctx.Done():
			return fmt.Errorf("the server takes no connections: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is where clients of this machine reach the server.
func (s *Server) URL() string { return s.url(databaseName) }

func (s *Server) url(database string) string {
	query := url.Values{"host": {s.socket}, "user": {s.user}, "sslmode": {"disable"}}
	if s.port > 0 {
		query.Set("port", fmt.Sprint(s.port))
	}
	return "postgres:///" + database + "?" + query.Encode()
}

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server: connections are cut, data is written.
func (s *Server) Stop(ctx context.Context) error {
	defer s.lock.Close()
	defer os.RemoveAll(s.socket)
	s.command.Process.Signal(syscall.SIGINT)
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.halt(syscall.SIGQUIT)
		return fmt.Errorf("local postgres did not stop in time and was ended: %w", ctx.Err())
	}
}

// Abort ends the server at once, as a crash would: the next Start recovers.
func (s *Server) Abort() {
	defer s.lock.Close()
	defer os.RemoveAll(s.socket)
	s.halt(syscall.SIGQUIT)
}

// halt ends the server at once and waits for it.
func (s *Server) halt(signal syscall.Signal) {
	if s.command == nil || s.command.Process == nil {
		return
	}
	s.command.Process.Signal(signal)
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		s.command.Process.Kill()
		<-s.done
	}
}

// tail keeps the end of what a process prints.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 4096
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if len(t.kept) > most {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-most:]...)
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}

func (t *tail) mentions(words ...string) bool {
	text := t.text()
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
