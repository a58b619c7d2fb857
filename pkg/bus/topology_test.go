package bus_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

func TestEnsureMayBeRepeatedAndRefusesWhatLosesData(t *testing.T) {
	t.Parallel()
	e := bustest.Start(t)
	if err := e.Bus.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config bus.Config
		want   string // "" for accepted
	}{
		{"more partitions", bus.Config{Partitions: 4}, "fixed at install"},
		{"fewer partitions", bus.Config{Partitions: 1}, "fixed at install"},
		{"more replicas", bus.Config{Partitions: 2, Replicas: 3}, "replicas is 1"},
		{"shorter age", bus.Config{Partitions: 2, MaxAge: time.Hour}, "max age is 72h"},
		{"longer age and more room", bus.Config{Partitions: 2, MaxAge: 100 * time.Hour, MaxBytes: 512 << 20}, ""},
		{"the former age", bus.Config{Partitions: 2}, "max age is 100h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.InProcess, c.config.Logger = e, slog.New(slog.DiscardHandler)
			b, err := bus.Connect(t.Context(), c.config)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close(t.Context())
			err = b.Ensure(within(t, 20*time.Second))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !fault.Is(err, fault.Permanent)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestATenantStaysWhereItsHashPutsIt: the streams of an installation outlive
// any version of the program.
func TestATenantStaysWhereItsHashPutsIt(t *testing.T) {
	t.Parallel()
	for tenant, want := range map[contact.Tenant]int{"acme": 15, "demo": 6, "globex": 14} {
		if got := bus.Hashed(tenant, 16); got != want {
			t.Errorf("%s is on partition %d of 16, want %d", tenant, got, want)
		}
	}
}
