package mapper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// mostCards bounds the questions that one process answers at once.
const mostCards = 8

// serveCards answers questions for cards until ctx ends. Any mapper process
// may answer: it reads what is stored.
func (m *Mapper) serveCards(ctx context.Context) error {
	stop, err := m.config.Bus.Serve(contact.CardTopic, mostCards, func(ctx context.Context, question []byte, reply func([]byte) error) error {
		err := m.cards(ctx, question, reply)
		if err == nil || errors.Is(err, context.Canceled) {
			return err
		}
		m.config.Logger.WarnContext(ctx, "a question for contacts was not answered", "error", err)
		return errors.New("what is known of the contacts could not be read just now")
	})
	if err != nil {
		return err
	}
	defer stop()
	<-ctx.Done()
	return nil
}

// cards answers a question with a part for each contact that is known.
func (m *Mapper) cards(ctx context.Context, question []byte, reply func([]byte) error) error {
	var q contact.CardQuestion
	if err := json.Unmarshal(question, &q); err != nil {
		return fmt.Errorf("a question for cards: %w", err)
	}
	rules, err := m.held(ctx, q.Tenant)
	if err != nil {
		return err
	}
	tenants := make([]contact.Tenant, len(q.Keys))
	for i := range tenants {
		tenants[i] = q.Tenant
	}
	stored, err := m.config.DB.Contacts(ctx, tenants, q.Keys)
	if err != nil {
		return err
	}
	for _, s := range stored {
		state, err := decodeState(s.State)
		if err != nil {
			return fmt.Errorf("contact of %s: %w", q.Tenant, err)
		}
		raw, err := json.Marshal(resolve.Card(rules, s.Key, state, q.Brief))
		if err != nil {
			return err
		}
		if err := reply(raw); err != nil {
			return err
		}
	}
	return nil
}
