package hubspotsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// queried are the properties that the free text of a search looks into.
var queried = []string{"firstname", "lastname", "email", "phone", "hs_additional_emails", "fax", "mobilephone", "company", "hs_marketable_until_renewal"}

// compile checks the filters of a search and makes one test of them.
func (st *store) compile(req *searchRequest) (func(*contact) bool, *failure) {
	groups := req.Groups
	if len(req.Filters) > 0 {
		groups = append(slices.Clone(groups), filterGroup{Filters: req.Filters})
	}
	if len(groups) > maxGroups {
		return nil, notValid("too many filter groups (count: %d, max allowed: %d)", len(groups), maxGroups)
	}
	all := 0
	var tests [][]func(*contact) bool
	for _, g := range groups {
		if len(g.Filters) > maxFilters {
			return nil, notValid("too many filters per filter group (count: %d, max allowed: %d)", len(g.Filters), maxFilters)
		}
		all += len(g.Filters)
		var and []func(*contact) bool
		for _, f := range g.Filters {
			t, fail := st.test(f)
			if fail != nil {
				return nil, fail
			}
			and = append(and, t)
		}
		tests = append(tests, and)
	}
	if all > maxAllFilters {
		return nil, notValid("too many filters in total (count: %d, max allowed: %d)", all, maxAllFilters)
	}
	mentions := st.mentions(strings.Fields(strings.ToLower(req.Query)))
	return func(c *contact) bool {
		return mentions(c) && (len(tests) == 0 || slices.ContainsFunc(tests, func(and []func(*contact) bool) bool {
			return !slices.ContainsFunc(and, func(t func(*contact) bool) bool { return !t(c) })
		}))
	}, nil
}

// mentions makes the test whether every word occurs in one of the queried properties.
func (st *store) mentions(words []string) func(*contact) bool {
	among := st.known(queried)
	return func(c *contact) bool {
		for _, word := range words {
			if !slices.ContainsFunc(among, func(p propID) bool { return strings.Contains(strings.ToLower(st.text(c, p)), word) }) {
				return false
			}
		}
		return true
	}
}

// test makes the test of one filter.
func (st *store) test(f filter) (func(*contact) bool, *failure) {
	p, d, ok := st.schema.active(f.Property)
	if !ok {
		// An undefined property was seen to find nothing rather than to fail.
		return func(*contact) bool { return false }, nil
	}
	has := func(c *contact) bool { return st.text(c, p) != "" }
	if f.Operator == "HAS_PROPERTY" {
		return has, nil
	}
	if f.Operator == "NOT_HAS_PROPERTY" {
		return func(c *contact) bool { return !has(c) }, nil
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	fold := func(text string) string { return text }
	if d.Type != "enumeration" {
		fold = strings.ToLower
	}
	switch f.Operator {
	case "IN", "NOT_IN":
		// The values are taken as sent: an upper-case one never matches a string.
		set := map[string]bool{}
		for _, v := range f.Values {
			set[string(v)] = true
		}
		want := f.Operator == "IN"
		return func(c *contact) bool {
			text := st.text(c, p)
			return text != "" && slices.ContainsFunc(parts(d, fold(text)), func(t string) bool { return set[t] }) == want
		}, nil
	case "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN":
		pattern, want := fold(string(f.Value)), f.Operator == "CONTAINS_TOKEN"
		return func(c *contact) bool { return containsToken(fold(st.text(c, p)), pattern) == want }, nil
	}
	return st.comparison(p, d, f, fold)
}

// check finds a filter that has no value or no known operator.
func (f filter) check() *failure {
	missing := func(what string) *failure {
		return notValid("operator %s on property %s needs %s", f.Operator, f.Property, what)
	}
	switch f.Operator {
	case "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN":
		if f.Value == "" {
			return missing("a value")
		}
	case "BETWEEN":
		if f.Value == "" || f.High == "" {
			return missing("value and highValue")
		}
	case "IN", "NOT_IN":
		if len(f.Values) == 0 {
			return missing("values")
		}
	default:
		return notValid("operator %q is unknown", f.Operator)
	}
	return nil
}

// comparison makes the test of EQ, NEQ, the orderings and BETWEEN.
func (st *store) comparison(p propID, d *definition, f filter, fold func(string) string) (func(*contact) bool, *failure) {
	if read := st.numeric(p, d); read != nil {
		low, okLow := filterNumber(d, string(f.Value))
		high, okHigh := filterNumber(d, string(f.High))
		if !okLow || (f.Operator == "BETWEEN" && !okHigh) {
			return nil, notValid("%s is not a value to compare property %s with", f.Value, f.Property)
		}
		if low == 0 && (d.Type == "date" || d.Type == "datetime") {
			return nil, &failure{Status: http.StatusInternalServerError, HTML: true, Message: "internal error"}
		}
		return func(c *contact) bool {
			n, ok := read(c)
			return ok && compares(f.Operator, n, low, high) || !ok && f.Operator == "NEQ"
		}, nil
	}
	low, high := fold(string(f.Value)), fold(string(f.High))
	return func(c *contact) bool {
		text := fold(st.text(c, p))
		if text == "" {
			return f.Operator == "NEQ"
		}
		if f.Operator == "EQ" || f.Operator == "NEQ" {
			return slices.Contains(parts(d, text), low) == (f.Operator == "EQ")
		}
		return compares(f.Operator, text, low, high)
	}, nil
}

func compares[T ~string | ~float64](operator string, x, low, high T) bool {
	switch operator {
	case "EQ":
		return x == low
	case "NEQ":
		return x != low
	case "LT":
		return x < low
	case "LTE":
		return x <= low
	case "GT":
		return x > low
	case "GTE":
		return x >= low
	}
	return x >= low && x <= high // BETWEEN
}

func filterNumber(d *definition, text string) (float64, bool) {
	if d.Type == "date" || d.Type == "datetime" {
		ms, ok := parseTime(text)
		return float64(ms), ok
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

// parts splits the value of a property that holds several options.
func parts(d *definition, text string) []string {
	if d.FieldType == "checkbox" {
		return strings.Split(text, ";")
	}
	return []string{text}
}

// containsToken looks for a word; a star at either end stands for anything.
func containsToken(text, pattern string) bool {
	if text == "" {
		return false
	}
	front, back := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*")
	core := strings.Trim(pattern, "*")
	if core == "" {
		return true
	}
	tokens := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" @.,;:-_/+()", r) })
	tokens = append(tokens, text)
	return slices.ContainsFunc(tokens, func(t string) bool {
		switch {
		case front && back:
			return strings.Contains(t, core)
		case front:
			return strings.HasSuffix(t, core)
		case back:
			return strings.HasPrefix(t, core)
		}
		return t == core
	}) || strings.Contains(core, " ") && strings.Contains(text, core)
}
