package fleet

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Speaker prints a line with the time since the start. It is safe for
// concurrent use.
type Speaker func(format string, values ...any)

// NewSpeaker makes one that writes to out.
func NewSpeaker(out io.Writer) Speaker {
	start := time.Now()
	var mu sync.Mutex
	return func(format string, values ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%6.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, values...))
	}
}
