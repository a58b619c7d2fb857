package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"lockstep.internal/pkg/fault"
)

const (
	// rewind is how far before the last applied message a cut stream is read
	// again. It covers the server's longest interval between syncs.
	rewind = 2 * time.Minute
	// looks is how often a stream is looked at before a difference is
	// believed: a leader just elected may still be catching up.
	looks = 3
	// lookApart is the time between two looks.
	lookApart = 150 * time.Millisecond
)

// Position is how far a stream was worked off. Its times are whole
// microseconds, as PostgreSQL keeps them. The zero value is the beginning.
type Position struct {
	Seq           uint64    // of the last message applied; 0 for none
	StoredAt      time.Time // when the server stored that message
	StreamCreated time.Time // identity of the stream that Seq is valid for
}

// micro cuts a time to what PostgreSQL keeps.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// same compares times from either side of PostgreSQL, which rounds.
func same(a, b time.Time) bool { return a.Sub(b).Abs() <= time.Microsecond }

// Guard compares a position with the stream before it is read from there: a
// stream that was made anew, or that lost its tail in a crash, gives the
// numbers of messages that were applied to new ones, which would be skipped.
//
// It returns the position to read from, with StreamCreated filled in. When
// they do not fit, that is an earlier one (rewound is true): the beginning of
// a new stream, else two minutes before StoredAt. Copies that are delivered
// again must be harmless. It tries until ctx is done while the bus is away.
func (b *Bus) Guard(ctx context.Context, s Stream, partition int, p Position) (at Position, rewound bool, err error) {
	if err := b.check(s, partition); err != nil {
		return p, false, fault.Wrap(fault.Permanent, err)
	}
	err = b.persist(ctx, "guard "+s.name(partition), func(ctx context.Context) error {
		info, reason, err := b.compare(ctx, s.name(partition), p)
		if err != nil {
			return err
		}
		if reason == "" {
			at = p
			at.StreamCreated = micro(info.Created)
			return nil
		}
		at, err = b.before(ctx, info, p)
		if err == nil {
			rewound = true
			b.log.Error("position does not fit the stream, reading again from before", "stream", s.name(partition),
				"reason", reason, "applied", p.Seq, "stored", p.StoredAt, "from", at.Seq, "last", info.State.LastSeq)
		}
		return err
	})
	return at, rewound, err
}

// compare tells why a position does not fit its stream; "" when it does.
func (b *Bus) compare(ctx context.Context, name string, p Position) (info *jetstream.StreamInfo, reason string, err error) {
	for look := 1; ; look++ {
		info, reason, err = b.glance(ctx, name, p)
		if err != nil || reason == "" || look == looks {
			return info, reason, err
		}
		timer := time.NewTimer(lookApart)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, "", ctx.Err()
		}
	}
}

func (b *Bus) glance(ctx context.Context, name string, p Position) (*jetstream.StreamInfo, string, error) {
	info, err := b.info(ctx, name)
	if err != nil {
		return nil, "", err
	}
	switch {
	case !p.StreamCreated.IsZero() && !same(info.Created, p.StreamCreated):
		return info, "the stream was made anew", nil
	case info.State.LastSeq < p.Seq:
		return info, "the stream ends before", nil
	case p.Seq == 0 || p.StoredAt.IsZero() || p.Seq < info.State.FirstSeq:
		return info, "", nil // nothing to compare with
	}
	seq, at, err := b.stored(ctx, name, storedRequest{Seq: p.Seq})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return info, "the message is not there", nil
	case err != nil:
		return info, "", err
	case seq != p.Seq || !same(at, p.StoredAt):
		return info, "it is another message", nil
	}
	return info, "", nil
}

