// Lockstep is the single binary.
package main

import "lockstep.internal/services/lockstep"

func main() { lockstep.Main() }
