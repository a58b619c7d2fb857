package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep.internal/pkg/fault"
)

// ErrNobody tells that nobody answers questions of a topic.
var ErrNobody = errors.New("nobody answers")

func askSubject(topic string) string { return "ask." + topic }

// answer is what travels back.
type answer struct {
	Refused string          `json:"refused,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
}

// Ask puts a question to whoever answers a topic, one of them, and reads the
// answer into into. Both are JSON. ctx must have a deadline; ErrNobody tells
// that nobody is there.
func (b *Bus) Ask(ctx context.Context, topic string, question, into any) error {
	raw, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask %s: %w", topic, err)
	}
	msg := nats.NewMsg(askSubject(topic))
	msg.Data = raw
	traceContext.Inject(ctx, headerCarrier(msg.Header))
	got, err := b.nc.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fault.Wrap(fault.Transient, fmt.Errorf("ask %s: %w", topic, ErrNobody))
	case err != nil:
		return unavailable("ask "+topic, err)
	}
	var a answer
	if err := json.Unmarshal(got.Data, &a); err != nil {
		return fmt.Errorf("ask %s: answer: %w", topic, err)
	}
	if a.Refused != "" {
		return fault.New(fault.Refusal{Class: fault.Permanent, Reason: "REFUSED", Message: a.Refused})
	}
	if err := json.Unmarshal(a.Answer, into); err != nil {
		return fmt.Errorf("ask %s: answer: %w", topic, err)
	}
	return nil
}

// Answer answers questions of a topic until ctx ends, sharing them with other
// processes that do. It gives f the question as JSON, and a bounded time. Some
// questions are answered at once.
func (b *Bus) Answer(ctx context.Context, topic string, f func(ctx context.Context, question []byte) (any, error)) error {
	const atOnce, longest = 8, 10 * time.Second
	questions := make(chan *nats.Msg, 64)
	sub, err := b.nc.ChanQueueSubscribe(askSubject(topic), "answer", questions)
	if err != nil {
		return unavailable("answer "+topic, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	slots := make(chan struct{}, atOnce)
	for {
		select {
		case <-ctx.Done():
			for range atOnce { // those under way end within their time
				slots <- struct{}{}
			}
			return nil
		case msg := <-questions:
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				asked, cancel := context.WithTimeout(traceContext.Extract(ctx, headerCarrier(msg.Header)), longest)
				defer cancel()
				b.respond(asked, topic, msg, f)
			}()
		}
	}
}

func (b *Bus) respond(ctx context.Context, topic string, msg *nats.Msg, f func(context.Context, []byte) (any, error)) {
	var a answer
	given, err := f(ctx, msg.Data)
	if err == nil {
		a.Answer, err = json.Marshal(given)
	}
	if err != nil {
		b.log.WarnContext(ctx, "a question was not answered", "topic", topic, "error", err)
		a.Refused = "this could not be answered just now"
	}
	raw, err := json.Marshal(a)
	if err == nil {
		err = msg.Respond(raw)
	}
	if err != nil {
		b.log.WarnContext(ctx, "an answer was not sent", "topic", topic, "error", err)
	}
}
