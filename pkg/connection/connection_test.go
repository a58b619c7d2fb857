package connection

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
)

// TestLimitsStayBelowTheCeiling: the owner of a quota has all of the tenant's
// ceiling, and of a day the roles together never more than that; the day ends at the portal's midnight, and equal settings
// give equal limits, so that a budget is not begun anew.
func TestLimitsStayBelowTheCeiling(t *testing.T) {
	t.Parallel()
	one := &tenant.Tenant{HubSpot: tenant.HubSpot{WindowLimit: 190, DailyLimit: 250_000, TimeZone: "US/Eastern"}, Aloware: tenant.Aloware{Rate: 10, Burst: 20}}
	for _, test := range []struct {
		name        string
		ceiling     int
		window      int // of the owner
		daily       int // of all roles together, at most
		rate        float64
		writersRate float64 // at least
	}{
		{"all of it", 0, 190, 250_000, 10, 9.5},
		{"half of it", 50, 95, 125_000, 5, 4.7},
		{"hardly any", 1, 1, 2_500, 0.1, 0.09},
	} {
		one.HubSpot.Ceiling, one.Aloware.Ceiling = test.ceiling, test.ceiling
		var daily int
		for _, share := range []float64{WriterShare, ReaderShare, ConsoleShare} {
			h := Limits(one, contact.HubSpot, share)
			daily += h.Daily
			if h.Zone == nil || h.Zone.String() != "US/Eastern" {
				t.Errorf("%s: the day ends in %v", test.name, h.Zone)
			}
			if again := Limits(one, contact.HubSpot, share); again != h {
				t.Errorf("%s: equal settings give other limits", test.name)
			}
		}
		if daily > test.daily {
			t.Errorf("%s: %d calls a day, want at most %d", test.name, daily, test.daily)
		}
		if h, a := Limits(one, contact.HubSpot, WriterShare), Limits(one, contact.Aloware, WriterShare); h.Max != test.window || a.Rate < test.writersRate || a.Rate > test.rate {
			t.Errorf("%s: the owner has %d in a window and %.2f a second", test.name, h.Max, a.Rate)
		}
	}
	one.HubSpot.TimeZone = "Nowhere/Known"
	if got := Limits(one, contact.HubSpot, WriterShare).Zone; got != nil {
		t.Errorf("an unknown time zone gives %v, want UTC", got)
	}
}
