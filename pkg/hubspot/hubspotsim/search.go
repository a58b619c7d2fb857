package hubspotsim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// The limits of a search.
const (
	maxGroups       = 5
	maxFilters      = 6
	maxAllFilters   = 18
	maxSearchPage   = 200
	maxSearchResult = 10_000
	maxSearchBody   = 3_000
)

// loose is a number that may also come as text.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	*l = loose(strings.Trim(string(b), `"`))
	if *l == "null" {
		*l = ""
	}
	return nil
}

type searchRequest struct {
	Groups     []filterGroup     `json:"filterGroups"`
	Filters    []filter          `json:"filters"`
	Sorts      []json.RawMessage `json:"sorts"`
	Query      string            `json:"query"`
	Properties []string          `json:"properties"`
	Limit      loose             `json:"limit"`
	After      loose             `json:"after"`
}

type filterGroup struct {
	Filters []filter `json:"filters"`
}

type filter struct {
	Property string  `json:"propertyName"`
	Operator string  `json:"operator"`
	Value    loose   `json:"value"`
	Values   []loose `json:"values"`
	High     loose   `json:"highValue"`
}

// search answers POST .../search.
func (s *Sim) search(q *call) {
	var req searchRequest
	if f := q.decode(&req); f != nil {
		q.fail(f)
		return
	}
	if len(q.body) > maxSearchBody {
		q.fail(notValid("The search request is %d characters long, the maximum is %d", len(q.body), maxSearchBody))
		return
	}
	st := s.store
	st.mu.Lock() // the view folds versions in
	defer st.mu.Unlock()
	found, total, next, f := st.search(&req, s.nowMS())
	if f != nil {
		q.fail(f)
		return
	}
	results := make([]any, len(found))
	want := st.wanted(req.Properties, nil)
	for i, c := range found {
		results[i] = st.render(c, want, nil)
	}
	out := map[string]any{"total": total, "results": results}
	if next != "" {
		out["paging"] = map[string]any{"next": map[string]string{"after": next}}
	}
	writeJSON(q.w, http.StatusOK, out)
}

func (st *store) search(req *searchRequest, now int64) (found []*contact, total int, next string, f *failure) {
	limit, after := 10, 0
	var err error
	if req.Limit != "" {
		if limit, err = strconv.Atoi(string(req.Limit)); err != nil || limit < 0 || limit > maxSearchPage {
			return nil, 0, "", notValid("limit must be between 0 and %d, not %s", maxSearchPage, req.Limit)
		}
	}
	if req.After != "" {
		if after, err = strconv.Atoi(string(req.After)); err != nil || after < 0 {
			return nil, 0, "", notValid("after must be an offset, not %s", req.After)
		}
	}
	if after+limit > maxSearchResult {
		return nil, 0, "", notValid("paging beyond %d results is not supported", maxSearchResult)
	}
	match, f := st.compile(req)
	if f != nil {
		return nil, 0, "", f
	}
	order, f := st.sorting(req.Sorts)
	if f != nil {
		return nil, 0, "", f
	}
	view, floor := st.index.view(now), st.floor(req)
	end := after + limit
	var first []*contact // the first of what matches, as far as the page
	for _, c := range st.candidates(req, view) {
		if c.updated < floor { // and so is what search sees of it
			continue
		}
		if len(view) > 0 {
			if seen, lags := view[c.id]; lags {
				c = seen
			}
		}
		if c == nil || c.state != active || !match(c) {
			continue
		}
		total++
		at := len(first)
		if order != nil && at > 0 && order(first[at-1], c) > 0 {
			at = sort.Search(at, func(i int) bool { return order(first[i], c) > 0 })
		}
		if at < end {
			first = slices.Insert(first, at, c)
			first = first[:min(len(first), end)]
		}
	}
	if end < total && end > after {
		next = strconv.Itoa(end)
	}
	return first[min(after, len(first)):], total, next, nil
}

