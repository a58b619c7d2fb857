package tenants

import (
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// TestCredentialsThatAreRefusedAgainAreOver: not at the first refusal, nor by
// several calls at once; new credentials begin anew, and those that can be
// renewed are not judged here.
func TestCredentialsThatAreRefusedAgainAreOver(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	connected := func(token, refresh tenant.Secret) []*tenant.Tenant {
		return []*tenant.Tenant{{
			ID: "acme", HubSpot: tenant.HubSpot{AccessToken: token, RefreshToken: refresh, State: tenant.Connected}, Aloware: tenant.Aloware{Token: token, State: tenant.Connected},
		}}
	}
	pause := func(class fault.Class, after time.Duration) []postgres.Pause {
		return []postgres.Pause{{Tenant: "acme", Class: class.String(), Until: now.Add(after)}}
	}
	type look struct {
		tenants []*tenant.Tenant
		pauses  []postgres.Pause
	}
	first, again := pause(fault.Unauthorized, time.Minute), pause(fault.Unauthorized, 2*time.Minute)
	for _, c := range []struct {
		name string
		// both systems are looked at, want is of both
		looks []look
		want  bool
	}{
		{"once", []look{{connected("a", ""), first}, {connected("a", ""), first}, {connected("a", ""), nil}}, false},
		{"several at once", []look{{connected("a", ""), first}, {connected("a", ""), pause(fault.Unauthorized, 62*time.Second)}}, false},
		{"again", []look{{connected("a", ""), first}, {connected("a", ""), nil}, {connected("a", ""), again}}, true},
		{"new credentials", []look{{connected("a", ""), first}, {connected("b", ""), again}}, false},
		{"an outage", []look{{connected("a", ""), pause(fault.Transient, time.Minute)}, {connected("a", ""), pause(fault.Transient, 2*time.Minute)}}, false},
	} {
		for _, system := range contact.Systems {
			seen, over := refusals{}, 0
			for _, l := range c.looks {
				over += len(seen.heard(system, l.tenants, l.pauses))
			}
			if (over == 1) != c.want || over > 1 {
				t.Errorf("%s, %v: over %d times", c.name, system, over)
			}
		}
	}
	seen := refusals{}
	for _, pauses := range [][]postgres.Pause{first, again} {
		if over := seen.heard(contact.HubSpot, connected("a", "refresh"), pauses); len(over) > 0 {
			t.Error("a token that can be renewed is over")
		}
	}
}
