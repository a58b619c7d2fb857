package bus

import "time"

// SetWatch makes readers that begin later suspicious sooner.
func (b *Bus) SetWatch(d time.Duration) { b.watch = d }
