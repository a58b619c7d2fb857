// Package tenants is what people do with tenants and their two connections:
// add, connect, disconnect, test, and see what a connection can do.
//
// A connection that was broken off half-way is made whole by doing it again.
// Nothing that waits is lost by a disconnect.
package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
)

// Portal is what this room needs of a HubSpot portal.
type Portal interface {
	Schema
	Account(ctx context.Context) (hubspot.Account, error)
	PropertyLimit(ctx context.Context) (hubspot.PropertyLimit, error)
}

// Account is what this room needs of an Aloware account.
type Account interface {
	Users(ctx context.Context) (contact.Directory, error)
}

// Config is what the room stands on.
type Config struct {
	DB     *postgres.DB
	Bus    *bus.Bus
	Roster *roster.Roster
	Seal   *seal.Sealer
	Logger *slog.Logger
	// PublicURL is where the systems reach ingest, without a slash at the end.
	PublicURL string
	// ConsoleURL is where people reach the console, without a slash at the end.
	ConsoleURL string
	// Budget is what token calls take their tickets from.
	Budget func(*tenant.Tenant) quota.Budget
	// HTTP makes token calls; nil is the adapter's own.
	HTTP    *http.Client
	Portal  func(*tenant.Tenant) Portal
	Account func(*tenant.Tenant) (Account, error)
	// Owners are the e-mail addresses of the users who can be an owner.
	Owners func(context.Context, contact.Tenant) ([]string, error)
}

// Tenants is the room.
type Tenants struct{ config Config }

// New makes the room.
func New(config Config) *Tenants { return &Tenants{config} }

func refuse(rule mapping.Rule, subject, format string, args ...any) error {
	return &mapping.Refusal{Rule: rule, Key: subject, Message: fmt.Sprintf(format, args...)}
}

// Get gives a tenant as it is now.
func (s *Tenants) Get(id contact.Tenant) (*tenant.Tenant, error) {
	t, ok := s.config.Roster.Tenant(id)
	if !ok {
		return nil, refuse(mapping.RuleNotFound, string(id), "there is no such tenant")
	}
	return t, nil
}

// Settings are what people decide for a tenant.
type Settings struct {
	Name, Region, TimeZone          string
	Active                          bool
	Creation, Updates               tenant.Flow
	Archive                         tenant.Flow // "" is none
	DefaultOwner, DefaultLeadSource string
	// BurstFloor is how many contacts a field may change within ten minutes
	// before a burst is held, 0 for holding nothing; nil keeps what is set.
	BurstFloor *int64
}

// Floor is from how many contacts on bursts are held.
func (v Settings) Floor() int64 {
	if v.BurstFloor == nil {
		return tenant.UsualBurstFloor
	}
	return *v.BurstFloor
}

// SettingsOf are a tenant's settings.
func SettingsOf(t *tenant.Tenant) Settings {
	return Settings{t.Name, t.Region, t.TimeZone, t.Active, t.Creation, t.Updates, t.Archive, t.DefaultOwner, t.DefaultLeadSource, &t.BurstFloor}
}

// Save adds a tenant or changes its settings.
func (s *Tenants) Save(ctx context.Context, id contact.Tenant, settings Settings) (*tenant.Tenant, error) {
	if _, err := contact.ParseTenant(string(id)); err != nil {
		return nil, refuse(mapping.RuleInvalid, "tenant", "%v", err)
	}
	if err := settings.check(); err != nil {
		return nil, err
	}
	t := tenant.Tenant{ID: id, BurstFloor: tenant.UsualBurstFloor, HubSpot: tenant.HubSpot{State: tenant.Disconnected}, Aloware: tenant.Aloware{State: tenant.Disconnected, Profile: "documented"}}
	if known, ok := s.config.Roster.Tenant(id); ok {
		t = *known
	}
	owner := strings.ToLower(strings.TrimSpace(settings.DefaultOwner))
	if owner != "" && owner != t.DefaultOwner {
		offered, err := s.config.Owners(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case !slices.Contains(offered, owner):
			return nil, refuse(mapping.RuleInvalid, "default_owner", "%s is no active user of both systems with the same e-mail address; see the users of the tenant", owner)
		}
	}
	t.Name, t.Region, t.TimeZone, t.Active = strings.TrimSpace(settings.Name), settings.Region, settings.TimeZone, settings.Active
	t.Creation, t.Updates, t.Archive = settings.Creation, settings.Updates, cmp.Or(settings.Archive, tenant.FlowNone)
	t.DefaultOwner, t.DefaultLeadSource = owner, strings.TrimSpace(settings.DefaultLeadSource)
	if settings.BurstFloor != nil {
		t.BurstFloor = *settings.BurstFloor
	}
	return s.save(ctx, t)
}

