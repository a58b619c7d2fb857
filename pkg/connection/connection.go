// Package connection makes the clients of a tenant's two connections out of
// its configuration. It calls nothing itself.
package connection

import (
	"net/http"
	"sync"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
)

// The parts of a system's limits. The owner of the lane has all of it, and gives
// to all who ask it; the others are what a reader and a console have for
// themselves while there is no owner (package grant).
const (
	WriterShare  = 1
	ReaderShare  = 0.01
	ConsoleShare = 0.01
)

// Limits are the part of a system's limits that a role may use, below the
// ceiling that the tenant sets. A day ends at the portal's midnight.
func Limits(t *tenant.Tenant, system contact.System, share float64) quota.Limits {
	if system == contact.HubSpot {
		limits := quota.HubSpot(t.HubSpot.WindowLimit, t.HubSpot.DailyLimit, share*part(t.HubSpot.Ceiling))
		if share == WriterShare && limits.Daily > 0 {
			// What readers had for themselves in a day's gaps counts in that day.
			limits.Daily = max(1, int(float64(limits.Daily)*(1-ReaderShare-ConsoleShare)))
		}
		limits.Zone = zone(t.HubSpot.TimeZone)
		return limits
	}
	return quota.Aloware(t.Aloware.Rate, t.Aloware.Burst, share*part(t.Aloware.Ceiling))
}

func part(percent int) float64 {
	if percent <= 0 || percent > 100 {
		return 1
	}
	return float64(percent) / 100
}

// zones are the time zones that were asked for: equal limits must be equal
// values.
var zones sync.Map

// zone is a time zone by its IANA name, nil (UTC) for one that is not known
// here.
func zone(name string) *time.Location {
	if name == "" {
		return nil
	}
	known, ok := zones.Load(name)
	if !ok {
		loaded, err := time.LoadLocation(name)
		if err != nil {
			loaded = nil
		}
		known, _ = zones.LoadOrStore(name, loaded)
	}
	return known.(*time.Location)
}

// HubSpot makes a client of the tenant's portal; a nil http is the adapter's
// default.
func HubSpot(t *tenant.Tenant, budget quota.Budget, client *http.Client) *hubspot.Client {
	return hubspot.NewClient(hubspot.ClientConfig{
		BaseURL: t.HubSpot.BaseURL, Token: hubspot.StaticToken(t.HubSpot.AccessToken.Reveal()), Budget: budget, HTTP: client, AppID: t.HubSpot.AppID,
	})
}

// Aloware makes a client of the tenant's account.
func Aloware(t *tenant.Tenant, budget quota.Budget, client *http.Client) (*aloware.Client, error) {
	return aloware.NewClient(aloware.ClientConfig{
		BaseURL: t.Aloware.BaseURL, Token: t.Aloware.Token.Reveal(), Budget: budget, HTTP: client, Profile: aloware.Profile(t.Aloware.Profile),
	})
}
