package pages

import (
	"context"
	"net/http"
	"strconv"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/inbox"
)

// errorRoutes are the pages of what could not be written, and of messages that
// could not be handled.
func (p *Pages) errorRoutes() []route {
	viewer, administrator, operator := need{role: access.Viewer}, need{role: access.Administrator}, need{role: access.Operator}
	everywhere := need{role: access.Operator, where: forAll}
	return []route{
		{pattern: "GET /tenants/{tenant}/errors", need: viewer, serve: p.errorsPage},
		{pattern: "GET /tenants/{tenant}/errors/group", need: viewer, serve: p.groupPage},
		{pattern: "POST /tenants/{tenant}/errors/retry", action: "RetryProblems", need: administrator, serve: p.retry},
		{pattern: "POST /tenants/{tenant}/errors/dismiss", action: "DismissProblems", need: administrator, serve: p.dismiss},
		{pattern: "POST /tenants/{tenant}/letters/replay", action: "ReplayDeadLetters", need: operator, serve: p.replay},
		{pattern: "POST /tenants/{tenant}/letters/discard", action: "DiscardDeadLetters", need: operator, serve: p.discard},
		{pattern: "GET /letters", need: everywhere, serve: p.lettersPage},
		{pattern: "POST /letters/replay", action: "ReplayDeadLetters", need: everywhere, serve: p.replay},
		{pattern: "POST /letters/discard", action: "DiscardDeadLetters", need: everywhere, serve: p.discard},
	}
}

// errors is how many errors of a page's tenant nobody dismissed, for its tab.
func (p *Pages) errors(ctx context.Context, id contact.Tenant) int {
	if p.Inbox == nil {
		return 0
	}
	open, err := p.Inbox.Open(ctx, id)
	if err != nil {
		p.Logger.WarnContext(ctx, "the errors of a tenant could not be counted", "tenant", id, "error", err)
	}
	return open[id]
}

// errorsView is the inbox.
type errorsView struct {
	Groups    []groupView
	System    string
	Dismissed bool
	Letters   lettersView
}

// groupView is a group with the parameters that choose it again.
type groupView struct {
	postgres.ProblemGroup
	Query string // of an address
	Form  values
}

// chosen reads the filter that an address or a form names.
func chosen(r *http.Request) (postgres.ProblemFilter, error) {
	f := postgres.ProblemFilter{
		Tenant: tenantOf(r), Kind: contact.ProblemKind(r.FormValue("kind")), Reason: r.FormValue("reason"), Contact: contact.Key(r.FormValue("contact")),
		Dismissed: r.FormValue("dismissed") != "",
	}
	if r.FormValue("system") != "" {
		system, err := systemOf(r)
		if err != nil {
			return f, err
		}
		f.System = system
	}
	if r.Form.Has("field") {
		field := r.FormValue("field")
		f.Field = &field
	}
	return f, nil
}

func groupOf(g postgres.ProblemGroup) groupView {
	form := values{"kind": string(g.Kind), "reason": g.Reason, "system": g.System.String()}
	query := form.encode()
	if g.Kind != inbox.Waiting {
		form["field"] = g.Field
		query += "&field=" + g.Field // also where it is empty: the contact as a whole
	}
	return groupView{g, query, form}
}

func (p *Pages) errorsPage(ctx context.Context, r *http.Request) (answer, error) {
	f, err := chosen(r)
	if err != nil {
		return nil, err
	}
	groups, err := p.Inbox.Groups(ctx, f)
	if err != nil {
		return nil, err
	}
	view := errorsView{System: r.FormValue("system"), Dismissed: f.Dismissed}
	for _, g := range groups {
		view.Groups = append(view.Groups, groupOf(g))
	}
	if access.From(ctx).May(f.Tenant, access.Operator) {
		if view.Letters, err = p.lettersView(ctx, r); err != nil {
			return nil, err
		}
	}
	return page{name: "errors", title: "Errors", data: view}, nil
}

// problemsView is one group's contacts.
type problemsView struct {
	Group    groupView
	Problems []inbox.Problem
	Names    map[contact.Key]string
	More     string // address of those behind; "" for none
}

