package ingest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSpoolKeepsOrderOverACrash: what was added is published in order, also
// after a restart, and a line torn by a crash spoils nothing.
func TestSpoolKeepsOrderOverACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := s.add(delivery{Tenant: "demo", ReceivedAt: time.Unix(int64(i), 0), Body: fmt.Appendf(nil, "%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	away := errors.New("the bus is away")
	var got string
	err = s.drain(func(d delivery) error {
		if len(got) == 2 {
			return away
		}
		got += string(d.Body)
		return nil
	})
	if !errors.Is(err, away) || got != "01" || s.count() != 3 {
		t.Fatalf("drained %q with %v, %d left; want two, the fault, and three left", got, err, s.count())
	}
	s.close()
	file, err := os.OpenFile(filepath.Join(dir, "aloware.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(file, `{"tenant":"demo","bo`)
	file.Close()

	again, err := openSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if err := again.add(delivery{Tenant: "demo", Body: []byte("5")}); err != nil {
		t.Fatal(err)
	}
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
