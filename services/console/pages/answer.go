package pages

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/console/access"
)

// answer is what a handler gives back; it is sent whole or not at all.
type answer interface {
	send(p *Pages, w http.ResponseWriter, r *http.Request)
}

// page is a whole page, from the template file of its name.
type page struct {
	name   string // of the template's file, without .html
	title  string
	status int // 0 is 200
	data   any // "Data" in the template
	// typed is a form of this page that was not accepted; nil for none.
	typed *typed
}

func (a page) send(p *Pages, w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer
	if err := p.templates.page(&out, a.name, p.frame(r, a)); err != nil {
		p.Logger.ErrorContext(r.Context(), "a page could not be made", "page", a.name, "error", err)
		http.Error(w, "This page could not be shown; the operators' log says why.", http.StatusInternalServerError)
		return
	}
	if _, err := r.Cookie(flashCookie); err == nil {
		http.SetCookie(w, cookie(r, flashCookie, "", -1)) // it is shown now
	}
	header(w, a.status)
	_, _ = out.WriteTo(w) // who is gone needs no page
}

// part is one named block of a page's template, for htmx to put in place.
type part struct {
	name, block string
	status      int
	data        any
	// also are headers such as HX-Trigger.
	also map[string]string
}

func (a part) send(p *Pages, w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer
	if err := p.templates.block(&out, a.name, a.block, p.frame(r, page{data: a.data})); err != nil {
		p.Logger.ErrorContext(r.Context(), "a part of a page could not be made", "page", a.name, "part", a.block, "error", err)
		http.Error(w, "This could not be shown; the operators' log says why.", http.StatusInternalServerError)
		return
	}
	for name, value := range a.also {
		w.Header().Set(name, value)
	}
	header(w, a.status)
	_, _ = out.WriteTo(w)
}

// rendered is a part as text, for a stream.
func (p *Pages) rendered(r *http.Request, a part) (string, error) {
	var out bytes.Buffer
	err := p.templates.block(&out, a.name, a.block, p.frame(r, page{data: a.data}))
	return out.String(), err
}

func header(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
}

// redirect leads to another page after an action. Say is shown there once.
type redirect struct {
	to, say string
	bad     bool // say is about something that went wrong
	cookies []*http.Cookie
}

func (a redirect) send(_ *Pages, w http.ResponseWriter, r *http.Request) {
	for _, c := range a.cookies {
		http.SetCookie(w, c)
	}
	if a.say != "" {
		name := "good"
		if a.bad {
			name = "bad"
		}
		http.SetCookie(w, cookie(r, flashCookie, url.QueryEscape(name+":"+a.say), 60))
	}
	if isPart(r) {
		w.Header().Set("HX-Redirect", a.to)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, a.to, http.StatusSeeOther)
}

// handler is an answer that writes for itself, such as a stream of events.
type handler http.HandlerFunc

func (a handler) send(_ *Pages, w http.ResponseWriter, r *http.Request) { a(w, r) }

// isPart reports whether htmx asks, to put the answer into the page.
func isPart(r *http.Request) bool {
	return r.Header.Get("HX-Request") == "true" && r.Header.Get("HX-Boosted") == ""
}

// problem is an error with words for people and a status.
type problem struct {
	status         int
	title, message string
}

func (p *problem) Error() string { return p.message }

func notFound(message string) error {
	return &problem{http.StatusNotFound, "Not found", message}
}

func invalid(message string) error {
	return &problem{http.StatusUnprocessableEntity, "This cannot be done", message}
}

// refused is what somebody without the role sees: the same whether the tenant
// exists or not.
func refused(caller access.Caller, n need, r *http.Request) error {
	if id := tenantOf(r); n.where == forTenant && !caller.May(id, access.Viewer) {
		return notFound("there is no tenant of this name that you may see")
	}
	return &problem{http.StatusForbidden, "Not allowed", "You may not do this here: it needs the role " + n.role.String() + ". An operator can give it to you."}
}

// failed turns an error of a route into what people see.
func (p *Pages) failed(ctx context.Context, r *http.Request, of route, err error) answer {
	known := told(err)
	if known == nil {
		p.Logger.ErrorContext(ctx, "a page failed", "path", r.Pattern, "error", err)
		known = &problem{http.StatusInternalServerError, "Something went wrong", "This could not be done just now; the operators' log says why. Try again."}
	}
	if isPart(r) {
		return part{name: "problem", block: "notice", status: known.status, data: known.message, also: map[string]string{"HX-Retarget": "#notices", "HX-Reswap": "beforeend"}}
	}
	if of.page != nil && known.status == http.StatusUnprocessableEntity {
		if again, err := of.page(ctx, r); err == nil {
			if again, ok := again.(page); ok {
				again.status, again.typed = known.status, typedIn(r, known.message)
				return again
			}
		}
	}
	return page{name: "problem", title: known.title, status: known.status, data: problemView{known.message, cameFrom(r)}}
}

// told is what an error tells people; nil for one that is not for them.
func told(err error) *problem {
	var known *problem
	var refusal interface {
		Refusal() (rule, subject, message string)
	}
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refusal):
		rule, subject, message := refusal.Refusal()
		status := http.StatusUnprocessableEntity
		if rule == "not_found" {
			status = http.StatusNotFound
		}
		if subject != "" && !strings.Contains(strings.ToLower(message), strings.ToLower(subject)) {
			message = subject + ": " + message
		}
		return &problem{status, "This cannot be done", message}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{http.StatusGatewayTimeout, "This took too long", "An answer did not come in time; nothing was half done. Try again."}
	}
	return nil
}

// problemView is a problem that has a page of its own.
type problemView struct {
	Message string
	Back    string // the page that somebody came from; "" for none of this console
}

// cameFrom is the address of the console's page that a request came from.
func cameFrom(r *http.Request) string {
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host != r.Host || from.Path == r.URL.Path || from.Host == "" {
		return ""
	}
	return local(from.RequestURI())
}

func tenantOf(r *http.Request) contact.Tenant { return contact.Tenant(r.PathValue("tenant")) }
