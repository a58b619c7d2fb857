package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// Headers of a dead letter.
const (
	headerStream  = "lockstep-stream"
	headerSeq     = "lockstep-seq"
	headerStage   = "lockstep-stage"
	headerTenant  = "lockstep-tenant"
	headerReason  = "lockstep-reason"
	headerStored  = "lockstep-stored-at"
	headerSubject = "lockstep-subject"
)

// unknownTenant stands for the tenant of a message whose subject has none.
const unknownTenant contact.Tenant = "unknown"

// DeadLetter puts a copy of a message, with where it was and why it could not
// be handled, where people find it. The same letter twice is stored once. The
// reason must not contain contact data.
func (b *Bus) DeadLetter(ctx context.Context, stage string, d Delivery, reason error) error {
	tenant := string(unknownTenant)
	if t, err := contact.ParseTenant(string(d.Tenant)); err == nil {
		tenant = string(t)
	}
	stream := d.Stream.name(d.Partition)
	stage = notInName.ReplaceAllString(stage, "_")
	msg := &nats.Msg{
		Subject: fmt.Sprintf("%s.%s.%s.%s", strings.ToLower(deadLetters), stage, tenant, reasonToken(reason)),
		Data:    d.data,
		Header: nats.Header{
			nats.MsgIdHdr: {fmt.Sprintf("%s-%s-%d-%d", stage, stream, d.Seq, d.StoredAt.UnixMicro())},
			headerStream:  {stream},
			headerSubject: {d.subject},
			headerSeq:     {strconv.FormatUint(d.Seq, 10)},
			headerStage:   {stage},
			headerTenant:  {tenant},
			headerReason:  {reasonText(reason)},
			headerStored:  {d.StoredAt.Format("2006-01-02T15:04:05.000000Z")},
		},
	}
	for _, key := range traceContext.Fields() {
		if value := (headerCarrier)(d.header).Get(key); value != "" {
			headerCarrier(msg.Header).Set(key, value)
		}
	}
	if err := b.send(ctx, msg); err != nil {
		return fmt.Errorf("dead letter of %s %d: %w", stream, d.Seq, err)
	}
	b.counts.deadLetters.Add(1)
	b.log.Error("message went to the dead letters", "stage", stage, "stream", stream, "seq", d.Seq,
		"tenant", tenant, "reason", reasonText(reason))
	return nil
}

// reasonToken is the kind of a reason: few words, since it is in the subject.
func reasonToken(reason error) string {
	var f *fault.Fault
	switch {
	case errors.Is(reason, ErrUndecodable):
		return "undecodable"
	case errors.As(reason, &f):
		return f.Class.String()
	}
	return "other"
}

// reasonText is a reason on one line of bounded length.
func reasonText(reason error) string {
	if reason == nil {
		return "none"
	}
	const most = 1000
	text := strings.Join(strings.Fields(reason.Error()), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
