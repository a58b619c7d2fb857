package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/fault"
)

// TestAskHearsTheWholeAnswer in its order, and a refusal in its words.
func TestAskHearsTheWholeAnswer(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := b.Ask(ctx, "count", nil, nil); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("with nobody there: %v", err)
	}
	stop, err := b.Serve("count", 2, func(_ context.Context, question []byte, reply func([]byte) error) error {
		if string(question) == "no" {
			return errors.New("this is not counted")
		}
		for i := range 100 {
			if err := reply(fmt.Append(nil, string(question), i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	heard := 0
	if err := b.Ask(ctx, "count", []byte("n"), func(part []byte) error {
		if want := fmt.Sprint("n", heard); string(part) != want {
			t.Errorf("part %q, want %q", part, want)
		}
		heard++
		return nil
	}); err != nil || heard != 100 {
		t.Errorf("heard %d parts, %v", heard, err)
	}
	if err := b.Ask(ctx, "count", []byte("no"), nil); !fault.Is(err, fault.Permanent) || fault.As(err).Message != "this is not counted" {
		t.Errorf("refusal came as %v", err)
	}
	stop()
	if err := b.Ask(ctx, "count", nil, nil); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("after stop: %v", err)
	}
}

// TestWhoIsGoneEndsTheAnswer well before its deadline, and nobody else's.
func TestWhoIsGoneEndsTheAnswer(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	ended := make(chan string, 2)
	stop, err := b.Serve("endless", 2, func(ctx context.Context, question []byte, reply func([]byte) error) error {
		if err := reply([]byte("began")); err != nil {
			return err
		}
		<-ctx.Done()
		ended <- string(question)
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	whole, cancelAll := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancelAll()
	began, done := make(chan struct{}, 2), make(chan error, 2)
	ask := func(ctx context.Context, question string) {
		done <- b.Ask(ctx, "endless", []byte(question), func([]byte) error { began <- struct{}{}; return nil })
	}
	first, cancelFirst := context.WithCancel(whole)
	go ask(first, "first")
	go ask(whole, "second")
	<-began
	<-began
	cancelFirst()
	select {
	case who := <-ended:
		if who != "first" {
			t.Errorf("the answer to %s was ended", who)
		}
	case <-time.After(10 * time.Second):
		t.Error("the answer goes on though nobody hears it")
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("who went away hears %v", err)
	}
	cancelAll()
	<-done
}
