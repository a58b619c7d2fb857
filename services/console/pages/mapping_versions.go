package pages

import (
	"context"
	"net/http"
	"strconv"

	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
)

// versionsView is the list of versions, and the differences of two.
type versionsView struct {
	Versions    []postgres.MappingVersion
	Newest      int64
	Before      int64 // of the comparison; 0 for none
	After       int64
	Differences []mapping.Difference
	Older       string // address of the next page; "" for none
}

func (p *Pages) versionsPage(ctx context.Context, r *http.Request) (answer, error) {
	const onPage = 50
	from, err := number(r, "from", 0, 1<<40)
	if err != nil {
		return nil, err
	}
	before, err := number(r, "before", 0, 1<<40)
	if err != nil {
		return nil, err
	}
	after, err := number(r, "after", 0, 1<<40)
	if err != nil {
		return nil, err
	}
	now, err := p.Mappings.Get(ctx, tenantOf(r), 0)
	if err != nil {
		return nil, err
	}
	view := versionsView{Newest: now.Version, Before: int64(before), After: int64(after)}
	if view.Versions, err = p.Mappings.Versions(ctx, tenantOf(r), int64(from), onPage); err != nil {
		return nil, err
	}
	if len(view.Versions) == onPage {
		view.Older = mappingURL(r) + "/versions?from=" + strconv.FormatInt(view.Versions[onPage-1].Version, 10)
	}
	if view.Before > 0 {
		if view.Differences, err = p.Mappings.Compare(ctx, tenantOf(r), view.Before, view.After); err != nil {
			return nil, err
		}
	}
	return page{name: "versions", title: "Versions of the mapping", data: view}, nil
}
