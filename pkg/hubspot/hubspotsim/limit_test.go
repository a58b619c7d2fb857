package hubspotsim

import (
	"sync"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestWindowSlidesOverTenSeconds(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, Config{WindowLimit: 4, Now: c.now})
	get := func(status int) answer { t.Helper(); return b.do("GET", contactsPath, nil).want(t, status) }
	get(200)
	get(200)
	c.move(6 * time.Second)
	get(200)
	if a := get(200); a.header.Get("X-HubSpot-RateLimit-Remaining") != "0" || a.header.Get("X-HubSpot-RateLimit-Max") != "4" || a.header.Get("X-HubSpot-RateLimit-Daily-Remaining") != "624996" {
		t.Errorf("headers %v", a.header)
	}
	a := get(429)
	if a.at("policyName") != "TEN_SECONDLY_ROLLING" || a.at("message") != "You have reached your ten_secondly_rolling limit." || a.at("groupName") != "publicapi:private_app-api-calls-ten-secondly:2002:1001" {
		t.Errorf("body %s", a.text)
	}
	c.move(4 * time.Second) // the first two are 10 s old now, the later two are not
	get(200)
	get(200)
	get(429)
	s := b.do("GET", "/_sim/stats", nil)
	if s.at("max_in_window") != 6.0 || s.at("throttled") != 2.0 || s.at("requests") != 8.0 {
		t.Errorf("stats %s", s.text)
	}
}

func TestDailyLimitTurnsAtMidnightOfTheAccount(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, Config{DailyLimit: 1, Now: c.now})
	b.do("GET", contactsPath, nil).want(t, 200)
	if a := b.do("GET", contactsPath, nil).want(t, 429); a.at("policyName") != "DAILY" {
		t.Errorf("got %s", a.text)
	}
	c.move(16 * time.Hour) // 23:00 in New York
	b.do("GET", contactsPath, nil).want(t, 429)
	c.move(time.Hour)
	b.do("GET", contactsPath, nil).want(t, 200)
}

func TestSearchHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, Config{Now: c.now})
	for range 5 {
		if a := b.do("POST", contactsPath+"/search", "{}").want(t, 200); a.header.Get("X-HubSpot-RateLimit-Max") != "" {
			t.Error("a search answer carried rate headers")
		}
	}
	if a := b.do("POST", contactsPath+"/search", "{}").want(t, 429); a.at("message") != "You have reached your secondly limit." || a.at("category") != "RATE_LIMITS" {
		t.Errorf("got %s", a.text)
	}
	c.move(time.Second)
	b.do("POST", contactsPath+"/search", "{}").want(t, 200)
	if s := b.do("GET", "/_sim/stats", nil); s.at("max_in_window") != 0.0 || s.at("max_searches_per_second") != 6.0 {
		t.Errorf("stats %s", s.text)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	faults := func(text string, status int) answer {
		t.Helper()
		return b.do("POST", "/_sim/faults", text).want(t, status)
	}
	faults(`[{"path":"/crm/objects/","status":477,"count":1}]`, 200)
	if a := b.do("GET", contactsPath, nil).want(t, 477); a.header.Get("Retry-After") == "" {
		t.Error("477 came without Retry-After")
	}
	b.do("GET", contactsPath, nil).want(t, 200)
	faults(`[{"path":"/crm/*/contacts","method":"POST","drop_response":true,"count":1}]`, 200)
	if a := b.do("POST", contactsPath, `{"properties":{"email":"a@example.com"}}`); a.status != 0 {
		t.Errorf("the connection was not cut: %d", a.status)
	}
	b.do("GET", contactsPath+"/a@example.com?idProperty=email", nil).want(t, 200)
	faults(`[{"path":"/","truncate":true,"count":1}]`, 200)
	if a := b.do("GET", contactsPath, nil); a.body != nil {
		t.Errorf("the answer was whole: %s", a.text)
	}
	faults(`[{"path":"/","status":502,"rate":0}]`, 200)
	b.do("GET", contactsPath, nil).want(t, 200)
	for _, wrong := range []string{`{}`, `[{"status":200}]`, `[{"rate":2}]`, `[{"paht":"/"}]`} {
		if a := faults(wrong, 400); a.at("error") == nil {
			t.Errorf("%s gave %s", wrong, a.text)
		}
	}
	if s := b.do("GET", "/_sim/stats", nil); s.at("requests") != 6.0 {
		t.Errorf("faulted calls are not counted: %s", s.text)
	}
}

func TestHits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/crm/", "/crm/v3/x", true}, {"/crm/", "/oauth", false}, {"*/batch/*", "/a/batch/read", true},
		{"*/batch/read", "/a/batch/update", false}, {"/a*c*e", "/abcde", true}, {"/a*c*e", "/abce f", false}, {"*", "/x", true},
	} {
		if got := hits(c.pattern, c.path); got != c.want {
			t.Errorf("hits(%q, %q) = %t", c.pattern, c.path, got)
		}
	}
}
