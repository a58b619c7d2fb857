package bus_test

import (
	"testing"
	"time"

	"lockstep.internal/pkg/bus/bustest"
)

func TestAnnouncementsAreHeardAlsoAfterALostConnection(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	heard := make(chan struct{}, 10)
	stop, err := e.Bus.Listen("config", func() { heard <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	wait := func(what string) {
		t.Helper()
		select {
		case <-heard:
		case <-time.After(10 * time.Second):
			t.Fatal(what)
		}
	}
	if err := e.Connect().Announce(t.Context(), "config"); err != nil {
		t.Fatal(err)
	}
	wait("announcement not heard")
	e.StopServer()
	e.StartServer()
	wait("not called after the connection was lost")
	stop()
	stop()
	if err := e.Bus.Announce(within(t, 10*time.Second), "config"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-heard:
		t.Error("called after stop")
	case <-time.After(50 * time.Millisecond):
	}
}
