package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// Letter is one message that was put aside, with why.
type Letter struct {
	Seq    uint64    // its place among the dead letters
	At     time.Time // when it was put aside
	Stage  string    // who could not handle it
	Kind   string    // kind of the reason: "undecodable", a fault class, "other"
	Reason string    // in words
	// Delivery is the message as it was read from its stream. Its Err tells
	// what of it cannot be decoded by this version.
	Delivery Delivery

	stream string // name of the stream that it came from
}

// LetterFilter chooses dead letters. Empty members choose all.
type LetterFilter struct {
	Tenant contact.Tenant
	Kind   string
}

var filterToken = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (f LetterFilter) subject() (string, error) {
	token := func(text string) (string, error) {
		switch {
		case text == "":
			return "*", nil
		case !filterToken.MatchString(text):
			return "", fault.Wrap(fault.Permanent, fmt.Errorf("dead letters of %q: %w", text, ErrInvalid))
		}
		return text, nil
	}
	tenant, err := token(string(f.Tenant))
	if err != nil {
		return "", err
	}
	kind, err := token(f.Kind)
	return "dlq.*." + tenant + "." + kind, err
}

// DeadLetters gives dead letters behind a place, in their order, up to a
// number of them.
func (b *Bus) DeadLetters(ctx context.Context, f LetterFilter, after uint64, limit int) ([]Letter, error) {
	subject, err := f.subject()
	if err != nil {
		return nil, err
	}
	var letters []Letter
	for len(letters) < limit {
		letter, err := b.letter(ctx, after+1, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return letters, nil
		}
		if err != nil {
			return nil, unavailable("read dead letters", err)
		}
		letters = append(letters, letter)
		after = letter.Seq
	}
	return letters, nil
}

