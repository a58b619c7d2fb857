// Package pgtest gives tests a real PostgreSQL: one throw-away server for each
// test process, and a database for each test.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/postgres/local"
)

const prefix = "lockstep-pgtest-"

var (
	once   sync.Once
	server *local.Server
	failed error
	number atomic.Int64

	templates sync.Map // name of a template to its *template
)

type template struct {
	once sync.Once
	err  error
}

// start starts the process's server. It ends with the process; its folder is
// removed by the next process that starts one.
func start() {
	sweep()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		failed = err
		return
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		failed = err
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, failed = local.Start(ctx, local.Config{Dir: dir, Throwaway: true})
}

// sweep removes the folders of processes that have ended.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range dirs {
		var pid int
		if _, err := fmt.Sscanf(strings.TrimPrefix(filepath.Base(dir), prefix), "%d-", &pid); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			os.RemoveAll(dir)
		}
	}
}

// New gives the URL of a fresh, empty database. It is dropped after the test.
func New(t testing.TB) string {
	t.Helper()
	return create(t, "template0")
}

// NewFrom gives a copy of a template, which fill makes once for each process
// and name.
func NewFrom(t testing.TB, name string, fill func(url string) error) string {
	t.Helper()
	loaded, _ := templates.LoadOrStore(name, &template{})
	made := loaded.(*template)
	database := "template_" + name
	made.once.Do(func() {
		if made.err = execute(t, `CREATE DATABASE `+database); made.err == nil {
			made.err = fill(at(database))
		}
	})
	if made.err != nil {
		t.Fatalf("make the template database: %v", made.err)
	}
	return create(t, database)
}

func create(t testing.TB, from string) string {
	t.Helper()
	database := fmt.Sprintf("test_%d", number.Add(1))
	if err := execute(t, `CREATE DATABASE `+database+` TEMPLATE `+from); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(t, `DROP DATABASE `+database+` WITH (FORCE)`); err != nil {
			t.Logf("drop the test's database: %v", err)
		}
	})
	return at(database)
}

// at is the URL of another database of the server.
func at(database string) string {
	u, err := url.Parse(server.URL())
	if err != nil {
		panic(err) // the server's own URL
	}
	u.Path = "/" + database
	return u.String()
}

var administer sync.Mutex // PostgreSQL copies a template for one at a time

func execute(t testing.TB, sql string) error {
	t.Helper()
	once.Do(start)
	if failed != nil {
		t.Fatal(failed)
	}
	administer.Lock()
	defer administer.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}
