package tenants

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// TestCredentialsThatAreRefusedAgainAreOver: not at the first refusal; new
// credentials begin anew, and those that can be renewed are not judged here.
func TestCredentialsThatAreRefusedAgainAreOver(t *testing.T) {
	t.Parallel()
	connected := func(token, refresh tenant.Secret) *tenant.Tenant {
		return &tenant.Tenant{
			ID: "acme", HubSpot: tenant.HubSpot{AccessToken: token, RefreshToken: refresh, State: tenant.Connected}, Aloware: tenant.Aloware{Token: token, State: tenant.Connected},
		}
	}
	marked := connected("a", "")
	marked.HubSpot.State, marked.Aloware.State = tenant.Unauthorized, tenant.Unauthorized
	for _, c := range []struct {
		name     string
		now      *tenant.Tenant
		class    fault.Class
		refusals int
		want     bool
	}{
		{"once", connected("a", ""), fault.Unauthorized, 1, false},
		{"again", connected("a", ""), fault.Unauthorized, 2, true},
		{"and again", connected("a", ""), fault.Unauthorized, 3, true},
		{"new credentials", connected("b", ""), fault.Unauthorized, 2, false},
		{"an outage", connected("a", ""), fault.Transient, 2, false},
		{"marked already", marked, fault.Unauthorized, 3, false},
	} {
		for _, system := range contact.Systems {
			pauses := []postgres.Pause{{
				Tenant: "acme", System: system, Class: c.class.String(), Refusals: c.refusals, Credential: connected("a", "").Credential(system).Fingerprint(),
			}}
			if got := over(system, []*tenant.Tenant{c.now}, pauses); (len(got) == 1) != c.want {
				t.Errorf("%s, %v: over is %t", c.name, system, len(got) == 1)
			}
		}
	}
	renewable := connected("a", "refresh")
	pauses := []postgres.Pause{{Tenant: "acme", Class: fault.Unauthorized.String(), Refusals: 2, Credential: renewable.Credential(contact.HubSpot).Fingerprint()}}
	if len(over(contact.HubSpot, []*tenant.Tenant{renewable}, pauses)) > 0 {
		t.Error("a token that can be renewed is over")
	}
}
