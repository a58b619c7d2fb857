// Package console is the administrators' and operators' face. It owns the
// tables of configuration, connects tenants, serves the API, and shows the
// state of the installation.
package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/alerts"
	"lockstep.internal/services/console/api"
	"lockstep.internal/services/console/contacts"
	"lockstep.internal/services/console/holds"
	"lockstep.internal/services/console/inbox"
	"lockstep.internal/services/console/mappings"
	"lockstep.internal/services/console/pages"
	"lockstep.internal/services/console/pipeline"
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
	// ConsoleURL is where people reach the console, such as
	// https://lockstep.example.com.
	ConsoleURL string
	// TraceURL is where a trace is shown, with {trace} where its id goes; "" is
	// nowhere.
	TraceURL string
	// HTTP calls both systems; nil is the adapters' own.
	HTTP *http.Client
	// Token is the installation's own API token; "" is none.
	Token access.Token
	// OIDC is how people sign in by their organisation's provider; without an
	// issuer they do not.
	OIDC access.OIDC
	// Alerts say how tenants are told of changes of state.
	Alerts alerts.Settings
	// Links are shown on the page, such as the simulators' addresses.
	Links []Link
}

// Link is a name and an address.
type Link = pages.Link

// Console is one process of the service.
type Console struct {
	config   Config
	mux      *http.ServeMux
	access   *access.Service
	tenants  *tenants.Tenants
	mappings *mappings.Mappings
	pipeline *pipeline.Pipeline
	alerts   *alerts.Alerts
	holds    *holds.Holds
}

// OpenHolds is how many bursts of all tenants are held and wait for an answer.
func (c *Console) OpenHolds() int64 { return c.holds.Waiting() }

// Access is the room of people, tokens and the audit.
func (c *Console) Access() *access.Service { return c.access }

// Run does what is done by itself, until ctx ends.
func (c *Console) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.access.Run(ctx) })
	group.Go(func() error { return c.pipeline.Run(ctx) })
	group.Go(func() error { return c.tenants.Run(ctx) })
	group.Go(func() error { return c.alerts.Run(ctx) })
	group.Go(func() error { return c.holds.Run(ctx) })
	return group.Wait()
}

// Tenants is the room of tenants and their connections.
func (c *Console) Tenants() *tenants.Tenants { return c.tenants }

// New makes a console.
func New(config Config) (*Console, error) {
	if config.Bus == nil || config.DB == nil || config.Roster == nil || config.Health == nil {
		return nil, fmt.Errorf("console: a bus, a database, a roster and health are needed")
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	who, err := access.New(access.Config{DB: config.DB, Logger: config.Logger, Token: config.Token, OIDC: config.OIDC})
	if err != nil {
		return nil, err
	}
	c := &Console{config: config, mux: http.NewServeMux(), access: who}
	calls := &clients{bus: config.Bus, http: config.HTTP}
	c.tenants = tenants.New(tenants.Config{
		DB: config.DB, Bus: config.Bus, Roster: config.Roster, Seal: config.Seal, Logger: config.Logger,
		PublicURL: strings.TrimRight(config.PublicURL, "/"), ConsoleURL: strings.TrimRight(config.ConsoleURL, "/"), Portal: calls.portal, Account: calls.account,
		Budget: calls.tokens, HTTP: config.HTTP,
		Owners: func(ctx context.Context, id contact.Tenant) ([]string, error) {
			if _, ok := config.Roster.Tenant(id); !ok {
				return nil, nil // it is being added: nobody is known yet
			}
			return c.mappings.Offered(ctx, id)
		},
	})
	c.mappings = mappings.New(mappings.Config{
		DB: config.DB, Bus: config.Bus, Roster: config.Roster, Logger: config.Logger, Portal: calls.schema, Account: calls.attributes,
	})
	jobs := syncs.New(syncs.Config{DB: config.DB, Bus: config.Bus, Roster: config.Roster, Logger: config.Logger})
	people := contacts.New(contacts.Config{Bus: config.Bus, DB: config.DB, Roster: config.Roster, Mappings: c.mappings, Portal: calls.setter})
	c.pipeline = pipeline.New(pipeline.Config{Bus: config.Bus, DB: config.DB, Health: config.Health, Logger: config.Logger})
	config.Health.Note("stages", c.pipeline.Troubles)
	problems := inbox.New(inbox.Config{Bus: config.Bus, DB: config.DB})
	c.alerts = alerts.New(alerts.Config{
		DB: config.DB, Roster: config.Roster, Seal: config.Seal, Logger: config.Logger, ConsoleURL: strings.TrimRight(config.ConsoleURL, "/"), Settings: config.Alerts,
	})
	c.holds = holds.New(holds.Config{DB: config.DB, Roster: config.Roster, Logger: config.Logger})
	calling := api.Handler(api.Config{
		Access: who, Roster: config.Roster, Logger: config.Logger, Tenants: c.tenants, Mappings: c.mappings,
		Syncs: jobs, Contacts: people, Inbox: problems, Alerts: c.alerts, Holds: c.holds, Pipeline: c.pipeline,
	})
	for _, prefix := range api.Prefixes() {
		c.mux.Handle(prefix, calling)
	}
	shown, err := pages.New(pages.Config{
		Roster: config.Roster, Logger: config.Logger, Guard: who.Browsers(), Access: who, Tenants: c.tenants, Mappings: c.mappings,
		Syncs: jobs, Contacts: people, Inbox: problems, Alerts: c.alerts, Holds: c.holds, Pipeline: c.pipeline, Links: config.Links, TraceURL: config.TraceURL,
	})
	if err != nil {
		return nil, err
	}
	c.mux.Handle("/", shown.Handler())
	return c, nil
}

// Handler serves the pages and the API.
func (c *Console) Handler() http.Handler { return c.mux }
