package pages

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/mappings"
)

// mappingView is the mapping page: the version in force with the unsaved
// changes on top.
type mappingView struct {
	Version     postgres.MappingVersion
	Draft       draft
	Differences []mapping.Difference
	Alert       string // what was refused, or happened meanwhile
	Search      string
	// Panel is what is open: "add", "filter", a mapping's key, or "".
	Panel      string
	Categories []mappingCategory
	Removed    []mapping.Row
	Filter     *mapping.Filter
	Keys       []mappingName // for the filter's choice
	Add        addView
	Shown, All int
}

type mappingName struct{ Key, Label string }

// mappingCategory is a group of the table.
type mappingCategory struct {
	Name mapping.Category
	Rows []mappingRow
}

// mappingRow is a line of the table.
type mappingRow struct {
	*mapping.Mapping
	HubSpotLabel string
	Changed      bool   // by the unsaved changes
	Rests        string // why the mapping is at rest
	State        mappings.State
	Held         int64  // contacts whose value waits for the answer about a burst
	Note         string // what the connection cannot do with it
	Ways         []way
	Open         bool
	Pick         *picker // the open panel's choice of a property
	Map          optionView
	Steps        []mapping.Transform
}

// way is one part of the three-way control.
type way struct {
	Direction contact.Direction
	Allowed   bool
}

func (p *Pages) mappingView(ctx context.Context, r *http.Request, d draft, panel, alert string) (mappingView, error) {
	id := tenantOf(r)
	now, err := p.Mappings.Get(ctx, id, 0)
	if err != nil {
		return mappingView{}, err
	}
	view := mappingView{Version: now.MappingVersion, Draft: d, Search: strings.TrimSpace(r.FormValue("q")), Panel: panel, Alert: alert}
	set := now.Set
	if len(d.Steps) > 0 {
		edits, err := d.edits()
		if err != nil {
			return view, err
		}
		proposal, err := p.Mappings.Propose(ctx, id, d.BasedOn, edits)
		if err != nil {
			return view, err
		}
		set, view.Differences = proposal.After, proposal.Differences
		if len(view.Differences) == 0 {
			view.Draft.Steps = nil // all was taken back
		}
	}
	view.Draft.BasedOn = now.Version
	view.Filter = set.Filter
	changed := make(map[string]bool)
	for _, difference := range view.Differences {
		changed[difference.Key] = true
	}
	states, err := p.Mappings.States(ctx, id)
	if err != nil {
		return view, err
	}
	held := make(map[string]int64)
	for _, hold := range p.held(ctx, id) {
		held[hold.Field] += hold.Contacts
	}
	profile := aloware.Profile(now.Tenant.Aloware.Profile)
	for i := range set.Mappings {
		m := &set.Mappings[i]
		row := mappingRow{Mapping: m, Changed: changed[m.Key], Rests: now.Stopped[m.Key], State: states[m.Key], Held: held[m.Key], Open: view.Panel == m.Key}
		if property, ok := now.Schema.Property(contact.HubSpot, m.HubSpot); ok {
			row.HubSpotLabel = property.Label
		}
		if m.Direction.Into(contact.Aloware) {
			field := profile.Field(m.Aloware)
			row.Note = strings.TrimSpace(field.SetNote + " " + field.ClearNote)
		}
		for _, direction := range []contact.Direction{contact.ToAloware, contact.Both, contact.ToHubSpot} {
			row.Ways = append(row.Ways, way{direction, slices.Contains(m.Allowed(), direction)})
		}
		if row.Open {
			p.openRow(ctx, r, set, &row)
		}
		view.Keys = append(view.Keys, mappingName{m.Key, m.Label()})
		view.add(row)
	}
	for _, row := range mapping.Catalogue() {
		if set.ByKey(row.Key) == nil {
			view.Removed = append(view.Removed, row)
		}
	}
	if view.Panel == "add" {
		view.Add = p.addView(ctx, r, set)
	}
	return view, nil
}

// add puts a row into its category, unless the search leaves it out.
func (v *mappingView) add(row mappingRow) {
	v.All++
	text := strings.ToLower(strings.Join([]string{row.Label(), row.Aloware, row.HubSpot, row.HubSpotLabel, string(row.Category)}, " "))
	if !strings.Contains(text, strings.ToLower(v.Search)) && !row.Open {
		return
	}
	v.Shown++
	at := slices.IndexFunc(v.Categories, func(c mappingCategory) bool { return c.Name == row.Category })
	if at < 0 {
		at = len(v.Categories)
		v.Categories = append(v.Categories, mappingCategory{Name: row.Category})
	}
	v.Categories[at].Rows = append(v.Categories[at].Rows, row)
}

// openRow fills the panel of one mapping of a set.
func (p *Pages) openRow(ctx context.Context, r *http.Request, set *mapping.Set, row *mappingRow) {
	if row.Type == contact.Option {
		options, err := p.Mappings.Options(ctx, tenantOf(r), row.Mapping)
		if err != nil {
			p.Logger.WarnContext(ctx, "options could not be listed; pairs are shown as lines", "tenant", tenantOf(r), "mapping", row.Key, "error", err)
		}
		row.Map = optionsOf(row.Mapping.Options, options)
	}
	row.Steps = append(slices.Clone(row.Transforms), mapping.Transform{}) // one more to add
	if row.MayChangeProperty() {
		pick := p.pick(ctx, r, set, contact.HubSpot, row.Key, "", r.FormValue("pq"))
		row.Pick = &pick
	}
}

// writtenSide is what was written of a mapping into one system.
type writtenSide struct {
	mappings.Written
	Arrow, To, When string
}

// writtenSides are the systems that a mapping was ever written into, Aloware on
// the left, with the time of the last one where the tenant is.
func writtenSides(s mappings.State, now time.Time) (sides []writtenSide) {
	for _, side := range []writtenSide{
		{Written: s.Into(contact.Aloware), Arrow: "←", To: "to Aloware"}, {Written: s.Into(contact.HubSpot), Arrow: "→", To: "to HubSpot"},
	} {
		switch {
		case side.Last.IsZero():
			continue
		case side.LastToday(now):
			side.When = side.Last.Format("15:04")
		default:
			side.When = "on " + side.Last.Format("2006-01-02 15:04")
		}
		sides = append(sides, side)
	}
	return sides
}
