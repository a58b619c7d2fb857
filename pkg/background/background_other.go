//go:build !linux

package background

import "errors"

// Niceness is known on Linux only.
func Niceness() (int, error) { return 0, errors.ErrUnsupported }

// lower does nothing: elsewhere niceness is that of the whole process.
func lower() {}
