package quota

import (
	"time"
)

// Limits are the limits of one system for one tenant, or a part of them.
type Limits struct {
	// Window and Max allow Max calls in any Window (HubSpot: 10 s). A zero Max
	// means no such limit.
	Window time.Duration
	Max    int
	// Rate and Burst are a bucket: Burst calls at once, refilled by Rate a
	// second (Aloware, assumed). A zero Rate means no such limit.
	Rate  float64
	Burst int
	// Daily is what may be used in a day that ends at midnight in Zone; 0
	// means no such limit, a nil Zone is UTC.
	Daily int
	Zone  *time.Location
	// Searches limits the pool Search, in calls in any second; 0 means that
	// searches count as general calls.
	Searches int
	// Share is the part of a maximum learnt from answers that is ours; 0 means
	// all of it. Max must be our part already.
	Share float64
}

// HubSpot gives the part of HubSpot's limits of one connection that a role may
// use: share 0.9 for the writer, 0.1 for readers. HubSpot allows five searches
// a second to all apps of the account together; the roles use four of them.
func HubSpot(window, daily int, share float64) Limits {
	if window <= 0 {
		window = 100 // the lowest limit of any account
	}
	limits := Limits{Window: 10 * time.Second, Max: max(1, int(float64(window)*share)), Searches: max(1, int(4*share)), Share: share}
	if daily > 0 {
		limits.Daily = max(1, int(float64(daily)*share))
	}
	return limits
}

// Aloware gives the part of Aloware's assumed bucket that a role may use. A
// margin is kept, because two machines' clocks do not run alike.
func Aloware(rate float64, burst int, share float64) Limits {
	const margin = 0.99
	if rate <= 0 {
		rate = 5
	}
	if burst <= 0 {
		burst = 10
	}
	return Limits{Rate: rate * share * margin, Burst: max(1, int(float64(burst)*share))}
}
