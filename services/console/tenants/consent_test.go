package tenants

import (
	"testing"
	"time"

	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
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
