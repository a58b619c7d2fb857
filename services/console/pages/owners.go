package pages

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/mappings"
)

func (p *Pages) ownersPage(ctx context.Context, r *http.Request) (answer, error) {
	users, err := p.Mappings.Users(ctx, tenantOf(r))
	if err != nil {
		return nil, err
	}
	return page{name: "owners", title: "Owners", data: users}, nil
}

// dispositionView is one of the two lists.
type dispositionView struct {
	Title, About string
	List         []mappings.Disposition
	ReadAt       contact.Millis
	Cannot       string
	Seen         []mappings.SeenDisposition // of contacts alone
}

func (p *Pages) dispositionsPage(ctx context.Context, r *http.Request) (answer, error) {
	views := []dispositionView{
		{Title: "Contact dispositions", About: "The options of HubSpot's lead status, or of the property that contact disposition status is mapped to."},
		{Title: "Call dispositions", About: "The outcomes that HubSpot has for calls."},
	}
	for i := range views {
		v := &views[i]
		var err error
		if v.List, v.ReadAt, v.Cannot, err = p.Mappings.Dispositions(ctx, tenantOf(r), i == 1); err != nil {
			return nil, err
		}
	}
	var err error
	if views[0].Seen, err = p.Mappings.SeenDispositions(ctx, tenantOf(r)); err != nil {
		return nil, err
	}
	return page{name: "dispositions", title: "Dispositions", data: views}, nil
}

// pairDisposition puts one pair into the option map.
func (p *Pages) pairDisposition(ctx context.Context, r *http.Request) (answer, error) {
	id, value := r.FormValue("id"), r.FormValue("value")
	if id == "" || value == "" {
		return nil, invalid("Choose the option of HubSpot that the id stands for.")
	}
	to := "/tenants/" + string(tenantOf(r)) + "/dispositions"
	saved, err := p.Mappings.PairDisposition(ctx, tenantOf(r), id, value, access.From(ctx).Name)
	var refused *mapping.Refusal
	if errors.As(err, &refused) {
		return redirect{to: to, bad: true, say: sentence(refused.Message)}, nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: to, say: "Version " + strconv.FormatInt(saved.Version, 10) + " of the mapping pairs them. What contacts have already follows when the mapping is applied to them."}, nil
}
