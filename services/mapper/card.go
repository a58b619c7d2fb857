package mapper

import (
	"context"
	"encoding/json"
	"fmt"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/mapper/resolve"
)

// cards answers a question for what is known of contacts. Any mapper process
// may answer: it reads what is stored.
func (m *Mapper) cards(ctx context.Context, raw []byte) (any, error) {
	var q contact.CardQuestion
	if err := json.Unmarshal(raw, &q); err != nil {
		return nil, fmt.Errorf("a question for cards: %w", err)
	}
	rules, err := m.rules(ctx, q.Tenant)
	if err != nil {
		return nil, err
	}
	tenants := make([]contact.Tenant, len(q.Keys))
	for i := range tenants {
		tenants[i] = q.Tenant
	}
	stored, err := m.config.DB.Contacts(ctx, tenants, q.Keys)
	if err != nil {
		return nil, err
	}
	var answer contact.CardAnswer
	for _, s := range stored {
		state, err := decodeState(s.State)
		if err != nil {
			return nil, fmt.Errorf("contact of %s: %w", q.Tenant, err)
		}
		answer.Cards = append(answer.Cards, resolve.Card(rules, s.Key, state, q.Brief))
	}
	return answer, nil
}
