package bus

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"lockstep.internal/pkg/contact"
)

// RedactDeadLetters takes everything about somebody out of a tenant's dead
// letters, for good, and gives how many letters it changed. What cannot be
// decoded goes whole where it holds one of the words.
func (b *Bus) RedactDeadLetters(ctx context.Context, tenant contact.Tenant, about func(contact.Mention) bool, words []string) (int, error) {
	changed := 0
	for _, of := range []contact.Tenant{tenant, unknownTenant} {
		const page = 100
		for after := uint64(0); ; {
			letters, err := b.DeadLetters(ctx, LetterFilter{Tenant: of}, after, page)
			if err != nil {
				return changed, err
			}
			for _, l := range letters {
				after = l.Seq
				rest, hit := l.redacted(about, words)
				if !hit {
					continue
				}
				changed++
				if err := b.replaceLetter(ctx, l, rest); err != nil {
					return changed, err
				}
			}
			if len(letters) < page {
				break
			}
		}
	}
	return changed, nil
}

// Redact takes the events that drop names out of a letter. It gives the letter
// without them, whether anything is left, and whether anything was taken out.
func (l Letter) Redact(drop func(contact.Mention) bool) (left Letter, some, changed bool) {
	rest, hit := l.redacted(drop, nil)
	if !hit {
		return l, true, false
	}
	if rest == nil {
		return Letter{}, false, true
	}
	l.Delivery.data, l.Delivery.Size = rest, len(rest)
	l.Delivery.decode()
	return l, true, true
}

// redacted is what is left of a letter's payload without what is about
// somebody: nil when nothing is. hit tells whether something was.
func (l Letter) redacted(about func(contact.Mention) bool, words []string) (rest []byte, hit bool) {
	d := &l.Delivery
	if d.Err != nil && holds(d.data, words) {
		return nil, true
	}
	m := Message{Tenant: d.Tenant, System: d.System}
	for i := range d.Incoming {
		if about(d.Incoming[i].Mention()) {
			hit = true
		} else {
			m.Incoming = append(m.Incoming, d.Incoming[i])
		}
	}
	for i := range d.Patches {
		if about(d.Patches[i].Mention()) {
			hit = true
		} else {
			m.Patches = append(m.Patches, d.Patches[i])
		}
	}
	if !hit || len(m.Incoming)+len(m.Patches) == 0 {
		return nil, hit
	}
	payloads, refused := encodeRun(d.Stream, m)
	if len(payloads) != 1 || len(refused) > 0 {
		return nil, true // what was read must encode again; rather nothing than the person's data
	}
	return payloads[0].data, true
}

// holds reports whether bytes contain one of the words that tell somebody from
// others: not the shortest ones.
func holds(data []byte, words []string) bool {
	const shortest = 4
	text := strings.ToLower(string(data))
	for _, word := range words {
		if len(word) >= shortest && strings.Contains(text, strings.ToLower(word)) {
			return true
		}
	}
	return false
}

// replaceLetter puts what is left in a letter's place; it comes last then.
func (b *Bus) replaceLetter(ctx context.Context, l Letter, rest []byte) error {
	if rest != nil {
		header := nats.Header{}
		for key, values := range l.Delivery.header {
			header[key] = values
		}
		header.Set(nats.MsgIdHdr, fmt.Sprintf("rest-%d-%d", l.At.UnixMicro(), l.Seq))
		tenant := string(cmp.Or(l.Delivery.Tenant, unknownTenant))
		msg := &nats.Msg{Subject: fmt.Sprintf("dlq.%s.%s.%s", l.Stage, tenant, l.Kind), Data: rest, Header: header}
		if err := b.send(ctx, msg); err != nil {
			return fmt.Errorf("keep the rest of dead letter %d: %w", l.Seq, err)
		}
	}
	return b.Discard(ctx, l)
}
