package hubspotsim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// injected is a fault that the control call installs.
type injected struct {
	// Path is a prefix of the request path, or a pattern when it has a star.
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

	left int
}

// faultList holds the installed faults. mu guards the list.
type faultList struct {
	mu   sync.Mutex
	list []*injected
}

func newFaultList() *faultList { return &faultList{} }

// install replaces the faults.
func (l *faultList) install(list []*injected) error {
	for i, f := range list {
		if f.Rate != nil && (*f.Rate < 0 || *f.Rate > 1) {
			return fmt.Errorf("fault %d: rate %g is not between 0 and 1: give a probability", i, *f.Rate)
		}
		if f.Status != 0 && (f.Status < 400 || f.Status > 599) {
			return fmt.Errorf("fault %d: status %d is no error: give 400 to 599, or 0 to only delay or drop", i, f.Status)
		}
		if f.Count < 0 || f.DelayMS < 0 {
			return fmt.Errorf("fault %d: count and delay_ms must not be negative: use 0 for none", i)
		}
		f.left = f.Count
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = list
	return nil
}

// pick finds the first fault that hits a request.
func (l *faultList) pick(method, requested string) *injected {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.list {
		if f.Method != "" && !strings.EqualFold(f.Method, method) || f.Count > 0 && f.left == 0 || !hits(f.Path, requested) {
			continue
		}
		if f.Rate != nil && rand.Float64() >= *f.Rate {
			continue
		}
		if f.Count > 0 {
			f.left--
		}
		return f
	}
	return nil
}

// hits matches a prefix, or a pattern in which a star also covers slashes.
func hits(pattern, requested string) bool {
	if !strings.Contains(pattern, "*") {
		return strings.HasPrefix(requested, pattern)
	}
	pieces := strings.Split(pattern, "*")
	if !strings.HasPrefix(requested, pieces[0]) {
		return false
	}
	rest := requested[len(pieces[0]):]
	for i, piece := range pieces[1:] {
		if i == len(pieces)-2 {
			return strings.HasSuffix(rest, piece)
		}
		at := strings.Index(rest, piece)
		if at < 0 {
			return false
		}
		rest = rest[at+len(piece):]
	}
	return true
}

// withFaults does the work of a call, or what an installed fault says.
func (s *Sim) withFaults(q *call, requested, route string, work func(*call)) {
	rec := &recorder{header: q.w.Header(), status: http.StatusOK}
	out := q.w
	q.w = rec
	f := s.faults.pick(q.r.Method, requested)
	if f != nil && f.DelayMS > 0 {
		pause(q.r, time.Duration(f.DelayMS)*time.Millisecond)
	}
	if f != nil && f.Status != 0 {
		faultBody(f.Status, s.cfg.Now()).write(rec)
	} else {
		work(q)
	}
	if f != nil && (f.DropResponse || f.Truncate) {
		s.stats.answered(route, 0)
		if f.Truncate {
			out.WriteHeader(rec.status)
			_, _ = out.Write(rec.body.Bytes()[:rec.body.Len()/2]) // the connection is cut anyway
			_ = http.NewResponseController(out).Flush()
		}
		panic(http.ErrAbortHandler)
	}
	s.stats.answered(route, rec.status)
	out.WriteHeader(rec.status)
	_, _ = out.Write(rec.body.Bytes()) // the client went away: nothing is left to tell it
}

// recorder keeps an answer until it is known what becomes of it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// faultBody is what HubSpot answers with a status.
func faultBody(status int, now time.Time) *failure {
	switch status {
	case http.StatusUnauthorized:
		return expiredToken(now.Add(-17*time.Second), now)
	case http.StatusForbidden:
		return missingScope("crm.objects.contacts.write")
	case http.StatusTooManyRequests:
		return windowLimit("publicapi:private_app-api-calls-ten-secondly")
	case http.StatusLocked:
		return &failure{Status: status, Category: "LOCKED", Message: "Resource is locked"}
	case 477:
		return &failure{Status: status, Category: "MIGRATION_IN_PROGRESS", Message: "Migration in progress", Retry: "2"}
	}
	if status >= 500 {
		return &failure{Status: status, HTML: true, Message: "The service did not answer in time"}
	}
	return &failure{Status: status, Category: "BAD_REQUEST", Message: "fault of the simulator"}
}