// mostFloor bounds Settings.BurstFloor.
const mostFloor = 1_000_000_000

func (v Settings) check() error {
	switch {
	case strings.TrimSpace(v.Name) == "" || len(v.Name) > 200:
		return refuse(mapping.RuleInvalid, "name", "a name has 1 to 200 bytes")
	case !phonenumbers.GetSupportedRegions()[v.Region]:
		return refuse(mapping.RuleInvalid, "region", "region %q: want two letters such as US, by which numbers without a country code are read", v.Region)
	case len(v.DefaultOwner) > 320 || len(v.DefaultLeadSource) > 200:
		return refuse(mapping.RuleInvalid, "default_owner", "the default owner is an e-mail address, the default lead source has at most 200 bytes")
	}
	if v.BurstFloor != nil && (*v.BurstFloor < 0 || *v.BurstFloor > mostFloor) {
		return refuse(mapping.RuleInvalid, "burst_floor", "want the contacts that a field may change within ten minutes before a burst is held, up to %d, or 0 for holding nothing", mostFloor)
	}
	if _, err := time.LoadLocation(v.TimeZone); err != nil || v.TimeZone == "" || v.TimeZone == "Local" {
		return refuse(mapping.RuleInvalid, "time_zone", "time zone %q: want an IANA name such as America/New_York", v.TimeZone)
	}
	for field, flow := range map[string]tenant.Flow{"creation": v.Creation, "updates": v.Updates, "archive": cmp.Or(v.Archive, tenant.FlowNone)} {
		switch flow {
		case tenant.FlowBoth, tenant.FlowToAloware, tenant.FlowToHubSpot, tenant.FlowNone:
		default:
			return refuse(mapping.RuleInvalid, field, "%s %q: want both, to_aloware, to_hubspot or none", field, flow)
		}
	}
	return nil
}

// save stores a tenant and lets all services hear of it.
func (s *Tenants) save(ctx context.Context, t tenant.Tenant) (*tenant.Tenant, error) {
	err := s.config.DB.SaveTenant(ctx, t, s.config.Seal)
	switch {
	case errors.Is(err, postgres.ErrStale):
		return nil, refuse("stale", string(t.ID), "somebody else changed this tenant meanwhile; look at it, then do it again")
	case err != nil:
		return nil, err
	}
	if err := s.announce(ctx); err != nil {
		return nil, err
	}
	return s.Get(t.ID)
}

