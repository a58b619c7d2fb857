// Package background lets work that nobody waits for go behind all other work that wants
// the same processors. It decides nothing about what that work is.
package background

import "runtime"

// Behind is how much nicer background work is than its process: beside one busy thread of the
// usual niceness it has a tenth of a processor (man 7 sched); what is idle it has to itself.
const Behind = 10

// Enter makes the calling goroutine background work, to its end, however often it is
// called: it is kept on a thread of its own, which the kernel lets go behind others.
// Goroutines that it starts are not. Where the kernel knows no such threads or refuses,
// nothing is changed.
func Enter() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	lower()
}
