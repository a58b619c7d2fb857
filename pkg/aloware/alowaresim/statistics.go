package alowaresim

import "strconv"

// statistics count since the account began or since the last reset. They
// survive a restart with the journal.
type statistics struct {
	// Requests are the API calls, refused ones included.
	Requests int64 `json:"requests"`
	// ByRoute counts answers by method and path, and status. Status 0 is a cut
	// connection.
	ByRoute  map[string]map[string]int64 `json:"by_route"`
	ByStatus map[string]int64            `json:"by_status"`
	// Throttled are the answers with status 429.
	Throttled int64 `json:"throttled"`
	// Overruns are the calls for which the bucket was empty.
	Overruns int64 `json:"bucket_overruns"`
	// Max is the most calls that came in any window.
	Max struct {
		Second     int `json:"1s"`
		TenSeconds int `json:"10s"`
	} `json:"max_in_window"`
	// Writes are those of the API.
	Writes struct {
		Contacts int64 `json:"contacts"`       // writes that changed a contact
		Values   int64 `json:"values"`         // field values that were really changed
		Idle     int64 `json:"without_change"` // writes that changed nothing
	} `json:"writes"`
	Webhooks struct {
		Sent       int64 `json:"sent"` // answered with 2xx
		Failed     int64 `json:"failed"`
		Dropped    int64 `json:"dropped"`
		Duplicated int64 `json:"duplicated"`
		Pending    int   `json:"pending"`
	} `json:"webhooks"`
	// IgnoredKeys are keys of writes that mean nothing to Aloware.
	IgnoredKeys map[string]int64 `json:"ignored_keys"`
}

func newStatistics() statistics {
	return statistics{ByRoute: map[string]map[string]int64{}, ByStatus: map[string]int64{}, IgnoredKeys: map[string]int64{}}
}

// answered counts an answer; status 0 is a cut connection.
func (st *statistics) answered(route string, status int) {
	code := strconv.Itoa(status)
	if st.ByRoute[route] == nil {
		st.ByRoute[route] = map[string]int64{}
	}
	st.ByRoute[route][code]++
	st.ByStatus[code]++
	if status == 429 {
		st.Throttled++
	}
}

// wrote counts a write of the API with the number of values it changed.
func (st *statistics) wrote(values int) {
	if values == 0 {
		st.Writes.Idle++
		return
	}
	st.Writes.Contacts++
	st.Writes.Values += int64(values)
}

// delivered counts an attempt.
func (st *statistics) delivered(ok bool) {
	if ok {
		st.Webhooks.Sent++
	} else {
		st.Webhooks.Failed++
	}
}
