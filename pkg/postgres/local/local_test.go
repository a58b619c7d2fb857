package local

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestMain runs this binary as the process that is killed in a test.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LOCKSTEP_TEST_LOCAL_DIR"); dir != "" {
		s, err := Start(context.Background(), Config{Dir: dir})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("url", s.URL())
		<-s.Done()
		return
	}
	os.Exit(m.Run())
}

func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lockstep-local-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestDataSurvivesAKill of the process that runs the server.
func TestDataSurvivesAKill(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), "LOCKSTEP_TEST_LOCAL_DIR="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "url ")
	if err != nil || !ok {
		t.Fatalf("the child said %q, %v", line, err)
	}
	execute(t, ctx, url, `CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)`)
	child.Process.Kill()
	child.Wait()

	s, err := Start(ctx, Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	execute(t, ctx, s.URL(), `DO $$ BEGIN IF (SELECT n FROM kept) <> 42 THEN RAISE EXCEPTION 'lost'; END IF; END $$`)
	if _, err := Start(ctx, Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second server on the folder: %v, want a refusal", err)
	}
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func execute(t *testing.T, ctx context.Context, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// TestWhatWasCommittedIsThereAfterAnAbort, through the network where asked for.
func TestWhatWasCommittedIsThereAfterAnAbort(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Dir: folder(t), Port: free.Addr().(*net.TCPAddr).Port}
	free.Close()
	s, err := Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("postgres://lockstep@127.0.0.1:%d/lockstep?sslmode=disable", config.Port)
	execute(t, ctx, url, `CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)`)
	s.Abort()
	if s, err = Start(ctx, config); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{url, s.URL()} {
		execute(t, ctx, url, `DO $$ BEGIN IF (SELECT n FROM kept) <> 42 THEN RAISE EXCEPTION 'lost'; END IF; END $$`)
	}
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}
