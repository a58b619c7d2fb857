// Package console is the administrators' and operators' face. It owns the
// tables of configuration, connects tenants, serves the API, and shows the
// state of the installation.
package console

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/api"
	"lockstep.internal/services/console/contacts"
	"lockstep.internal/services/console/inbox"
	"lockstep.internal/services/console/mappings"
	"lockstep.internal/services/console/syncs"
	"lockstep.internal/services/console/tenants"
)

// Config is what a console needs.
type Config struct {
	Bus    *bus.Bus
	DB     *postgres.DB
	Roster *roster.Roster
	Seal   *seal.Sealer
	Health *daemon.Health
	Logger *slog.Logger
	// PublicURL is where the systems reach ingest, such as
	// https://hooks.example.com.
	PublicURL string
	// HTTP calls both systems; nil is the adapters' own.
	HTTP *http.Client
	// Token is the installation's own API token; "" is none.
	Token access.Token
	// OIDC is how people sign in by their organisation's provider; without an
	// issuer they do not.
	OIDC access.OIDC
	// Links are shown on the page, such as the simulators' addresses.
	Links []Link
}

// Link is a name and an address.
type Link struct{ Name, URL string }

// Console is one process of the service.
type Console struct {
	config   Config
	mux      *http.ServeMux
	access   *access.Service
	tenants  *tenants.Tenants
	mappings *mappings.Mappings
}

// Access is the room of people, tokens and the audit.
func (c *Console) Access() *access.Service { return c.access }

// Run does what is done by itself, until ctx ends.
func (c *Console) Run(ctx context.Context) error { return c.access.Run(ctx) }

// Tenants is the room of tenants and their connections.
func (c *Console) Tenants() *tenants.Tenants { return c.tenants }

//go:embed web/status.html
var statusText string

var statusPage = template.Must(template.New("status").Parse(statusText))

// New makes a console.
func New(config Config) (*Console, error) {
	if config.Bus == nil || config.DB == nil || config.Roster == nil || config.Health == nil {
		return nil, fmt.Errorf("console: a bus, a database, a roster and health are needed")
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	people, err := access.New(access.Config{DB: config.DB, Logger: config.Logger, Token: config.Token, OIDC: config.OIDC})
	if err != nil {
		return nil, err
	}
	c := &Console{config: config, mux: http.NewServeMux(), access: people}
	calls := &clients{http: config.HTTP}
	c.tenants = tenants.New(tenants.Config{
		DB: config.DB, Bus: config.Bus, Roster: config.Roster, Seal: config.Seal, Logger: config.Logger,
		PublicURL: strings.TrimRight(config.PublicURL, "/"), Portal: calls.portal, Account: calls.account,
	})
	c.mappings = mappings.New(mappings.Config{
		DB: config.DB, Bus: config.Bus, Roster: config.Roster, Logger: config.Logger, Portal: calls.schema, Account: calls.attributes,
	})
	c.mux.HandleFunc("GET /{$}", c.status)
	c.mux.Handle("/", api.Handler(api.Config{
		Access: people, Roster: config.Roster, Logger: config.Logger, Tenants: c.tenants, Mappings: c.mappings,
		Syncs:    syncs.New(syncs.Config{DB: config.DB, Bus: config.Bus, Roster: config.Roster, Logger: config.Logger}),
		Contacts: contacts.New(contacts.Config{Bus: config.Bus, DB: config.DB, Roster: config.Roster}),
		Inbox:    inbox.New(inbox.Config{Bus: config.Bus, DB: config.DB}),
	}))
	return c, nil
}

// Handler serves the pages.
func (c *Console) Handler() http.Handler { return secure(c.mux) }

// secure sets the headers that every page has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// status is what the page shows.
type status struct {
	At      string
	Links   []Link
	Checks  map[string]string
	Good    bool
	Tenants []tenantStatus
	Stages  []stageStatus
	Fault   string
}

type tenantStatus struct {
	*tenant.Tenant
	Mappings, Stopped int
	Lanes             []laneStatus
}

type laneStatus struct {
	System       string
	Rows, Failed int
	Oldest       string
	Pause        string
}

type stageStatus struct {
	Name       string
	Partitions int
	Owned      int
	Applied    uint64
	Behind     uint64
}

func (c *Console) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	page := status{At: time.Now().UTC().Format(time.DateTime), Links: c.config.Links}
	page.Checks, page.Good = c.config.Health.Check(ctx)
	if err := c.fill(ctx, &page); err != nil {
		c.config.Logger.WarnContext(ctx, "the status page is incomplete", "error", err)
		page.Fault = "Some of this could not be read just now; the page tries again by itself."
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := statusPage.Execute(w, page); err != nil {
		c.config.Logger.WarnContext(ctx, "the status page was not sent whole", "error", err)
	}
}

func (c *Console) fill(ctx context.Context, page *status) error {
	counts, err := c.config.DB.LaneCounts(ctx)
	if err != nil {
		return err
	}
	pauses := make(map[string]string)
	for _, system := range contact.Systems {
		found, err := c.config.DB.Pauses(ctx, system)
		if err != nil {
			return err
		}
		for _, p := range found {
			pauses[string(p.Tenant)+p.System.String()] = fmt.Sprintf("rests until %s UTC: %s %s", p.Until.UTC().Format(time.TimeOnly), p.Class, p.Reason)
		}
	}
	for _, t := range c.config.Roster.All() {
		ts := tenantStatus{Tenant: t, Mappings: len(t.Mapping.Mappings)}
		for i := range t.Mapping.Mappings {
			if t.Mapping.Mappings[i].Stopped != "" {
				ts.Stopped++
			}
		}
		for _, system := range contact.Systems {
			lane := laneStatus{System: systemLabel(system), Pause: pauses[string(t.ID)+system.String()]}
			for _, n := range counts {
				if n.Tenant == t.ID && n.System == system {
					lane.Rows, lane.Failed, lane.Oldest = n.Rows, n.Failed, time.Since(n.Oldest).Round(time.Second).String()
				}
			}
			ts.Lanes = append(ts.Lanes, lane)
		}
		page.Tenants = append(page.Tenants, ts)
	}
	page.Stages, err = c.stages(ctx)
	return err
}

func systemLabel(s contact.System) string {
	if s == contact.HubSpot {
		return "HubSpot"
	}
	return "Aloware"
}

// stages sums the partitions of each stage.
func (c *Console) stages(ctx context.Context) ([]stageStatus, error) {
	progress, err := c.config.DB.Stages(ctx)
	if err != nil {
		return nil, err
	}
	var stages []stageStatus
	for _, p := range progress {
		if len(stages) == 0 || stages[len(stages)-1].Name != p.Stage {
			stages = append(stages, stageStatus{Name: p.Stage})
		}
		s := &stages[len(stages)-1]
		s.Partitions++
		if p.Owner != "" {
			s.Owned++
		}
		s.Applied += p.Seq
		if last, _, err := c.config.Bus.Last(ctx, streamOf(p.Stage), p.Partition); err == nil && last > p.Seq {
			s.Behind += last - p.Seq
		}
	}
	return stages, nil
}

// streamOf is the stream that a stage of a lease reads.
func streamOf(stage string) bus.Stream {
	switch stage {
	case "mapper":
		return bus.Changes
	case "mapper-bulk":
		return bus.ChangesBulk
	}
	if len(stage) > 5 && stage[len(stage)-5:] == "-bulk" {
		return bus.PatchesBulk
	}
	return bus.Patches
}
