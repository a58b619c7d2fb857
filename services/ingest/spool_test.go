package ingest

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, dir string) *spool {
	t.Helper()
	s, err := openSpool(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	return s
}

func add(t *testing.T, s *spool, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := s.add(delivery{Tenant: "demo", ReceivedAt: time.Unix(int64(i), 0), Body: fmt.Appendf(nil, "%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
}

// spoil writes into the file as a crash or a bad disk does.
func spoil(t *testing.T, dir string, at int64, text string) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(dir, "aloware.jsonl"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if at < 0 {
		if at, err = file.Seek(0, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := file.WriteAt([]byte(text), at); err != nil {
		t.Fatal(err)
	}
}

// TestSpoolKeepsOrderOverACrash: what was added is published in order, also
// after a restart, and a line torn by a crash spoils nothing.
func TestSpoolKeepsOrderOverACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, 0, 5)
	away := errors.New("the bus is away")
	var got string
	err := s.drain(func(d delivery) error {
		if len(got) == 2 {
			return away
		}
		got += string(d.Body)
		return nil
	})
	if n, oldest := s.depth(); !errors.Is(err, away) || got != "01" || n != 3 || !oldest.Equal(time.Unix(2, 0)) {
		t.Fatalf("drained %q with %v, %d left since %v; want two, the fault, and three left", got, err, n, oldest)
	}
	s.close()
	spoil(t, dir, -1, `{"tenant":"demo","bo`)

	again := open(t, dir)
	if n, oldest := again.depth(); n != 5 || !oldest.Equal(time.Unix(0, 0)) {
		t.Errorf("after the restart %d wait since %v, want all five", n, oldest)
	}
	add(t, again, 5, 6)
	got = ""
	if err := again.drain(func(d delivery) error { got += string(d.Body); return nil }); err != nil {
		t.Fatal(err)
	}
	if got != "012345" || !again.empty() {
		t.Errorf("after the restart %q was published, empty %v; want all six in order (the first two again)", got, again.empty())
	}
	if info, err := os.Stat(filepath.Join(dir, "aloware.jsonl")); err != nil || info.Size() != 0 {
		t.Errorf("the file must be empty once all is published: %v, %v", info, err)
	}
}

// TestSpoolPutsAsideWhatCannotBeRead: a spoilt line in the middle costs none of
// those behind it, and is kept.
func TestSpoolPutsAsideWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, 0, 1)
	spoilt := s.size
	add(t, s, 1, 4)
	s.close()
	spoil(t, dir, spoilt, "\x00\x00\x00")
	again := open(t, dir)
	var got string
	if err := again.drain(func(d delivery) error { got += string(d.Body); return nil }); err != nil {
		t.Fatal(err)
	}
	if got != "023" || !again.empty() {
		t.Errorf("published %q, want all but the second", got)
	}
	aside, err := os.ReadFile(filepath.Join(dir, "aloware.unreadable"))
	if err != nil || !strings.HasPrefix(string(aside), "\x00\x00\x00") || !strings.HasSuffix(string(aside), "\n") {
		t.Errorf("put aside was %q, %v", aside, err)
	}
}

// TestSpoolIsReadInPieces: a long outage's deliveries are never in memory at
// once, what one attempt published is not read again, and to add goes on.
func TestSpoolIsReadInPieces(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	body := []byte(strings.Repeat("x", 256<<10))
	for i := range 20 {
		if err := s.add(delivery{Tenant: "demo", ReceivedAt: time.Unix(int64(i), 0), Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := s.next()
	if err != nil || len(first) == 0 || len(first) > 4 {
		t.Fatalf("%d deliveries were read at once, %v; want about a megabyte", len(first), err)
	}
	published := 0
	if err := s.drain(func(delivery) error {
		if published++; published < 20 {
			return s.add(delivery{Tenant: "demo", Body: []byte("more")})
		}
		return errors.New("the bus is away")
	}); err == nil {
		t.Fatal("want the fault")
	}
	second, err := s.next()
	if err != nil || !second[0].ReceivedAt.Equal(time.Unix(19, 0)) {
		t.Errorf("goes on with %v, %v; want the one that failed", second[0].ReceivedAt, err)
	}
	if err := s.drain(func(delivery) error { published++; return nil }); err != nil || published != 20+20 || !s.empty() {
		t.Errorf("%d were published, %v", published, err)
	}
}

// TestSpoolTellsWhatItCannotTake, so that nobody believes that a delivery is
// safe.
func TestSpoolTellsWhatItCannotTake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.writable(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "probe-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.writable(); err == nil {
		t.Error("a spool without its folder is no place for a delivery")
	}
	s.close()
	if err := s.add(delivery{Tenant: "demo"}); err == nil || !s.empty() {
		t.Errorf("a closed spool took a delivery: %v", err)
	}
}
