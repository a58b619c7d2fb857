package pages

import (
	"context"
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
	"lockstep.internal/services/console/contacts"
	"lockstep.internal/services/console/mappings"
	"lockstep.internal/services/console/syncs"
)

// contactRoutes are the pages of contacts.
func (p *Pages) contactRoutes() []route {
	viewer, agent, operator := need{role: access.Viewer}, need{role: access.Agent}, need{role: access.Operator}
	return []route{
		{pattern: "GET /tenants/{tenant}/contacts", need: viewer, serve: p.contactList},
		{pattern: "GET /tenants/{tenant}/contacts/{contact}", need: viewer, serve: p.contactPage},
		{pattern: "GET /tenants/{tenant}/contacts/{contact}/timeline", need: viewer, serve: p.timelinePart},
		{pattern: "POST /tenants/{tenant}/contacts/{contact}/sync", action: "SyncContact", need: agent, serve: p.syncContact},
		{pattern: "POST /tenants/{tenant}/contacts/{contact}/dispose", action: "SetDisposition", need: agent, serve: p.disposeContact},
		{pattern: "POST /tenants/{tenant}/contacts/{contact}/choose", action: "ChooseCounterpart", need: agent, serve: p.chooseContact},
		{pattern: "POST /tenants/{tenant}/contacts/{contact}/answer", action: "AnswerReview", need: agent, serve: p.answerReview},
		{pattern: "POST /tenants/{tenant}/contacts/{contact}/erase", action: "EraseContact", need: operator, serve: p.eraseContact, page: p.contactPage},
	}
}

// contactListView is the page for finding contacts.
type contactListView struct {
	Query     string
	Asked     bool
	Found     []*contact.Card
	Conflicts []contacts.Conflict
	More      string // address of the conflicts behind; "" for none
}

func (p *Pages) contactList(ctx context.Context, r *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	view := contactListView{Query: strings.TrimSpace(r.FormValue("q"))}
	var err error
	if view.Asked = view.Query != ""; view.Asked {
		if view.Found, err = p.Contacts.Find(ctx, tenantOf(r), view.Query); err != nil {
			return nil, err
		}
		return page{name: "contacts", title: "Contacts", data: view}, nil
	}
	const most = 20
	after, err := placeOf(r)
	if err != nil {
		return nil, err
	}
	if view.Conflicts, err = p.Contacts.Conflicts(ctx, tenantOf(r), after, most); err != nil {
		return nil, err
	}
	if len(view.Conflicts) == most {
		view.More = "?after=" + place(view.Conflicts[most-1].Problem)
	}
	return page{name: "contacts", title: "Contacts", data: view}, nil
}

// contactView is the integration card.
type contactView struct {
	Card   *contact.Card
	Name   string // the key, as the address has it
	Fields []fieldView
	// Blank are the fields that are in step and blank on both sides, Unread
	// those that nothing is known of: they need no line each.
	Blank, Unread []fieldView
	// Conflicts are to be settled before the contact can be in step.
	Conflicts []contacts.Conflict
	Timeline  timelineView
	// Changes are what a sync has just done; nil when there was none.
	Changes []syncs.Change
	Synced  bool
	Settled bool
	// Statuses are the contact dispositions, Outcomes those of calls; Status is
	// the present one's value in HubSpot.
	Statuses, Outcomes []mappings.Disposition
	Status             string
}

// fieldView is one line of the card.
type fieldView struct {
	contact.CardField
	Label string
	Limit string // what the connection to Aloware cannot do with it; "" for nothing
}

// timelineView is a stretch of the decisions.
type timelineView struct {
	Name, Field string
	Rows        []postgres.HistoryRow
	More        int64 // number to go on before; 0 for the end
}

func (p *Pages) contactPage(ctx context.Context, r *http.Request) (answer, error) {
	return p.contactAnswer(ctx, r, contactView{})
}

func (p *Pages) contactAnswer(ctx context.Context, r *http.Request, view contactView) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	id, name := tenantOf(r), r.PathValue("contact")
	card, err := p.Contacts.Card(ctx, id, name)
	if err != nil {
		return nil, err
	}
	view.Card, view.Name = card, string(card.Key)
	words, err := p.Mappings.Words(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range view.Changes {
		view.Changes[i].Value = words.Of(view.Changes[i].Field, view.Changes[i].Value)
	}
	if len(card.Sides[0].Candidates)+len(card.Sides[1].Candidates) > 0 {
		if view.Conflicts, err = p.Contacts.ConflictsOf(ctx, id, card.Key); err != nil {
			return nil, err
		}
	}
	t, err := p.Tenants.Get(id)
	if err != nil {
		return nil, err
	}
	for _, f := range card.Fields {
		if f.Key == "contact_disposition_status" {
			view.Status = f.Sides[0].Value
		}
		for at := range f.Sides {
			v := &f.Sides[at]
			v.Value, v.Writing, v.Rejected = words.Of(f.Key, v.Value), words.Of(f.Key, v.Writing), words.Of(f.Key, v.Rejected)
		}
		one := fieldView{f, mapping.Label(f.Key), aloware.Profile(t.Aloware.Profile).Limit(f.Sides[1].Property, f.Direction.Into(contact.Aloware))}
		switch known := f.Sides[0].Known || f.Sides[1].Known; {
		case f.State == contact.FieldInStep && f.Sides[0].Value == "" && f.Sides[1].Value == "":
			view.Blank = append(view.Blank, one)
		case f.State == contact.FieldUnread && !known:
			view.Unread = append(view.Unread, one)
		default:
			view.Fields = append(view.Fields, one)
		}
	}
	slices.SortStableFunc(view.Fields, func(a, b fieldView) int { return urgency(a.State) - urgency(b.State) })
	if view.Timeline, err = p.timeline(ctx, id, words, view.Name, r.FormValue("field"), 0); err != nil {
		return nil, err
	}
	if view.Statuses, _, _, err = p.Mappings.Dispositions(ctx, id, false); err != nil {
		return nil, err
	}
	if view.Outcomes, _, _, err = p.Mappings.Dispositions(ctx, id, true); err != nil {
		return nil, err
	}
	title := card.Name
	if title == "" {
		title = "Contact"
	}
	return page{name: "contact", title: title, data: view}, nil
}

