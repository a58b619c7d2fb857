package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal: what a program writes to the one end is read at
// the other.
func terminal(t *testing.T) (program, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	raw, err := screen.SyscallConn() // Fd would make it a blocking file, without deadlines
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if failed := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program, screen
}

// TestABarIsForTerminals: progress moves on a terminal, and nothing of it is in what
// goes into a file or another program.
func TestABarIsForTerminals(t *testing.T) {
	t.Parallel()
	program, screen := terminal(t)
	cmd := &cobra.Command{}
	cmd.SetErr(program)
	b := newBar(cmd, "contacts")
	b.show(30, 120)
	var seen bytes.Buffer
	part := make([]byte, 4096)
	for !strings.Contains(seen.String(), "25%") {
		if err := screen.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := screen.Read(part)
		if seen.Write(part[:n]); err != nil {
			t.Fatalf("the terminal shows %q, want a quarter done: %v", seen.String(), err)
		}
	}
	b.end()
	var file bytes.Buffer
	cmd.SetErr(&file)
	b = newBar(cmd, "contacts")
	b.show(30, 120)
	b.end()
	if file.Len() > 0 {
		t.Errorf("a file gets %q", file.String())
	}
}
