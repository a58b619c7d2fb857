package mapper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/mapper/resolve"
)

// mostPreviews bounds the previews that one process works out at once.
const mostPreviews = 2

// previewPage is how many contacts a preview holds in memory at a time.
const previewPage = 1000

// preview answers what a proposed set would do to all contacts of a tenant, by
// the very function that decides. It reads state page by page, so that its
// memory does not grow with the contacts, and tells how far it is after each
// few pages.
func (m *Mapper) preview(ctx context.Context, question []byte, reply func([]byte) error) error {
	var proposal mapping.Proposal
	if err := json.Unmarshal(question, &proposal); err != nil || proposal.Set == nil {
		return fmt.Errorf("the proposal cannot be read")
	}
	rules, err := m.held(ctx, proposal.Tenant)
	if err != nil {
		return err
	}
	proposed := *rules
	proposed.Set = proposal.Set.Index()
	now := contact.Millis(m.config.Now().UnixMilli())
	t := &tallying{index: make(map[fieldSide]int)}
	if len(proposal.Sample) > 0 {
		if err := m.sample(ctx, t, &proposed, &proposal, now); err != nil {
			return err
		}
		return t.tell(reply)
	}
	if t.Total, err = m.config.DB.CountContacts(ctx, proposal.Tenant); err != nil {
		return err
	}
	told := time.Now()
	var unread []mapping.Unread
	for after := contact.Key(""); ; {
		page, err := m.config.DB.ContactPage(ctx, proposal.Tenant, after, previewPage)
		if err != nil {
			return err
		}
		for _, stored := range page {
			state, err := decodeState(stored.State)
			if err != nil {
				return fmt.Errorf("contact %s: %w", stored.Key, err)
			}
			effect := resolve.Preview(&proposed, stored.Key, state, now)
			t.add(stored.Key, effect)
			if len(effect.Reads) > 0 && len(unread) < mapping.MostSample {
				unread = append(unread, unreadOf(stored.Key, state, effect.Reads))
			}
			after = stored.Key
		}
		last := len(page) < previewPage
		if last {
			t.Total, t.Unread = t.Looked, unread
		}
		if last || time.Since(told) > 500*time.Millisecond {
			told = time.Now()
			if err := t.tell(reply); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// sample adds up what would be done to the contacts of a sample, with what was
// read of them.
func (m *Mapper) sample(ctx context.Context, t *tallying, rules *resolve.Rules, proposal *mapping.Proposal, now contact.Millis) error {
	told := make(map[contact.Key][]contact.Change, len(proposal.Sample))
	var tenants []contact.Tenant
	var keys []contact.Key
	for _, s := range proposal.Sample {
		told[s.Key] = s.Told
		tenants, keys = append(tenants, proposal.Tenant), append(keys, s.Key)
	}
	stored, err := m.config.DB.Contacts(ctx, tenants, keys)
	if err != nil {
		return err
	}
	for _, s := range stored {
		state, err := decodeState(s.State)
		if err != nil {
			return fmt.Errorf("contact %s: %w", s.Key, err)
		}
		t.add(s.Key, resolve.Preview(rules, s.Key, state, now, told[s.Key]...))
	}
	t.Total = t.Looked
	return nil
}

func unreadOf(key contact.Key, state *resolve.State, reads []contact.System) mapping.Unread {
	u := mapping.Unread{Key: key}
	for _, system := range reads {
		u.IDs[side(system)] = state.Side(system).ID
	}
	if phones := state.Side(contact.Aloware).Phones(); len(phones) > 0 {
		u.Phone = phones[0]
	}
	return u
}

type fieldSide struct {
	key    string
	system contact.System
}

// tallying adds up effects.
type tallying struct {
	mapping.Tally
	index map[fieldSide]int // in Fields
}

func (t *tallying) add(key contact.Key, effect resolve.Effect) {
	t.Looked++
	var written [2]bool
	for _, w := range effect.Writes {
		at := side(w.System)
		written[at] = true
		i, known := t.index[fieldSide{w.Field, w.System}]
		if !known {
			i = len(t.Fields)
			t.index[fieldSide{w.Field, w.System}] = i
			t.Fields = append(t.Fields, mapping.FieldTally{Key: w.Field, System: w.System})
		}
		f := &t.Fields[i]
		switch {
		case w.After == "":
			f.Clears++
		case w.Before == "":
			f.Fills++
		default:
			f.Replaces++
		}
		if len(f.Examples) < mapping.MostExamples {
			f.Examples = append(f.Examples, mapping.Example{Contact: key, Before: w.Before, After: w.After})
		}
	}
	for i := range written {
		if written[i] {
			t.Written[i]++
		}
	}
	if effect.Creates != 0 {
		t.Created[side(effect.Creates)]++
		t.Written[side(effect.Creates)]--
	}
	for _, system := range effect.Reads {
		t.Reads[side(system)]++
	}
}

func (t *tallying) tell(reply func([]byte) error) error {
	raw, err := json.Marshal(&t.Tally)
	if err != nil {
		return err
	}
	return reply(raw)
}

func side(system contact.System) int {
	if system == contact.HubSpot {
		return 0
	}
	return 1
}

// servePreviews answers previews until ctx ends.
func (m *Mapper) servePreviews(ctx context.Context) error {
	stop, err := m.config.Bus.Serve(mapping.PreviewTopic, mostPreviews, func(ctx context.Context, question []byte, reply func([]byte) error) error {
		err := m.preview(ctx, question, reply)
		if err != nil && !errors.Is(err, context.Canceled) {
			m.config.Logger.WarnContext(ctx, "a preview was not worked out", "error", err)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer stop()
	<-ctx.Done()
	return nil
}
