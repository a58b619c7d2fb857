package measure

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep.internal/services/lockstep/fleet"
)

// TestPartOfTimes: the time within which a part of all edits came.
func TestPartOfTimes(t *testing.T) {
	t.Parallel()
	var all times
	for i := range 200 {
		all = append(all, time.Duration(i+1)*time.Millisecond)
	}
	for p, want := range map[float64]time.Duration{0: 1, .5: 101, .99: 199, 1: 200} {
		if got := all.part(p); got != want*time.Millisecond {
			t.Errorf("part %v is %v, want %d ms", p, got, want)
		}
	}
	if got := (times{}).part(.99); got != 0 {
		t.Errorf("of no edits: %v", got)
	}
}

// TestWhatIsNotKeptIsSaid: of a first sync that lost somebody, was refused calls
// and left half of the quota unused.
func TestWhatIsNotKeptIsSaid(t *testing.T) {
	t.Parallel()
	r := syncRun{took: 20 * time.Second, used: 110, contacts: 9_900, lost: 1, silence: 10 * time.Second, work: 10 * time.Second, worked: 110}
	r.calls.Batches = map[string]struct{ Calls, Contacts int }{"upsert": {100, 9_900}}
	r.calls.Throttled, r.calls.MaxInWindow = 3, 110
	broken := map[string]bool{}
	for _, l := range r.lines(110) {
		if l.broken {
			broken[l.what] = true
		}
	}
	if len(broken) != 2 || !broken["answers 429"] || !broken["contacts lost"] {
		t.Errorf("broken: %v", broken)
	}
	r.worked = 55
	for _, l := range r.lines(110) {
		if strings.HasPrefix(l.what, "of the possible calls used while") && (!l.broken || l.value != "50.0") {
			t.Errorf("half of the calls: %+v", l)
		}
	}
}

// TestProcessorsAreSharedAlike among what is measured, also where sessions have their own
// part of them: it is in a control group, and not any more when it has been measured.
func TestProcessorsAreSharedAlike(t *testing.T) {
	groups := func() string {
		t.Helper()
		raw, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	before := groups()
	leave, err := shareAlike()
	if err != nil {
		t.Skipf("cannot be done here: %v", err)
	}
	on, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled")
	bySession := err == nil && strings.TrimSpace(string(on)) == "1"
	during := groups()
	leave()
	if apart := within(during, false) || within(during, true); bySession && !apart {
		t.Errorf("in %q, with the processors shared among sessions", during)
	}
	if after := groups(); after != before {
		t.Errorf("in %q before, %q after it", before, after)
	}
}

// TestControlGroups: where they are mounted, and whether a process is in one.
func TestControlGroups(t *testing.T) {
	t.Parallel()
	const disk, older, cpuset, newer = "/dev/vda / ext4 rw 0 0\n", "cgroup /groups/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n",
		"cgroup /groups/cpuset cgroup rw,cpuset 0 0\n", "cgroup2 /groups/unified cgroup2 rw 0 0\n"
	for mounts, want := range map[string]string{
		disk + cpuset: "", "": "", disk + newer: "/groups/unified", disk + cpuset + older: "/groups/cpu,cpuacct", newer + older + cpuset: "/groups/cpu,cpuacct",
	} {
		if got, unified := processorGroups(mounts); got != want || unified != (want == "/groups/unified") {
			t.Errorf("%q: %q, unified %v", mounts, got, unified)
		}
	}
	for groups, want := range map[string]bool{
		"4:memory:/a\n1:cpu,cpuacct:/\n0::/\n": false, "4:memory:/\n1:cpu:/kubepods/pod1\n": true, "0::/system.slice\n": false, "": false,
	} {
		if within(groups, false) != want {
			t.Errorf("%q: not %v", groups, want)
		}
	}
	if !within("0::/system.slice\n", true) || within("0::/\n", true) {
		t.Error("of the unified hierarchy")
	}
}

// TestUsageIsTold of this very process, which has used some CPU and memory.
func TestUsageIsTold(t *testing.T) {
	t.Parallel()
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		strings.Repeat("x", 1000)
	}
	if u := fleet.Self(); u.CPU <= 0 || u.Memory < 1<<20 {
		t.Errorf("%+v", u)
	}
}

// TestMeasuring runs a scenario in small, with LOCKSTEP_BENCH=1: what it finds
// is not judged, but that it comes to an end and reports.
func TestMeasuring(t *testing.T) {
	if os.Getenv("LOCKSTEP_BENCH") == "" {
		t.Skip("set LOCKSTEP_BENCH=1: it takes minutes, and measures nothing beside other tests")
	}
	programs := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", programs+"/", "lockstep.internal/services/ingest/cmd/ingest", "lockstep.internal/services/mapper/cmd/mapper",
		"lockstep.internal/services/writer/cmd/writer", "lockstep.internal/services/console/cmd/console", "lockstep.internal/services/lockstep/cmd/measure").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	report := filepath.Join(t.TempDir(), "measured.md")
	out, err := exec.Command(filepath.Join(programs, "measure"), "-contacts", "4000", "-only", "outage", "-report", report).CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(raw), "all 800 contacts were there after the outage's end") {
		t.Errorf("%v, report %s, output %s", err, raw, out)
	}
}
