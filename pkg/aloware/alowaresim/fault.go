package alowaresim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// injected is a fault that the control call installs.
type injected struct {
	// Path is a prefix of the request's path, or a pattern when it has a star,
	// which stands for anything.
	Path string `json:"path"`
	// Method limits the fault to one method. Empty is any.
	Method string `json:"method,omitempty"`
	// Status is what to answer instead of doing the work. 0 does the work.
	Status int `json:"status"`
	// Rate is the probability. Default 1.
	Rate *float64 `json:"rate,omitempty"`
	// Count is how often the fault happens before it expires. 0 is for ever.
	Count int `json:"count"`
	// DelayMS is waited first.
	DelayMS int `json:"delay_ms"`
	// DropResponse does the work and then cuts the connection.
	DropResponse bool `json:"drop_response"`
	// Truncate does the work and cuts the connection in the middle of the answer.
	Truncate bool `json:"truncate"`
	// HTML answers the web page with status 200 instead of doing the work.
	HTML bool `json:"html"`

	used int
}

func checkFaults(list []*injected) error {
	for i, f := range list {
		switch {
		case f == nil || f.Path == "":
			return fmt.Errorf("fault %d: path is missing: give a prefix like /api/v1/webhook/forms", i)
		case f.Rate != nil && (*f.Rate < 0 || *f.Rate > 1):
			return fmt.Errorf("fault %d: rate %g is not between 0 and 1: give a probability", i, *f.Rate)
		case f.Status != 0 && (f.Status < 300 || f.Status > 599):
			return fmt.Errorf("fault %d: status %d is no error: give 300 to 599, or 0 to only delay or drop", i, f.Status)
		case f.Count < 0 || f.DelayMS < 0:
			return fmt.Errorf("fault %d: count and delay_ms must not be negative: use 0 for none", i)
		}
	}
	return nil
}

// fault finds the first fault that hits a request, or nil, and uses it up.
func (s *Sim) fault(method, path string) *injected {
	for _, f := range s.faults {
		switch {
		case f.Method != "" && !strings.EqualFold(f.Method, method):
		case f.Count > 0 && f.used >= f.Count:
		case !hits(f.Path, path):
		case f.Rate != nil && rand.Float64() >= *f.Rate:
		default:
			f.used++
			return f
		}
	}
	return nil
}

// hits reports whether a path begins with a prefix or fits a pattern.
func hits(pattern, path string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return strings.HasPrefix(path, pattern)
	}
	if !strings.HasPrefix(path, first) {
		return false
	}
	path = path[len(first):]
	if rest == "" {
		return true
	}
	for i := 0; i <= len(path); i++ {
		if hitsWhole(rest, path[i:]) {
			return true
		}
	}
	return false
}

// hitsWhole is hits for the part behind a star, which must reach to the end.
func hitsWhole(pattern, path string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == path
	}
	return hits(pattern, path)
}
