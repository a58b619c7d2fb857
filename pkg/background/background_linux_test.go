package background

import (
	"runtime"
	"testing"
)

func TestOnlyTheGoroutineThatEnteredGoesBehind(t *testing.T) {
	const pairs = 200 // many more than threads that run Go code at once
	if errUsual != nil {
		t.Fatal(errUsual)
	}
	type seen struct {
		entered  bool
		niceness int
	}
	all := make(chan seen)
	tell := func(entered bool) {
		now, err := Niceness()
		if err != nil {
			t.Error(err)
		}
		all <- seen{entered, now}
	}
	for range pairs {
		go func() {
			Enter()
			Enter() // is behind already
			go tell(false)
			for range 10 {
				runtime.Gosched() // could go on on another thread
			}
			tell(true)
		}()
	}
	for range 2 * pairs {
		s, want := <-all, usual
		if s.entered {
			want = min(usual+Behind, 19) // as nice as it gets
		}
		if s.niceness != want {
			t.Errorf("niceness %d, want %d (entered: %v)", s.niceness, want, s.entered)
		}
	}
}

// BenchmarkEnter is what a goroutine costs that is background work from its start to its end.
func BenchmarkEnter(b *testing.B) {
	for b.Loop() {
		done := make(chan struct{})
		go func() {
			Enter()
			close(done)
		}()
		<-done
	}
}
