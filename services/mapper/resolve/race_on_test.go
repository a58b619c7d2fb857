//go:build race

package resolve

// raceFactor makes the schedules fewer under the race detector, which is slow.
const raceFactor = 5