// letter gives the first dead letter of a subject from a place on.
func (b *Bus) letter(ctx context.Context, from uint64, subject string) (Letter, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	body, err := json.Marshal(storedRequest{Seq: from, NextFor: subject})
	if err != nil {
		return Letter{}, err
	}
	// The stream's leader is asked: a replica may lag behind an erasure.
	answer, err := b.nc.RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET."+deadLetters, body)
	if err != nil {
		return Letter{}, err
	}
	var response struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Seq     uint64    `json:"seq"`
			Time    time.Time `json:"time"`
			Subject string    `json:"subject"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &response); err != nil {
		return Letter{}, fmt.Errorf("dead letter: %w", err)
	}
	switch {
	case response.Error != nil && response.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return Letter{}, jetstream.ErrMsgNotFound
	case response.Error != nil:
		return Letter{}, response.Error
	case response.Message == nil:
		return Letter{}, errors.New("dead letter: empty answer")
	}
	header, err := nats.DecodeHeadersMsg(response.Message.Header)
	if err != nil {
		return Letter{}, fmt.Errorf("dead letter %d: headers: %w", response.Message.Seq, err)
	}
	tokens := strings.Split(response.Message.Subject, ".")
	letter := Letter{
		Seq: response.Message.Seq, At: micro(response.Message.Time), Stage: header.Get(headerStage), Reason: header.Get(headerReason),
		Kind: tokens[len(tokens)-1], stream: header.Get(headerStream),
	}
	d := &letter.Delivery
	d.header, d.data, d.Size = header, response.Message.Data, len(response.Message.Data)
	d.Seq, _ = strconv.ParseUint(header.Get(headerSeq), 10, 64)
	d.StoredAt, _ = time.Parse("2006-01-02T15:04:05.000000Z", header.Get(headerStored))
	if err := b.place(&letter, tokens); err != nil {
		d.Err = err
		return letter, nil
	}
	d.decode()
	return letter, nil
}

// place fills in where a letter came from.
func (b *Bus) place(l *Letter, tokens []string) error {
	d := &l.Delivery
	match := partitionStream.FindStringSubmatch(l.stream)
	if match == nil || len(tokens) != 4 {
		return fmt.Errorf("%w: dead letter of stream %q", ErrUndecodable, l.stream)
	}
	d.Stream = Stream(match[1])
	d.Partition, _ = strconv.Atoi(match[2])
	if err := b.check(d.Stream, d.Partition); err != nil {
		return err
	}
	d.subject = d.header.Get(headerSubject)
	if d.subject == "" { // of a version that did not keep it
		var system contact.System
		if d.Stream.carriesPatches() {
			return fmt.Errorf("%w: dead letter without its subject", ErrUndecodable)
		}
		d.subject = d.Stream.subject(d.Partition, contact.Tenant(tokens[2]), system)
	}
	return nil
}

// Discard removes dead letters for good; those that are gone already are gone.
func (b *Bus) Discard(ctx context.Context, letters ...Letter) error {
	stream, err := b.js.Stream(ctx, deadLetters)
	if err != nil {
		return unavailable("discard dead letters", err)
	}
	for _, l := range letters {
		if err := stream.SecureDeleteMsg(ctx, l.Seq); err != nil {
			// The server has several words for one that is not there.
			if _, _, looked := b.stored(ctx, deadLetters, storedRequest{Seq: l.Seq}); !errors.Is(looked, jetstream.ErrMsgNotFound) {
				return unavailable(fmt.Sprintf("discard dead letter %d", l.Seq), err)
			}
		}
	}
	return nil
}

// Replay puts letters back into the streams that they came from, in the order
// in which they were there, and then takes them out of the dead letters. One
// that is in its stream already, because an earlier call broke off in between,
// is only taken out.
func (b *Bus) Replay(ctx context.Context, letters ...Letter) error {
	letters = slices.Clone(letters)
	slices.SortStableFunc(letters, func(x, y Letter) int {
		return cmp.Or(strings.Compare(x.stream, y.stream), cmp.Compare(x.Delivery.Seq, y.Delivery.Seq), cmp.Compare(x.Seq, y.Seq))
	})
	there := make(map[string]map[string]bool) // replays in a stream, by its name
	for _, l := range letters {
		if l.Delivery.subject == "" {
			return fault.Wrap(fault.Permanent, fmt.Errorf("replay dead letter %d: %w", l.Seq, l.Delivery.Err))
		}
		known := there[l.stream]
		if known == nil {
			var err error
			if known, err = b.replayed(ctx, l.stream); err != nil {
				return unavailable("replay dead letters", err)
			}
			there[l.stream] = known
		}
		id := replayPrefix + strconv.FormatInt(l.At.UnixMicro(), 36) + "-" + strconv.FormatUint(l.Seq, 10)
		if !known[id] {
			msg := &nats.Msg{Subject: l.Delivery.subject, Data: l.Delivery.data, Header: nats.Header{nats.MsgIdHdr: {id}}}
			for _, key := range traceContext.Fields() {
				if value := headerCarrier(l.Delivery.header).Get(key); value != "" {
					headerCarrier(msg.Header).Set(key, value)
				}
			}
			if err := b.send(ctx, msg); err != nil {
				return fmt.Errorf("replay dead letter %d: %w", l.Seq, err)
			}
		}
		if err := b.Discard(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

const replayPrefix = "replay-"

// replayed gives the message ids of the replays that a stream holds.
func (b *Bus) replayed(ctx context.Context, name string) (map[string]bool, error) {
	info, err := b.info(ctx, name)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool)
	c, err := b.js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{HeadersOnly: true, DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return nil, err
	}
	const atOnce = 1000
	for left, got := int(info.State.Msgs), 1; left > 0 && got > 0; left -= got {
		msgs, err := c.Fetch(min(atOnce, left), jetstream.FetchMaxWait(attemptTime))
		if err != nil {
			return nil, err
		}
		got = 0
		for msg := range msgs.Messages() {
			got++
			if id := msg.Headers().Get(nats.MsgIdHdr); strings.HasPrefix(id, replayPrefix) {
				ids[id] = true
			}
		}
		if err := msgs.Error(); err != nil {
			return nil, err
		}
	}
	return ids, ctx.Err()
}
