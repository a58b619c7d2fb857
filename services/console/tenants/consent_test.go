package tenants

import (
	"context"
	"errors"
	"testing"
	"time"

	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/tenant"
)

// TestTokensAreRenewedInTime: ahead of their end, and at once when a lane was
// refused with one, but not for ever and not for a connection that has ended.
func TestTokensAreRenewedInTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	refused := []postgres.Pause{{Tenant: "a", Class: fault.Unauthorized.String()}}
	other := []postgres.Pause{{Tenant: "b", Class: fault.Unauthorized.String()}, {Tenant: "a", Class: fault.Transient.String()}}
	for _, test := range []struct {
		name    string
		token   tenant.Secret
		state   tenant.State
		expires time.Duration
		pauses  []postgres.Pause
		tried   time.Duration // ago
		want    bool
	}{
		{"it lives long", "r", tenant.Connected, 6 * time.Minute, nil, time.Hour, false},
		{"its end is near", "r", tenant.Connected, 4 * time.Minute, nil, time.Hour, true},
		{"its end is past", "r", tenant.Connected, -time.Hour, nil, time.Hour, true},
		{"its end is near, just tried", "r", tenant.Connected, 4 * time.Minute, nil, time.Second, false},
		{"it was refused", "r", tenant.Connected, time.Hour, refused, time.Hour, true},
		{"it was refused, tried not long ago", "r", tenant.Connected, time.Hour, refused, 30 * time.Second, false},
		{"another's was refused", "r", tenant.Connected, time.Hour, other, time.Hour, false},
		{"a static token", "", tenant.Connected, -time.Hour, refused, time.Hour, false},
		{"disconnected", "r", tenant.Disconnected, -time.Hour, nil, time.Hour, false},
		{"revoked", "r", tenant.Unauthorized, -time.Hour, refused, time.Hour, false},
	} {
		one := &tenant.Tenant{ID: "a", HubSpot: tenant.HubSpot{RefreshToken: test.token, State: test.state, Expires: now.Add(test.expires)}}
		if got := due(one, test.pauses, now.Add(-test.tried), now); got != test.want {
			t.Errorf("%s: due is %v, want %v", test.name, got, test.want)
		}
	}
}

// TestAConsentNeedsAnAddressToComeBackTo, and an app; the page that begins it
// names the only app that there is.
func TestAConsentNeedsAnAddressToComeBackTo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, console string
		apps          []tenant.App
		app           int64
		rule, want    string
	}{
		{"no address", "", []tenant.App{{AppID: 7}}, 7, "unavailable", ""},
		{"no app", "https://console.example", nil, 0, "not_found", ""},
		{"another app", "https://console.example", []tenant.App{{AppID: 7}}, 8, "not_found", ""},
		{"which of two", "https://console.example", []tenant.App{{AppID: 7}, {AppID: 8}}, 0, "invalid", ""},
		{"the only one", "https://console.example", []tenant.App{{AppID: 7}}, 0, "", "https://console.example/tenants/acme/hubspot-consent?app=7"},
		{"one of two", "https://console.example", []tenant.App{{AppID: 7}, {AppID: 8}}, 8, "", "https://console.example/tenants/acme/hubspot-consent?app=8"},
	} {
		known, err := roster.Open(t.Context(), func(context.Context) (postgres.Config, error) {
			return postgres.Config{Revision: 1, Tenants: []tenant.Tenant{{ID: "acme"}}, Apps: test.apps}, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		page, redirect, err := New(Config{Roster: known, ConsoleURL: test.console}).ConsentPage("acme", test.app)
		var refused *mapping.Refusal
		rule := ""
		if errors.As(err, &refused) {
			rule = string(refused.Rule)
		}
		if page != test.want || rule != test.rule || err == nil && redirect != "https://console.example/hubspot/callback" {
			t.Errorf("%s gives %q, %q, %v", test.name, page, redirect, err)
		}
	}
}
