package hubspotsim

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// window is the length of the rolling limit in milliseconds.
const window = 10_000

// searchLimit is the number of searches an account may make in a second.
const searchLimit = 5

// limiter counts calls in true sliding windows. mu guards every field.
type limiter struct {
	mu         sync.Mutex
	limit      int
	daily      int
	seen       []int64 // every call of the last 10 s, refused ones included
	admitted   []int64
	searches   []int64 // admitted ones of the last second
	searchSeen []int64
	day        string
	today      int
	maxWindow  int
	maxSearch  int
	total      int64
	throttled  int64
	zone       *time.Location
}

// savedStats is what of the counters compaction keeps.
type savedStats struct {
	MaxWindow int             `json:"w,omitempty"`
	MaxSearch int             `json:"s,omitempty"`
	Total     int64           `json:"n,omitempty"`
	Throttled int64           `json:"x,omitempty"`
	Day       string          `json:"day,omitempty"`
	Today     int             `json:"today,omitempty"`
	Seen      []int64         `json:"seen,omitempty"`
	Admitted  []int64         `json:"admitted,omitempty"`
	Reset     bool            `json:"reset,omitempty"`
	Writes    writeStatistics `json:"writes"`
}

func newLimiter(limit, daily int) *limiter {
	zone, err := time.LoadLocation(accountZone)
	if err != nil {
		zone = time.UTC // a machine without zone data still works, with midnight UTC
	}
	return &limiter{limit: limit, daily: daily, zone: zone}
}

// verdict is the outcome of counting one call.
type verdict struct {
	refusal         *failure
	mark            string // for the journal
	max, left       int
	daily, leftDays int
}

// admit counts a call at a time and says whether it may go on.
func (l *limiter) admit(ms int64, search bool, group string) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count(ms, search, group)
}

func (l *limiter) count(ms int64, search bool, group string) verdict {
	l.total++
	l.turn(ms)
	v := verdict{mark: "a", max: l.limit, daily: l.daily}
	if search {
		v.mark = "s"
		l.searchSeen = append(since(l.searchSeen, ms-1000), ms)
		l.maxSearch = max(l.maxSearch, len(l.searchSeen))
		l.searches = since(l.searches, ms-1000)
		if len(l.searches) >= searchLimit {
			v.mark, v.refusal = "y", secondlyLimit()
		} else if l.today >= l.daily {
			v.mark, v.refusal = "y", dailyLimit()
		} else {
			l.searches = append(l.searches, ms)
			l.today++
		}
	} else {
		l.seen = append(since(l.seen, ms-window), ms)
		l.maxWindow = max(l.maxWindow, len(l.seen))
		l.admitted = since(l.admitted, ms-window)
		if len(l.admitted) >= l.limit {
			v.mark, v.refusal = "x", windowLimit(group)
		} else if l.today >= l.daily {
			v.mark, v.refusal = "x", dailyLimit()
		} else {
			l.admitted = append(l.admitted, ms)
			l.today++
		}
		v.left = max(0, l.limit-len(l.admitted))
	}
	if v.refusal != nil {
		l.throttled++
	}
	v.leftDays = max(0, l.daily-l.today)
	return v
}

// turn starts a new day at midnight of the account's zone.
func (l *limiter) turn(ms int64) {
	if day := time.UnixMilli(ms).In(l.zone).Format(time.DateOnly); day != l.day {
		l.day, l.today = day, 0
	}
}

// since drops the times that are at or before a limit. Times are ascending
// but for a clock that was set back, which the next calls heal.
func since(list []int64, limit int64) []int64 {
	n := 0
	for n < len(list) && list[n] <= limit {
		n++
	}
	return list[n:]
}

// replay counts a call of the journal without judging it again.
func (l *limiter) replay(ms int64, mark string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(ms)
	l.total++
	switch mark {
	case "s", "y":
		l.searchSeen = append(since(l.searchSeen, ms-1000), ms)
		l.maxSearch = max(l.maxSearch, len(l.searchSeen))
	default:
		l.seen = append(since(l.seen, ms-window), ms)
		l.maxWindow = max(l.maxWindow, len(l.seen))
	}
	switch mark {
	case "a":
		l.admitted = append(since(l.admitted, ms-window), ms)
		l.today++
	case "s":
		l.searches = append(since(l.searches, ms-1000), ms)
		l.today++
	default:
		l.throttled++
	}
}

func (l *limiter) save() *savedStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &savedStats{MaxWindow: l.maxWindow, MaxSearch: l.maxSearch, Total: l.total, Throttled: l.throttled, Day: l.day, Today: l.today, Seen: l.seen, Admitted: l.admitted}
}

func (l *limiter) restore(s *savedStats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxWindow, l.maxSearch, l.total, l.throttled = s.MaxWindow, s.MaxSearch, s.Total, s.Throttled
	if !s.Reset {
		l.day, l.today, l.seen, l.admitted = s.Day, s.Today, s.Seen, s.Admitted
	}
}

// headers tells the caller its limits; the daily ones only for static tokens.
func (v verdict) headers(h http.Header, static bool) {
	h.Set("X-HubSpot-RateLimit-Interval-Milliseconds", strconv.Itoa(window))
	h.Set("X-HubSpot-RateLimit-Max", strconv.Itoa(v.max))
	h.Set("X-HubSpot-RateLimit-Remaining", strconv.Itoa(v.left))
	h.Set("X-HubSpot-RateLimit-Secondly", strconv.Itoa(v.max/10))
	h.Set("X-HubSpot-RateLimit-Secondly-Remaining", strconv.Itoa(v.max/10))
	if static {
		h.Set("X-HubSpot-RateLimit-Daily", strconv.Itoa(v.daily))
		h.Set("X-HubSpot-RateLimit-Daily-Remaining", strconv.Itoa(v.leftDays))
	}
}

func windowLimit(group string) *failure {
	return &failure{Status: http.StatusTooManyRequests, Message: "You have reached your ten_secondly_rolling limit.",
		Extra: map[string]any{"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING", "groupName": group}}
}

func dailyLimit() *failure {
	return &failure{Status: http.StatusTooManyRequests, Message: "You have reached your daily limit.",
		Extra: map[string]any{"errorType": "RATE_LIMIT", "policyName": "DAILY", "requestId": correlationID()}}
}

func secondlyLimit() *failure {
	return &failure{Status: http.StatusTooManyRequests, Message: "You have reached your secondly limit.", Category: "RATE_LIMITS"}
}

// limitGroup names the counter of the window in the 429 body.
func limitGroup(portal, app int64) string {
	return fmt.Sprintf("publicapi:private_app-api-calls-ten-secondly:%d:%d", portal, app)
}

func (l *limiter) dailyLimit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.daily
}

// setLimits changes the limits; zero keeps one.
func (l *limiter) setLimits(limit, daily int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit > 0 {
		l.limit = limit
	}
	if daily > 0 {
		l.daily = daily
	}
}

// reset forgets what was counted, but not the present windows.
func (l *limiter) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxWindow, l.maxSearch, l.total, l.throttled = 0, 0, 0, 0
}
