package connection

import (
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
)

// TestLimitsStayBelowTheCeiling: the roles together never have more than the
// tenant's ceiling, the day ends at the portal's midnight, and equal settings
// give equal limits, so that a budget is not begun anew.
func TestLimitsStayBelowTheCeiling(t *testing.T) {
	t.Parallel()
	one := &tenant.Tenant{HubSpot: tenant.HubSpot{WindowLimit: 190, DailyLimit: 250_000, TimeZone: "US/Eastern"}, Aloware: tenant.Aloware{Rate: 10, Burst: 20}}
	for _, test := range []struct {
		name        string
		ceiling     int
		window      int // of all roles together, at most
		daily       int
		rate        float64
		writers     int // calls in a window, at least
		writersRate float64
	}{
		{"all of it", 0, 190, 250_000, 10, 171, 8.5},
		{"half of it", 50, 95, 125_000, 5, 85, 4.2},
		{"hardly any", 1, 3, 2_500, 0.1, 1, 0.08},
	} {
		one.HubSpot.Ceiling, one.Aloware.Ceiling = test.ceiling, test.ceiling
		var window, daily int
		var rate float64
		for _, share := range []float64{WriterShare, ReaderShare, ConsoleShare} {
			h, a := Limits(one, contact.HubSpot, share), Limits(one, contact.Aloware, share)
			window, daily, rate = window+h.Max, daily+h.Daily, rate+a.Rate
			if h.Zone == nil || h.Zone.String() != "US/Eastern" {
				t.Errorf("%s: the day ends in %v", test.name, h.Zone)
			}
			if again := Limits(one, contact.HubSpot, share); again != h {
				t.Errorf("%s: equal settings give other limits", test.name)
			}
		}
		if window > test.window || daily > test.daily || rate > test.rate {
			t.Errorf("%s: %d calls in a window, %d a day, %.2f a second; want at most %d, %d, %.2f", test.name, window, daily, rate, test.window, test.daily, test.rate)
		}
		if h, a := Limits(one, contact.HubSpot, WriterShare), Limits(one, contact.Aloware, WriterShare); h.Max < test.writers || a.Rate < test.writersRate {
			t.Errorf("%s: writers have %d in a window and %.2f a second", test.name, h.Max, a.Rate)
		}
	}
	one.HubSpot.TimeZone = "Nowhere/Known"
	if got := Limits(one, contact.HubSpot, WriterShare).Zone; got != nil {
		t.Errorf("an unknown time zone gives %v, want UTC", got)
	}
}
