package mapping

import (
	"math/big"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
)

// Filter limits which contacts are kept in step, by their values. A contact
// that leaves it stops being written and keeps its link; entering it again is
// no edit.
type Filter struct {
	// Any lets one condition suffice; otherwise all must hold.
	Any        bool        `json:"any,omitempty"`
	Conditions []Condition `json:"conditions"`
}

// Condition is one simple condition on the value of a mapping.
type Condition struct {
	Key   string   `json:"key"` // mapping whose value is looked at
	Op    Op       `json:"op"`
	Texts []string `json:"texts,omitempty"` // what it is compared with
}

// Op compares a value.
type Op string

// The comparisons. Texts compare without regard to case.
const (
	Is         Op = "is"          // one of Texts
	IsNot      Op = "is_not"      // none of Texts
	Contains   Op = "contains"    // Texts[0] is part of it
	StartsWith Op = "starts_with" // it begins with Texts[0]
	IsBlank    Op = "is_blank"
	IsNotBlank Op = "is_not_blank"
	AtLeast    Op = "at_least" // number, date or datetime
	AtMost     Op = "at_most"
)

// Ops are all comparisons.
var Ops = []Op{Is, IsNot, Contains, StartsWith, IsBlank, IsNotBlank, AtLeast, AtMost}

// Admits reports whether a contact with these values (canonical, by mapping
// key, "" for none) is kept in step. No filter admits all.
func (s *Set) Admits(value func(key string) string) bool {
	if s.Filter == nil || len(s.Filter.Conditions) == 0 {
		return true
	}
	for i := range s.Filter.Conditions {
		c := &s.Filter.Conditions[i]
		if m := s.ByKey(c.Key); m != nil && c.holds(m.Type, value(c.Key)) == s.Filter.Any {
			return s.Filter.Any
		}
	}
	return !s.Filter.Any
}

func (c *Condition) holds(t contact.Type, value string) bool {
	same := func(text string) bool { return strings.EqualFold(text, value) }
	switch c.Op {
	case Is:
		return slices.ContainsFunc(c.Texts, same)
	case IsNot:
		return !slices.ContainsFunc(c.Texts, same)
	case Contains:
		return strings.Contains(strings.ToLower(value), strings.ToLower(c.Texts[0]))
	case StartsWith:
		return strings.HasPrefix(strings.ToLower(value), strings.ToLower(c.Texts[0]))
	case IsBlank:
		return value == ""
	case IsNotBlank:
		return value != ""
	case AtLeast:
		return value != "" && compare(t, value, c.Texts[0]) >= 0
	case AtMost:
		return value != "" && compare(t, value, c.Texts[0]) <= 0
	}
	return false
}

// compare orders two canonical values.
func compare(t contact.Type, a, b string) int {
	if t == contact.Number {
		x, okX := new(big.Rat).SetString(a)
		y, okY := new(big.Rat).SetString(b)
		if okX && okY {
			return x.Cmp(y)
		}
	}
	return strings.Compare(a, b) // canonical dates sort as texts
}

const mostConditions = 20

// check says what is wrong with a filter.
func (s *Set) checkFilter() *Refusal {
	if s.Filter == nil {
		return nil
	}
	if n := len(s.Filter.Conditions); n == 0 || n > mostConditions {
		return refuse(RuleFilter, "", "a filter has 1 to %d conditions; leave it out to keep all contacts in step", mostConditions)
	}
	for i := range s.Filter.Conditions {
		c := &s.Filter.Conditions[i]
		m := s.ByKey(c.Key)
		if m == nil {
			return refuse(RuleFilter, c.Key, "the filter looks at a mapping that is not there")
		}
		if m.Category.Computed() {
			return refuse(RuleFilter, c.Key, "the filter cannot look at values that are computed from calls and texts")
		}
		texts := 0
		switch c.Op {
		case Is, IsNot:
			if texts = len(c.Texts); texts == 0 || texts > 100 {
				return refuse(RuleFilter, c.Key, "%s needs 1 to 100 values", c.Op)
			}
		case Contains, StartsWith:
			texts = 1
		case AtLeast, AtMost:
			texts = 1
			if m.Type != contact.Number && m.Type != contact.Date && m.Type != contact.Datetime {
				return refuse(RuleFilter, c.Key, "%s is for numbers and dates; this is a %s", c.Op, people(m.Type))
			}
		case IsBlank, IsNotBlank:
		default:
			return refuse(RuleFilter, c.Key, "condition %q: want is, is_not, contains, starts_with, is_blank, is_not_blank, at_least or at_most", c.Op)
		}
		if len(c.Texts) != texts {
			return refuse(RuleFilter, c.Key, "%s takes %d values, not %d", c.Op, texts, len(c.Texts))
		}
		for _, text := range c.Texts {
			if len(text) > 1000 || text == "" {
				return refuse(RuleFilter, c.Key, "a value of a condition has 1 to 1000 bytes; use is_blank for blanks")
			}
			if c.Op == Contains || c.Op == StartsWith {
				continue
			}
			if value, err := contact.Canonical(m.Type, text, "US"); err != nil || value != text {
				return refuse(RuleFilter, c.Key, "%q is not written as a %s is kept; want %q", text, people(m.Type), value)
			}
		}
	}
	return nil
}
