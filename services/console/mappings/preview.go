package mappings

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"lockstep.internal/pkg/connection"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/tenant"
)

// previewTime bounds a preview, however many contacts there are.
const previewTime = 10 * time.Minute

// Preview is what edits would do, as far as it is worked out.
type Preview struct {
	mapping.Tally
	Differences []mapping.Difference
	// Cost is of each system, in the order of contact.Systems.
	Cost [2]Cost
	// Estimate is of contacts that must be read first: what would be done to some
	// of them, which were read; nil without any.
	Estimate *mapping.Tally
}

// Cost is what writing takes at a connection's limits.
type Cost struct {
	Calls   int64
	Minutes float64
}

// Preview tells what edits would do to all contacts, while it is worked out;
// the last part is about all. Without edits it tells what the version in force
// would still write.
func (s *Mappings) Preview(ctx context.Context, id contact.Tenant, basedOn int64, edits []Edit, heard func(Preview) error) error {
	t, err := s.tenant(id)
	if err != nil {
		return err
	}
	p, err := s.Propose(ctx, id, basedOn, edits)
	if err != nil {
		return err
	}
	stored, err := s.config.DB.Properties(ctx, id)
	if err != nil {
		return err
	}
	proposal := mapping.Proposal{Tenant: id, Set: p.After.InForce(stored)}
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	var last Preview
	err = s.ask(ctx, &proposal, func(tally mapping.Tally) error {
		last = Preview{Tally: tally, Differences: p.Differences, Cost: Costs(t, &tally)}
		return heard(last)
	})
	if err != nil || len(last.Unread) == 0 {
		return err
	}
	if last.Estimate = s.estimate(ctx, t, proposal, last.Unread); last.Estimate == nil {
		return nil
	}
	return heard(last)
}

func (s *Mappings) ask(ctx context.Context, proposal *mapping.Proposal, heard func(mapping.Tally) error) error {
	question, err := json.Marshal(proposal)
	if err != nil {
		return fmt.Errorf("encode the proposal: %w", err)
	}
	return s.config.Bus.Ask(ctx, mapping.PreviewTopic, question, func(part []byte) error {
		var tally mapping.Tally
		if err := json.Unmarshal(part, &tally); err != nil {
			return fmt.Errorf("read the preview: %w", err)
		}
		return heard(tally)
	})
}

// Costs are the calls that a tally leads to: HubSpot takes a hundred contacts a
// call, and a search and a create for those to be created; Aloware takes one a
// call, after a lookup where contacts are known by their number only.
func Costs(t *tenant.Tenant, tally *mapping.Tally) (cost [2]Cost) {
	const batch = 100
	hundreds := func(n int64) int64 { return (n + batch - 1) / batch }
	cost[0].Calls = hundreds(tally.Written[0]) + 2*hundreds(tally.Created[0]) + hundreds(2*tally.Reads[0])
	limits := connection.Limits(t, contact.HubSpot, connection.WriterShare)
	cost[0].Minutes = minutes(cost[0].Calls, float64(limits.Max)/limits.Window.Seconds())
	each := int64(1)
	if t.Aloware.Profile != "full" {
		each = 2
	}
	cost[1].Calls = each*tally.Written[1] + 3*tally.Created[1] + tally.Reads[1]
	cost[1].Minutes = minutes(cost[1].Calls, connection.Limits(t, contact.Aloware, connection.WriterShare).Rate)
	return cost
}

func minutes(calls int64, perSecond float64) float64 {
	return math.Ceil(float64(calls)/perSecond/60*10) / 10
}
