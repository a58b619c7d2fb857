package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/console/access"
)

// changes reports whether a route changes something that belongs into the audit.
// Who signs in or out, and whose password changes, is recorded by access itself.
func (r route) changes() bool {
	return !strings.HasPrefix(r.pattern, "GET ") && r.need.role != 0 && !r.quiet
}

// audited serves a route; what changes something is in the audit, before it is
// done.
func (p *Pages) audited(to route, r *http.Request) (answer, error) {
	if !to.changes() {
		return to.serve(r.Context(), r)
	}
	if err := r.ParseForm(); err != nil {
		return nil, invalid("the form could not be read: " + err.Error())
	}
	entry, err := p.entry(to, r)
	if err != nil {
		return nil, err
	}
	recording, err := p.Access.Record(r.Context(), entry)
	if err != nil {
		return nil, err
	}
	outcome := errors.New("the action panicked")
	defer func() { recording.Done(r.Context(), outcome) }()
	a, err := to.serve(r.Context(), r)
	outcome = err
	return a, err
}

// Refusal tells the audit that what was asked for was refused, and by which rule.
func (p *problem) Refusal() (rule, subject, message string) {
	rule = "invalid"
	switch p.status {
	case http.StatusNotFound:
		rule = "not_found"
	case http.StatusForbidden:
		rule = "role"
	}
	return rule, "", p.message
}

// denied writes down that somebody tried what is not allowed.
func (p *Pages) denied(to route, r *http.Request) {
	if !to.changes() {
		return
	}
	entry := access.Entry{Tenant: tenantOf(r), Action: to.action}
	recording, err := p.Access.Record(r.Context(), entry)
	if err != nil {
		p.Logger.ErrorContext(r.Context(), "what somebody tried is missing in the audit", "action", to.action, "error", err)
		return
	}
	recording.Done(r.Context(), access.ErrDenied)
}

// objects are the fields of a form that name what an action is about.
var objects = []string{"login", "app_id", "id", "name"}

// entry is what the audit has of an action: its form without secrets. Of a
// contact it has the key alone, and of a person to erase not even that.
func (p *Pages) entry(to route, r *http.Request) (access.Entry, error) {
	e := access.Entry{Tenant: tenantOf(r), Action: to.action}
	detail, person := make(map[string]string), r.PathValue("contact")
	if person == "" {
		person = r.PostForm.Get("contact")
	}
	for name, values := range r.PostForm {
		if !secretName(name) && (person == "" || !personal[name]) {
			detail[name] = strings.Join(values, ", ")
		}
	}
	switch {
	case person != "":
		e.Subject, e.Erases = p.Contacts.Key(r.Context(), e.Tenant, person, contact.ID{}), to.action == "EraseContact"
	case r.PathValue("job") != "":
		e.Object = r.PathValue("job")
	case to.action == "SaveTenant" && e.Tenant == "":
		e.Tenant = contact.Tenant(r.PostForm.Get("id"))
	default:
		for _, name := range objects {
			if e.Object = r.PostForm.Get(name); e.Object != "" {
				break
			}
		}
	}
	var err error
	e.Detail, err = json.Marshal(detail)
	return e, err
}

// personal are the fields that may say who a contact is, in the form of an
// action on one.
var personal = map[string]bool{"contact": true, "id": true, "value": true, "q": true}

// secretName reports whether a field of a form holds a secret.
func secretName(name string) bool {
	return strings.Contains(name, "token") || strings.Contains(name, "password") || strings.Contains(name, "secret")
}
