package pages

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/mappings"
)

// mappingRoutes are the pages of a tenant's mappings, and of what values they
// may take: owners and dispositions.
func (p *Pages) mappingRoutes() []route {
	viewer, administrator := need{role: access.Viewer}, need{role: access.Administrator}
	return []route{
		{pattern: "GET /tenants/{tenant}/mapping", need: viewer, serve: p.mappingPage},
		{pattern: "POST /tenants/{tenant}/mapping/edit", need: administrator, serve: p.editMapping, quiet: true},
		{pattern: "POST /tenants/{tenant}/mapping/preview", need: administrator, serve: p.previewMapping, quiet: true},
		{pattern: "POST /tenants/{tenant}/mapping/property", action: "CreateProperty", need: administrator, serve: p.createProperty},
		{pattern: "POST /tenants/{tenant}/mapping/save", action: "EditMapping", need: administrator, serve: p.saveMapping},
		{pattern: "GET /tenants/{tenant}/mapping/versions", need: viewer, serve: p.versionsPage},
		{pattern: "GET /tenants/{tenant}/owners", need: viewer, serve: p.ownersPage},
		{pattern: "GET /tenants/{tenant}/dispositions", need: viewer, serve: p.dispositionsPage},
		{pattern: "POST /tenants/{tenant}/dispositions/pair", action: "EditMapping", need: administrator, serve: p.pairDisposition},
	}
}

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
	Refused      int    // contacts whose value was refused
	Rewritten    int    // contacts in which somebody else keeps setting it back
	Waiting      int    // contacts with a question about it
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

// picker is a list of properties to choose from.
type picker struct {
	Search     string
	Candidates []mappings.Candidate
	More       int // left out
	Complete   bool
	Problem    string // why there is no list
}

// addView is the panel that adds a mapping.
type addView struct {
	Aloware, HubSpot, Direction string
	Picks                       [2]picker // in the order of contact.Systems
}

// mostPicked is how many properties a picker shows; searching finds the others.
const mostPicked = 40

func (p *Pages) mappingPage(ctx context.Context, r *http.Request) (answer, error) {
	view, err := p.mappingView(ctx, r, draft{}, "", "")
	if err != nil {
		return nil, err
	}
	return page{name: "mapping", title: "Mapping", data: view}, nil
}

// editMapping adds a change to the draft, or shows something of the page.
// Nothing is saved.
func (p *Pages) editMapping(ctx context.Context, r *http.Request) (answer, error) {
	d, err := draftOf(r)
	if err != nil {
		return nil, err
	}
	verb, rest, _ := strings.Cut(r.FormValue("edit"), ":")
	key, rest, _ := strings.Cut(rest, ":")
	panel, next, alert := r.FormValue("panel"), d, ""
	switch verb {
	case "open":
		panel = key
	case "undo":
		next.Steps = next.Steps[:max(len(next.Steps)-1, 0)]
	default:
		added, ok, err := stepOf(r, verb, key, rest)
		var wrong *problem
		switch {
		case errors.As(err, &wrong):
			alert = wrong.message
		case err != nil:
			return nil, err
		case ok:
			next = d.with(added)
			if verb == "add" || verb == "filter" {
				panel = ""
			}
		}
	}
	return p.mappingAnswer(ctx, r, d, next, panel, alert)
}

