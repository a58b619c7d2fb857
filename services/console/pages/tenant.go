package pages

import (
	"context"
	"net/http"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
)

// home leads to the one tenant that somebody may see, or to the list of them.
func (p *Pages) home(ctx context.Context, _ *http.Request) (answer, error) {
	return redirect{to: "/tenants"}, nil
}

// tenantRow is a line of the list of tenants.
type tenantRow struct {
	*tenant.Tenant
	Stopped, Waiting, Failed int
}

func (p *Pages) tenantList(ctx context.Context, _ *http.Request) (answer, error) {
	counts, err := p.DB.LaneCounts(ctx)
	if err != nil {
		return nil, err
	}
	byTenant := make(map[contact.Tenant]*tenantRow)
	rows := make([]*tenantRow, 0)
	for _, t := range p.visible(ctx) {
		row := &tenantRow{Tenant: t}
		for i := range t.Mapping.Mappings {
			if t.Mapping.Mappings[i].Stopped != "" {
				row.Stopped++
			}
		}
		rows, byTenant[t.ID] = append(rows, row), row
	}
	for _, n := range counts {
		if row := byTenant[n.Tenant]; row != nil {
			row.Waiting, row.Failed = row.Waiting+n.Rows, row.Failed+n.Failed
		}
	}
	return page{name: "tenants", title: "Tenants", data: rows}, nil
}
