package pages

import (
	"context"
	"net/http"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/holds"
	"lockstep.internal/services/console/mappings"
)

// holdRoutes are the page of held bursts, and the answer.
func (p *Pages) holdRoutes() []route {
	return []route{
		{pattern: "GET /tenants/{tenant}/holds", need: need{role: access.Viewer}, serve: p.holdsPage},
		{pattern: "POST /tenants/{tenant}/holds/{hold}", action: "AnswerHold", need: need{role: access.Administrator}, serve: p.answerHold},
	}
}

// holdsView is the page of a tenant's holds.
type holdsView struct {
	Now  []heldBurst // open, or being carried out
	Over []holds.Hold
	// Busy tells that an answer is being carried out: the page follows it.
	Busy bool
}

// heldBurst is a hold with some of what it keeps.
type heldBurst struct {
	holds.Hold
	Examples []postgres.HeldValue
	Words    mappings.Words // of their values
}

// From is the side of the burst.
func (h heldBurst) From() contact.System { return h.Into.Other() }

func (p *Pages) holdsPage(ctx context.Context, r *http.Request) (answer, error) {
	list, err := p.Holds.List(ctx, tenantOf(r), true)
	if err != nil {
		return nil, err
	}
	words, err := p.Mappings.Words(ctx, tenantOf(r))
	if err != nil {
		return nil, err
	}
	var view holdsView
	for _, h := range list {
		if h.State == holds.Released || h.State == holds.Lapsed {
			view.Over = append(view.Over, h)
			continue
		}
		shown := heldBurst{Hold: h, Words: words}
		if _, shown.Examples, err = p.Holds.Get(ctx, tenantOf(r), h.ID, holds.Examples); err != nil {
			return nil, err
		}
		view.Now = append(view.Now, shown)
		view.Busy = view.Busy || h.State == holds.Releasing
	}
	return page{name: "holds", title: "Holds", data: view}, nil
}

func (p *Pages) answerHold(ctx context.Context, r *http.Request) (answer, error) {
	word := contact.HoldAnswer(r.FormValue("answer"))
	if _, err := p.Holds.Answer(ctx, tenantOf(r), r.PathValue("hold"), word, access.From(ctx).Name); err != nil {
		return nil, err
	}
	say := pick(string(word), "go", "What was held is written now, behind live changes.", "drop", "What was held is not written; later edits flow.", "undo", "The former values are given back now, behind live changes.")
	return redirect{to: "/tenants/" + string(tenantOf(r)) + "/holds", say: say}, nil
}

// held are the holds of a page's tenant that wait for an answer, for the banner.
func (p *Pages) held(ctx context.Context, id contact.Tenant) []holds.Hold {
	if p.Holds == nil {
		return nil
	}
	list, err := p.Holds.List(ctx, id, false)
	if err != nil {
		p.Logger.WarnContext(ctx, "the banner of held bursts could not be made", "tenant", id, "error", err)
		return nil
	}
	return slices.DeleteFunc(list, func(h holds.Hold) bool { return h.State != holds.Open })
}
