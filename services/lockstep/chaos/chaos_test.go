package chaos_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lockstep.internal/services/lockstep/chaos"
)

// TestEverythingAgreesAfterChaos is the short form of "make chaos". It takes
// minutes and the whole machine, so that it runs only where it is asked for:
// LOCKSTEP_CHAOS=1.
func TestEverythingAgreesAfterChaos(t *testing.T) {
	if os.Getenv("LOCKSTEP_CHAOS") != "1" {
		t.Skip("set LOCKSTEP_CHAOS=1 to run it")
	}
	programs := t.TempDir()
	build := exec.Command("go", "build", "-o", programs+"/",
		"lockstep.internal/services/ingest/cmd/ingest", "lockstep.internal/services/mapper/cmd/mapper", "lockstep.internal/services/writer/cmd/writer")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the services: %v\n%s", err, out)
	}
	config := chaos.Config{Duration: 75 * time.Second, Seed: 1, Programs: programs, Pause: 3 * time.Second, Tenants: 2, Out: output{t}}
	if err := chaos.Run(t.Context(), config); err != nil {
		t.Error(err)
	}
}

// output hands lines to the test's log.
type output struct{ t *testing.T }

func (o output) Write(line []byte) (int, error) {
	o.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