// before is the position from which a stream that does not fit is read again.
func (b *Bus) before(ctx context.Context, info *jetstream.StreamInfo, p Position) (Position, error) {
	at := Position{StreamCreated: micro(info.Created)}
	if p.StoredAt.IsZero() || !p.StreamCreated.IsZero() && !same(info.Created, p.StreamCreated) {
		return at, nil
	}
	from := p.StoredAt.Add(-rewind)
	seq, _, err := b.stored(ctx, info.Config.Name, storedRequest{StartTime: &from, NextFor: ">"})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound): // all that is left is older
		at.Seq = min(info.State.LastSeq, p.Seq)
	case err != nil:
		return p, err
	default:
		at.Seq = min(seq-1, p.Seq)
	}
	if at.Seq == 0 || at.Seq < info.State.FirstSeq {
		return at, nil
	}
	_, at.StoredAt, err = b.stored(ctx, info.Config.Name, storedRequest{Seq: at.Seq})
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return p, err
	}
	return at, nil
}

// Last is the sequence of the newest message and when it was stored; zero for
// an empty stream.
func (b *Bus) Last(ctx context.Context, s Stream, partition int) (uint64, time.Time, error) {
	if err := b.check(s, partition); err != nil {
		return 0, time.Time{}, fault.Wrap(fault.Permanent, err)
	}
	info, err := b.info(ctx, s.name(partition))
	if err != nil {
		return 0, time.Time{}, unavailable("look at "+s.name(partition), err)
	}
	if info.State.LastSeq == 0 {
		return 0, time.Time{}, nil
	}
	return info.State.LastSeq, micro(info.State.LastTime), nil
}

// Trim drops the messages up to and including a sequence, to give room in a
// stream before their age does. Only what every reader has applied may go.
func (b *Bus) Trim(ctx context.Context, s Stream, partition int, through uint64) error {
	if err := b.check(s, partition); err != nil {
		return fault.Wrap(fault.Permanent, err)
	}
	stream, err := b.js.Stream(ctx, s.name(partition))
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSequence(through+1))
	}
	if err != nil {
		return unavailable("trim "+s.name(partition), err)
	}
	return nil
}

func (b *Bus) info(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	defer context.AfterFunc(b.linked(), cancel)()
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// storedRequest asks for one stored message: of a sequence, or the first one
// (NextFor ">") from a sequence or time on.
type storedRequest struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	NoHeaders bool       `json:"no_hdr,omitempty"`
}

// stored looks a message up. It asks the stream's leader; the client's own way
// may ask a replica that lags behind and would deny a message that is there.
func (b *Bus) stored(ctx context.Context, name string, request storedRequest) (uint64, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	defer context.AfterFunc(b.linked(), cancel)()
	request.NoHeaders = true
	body, err := json.Marshal(request)
	if err != nil {
		return 0, time.Time{}, err
	}
	answer, err := b.nc.RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET."+name, body)
	if err != nil {
		return 0, time.Time{}, err
	}
	var response struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Seq  uint64    `json:"seq"`
			Time time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &response); err != nil {
		return 0, time.Time{}, fmt.Errorf("stored message of %s: %w", name, err)
	}
	switch {
	case response.Error != nil && response.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return 0, time.Time{}, jetstream.ErrMsgNotFound
	case response.Error != nil:
		return 0, time.Time{}, response.Error
	case response.Message == nil:
		return 0, time.Time{}, fmt.Errorf("stored message of %s: empty answer", name)
	}
	return response.Message.Seq, micro(response.Message.Time), nil
}

// persist does something until it works or ctx is done. What cannot get better
// by waiting (ErrMoved, a closed connection) is returned at once.
func (b *Bus) persist(ctx context.Context, doing string, do func(context.Context) error) error {
	for wait := newBackoff(); ; {
		err := do(ctx)
		switch {
		case err == nil || errors.Is(err, ErrMoved):
			return err
		case b.nc.IsClosed():
			return unavailable(doing, errors.Join(ErrClosed, err))
		}
		if wait.pause(ctx) != nil {
			return unavailable(doing, err)
		}
	}
}