// mappingAnswer shows the page with the next draft; where a rule refuses it,
// with the one before and the rule's words.
func (p *Pages) mappingAnswer(ctx context.Context, r *http.Request, d, next draft, panel, alert string) (answer, error) {
	view, err := p.mappingView(ctx, r, next, panel, alert)
	var refused *mapping.Refusal
	if errors.As(err, &refused) {
		if refused.Rule == mappings.RuleStale {
			// The changes are done on top of what the other one saved.
			now, err := p.Mappings.Get(ctx, tenantOf(r), 0)
			if err != nil {
				return nil, err
			}
			d.BasedOn, next.BasedOn = now.Version, now.Version
			return p.mappingAnswer(ctx, r, d, next, panel, "Version "+strconv.FormatInt(now.Version, 10)+" was saved by "+now.Author+" meanwhile. Your changes are shown on top of it now; look at them again before you save.")
		}
		view, err = p.mappingView(ctx, r, d, r.FormValue("panel"), sentence(refused.Message))
	}
	if errors.As(err, &refused) {
		// Not even the changes before can be done any more.
		view, err = p.mappingView(ctx, r, draft{}, "", sentence(refused.Message)+" The unsaved changes do not fit any more and are left out.")
	}
	if err != nil {
		return nil, err
	}
	if isPart(r) {
		return part{name: "mapping", block: "mapping-form", data: view}, nil
	}
	return page{name: "mapping", title: "Mapping", data: view}, nil
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
	problems, err := p.Inbox.Numbers(ctx, id)
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
		row := mappingRow{Mapping: m, Changed: changed[m.Key], Rests: now.Stopped[m.Key], Open: view.Panel == m.Key, Held: held[m.Key]}
		if property, ok := now.Schema.Property(contact.HubSpot, m.HubSpot); ok {
			row.HubSpotLabel = property.Label
		}
		if m.Direction.Into(contact.Aloware) {
			field := profile.Field(m.Aloware)
			row.Note = strings.TrimSpace(field.SetNote + " " + field.ClearNote)
		}
		for _, n := range problems[id] {
			switch {
			case n.Field != m.Key:
			case n.Kind == contact.ProblemReview:
				row.Waiting += n.Contacts
			case n.Kind == contact.ProblemRewritten:
				row.Rewritten += n.Contacts
			default:
				row.Refused += n.Contacts
			}
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

// addView fills the panel that adds a mapping: what is chosen on one side says
// what fits on the other.
func (p *Pages) addView(ctx context.Context, r *http.Request, set *mapping.Set) addView {
	v := addView{Aloware: strings.TrimSpace(r.FormValue("add-aloware")), HubSpot: strings.TrimSpace(r.FormValue("add-hubspot")), Direction: r.FormValue("add-direction")}
	v.Picks[0] = p.pick(ctx, r, set, contact.HubSpot, "", v.Aloware, r.FormValue("hq"))
	v.Picks[1] = p.pick(ctx, r, set, contact.Aloware, "", v.HubSpot, r.FormValue("aq"))
	return v
}

func (p *Pages) pick(ctx context.Context, r *http.Request, set *mapping.Set, system contact.System, key, other, search string) picker {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	list, complete, err := p.Mappings.Properties(ctx, tenantOf(r), set, system, key, other, search)
	if err != nil {
		p.Logger.WarnContext(ctx, "properties could not be listed", "tenant", tenantOf(r), "system", system, "error", err)
		return picker{Search: search, Problem: systemName(system) + " does not tell its properties just now: " + err.Error()}
	}
	shown := list[:min(len(list), mostPicked)]
	return picker{Search: search, Candidates: shown, More: len(list) - len(shown), Complete: complete}
}

// createProperty makes a property in HubSpot and chooses it.
func (p *Pages) createProperty(ctx context.Context, r *http.Request) (answer, error) {
	d, err := draftOf(r)
	if err != nil {
		return nil, err
	}
	typ, err := contact.ParseType(r.FormValue("new-type"))
	if err != nil {
		return nil, invalid(sentence(err.Error()))
	}
	var options []mapping.Option
	for _, line := range lines(r.FormValue("new-options")) {
		if line = strings.TrimSpace(line); line != "" {
			options = append(options, mapping.Option{Value: line, Label: line})
		}
	}
	made, err := p.Mappings.CreateProperty(ctx, tenantOf(r), strings.TrimSpace(r.FormValue("new-name")), r.FormValue("new-label"), typ, options)
	var refused *mapping.Refusal
	if errors.As(err, &refused) {
		return p.mappingAnswer(ctx, r, d, d, r.FormValue("panel"), sentence(refused.Key+": "+refused.Message))
	}
	if err != nil {
		return nil, err
	}
	r.Form.Set("add-hubspot", made.Name)
	return p.mappingAnswer(ctx, r, d, d, r.FormValue("panel"), "")
}

// previewWait bounds how long a page waits for a preview; what is not looked at
// by then is said.
const previewWait = 45 * time.Second

// previewed is what a preview found, for people.
type previewed struct {
	mappings.Preview
	Labels  map[string]string
	Partial bool
}

// previewMapping works out what the draft would write.
func (p *Pages) previewMapping(ctx context.Context, r *http.Request) (answer, error) {
	d, err := draftOf(r)
	if err != nil {
		return nil, err
	}
	edits, err := d.edits()
	if err != nil {
		return nil, err
	}
	view := previewed{Labels: make(map[string]string)}
	waiting, cancel := context.WithTimeout(ctx, previewWait)
	defer cancel()
	heard := false
	err = p.Mappings.Preview(waiting, tenantOf(r), d.BasedOn, edits, func(part mappings.Preview) error {
		view.Preview, heard = part, true
		return nil
	})
	switch {
	case err != nil && heard && waiting.Err() != nil && ctx.Err() == nil:
		view.Partial = true
	case err != nil:
		return nil, err
	}
	for _, difference := range view.Differences {
		view.Labels[difference.Key] = difference.Label
	}
	if t, ok := p.Roster.Tenant(tenantOf(r)); ok {
		for i := range t.Mapping.Mappings {
			view.Labels[t.Mapping.Mappings[i].Key] = t.Mapping.Mappings[i].Label()
		}
	}
	if isPart(r) {
		return part{name: "mapping", block: "preview", data: view}, nil
	}
	return page{name: "preview", title: "Preview", data: view}, nil
}

// saveMapping makes a version of the draft, and applies it to all contacts
// where that is asked for.
func (p *Pages) saveMapping(ctx context.Context, r *http.Request) (answer, error) {
	d, err := draftOf(r)
	if err != nil {
		return nil, err
	}
	edits, err := d.edits()
	if err != nil {
		return nil, err
	}
	id, author := tenantOf(r), access.From(ctx).Name
	saved, _, err := p.Mappings.Save(ctx, id, d.BasedOn, edits, author, r.FormValue("reason"))
	var refused *mapping.Refusal
	if errors.As(err, &refused) {
		if refused.Rule == mappings.RuleStale {
			return p.mappingAnswer(ctx, r, d, d, "", "")
		}
		return p.mappingAnswer(ctx, r, d, d, r.FormValue("panel"), sentence(refused.Message))
	}
	if err != nil {
		return nil, err
	}
	say := "Version " + strconv.FormatInt(saved.Version, 10) + " is saved and in force."
	if r.FormValue("apply") != "" {
		if _, err := p.Syncs.Start(ctx, id, postgres.Apply, nil, false, author); err != nil {
			return redirect{to: mappingURL(r), bad: true, say: say + " Applying it to all contacts could not be started: " + err.Error()}, nil
		}
		return redirect{to: "/tenants/" + string(id) + "/syncs", say: say + " It is being applied to all contacts."}, nil
	}
	return redirect{to: mappingURL(r), say: say}, nil
}

func mappingURL(r *http.Request) string { return "/tenants/" + string(tenantOf(r)) + "/mapping" }

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
