package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep.internal/pkg/fault"
)

// Headers of questions and replies.
const (
	deadlineHeader = "Lockstep-Deadline" // of a question: milliseconds since 1970
	lastHeader     = "Lockstep-Last"     // of the last reply: "ok", or "refused" with the words as payload
)

// silence is the longest time without a reply before an answer counts as lost.
const silence = 15 * time.Second

// ErrNobody tells that no process serves a topic just now.
var ErrNobody = errors.New("nobody serves this just now; the service that does may be starting")

// Ask puts a question to one of the processes that serve a topic, and hands
// each part of the answer to heard, in order. It returns when the answer is
// complete. A question is neither stored nor repeated: ask again where the
// answer was lost. What the server refuses comes as a permanent fault with its
// words. When ctx ends, or heard gives an error, the server is told to stop.
func (b *Bus) Ask(ctx context.Context, topic string, question []byte, heard func(part []byte) error) (err error) {
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return unavailable("ask "+topic, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	deadline, ok := ctx.Deadline()
	if !ok {
		return fmt.Errorf("ask %s: the context has no deadline", topic)
	}
	msg := nats.NewMsg("ask." + topic)
	msg.Reply, msg.Data = inbox, question
	msg.Header.Set(deadlineHeader, strconv.FormatInt(deadline.UnixMilli(), 10))
	if err := b.nc.PublishMsg(msg); err != nil {
		return unavailable("ask "+topic, err)
	}
	complete := false
	defer func() {
		if !complete {
			_ = b.nc.Publish(stopSubject(topic), []byte(inbox)) // else its deadline stops it
		}
	}()
	for {
		part, err := next(ctx, sub)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return fault.Wrap(fault.Transient, fmt.Errorf("ask %s: %w", topic, ErrNobody))
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("ask %s: %w", topic, ctx.Err())
		case err != nil:
			return unavailable("ask "+topic, err)
		}
		switch part.Header.Get(lastHeader) {
		case "ok":
			complete = true
			return nil
		case "refused":
			complete = true
			return fault.New(fault.Refusal{Class: fault.Permanent, Reason: "REFUSED", Message: string(part.Data)})
		}
		if err := heard(part.Data); err != nil {
			return err
		}
	}
}

// stopSubject is where all who serve a topic hear that an answer is not wanted
// any more, by the inbox that it goes to.
func stopSubject(topic string) string { return "ask-stop." + topic }

// next waits for a reply, and not for ever.
func next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// Serve answers questions of a topic, shared with all other processes that
// serve it, at most so many at once; others wait their turn. An error of
// answer is told to who asked; who is gone ends the answer's context. After stop
// no answer runs any more.
func (b *Bus) Serve(topic string, most int, answer func(ctx context.Context, question []byte, reply func(part []byte) error) error) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	turns := make(chan struct{}, most)
	var wanted sync.Map // inbox to the context's cancel, of the answers under way
	serve := func(msg *nats.Msg) {
		defer running.Done()
		until, err := strconv.ParseInt(msg.Header.Get(deadlineHeader), 10, 64)
		if err != nil {
			until = time.Now().Add(silence).UnixMilli()
		}
		ctx, done := context.WithDeadline(ctx, time.UnixMilli(until))
		defer done()
		wanted.Store(msg.Reply, done)
		defer wanted.Delete(msg.Reply)
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-ctx.Done():
			return
		}
		err = answer(ctx, msg.Data, func(part []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return b.nc.Publish(msg.Reply, part)
		})
		last := nats.NewMsg(msg.Reply)
		last.Header.Set(lastHeader, "ok")
		if err != nil {
			last.Header.Set(lastHeader, "refused")
			last.Data = []byte(err.Error())
		}
		_ = b.nc.PublishMsg(last) // who asked waits no longer than its silence
	}
	var mu sync.Mutex
	stopped := false
	sub, err := b.nc.QueueSubscribe("ask."+topic, "serve", func(msg *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			running.Add(1)
			go serve(msg)
		}
	})
	if err != nil {
		cancel()
		return nil, unavailable("serve "+topic, err)
	}
	stops, err := b.nc.Subscribe(stopSubject(topic), func(msg *nats.Msg) {
		if done, ok := wanted.Load(string(msg.Data)); ok {
			done.(context.CancelFunc)()
		}
	})
	if err != nil {
		_ = sub.Unsubscribe()
		cancel()
		return nil, unavailable("serve "+topic, err)
	}
	return sync.OnceFunc(func() {
		_ = sub.Unsubscribe() // fails only on a closed connection
		_ = stops.Unsubscribe()
		mu.Lock()
		stopped = true
		mu.Unlock()
		cancel()
		running.Wait()
	}), nil
}
