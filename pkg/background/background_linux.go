package background

import "syscall"

// usual is the niceness that the process was started with.
var usual, errUsual = Niceness()

// lower makes the calling thread nicer: on Linux each one has a niceness of its own, and to be
// nicer takes no privilege (man 2 setpriority).
func lower() {
	if errUsual == nil {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, usual+Behind)
	}
}

// Niceness is that of the calling thread, between -20, before all others, and 19.
func Niceness() (int, error) {
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	return 20 - raw, err // the system call gives 20 less the niceness
}
