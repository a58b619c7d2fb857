package hubspotsim

import (
	"strconv"
	"sync"
)

// writeStatistics counts what the API changed.
type writeStatistics struct {
	// Calls is the number of effective contact writes: contacts created,
	// changed or deleted, one by one or in a batch.
	Calls int64 `json:"contacts"`
	// Values is the number of property values that were really changed.
	Values int64 `json:"values"`
	// Idle is the number of contact writes that changed nothing.
	Idle int64 `json:"without_change"`
}

// sizes is a histogram of the contacts per batch call.
type sizes struct {
	Calls     int64            `json:"calls"`
	Contacts  int64            `json:"contacts"`
	Mean      float64          `json:"mean"`
	Histogram map[string]int64 `json:"histogram"`
}

// statistics counts since the start or the last reset. mu guards every field.
type statistics struct {
	mu       sync.Mutex
	byRoute  map[string]map[string]int64
	byStatus map[string]int64
	batches  map[string]*sizes
	writes   writeStatistics
}

func newStatistics() *statistics {
	s := &statistics{}
	s.reset()
	return s
}

func (s *statistics) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byRoute, s.byStatus, s.batches = map[string]map[string]int64{}, map[string]int64{}, map[string]*sizes{}
	s.writes = writeStatistics{}
}

// answered counts a finished API call. Status 0 is a cut connection.
func (s *statistics) answered(route string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := strconv.Itoa(status)
	if s.byRoute[route] == nil {
		s.byRoute[route] = map[string]int64{}
	}
	s.byRoute[route][code]++
	s.byStatus[code]++
}

// wrote counts one contact write with the number of values that it changed.
func (s *statistics) wrote(values int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes.Calls++
	s.writes.Values += int64(values)
}

// idle counts a contact write that changed nothing.
func (s *statistics) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes.Idle++
}

// batch counts the inputs of a batch call.
func (s *statistics) batch(operation string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.batches[operation]
	if b == nil {
		b = &sizes{Histogram: map[string]int64{}}
		s.batches[operation] = b
	}
	b.Calls++
	b.Contacts += int64(n)
	b.Histogram[strconv.Itoa(n)]++
}

func (s *statistics) save(to *savedStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to.Writes = s.writes
}

func (s *statistics) restore(from *savedStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = from.Writes
}

// report gives the counters in the form of GET /_sim/stats.
func (s *Sim) report() map[string]any {
	s.stats.mu.Lock()
	routes, statuses, batches := map[string]map[string]int64{}, map[string]int64{}, map[string]sizes{}
	for route, codes := range s.stats.byRoute {
		routes[route] = map[string]int64{}
		for code, n := range codes {
			routes[route][code] = n
		}
	}
	for code, n := range s.stats.byStatus {
		statuses[code] = n
	}
	for op, b := range s.stats.batches {
		c := sizes{Calls: b.Calls, Contacts: b.Contacts, Mean: float64(b.Contacts) / float64(b.Calls), Histogram: map[string]int64{}}
		for size, n := range b.Histogram {
			c.Histogram[size] = n
		}
		batches[op] = c
	}
	writes := s.stats.writes
	s.stats.mu.Unlock()

	l := s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[string]any{
		"requests": l.total, "throttled": l.throttled, "by_route": routes, "by_status": statuses,
		"max_in_window": l.maxWindow, "window_limit": l.limit, "daily_limit": l.daily, "today": l.today,
		"max_searches_per_second": l.maxSearch, "search_limit": searchLimit,
		"contacts_per_batch": batches, "writes": writes, "webhooks": s.hooks.report(),
	}
}
