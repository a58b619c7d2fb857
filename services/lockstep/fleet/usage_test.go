package fleet

import (
	"testing"
	"time"
)

// TestWhatTheMachineBelowTook is told apart from what was idle, of all processors together.
func TestWhatTheMachineBelowTook(t *testing.T) {
	t.Parallel()
	u, err := readMachine("cpu  100 10 50 1000 20 3 7 30 5 1\ncpu0 50 5 25 500 10 1 3 15 0 0\n")
	if err != nil || u.All != 12200*time.Millisecond || u.Stolen != 300*time.Millisecond {
		t.Errorf("%v of %v, %v; want 300ms of 12.2s", u.Stolen, u.All, err)
	}
	for _, text := range []string{"", "cpu  1 2 3\n", "cpu  1 2 3 4 5 6 7 many\n", "intr 1 2 3 4 5 6 7 8 9\n"} {
		if u, err := readMachine(text); err == nil {
			t.Errorf("%q: %+v", text, u)
		}
	}
	if u, err := Machine(); err != nil || u.All <= 0 || u.Stolen > u.All {
		t.Errorf("of this machine: %+v, %v", u, err)
	}
}
