//go:build !race

package lockstep_test

// raceEnabled tells that the race detector slows everything down.
const raceEnabled = false
