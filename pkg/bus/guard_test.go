package bus_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
)

func guard(t *testing.T, b *bus.Bus, p bus.Position) (bus.Position, bool) {
	t.Helper()
	at, rewound, err := b.Guard(within(t, 20*time.Second), bus.Changes, 0, p)
	if err != nil {
		t.Fatal(err)
	}
	return at, rewound
}

// position reads n messages and gives the position behind the last.
func position(t *testing.T, b *bus.Bus, n int) bus.Position {
	t.Helper()
	at, rewound := guard(t, b, bus.Position{})
	if rewound || at.Seq != 0 || at.StreamCreated.IsZero() {
		t.Fatal(at, rewound)
	}
	r := read(t, b, bus.Changes, 0)
	defer r.Close()
	for range n {
		d := next(t, r)
		at.Seq, at.StoredAt = d.Seq, d.StoredAt
	}
	return at
}

func TestGuardAcceptsWhatFitsAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	for i := range 10 {
		publish(t, e.Bus, bus.Changes, changes("acme", i))
	}
	want := position(t, e.Bus, 6)
	e.StopServer()
	e.StartServer()
	if got, rewound := guard(t, e.Bus, want); rewound || got != want {
		t.Errorf("got %v %v, want %v", got, rewound, want)
	}
	if err := e.Bus.Trim(t.Context(), bus.Changes, 0, 8); err != nil {
		t.Fatal(err)
	}
	if got, rewound := guard(t, e.Bus, want); rewound || got != want {
		t.Errorf("after a trim: got %v %v, want %v", got, rewound, want)
	}
}

func TestGuardReadsARecreatedStreamFromItsBeginning(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	for i := range 10 {
		publish(t, e.Bus, bus.Changes, changes("acme", i))
	}
	was := position(t, e.Bus, 10)
	r := read(t, e.Bus, bus.Changes, 10) // runs while the stream goes
	_, js := raw(t, e)
	if err := js.DeleteStream(t.Context(), "CHG-00"); err != nil {
		t.Fatal(err)
	}
	if err := e.Bus.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		publish(t, e.Bus, bus.Changes, changes("acme", 100+i))
	}
	if d, err := r.Next(within(t, 20*time.Second)); !errors.Is(err, bus.ErrMoved) {
		t.Errorf("the old reader gave %d %v, want ErrMoved", d.Seq, err)
	}
	at, rewound := guard(t, e.Bus, was)
	if !rewound || at.Seq != 0 || at.StreamCreated.Equal(was.StreamCreated) {
		t.Fatal(at, rewound)
	}
	if got := numbers(next(t, read(t, e.Bus, bus.Changes, at.Seq))); got[0] != 100 {
		t.Errorf("got %v", got)
	}
}

func TestGuardRewindsAfterTheServerLostItsTail(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]int{"shorter than the position": 0, "longer again": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := bustest.Start(t)
			for i := range 10 {
				publish(t, e.Bus, bus.Changes, changes("acme", i))
			}
			e.StopServer()
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(e.Dir())); err != nil {
				t.Fatal(err)
			}
			e.StartServer()
			for i := range 10 {
				publish(t, e.Bus, bus.Changes, changes("acme", 10+i))
			}
			was := position(t, e.Bus, 20)

			old := bustest.Start(t, bustest.Dir(copied)) // ten messages are gone
			for i := range later {
				publish(t, old.Bus, bus.Changes, changes("acme", 50+i))
			}
			if later == 0 {
				if _, err := old.Bus.Read(within(t, 20*time.Second), bus.Changes, 0, "x", was.Seq); !errors.Is(err, bus.ErrMoved) {
					t.Errorf("reading behind the end: got %v, want ErrMoved", err)
				}
			}
			if at, rewound := guard(t, old.Bus, was); !rewound || at.Seq != 0 { // all is younger than two minutes
				t.Fatal(at, rewound)
			}

			// What is older than two minutes before is not read again.
			was.StoredAt = was.StoredAt.Add(time.Hour)
			at, rewound := guard(t, old.Bus, was)
			if want := uint64(min(10+later, 20)); !rewound || at.Seq != want || at.StoredAt.IsZero() {
				t.Fatal(at, rewound)
			}
			if again, rewound := guard(t, old.Bus, at); rewound || again != at {
				t.Error("a position that Guard gave does not fit:", again, rewound)
			}
		})
	}
}
