package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const tick = 10 * time.Millisecond // in which Linux counts (USER_HZ)

// Usage is what processes have used of the machine.
type Usage struct {
	CPU    time.Duration // user and system time since the start
	Memory int64         // resident bytes now
}

// Usage is what the program used, its earlier runs included.
func (p *Process) Usage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := Usage{CPU: p.ended}
	if p.running != nil {
		if s, err := readStat(p.running.Pid); err == nil {
			u.CPU += s.cpu
			u.Memory = s.resident
		}
	}
	return u
}

// Self is what this process used.
func Self() Usage {
	s, _ := readStat(os.Getpid()) // a process can read its own
	return Usage{CPU: s.cpu, Memory: s.resident}
}

// Tree is what the children of this process that run a program used, with
// their own children: those that run, and those that ended and were waited for.
// Memory that processes share counts for each.
func Tree(program string) (u Usage) {
	all := make(map[int]stat)
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // it may have ended meanwhile
			all[pid] = s
		}
	}
	for pid, s := range all {
		root, under := pid, false
		for range 8 {
			parent := all[root].parent
			if parent == os.Getpid() {
				under = all[root].name == program
				break
			}
			if parent <= 1 {
				break
			}
			root = parent
		}
		if under {
			u.CPU += s.cpu
			u.Memory += s.resident
			if pid == root {
				u.CPU += s.children
			}
		}
	}
	return u
}

// stat is what the kernel tells of a process.
type stat struct {
	name          string
	parent        int
	cpu, children time.Duration // its own, and that of children that were waited for
	resident      int64
}

// readStat reads a process's times, which Linux counts in hundredths of a
// second.
func readStat(pid int) (s stat, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	text := string(raw)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return s, fmt.Errorf("process %d: what the kernel tells cannot be read: %q", pid, text)
	}
	// The third field of the line comes first here.
	fields := strings.Fields(text[end+1:])
	if len(fields) < 22 {
		return s, fmt.Errorf("process %d: what the kernel tells is too short: %q", pid, text)
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i-3], 10, 64); return n }
	s.name, s.parent = text[open+1:end], int(number(4))
	s.cpu = time.Duration(number(14)+number(15)) * tick
	s.children = time.Duration(number(16)+number(17)) * tick
	s.resident = number(24) * int64(os.Getpagesize())
	return s, nil
}

// MachineUsage is how the processors' time of all processes was spent.
type MachineUsage struct {
	All    time.Duration // of all processors
	Stolen time.Duration // of it, what the machine below gave to other ones while somebody here wanted it
}

// Machine is how the processors spent their time since the start.
func Machine() (u MachineUsage, err error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	return readMachine(string(raw))
}

// readMachine reads the first line of /proc/stat (man 5 proc): user, nice, system, idle,
// iowait, irq, softirq, steal, and what is part of user.
func readMachine(text string) (u MachineUsage, err error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return u, fmt.Errorf("the kernel's account of the processors cannot be read: %q", line)
	}
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("the kernel's account of the processors cannot be read: %w", err)
		}
		spent := time.Duration(n) * tick
		u.All += spent
		if i == 7 {
			u.Stolen = spent
		}
	}
	return u, nil
}