// floor is when a contact must have changed last to be found, where the request
// asks for it in its only group: a portal of many contacts is polled for few.
func (st *store) floor(req *searchRequest) int64 {
	if len(req.Groups) != 1 || len(req.Filters) > 0 {
		return 0
	}
	for _, f := range req.Groups[0].Filters {
		_, d, known := st.schema.active(f.Property)
		if !known || f.Property != "lastmodifieddate" || !slices.Contains([]string{"EQ", "GT", "GTE"}, f.Operator) {
			continue
		}
		if low, ok := filterNumber(d, string(f.Value)); ok {
			return int64(low)
		}
	}
	return 0
}

// candidates narrows the walk when the only group asks for one e-mail or id:
// that contact, and those that search sees otherwise than the store.
func (st *store) candidates(req *searchRequest, view map[int64]*contact) []*contact {
	if len(req.Groups) != 1 || len(req.Filters) > 0 {
		return st.order
	}
	for _, f := range req.Groups[0].Filters {
		if f.Operator != "EQ" || (f.Property != "email" && f.Property != "hs_object_id") {
			continue
		}
		var out []*contact
		for id := range view {
			out = append(out, &contact{id: id, state: gone})
		}
		c := st.lookup(st.schema.email, string(f.Value))
		if f.Property == "hs_object_id" {
			id, _ := strconv.ParseInt(string(f.Value), 10, 64) // an id that is no number is nobody's
			c = st.byID[id]
		}
		if c != nil && !slices.ContainsFunc(out, func(o *contact) bool { return o.id == c.id }) {
			out = append(out, c)
		}
		slices.SortFunc(out, func(a, b *contact) int { return cmp.Compare(a.id, b.id) })
		return out
	}
	return st.order
}

// sorting makes the comparison that the request asks for; nil is by creation.
func (st *store) sorting(raw []json.RawMessage) (func(a, b *contact) int, *failure) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) > 1 {
		return nil, notValid("Only one sort is supported, not %d", len(raw))
	}
	var full struct {
		Property  string `json:"propertyName"`
		Direction string `json:"direction"`
	}
	var short string
	if json.Unmarshal(raw[0], &short) == nil {
		full.Property = strings.TrimPrefix(short, "-")
		if full.Property != short {
			full.Direction = "DESCENDING"
		}
	} else if err := json.Unmarshal(raw[0], &full); err != nil {
		return nil, notValid("The sort %s is neither a name nor an object with propertyName and direction", raw[0])
	}
	p, d, ok := st.schema.active(full.Property)
	if !ok {
		return nil, notValid("There is no property %q to sort by", full.Property)
	}
	sign := 1
	if full.Direction == "DESCENDING" {
		sign = -1
	}
	numeric := st.numeric(p, d)
	return func(a, b *contact) int {
		if numeric != nil {
			x, okX := numeric(a)
			y, okY := numeric(b)
			if okX && okY {
				return sign * cmp.Compare(x, y)
			}
			return unset(okX, okY)
		}
		x, y := st.text(a, p), st.text(b, p)
		if x == "" || y == "" {
			return unset(x != "", y != "")
		}
		return sign * cmp.Compare(strings.ToLower(x), strings.ToLower(y))
	}, nil
}

// unset puts contacts without a value last.
func unset(a, b bool) int {
	switch {
	case a && !b:
		return -1
	case b && !a:
		return 1
	}
	return 0
}

// numeric reads a property as a number for comparison, nil when it is text.
func (st *store) numeric(p propID, d *definition) func(*contact) (float64, bool) {
	switch d.Name {
	case "createdate":
		return func(c *contact) (float64, bool) { return float64(c.created), true }
	case "lastmodifieddate":
		return func(c *contact) (float64, bool) { return float64(c.updated), true }
	case "hs_object_id":
		return func(c *contact) (float64, bool) { return float64(c.id), true }
	}
	switch d.Type {
	case "number":
		return func(c *contact) (float64, bool) {
			n, err := strconv.ParseFloat(st.text(c, p), 64)
			return n, err == nil
		}
	case "date", "datetime":
		return func(c *contact) (float64, bool) {
			text := st.text(c, p)
			if text == "" {
				return 0, false
			}
			ms, ok := parseTime(text)
			return float64(ms), ok
		}
	}
	return nil
}
