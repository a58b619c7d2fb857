// Package pages shows the console to people: pages rendered here, made livelier
// in the browser by htmx, and readable without it.
//
// It shows and asks; it decides nothing. Every page and action is a row of the
// table in routes.go, which names who may use it; there is no other way to add
// one. Each subject has a file with its handlers and its templates.
package pages

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"lockstep.internal/pkg/roster"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/alerts"
	"lockstep.internal/services/console/contacts"
	"lockstep.internal/services/console/holds"
	"lockstep.internal/services/console/inbox"
	"lockstep.internal/services/console/mappings"
	"lockstep.internal/services/console/pipeline"
	"lockstep.internal/services/console/syncs"
	"lockstep.internal/services/console/tenants"
)

// Config is what the pages stand on.
type Config struct {
	Roster *roster.Roster
	Logger *slog.Logger
	// Guard recognises the token in a session's cookie.
	Guard access.Guard
	// Access signs people in and keeps the audit.
	Access *access.Service

	Tenants  *tenants.Tenants
	Mappings *mappings.Mappings
	Syncs    *syncs.Syncs
	Contacts *contacts.Contacts
	Inbox    *inbox.Inbox
	Alerts   *alerts.Alerts
	Holds    *holds.Holds
	Pipeline *pipeline.Pipeline

	// TraceURL is where a trace is shown, with {trace} where its id goes; ""
	// shows the id alone.
	TraceURL string
	// Links are shown in the frame of every page, such as the simulators'.
	Links []Link
}

// Link is a name and an address.
type Link struct{ Name, URL string }

// Pages is the room.
type Pages struct {
	Config
	templates *templates
}

// New makes the room.
func New(config Config) (*Pages, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	t, err := parse(config.TraceURL)
	if err != nil {
		return nil, fmt.Errorf("console's pages: %w", err)
	}
	return &Pages{Config: config, templates: t}, nil
}

// Handler serves all pages.
func (p *Pages) Handler() http.Handler { return p.handler(p.routes()) }

func (p *Pages) handler(routes []route) http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.pattern, p.guard(r))
	}
	mux.Handle("/", p.guard(route{need: anyone, serve: p.missing}))
	// A browser's form or script of another site can change nothing here.
	return secure(http.NewCrossOriginProtection().Handler(mux))
}

// secure sets the headers that every answer has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if encrypted(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// missing is the answer to an address that no page has.
func (p *Pages) missing(context.Context, *http.Request) (answer, error) {
	return nil, notFound("there is no page at this address")
}
