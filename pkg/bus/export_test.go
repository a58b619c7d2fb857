package bus

import (
	"context"
	"time"
)

// SetWatch makes readers that begin later suspicious sooner.
func (b *Bus) SetWatch(d time.Duration) { b.watch = d }

// LimitMessages makes a stream take only small messages, as one did that an
// earlier version made.
func (b *Bus) LimitMessages(ctx context.Context, s Stream, partition int, bytes int32) error {
	info, err := b.info(ctx, s.name(partition))
	if err != nil {
		return err
	}
	config := info.Config
	config.MaxMsgSize = bytes
	_, err = b.js.UpdateStream(ctx, config)
	return err
}
