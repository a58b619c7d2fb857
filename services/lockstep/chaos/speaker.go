package chaos

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// speaker prints a line with the time since the start. It is safe for
// concurrent use.
type speaker func(format string, values ...any)

func newSpeaker(out io.Writer) speaker {
	start := time.Now()
	var mu sync.Mutex
	return func(format string, values ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%6.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, values...))
	}
}
