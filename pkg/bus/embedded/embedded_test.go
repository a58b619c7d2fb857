package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/embedded"
	"lockstep.internal/pkg/contact"
)

var quiet = slog.New(slog.DiscardHandler)

func open(ctx context.Context, dir string) (*embedded.Server, *bus.Bus, error) {
	s, err := embedded.Start(ctx, embedded.Config{Dir: dir, Logger: quiet})
	if err != nil {
		return nil, nil, err
	}
	b, err := bus.Connect(ctx, bus.Config{InProcess: s, Partitions: 1, Logger: quiet})
	if err != nil {
		return nil, nil, err
	}
	return s, b, b.Ensure(ctx)
}

// TestMain publishes until it is killed when the test below asks for it.
func TestMain(m *testing.M) {
	dir := os.Getenv("EMBEDDED_TEST_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	_, b, err := open(ctx, dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 1; ; i++ {
		err := b.Publisher(bus.Changes, 0).Publish(ctx, bus.Message{Tenant: "acme", Incoming: []contact.Incoming{{
			Communication: &contact.Communication{ID: strconv.Itoa(i)}}}})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(i) // acknowledged
	}
}

func TestWhatWasAcknowledgedIsThereAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), "EMBEDDED_TEST_DIR="+dir)
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(lines.Text())
		}
		if acknowledged = n; n == 200 {
			if _, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Logger: quiet}); err == nil {
				t.Error("a second process may use the folder")
			}
			process.Process.Kill()
		}
	}
	process.Wait()

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, b, err := open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	defer b.Close(ctx)
	r, err := b.Read(ctx, bus.Changes, 0, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= acknowledged; want++ {
		d, err := r.Next(ctx)
		if err != nil || d.Err != nil || d.Incoming[0].Communication.ID != strconv.Itoa(want) {
			t.Fatalf("message %d of %d: %v %v", want, acknowledged, err, d.Err)
		}
	}
}

func TestNothingListensUnlessAsked(t *testing.T) {
	t.Parallel()
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), Port: -1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if s.URL() != "" {
		t.Errorf("listens on %s", s.URL())
	}
}