// urgency puts what needs a person first.
func urgency(s contact.FieldState) int {
	switch s {
	case contact.FieldReview:
		return 0
	case contact.FieldRefused, contact.FieldRewritten:
		return 1
	case contact.FieldWaiting:
		return 2
	}
	return 3
}

func (p *Pages) timeline(ctx context.Context, id contact.Tenant, words mappings.Words, name, field string, before int64) (timelineView, error) {
	const most = 25
	rows, err := p.Contacts.Explain(ctx, id, name, field, before, most)
	for i := range rows {
		rows[i].Value = words.Of(rows[i].Field, rows[i].Value)
	}
	view := timelineView{Name: name, Field: field, Rows: rows}
	if len(rows) == most {
		view.More = rows[most-1].Number
	}
	return view, err
}

func (p *Pages) timelinePart(ctx context.Context, r *http.Request) (answer, error) {
	before, _ := strconv.ParseInt(r.FormValue("before"), 10, 64) // anything else is the newest
	words, err := p.Mappings.Words(ctx, tenantOf(r))
	if err != nil {
		return nil, err
	}
	view, err := p.timeline(ctx, tenantOf(r), words, r.PathValue("contact"), r.FormValue("field"), before)
	if err != nil {
		return nil, err
	}
	if !isPart(r) {
		return page{name: "timeline", title: "Decisions", data: view}, nil
	}
	return part{name: "contact", block: "timeline-rows", data: view}, nil
}

// syncContact pulls the contact from HubSpot now, and shows what changed.
func (p *Pages) syncContact(ctx context.Context, r *http.Request) (answer, error) {
	changes, settled, err := p.Syncs.Contact(ctx, tenantOf(r), contact.Key(r.PathValue("contact")), 0, "", access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return p.contactAnswer(ctx, r, contactView{Changes: changes, Synced: true, Settled: settled})
}

func (p *Pages) disposeContact(ctx context.Context, r *http.Request) (answer, error) {
	name := r.PathValue("contact")
	if err := p.Contacts.Dispose(ctx, tenantOf(r), name, r.FormValue("value"), access.From(ctx).Name); err != nil {
		return nil, err
	}
	return redirect{to: contactURL(r, name), say: "The lead status is set in HubSpot; Aloware follows in a moment."}, nil
}

func (p *Pages) chooseContact(ctx context.Context, r *http.Request) (answer, error) {
	system, err := systemOf(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("contact")
	if err := p.Contacts.Choose(ctx, tenantOf(r), name, system, r.FormValue("id"), access.From(ctx).Name); err != nil {
		return nil, err
	}
	return redirect{to: contactURL(r, name), say: "It is settled; values follow in a moment."}, nil
}

func (p *Pages) answerReview(ctx context.Context, r *http.Request) (answer, error) {
	system, err := systemOf(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("contact")
	_, err = p.Contacts.Answer(ctx, tenantOf(r), name, system, []string{r.FormValue("field")}, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return redirect{to: contactURL(r, name), say: system.Name() + "'s value stands; it is written to the other side now."}, nil
}

func (p *Pages) eraseContact(ctx context.Context, r *http.Request) (answer, error) {
	name := r.PathValue("contact")
	if r.FormValue("typed") != "erase" {
		return nil, invalid("Type the word erase to confirm: it cannot be taken back.")
	}
	card, err := p.Contacts.Card(ctx, tenantOf(r), name)
	if err != nil {
		return nil, err
	}
	whom := contact.ID{System: contact.HubSpot, ID: card.Sides[0].ID}
	if whom.ID == "" {
		whom = contact.ID{System: contact.Aloware, ID: card.Sides[1].ID}
	}
	if err := p.Contacts.Erase(ctx, tenantOf(r), name, whom, access.From(ctx).Name); err != nil {
		return nil, err
	}
	return redirect{to: "/tenants/" + string(tenantOf(r)) + "/contacts", say: "All that was stored about this person is being erased."}, nil
}

func contactURL(r *http.Request, name string) string {
	return "/tenants/" + string(tenantOf(r)) + "/contacts/" + name
}

func systemOf(r *http.Request) (contact.System, error) {
	system, err := contact.ParseSystem(r.FormValue("system"))
	if err != nil {
		return 0, invalid("\"" + r.FormValue("system") + "\": want hubspot or aloware")
	}
	return system, nil
}
