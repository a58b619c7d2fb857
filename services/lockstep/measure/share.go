package measure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// shareAlike makes the kernel share the processors among all threads that are measured
// alike, as it does within a container. Outside of one it may share them among sessions
// first (sched_autogroup_enabled, man 7 sched), of which each connection of PostgreSQL is
// one by itself: whoever asks the database then waits for whole turns of all the others.
// It puts this process, and with it what it starts, into a control group of its own.
//
// leave takes it out again, once all that was started has ended. An error says why the
// sessions remain.
func shareAlike() (leave func(), err error) {
	leave = func() {}
	switch on, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled"); {
	case errors.Is(err, os.ErrNotExist), err == nil && strings.TrimSpace(string(on)) == "0":
		return leave, nil
	case err != nil:
		return leave, err
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return leave, err
	}
	root, unified := processorGroups(string(mounts))
	if root == "" {
		return leave, errors.New("control groups of processors are mounted nowhere")
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return leave, err
	}
	if within(string(groups), unified) {
		return leave, nil
	}
	if unified {
		if err := write(filepath.Join(root, "cgroup.subtree_control"), "+cpu"); err != nil {
			return leave, err
		}
	}
	group, members := filepath.Join(root, fmt.Sprint("lockstep-measure-", os.Getpid())), "cgroup.procs"
	if err := os.Mkdir(group, 0o755); err != nil {
		return leave, err
	}
	leave = func() {
		_ = write(filepath.Join(root, members), strconv.Itoa(os.Getpid()))
		_ = os.Remove(group) // one with somebody in it stays, and harms nobody
	}
	if err := write(filepath.Join(group, members), strconv.Itoa(os.Getpid())); err != nil {
		leave()
		return func() {}, err
	}
	return leave, nil
}

func write(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// processorGroups gives where /proc/self/mounts has the control groups that processors
// are shared among, and whether these are of the unified hierarchy, which may be there
// without them. It gives "" where there are none.
func processorGroups(mounts string) (root string, unified bool) {
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		switch {
		case fields[2] == "cgroup" && slices.Contains(strings.Split(fields[3], ","), "cpu"):
			return fields[1], false
		case fields[2] == "cgroup2":
			root, unified = fields[1], true
		}
	}
	return root, unified
}

// within reports, of /proc/self/cgroup, whether a process is in a control group of
// processors other than the outermost.
func within(groups string, unified bool) bool {
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		if unified && parts[0] == "0" || !unified && slices.Contains(strings.Split(parts[1], ","), "cpu") {
			return parts[2] != "/"
		}
	}
	return false
}