func (p *Pages) groupPage(ctx context.Context, r *http.Request) (answer, error) {
	f, err := chosen(r)
	if err != nil {
		return nil, err
	}
	after, err := placeOf(r)
	if err != nil {
		return nil, err
	}
	const most = 50
	problems, err := p.Inbox.Problems(ctx, f, after, most)
	if err != nil {
		return nil, err
	}
	g := postgres.ProblemGroup{Kind: f.Kind, Reason: f.Reason, System: f.System}
	if f.Field != nil {
		g.Field = *f.Field
	}
	keys := make([]contact.Key, len(problems))
	for i := range problems {
		keys[i] = problems[i].Contact
	}
	names, err := p.Contacts.Names(ctx, f.Tenant, keys)
	if err != nil {
		return nil, err
	}
	view := problemsView{Group: groupOf(g), Problems: problems, Names: names}
	if f.Dismissed {
		view.Group.Query += "&dismissed=1"
	}
	if len(problems) == most {
		view.More = "?" + view.Group.Query + "&after=" + place(problems[most-1].ProblemRow)
	}
	return page{name: "group", title: "Errors: " + inbox.Reason(f.Reason), data: view}, nil
}

func (p *Pages) retry(ctx context.Context, r *http.Request) (answer, error) {
	f, err := chosen(r)
	if err != nil {
		return nil, err
	}
	n, err := p.Inbox.Retry(ctx, f, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return redirect{to: errorsURL(r), say: many(n, "contact is", "contacts are") + " tried again; what goes well leaves this list in a moment."}, nil
}

func (p *Pages) dismiss(ctx context.Context, r *http.Request) (answer, error) {
	f, err := chosen(r)
	if err != nil {
		return nil, err
	}
	undo := r.FormValue("undo") != ""
	f.Dismissed = undo
	n, err := p.Inbox.Dismiss(ctx, f, undo, access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	say := many(n, "error is dismissed until its reason changes. \"Dismissed too\" shows it", "errors are dismissed until their reason changes. \"Dismissed too\" shows them") + ", and takes it back."
	if undo {
		say = many(n, "error is", "errors are") + " shown again."
	}
	return redirect{to: errorsURL(r), say: say}, nil
}

func errorsURL(r *http.Request) string { return "/tenants/" + string(tenantOf(r)) + "/errors" }

// lettersView are dead letters of a tenant, or of all.
type lettersView struct {
	Letters []bus.Letter
	To      string // the address under which they are replayed and discarded
	More    uint64 // the place to go on from; 0 at the end
}

func (p *Pages) lettersView(ctx context.Context, r *http.Request) (lettersView, error) {
	after, _ := strconv.ParseUint(r.FormValue("letters"), 10, 64) // anything else begins with the oldest
	letters, more, err := p.Inbox.Letters(ctx, bus.LetterFilter{Tenant: tenantOf(r)}, after, 50)
	to := "/letters"
	if id := tenantOf(r); id != "" {
		to = "/tenants/" + string(id) + to
	}
	return lettersView{letters, to, more}, err
}

// lettersPage has the dead letters of all tenants, and those that name none.
func (p *Pages) lettersPage(ctx context.Context, r *http.Request) (answer, error) {
	view, err := p.lettersView(ctx, r)
	if err != nil {
		return nil, err
	}
	return page{name: "letters", title: "Dead letters", data: view}, nil
}

// lettersURL is the page that a replay or discard began on.
func lettersURL(r *http.Request) string {
	if tenantOf(r) == "" {
		return "/letters"
	}
	return errorsURL(r)
}

// selection reads which dead letters a form means.
func selection(r *http.Request) (inbox.Selection, error) {
	s := inbox.Selection{Tenant: tenantOf(r), Kind: r.FormValue("kind"), Reason: r.FormValue("reason")}
	for _, text := range r.Form["number"] {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return s, invalid("\"" + text + "\" is no number of a dead letter")
		}
		s.Numbers = append(s.Numbers, n)
	}
	return s, nil
}

func (p *Pages) replay(ctx context.Context, r *http.Request) (answer, error) {
	s, err := selection(r)
	if err != nil {
		return nil, err
	}
	n, err := p.Inbox.Replay(ctx, s)
	if err != nil {
		return nil, err
	}
	return redirect{to: lettersURL(r), say: many(n, "dead letter was", "dead letters were") + " put back."}, nil
}

func (p *Pages) discard(ctx context.Context, r *http.Request) (answer, error) {
	s, err := selection(r)
	if err != nil {
		return nil, err
	}
	n, err := p.Inbox.Discard(ctx, s)
	if err != nil {
		return nil, err
	}
	return redirect{to: lettersURL(r), say: many(n, "dead letter is", "dead letters are") + " gone."}, nil
}
