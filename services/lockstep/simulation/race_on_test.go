//go:build race

package simulation

// raceFactor makes the schedules fewer under the race detector, which is slow.
const raceFactor = 10