// ConnectHubSpot takes the connection's settings, prepares the portal, and
// starts the connection. Without an access token it keeps the present one, also
// one by OAuth. Done again, it changes nothing that is there; after a disconnect
// it resets what a reconnect resets.
func (s *Tenants) ConnectHubSpot(ctx context.Context, id contact.Tenant, connection tenant.HubSpot, author string) (*tenant.Tenant, Report, error) {
	known, err := s.Get(id)
	if err != nil {
		return nil, Report{}, err
	}
	if err := ceiling(connection.Ceiling); err != nil {
		return nil, Report{}, err
	}
	if connection.AccessToken == "" {
		if connection.BaseURL != known.HubSpot.BaseURL && known.HubSpot.AccessToken != "" {
			return nil, Report{}, refuse(mapping.RuleInvalid, "access_token", "the present token is not sent to another address: give a token with it")
		}
		connection.AccessToken, connection.RefreshToken, connection.Expires = known.HubSpot.AccessToken, known.HubSpot.RefreshToken, known.HubSpot.Expires
	}
	if connection.RefreshToken != "" && connection.AppID == 0 {
		connection.AppID = known.HubSpot.AppID
	}
	switch {
	case connection.RefreshToken != "" && connection.AppID != known.HubSpot.AppID && known.HubSpot.RefreshToken == connection.RefreshToken:
		return nil, Report{}, refuse(mapping.RuleInvalid, "app_id", "the present token was given to app %d and can be renewed by that one alone; connect by OAuth with the other app", known.HubSpot.AppID)
	case connection.AccessToken == "":
		return nil, Report{}, refuse(mapping.RuleInvalid, "access_token", "give the access token of the private app, or connect by OAuth")
	}
	t := *known
	connection.State, connection.PortalID = tenant.Connected, t.HubSpot.PortalID
	again := t.HubSpot.State == tenant.Disconnected && t.Mapping.Version > 0
	t.HubSpot = connection
	portal := s.config.Portal(&t)
	account, err := portal.Account(ctx)
	if err != nil {
		return nil, Report{}, said("HubSpot", err)
	}
	if t.HubSpot.PortalID != 0 && t.HubSpot.PortalID != account.PortalID {
		return nil, Report{}, refuse(mapping.RuleInvalid, "access_token", "the token is of portal %d, but this tenant belongs to portal %d; add another tenant for another portal", account.PortalID, t.HubSpot.PortalID)
	}
	if other, ok := s.config.Roster.ByPortal(account.PortalID); ok && other.ID != id {
		return nil, Report{}, refuse(mapping.RuleTaken, "access_token", "portal %d is connected to another tenant; a portal belongs to one", account.PortalID)
	}
	t.HubSpot.PortalID, t.HubSpot.TimeZone = account.PortalID, account.TimeZone
	set, report, err := Prepare(ctx, portal)
	if err != nil {
		return nil, report, said("HubSpot", err)
	}
	if known.Mapping.Version == 0 {
		if _, err := s.config.DB.SaveMapping(ctx, id, set, author, report.reason()); err != nil {
			return nil, report, err
		}
	} else if again {
		if err := s.reset(ctx, id, author); err != nil {
			return nil, report, err
		}
	}
	saved, err := s.save(ctx, t)
	return saved, report, err
}

// reset does to the mappings what a reconnect does.
func (s *Tenants) reset(ctx context.Context, id contact.Tenant, author string) error {
	now, _, err := s.config.DB.MappingVersion(ctx, id, 0)
	if err != nil {
		return err
	}
	next, err := now.Set.Apply(mapping.Schema{}, mapping.Reconnected{})
	if err != nil || len(mapping.Diff(now.Set, next)) == 0 {
		return err
	}
	_, err = s.config.DB.ReplaceMapping(ctx, id, now.Version, next, author, "reconnected: contact owner and disposition status lead to Aloware again")
	if errors.Is(err, postgres.ErrStale) {
		return refuse("stale", string(id), "somebody else saved the mappings meanwhile; connect again")
	}
	return err
}

func ceiling(percent int) error {
	if percent < 0 || percent > 100 {
		return refuse(mapping.RuleInvalid, "ceiling", "a ceiling of %d %%: want 1 to 100, or 0 for all", percent)
	}
	return nil
}

// said turns what a system answered into words for who connects.
func said(system string, err error) error {
	var refused *mapping.Refusal
	if errors.As(err, &refused) {
		return err
	}
	f := fault.As(err)
	switch f.Class {
	case fault.Unauthorized:
		return refuse("unauthorized", "access_token", "%s refuses the credentials: %s; make a new token there and enter it", system, f.Message)
	case fault.Permanent:
		return refuse("refused", strings.ToLower(system), "%s refuses: %v", system, err)
	case fault.Throttled:
		return refuse("throttled", strings.ToLower(system), "%s takes no more calls just now; try again in %s", system, max(f.Wait, time.Second).Round(time.Second))
	case fault.Transient:
		return refuse("unavailable", strings.ToLower(system), "%s cannot be reached just now (%v); try again", system, err)
	}
	return err
}

// ConnectAloware takes the connection's settings and starts the connection.
// Without a token, or without a secret of the webhooks, it keeps the present one.
func (s *Tenants) ConnectAloware(ctx context.Context, id contact.Tenant, connection tenant.Aloware) (*tenant.Tenant, error) {
	known, err := s.Get(id)
	if err != nil {
		return nil, err
	}
	if err := ceiling(connection.Ceiling); err != nil {
		return nil, err
	}
	if connection.Token == "" {
		if connection.BaseURL != known.Aloware.BaseURL && known.Aloware.Token != "" {
			return nil, refuse(mapping.RuleInvalid, "token", "the present token is not sent to another address: give a token with it")
		}
		connection.Token = known.Aloware.Token
	}
	if connection.Token == "" {
		return nil, refuse(mapping.RuleInvalid, "token", "give the API token of the account")
	}
	switch connection.WebhookAuth {
	case "none":
	case "basic":
		if connection.WebhookPassword == "" {
			connection.WebhookPassword = known.Aloware.WebhookPassword
		}
		if connection.WebhookUser == "" || connection.WebhookPassword == "" {
			return nil, refuse(mapping.RuleInvalid, "webhook_secret", "basic needs a user and a password")
		}
	case "bearer":
		if connection.WebhookToken == "" {
			connection.WebhookToken = known.Aloware.WebhookToken
		}
		if connection.WebhookToken == "" {
			return nil, refuse(mapping.RuleInvalid, "webhook_secret", "bearer needs a token")
		}
	default:
		return nil, refuse(mapping.RuleInvalid, "webhook_auth", "webhook_auth %q: want none, basic or bearer", connection.WebhookAuth)
	}
	if p := aloware.Profile(connection.Profile); p != aloware.Documented && p != aloware.Full {
		return nil, refuse(mapping.RuleInvalid, "profile", "profile %q: want documented or full", connection.Profile)
	}
	t := *known
	connection.State = tenant.Connected
	t.Aloware = connection
	account, err := s.config.Account(&t)
	if err != nil {
		return nil, refuse(mapping.RuleInvalid, "base_url", "%v", err)
	}
	if _, err := account.Users(ctx); err != nil {
		return nil, said("Aloware", err)
	}
	return s.save(ctx, t)
}

// WebhookURL is the address to enter in Aloware's webhook settings.
func (s *Tenants) WebhookURL(id contact.Tenant) string {
	return s.config.PublicURL + "/webhooks/aloware/" + string(id)
}

// Disconnect stops both connections and forgets their credentials. Rows that
// wait, state and links are kept, and go on after the next connect.
func (s *Tenants) Disconnect(ctx context.Context, id contact.Tenant) (*tenant.Tenant, error) {
	known, err := s.Get(id)
	if err != nil {
		return nil, err
	}
	t := *known
	t.HubSpot.State, t.HubSpot.AccessToken, t.HubSpot.RefreshToken = tenant.Disconnected, "", ""
	t.HubSpot.Expires = time.Time{}
	t.Aloware.State, t.Aloware.Token = tenant.Disconnected, ""
	return s.save(ctx, t)
}

// Test is what both systems say when they are called.
type Test struct {
	HubSpot, Aloware error // nil when all is well
	Portal           hubspot.Account
	Limit            hubspot.PropertyLimit
}

// Try calls both systems.
func (s *Tenants) Try(ctx context.Context, id contact.Tenant) (Test, error) {
	t, err := s.Get(id)
	if err != nil {
		return Test{}, err
	}
	var test Test
	portal := s.config.Portal(t)
	if test.Portal, test.HubSpot = portal.Account(ctx); test.HubSpot == nil {
		test.Limit, test.HubSpot = portal.PropertyLimit(ctx)
	}
	account, err := s.config.Account(t)
	if err == nil {
		_, err = account.Users(ctx)
	}
	test.Aloware = err
	if err := s.answers(ctx, t, test.HubSpot == nil, test.Aloware == nil); err != nil {
		return Test{}, err
	}
	if test.HubSpot != nil {
		test.HubSpot = said("HubSpot", test.HubSpot)
	}
	if test.Aloware != nil {
		test.Aloware = said("Aloware", test.Aloware)
	}
	return test, nil
}
