package alowaresim

import (
	"bytes"
	"context"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const prefix = "/api/v1/webhook/"

// call is one API call with its token checked. Fields are the JSON body of a
// write.
type call struct {
	*http.Request
	fields map[string]any
}

// reply is an answer of the API.
type reply struct {
	status int
	body   []byte
	html   bool
	wait   time.Duration // of Retry-After
}

// say makes a reply of something that has a JSON form.
func say(status int, v any) reply {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return reply{status: http.StatusInternalServerError, body: []byte(`{"message":"Server Error"}`)}
	}
	return reply{status: status, body: bytes.TrimRight(buf.Bytes(), "\n")}
}

func sayError(status int, text string) reply { return say(status, map[string]string{"error": text}) }
func sayMessage(status int, text string) reply {
	return say(status, map[string]string{"message": text})
}

//go:embed page/catchall.html
var catchAllPage []byte

func webPage() reply { return reply{status: http.StatusOK, body: catchAllPage, html: true} }

// endpoint answers calls; it runs under the lock.
type endpoint struct {
	pattern string
	assumed bool // documented nowhere
	answer  func(*Sim, *call) reply
}

var endpoints = []endpoint{
	{"POST forms", false, (*Sim).forms},
	{"GET contact/phone-number", false, (*Sim).lookup},
	{"GET users", false, (*Sim).users},
	{"POST sms-gateway/send", false, (*Sim).sendText},
	{"POST two-legged-call", false, (*Sim).twoLeggedCall},
	{"POST sequence-enroll", false, (*Sim).enroll},
	{"POST sequence-disenroll", false, (*Sim).disenroll},
	{"POST powerdialer-remove-contact-from-lists", false, (*Sim).leaveLists},
	{"POST powerdialer-clear-list", false, (*Sim).clearList},
	{"POST powerdialer-clear-user-lists", false, (*Sim).clearUserLists},

	{"GET contact/{id}", true, (*Sim).read},
	{"PUT contact/{id}", true, (*Sim).update},
	{"POST contact/{id}/dispose", true, (*Sim).disposeContact},
	{"GET contacts", true, (*Sim).list},
	{"GET disposition-statuses", true, (*Sim).dispositionStatuses},
	{"PUT disposition-statuses/crm", true, (*Sim).mirrorDispositions},
	{"GET call-dispositions", true, (*Sim).callDispositions},
	{"PUT call-dispositions/crm", true, (*Sim).mirrorCallDispositions},
	{"GET tags", true, (*Sim).tags},
	{"GET lines", true, (*Sim).lines},
	{"GET contact-attributes", true, (*Sim).attributes},
}

// Handler serves the API, the pages, the control calls, and for everything
// else what Aloware serves: its web page.
func (s *Sim) Handler() http.Handler {
	mux := http.NewServeMux()
	for i := range endpoints {
		e := &endpoints[i]
		method, path, _ := strings.Cut(e.pattern, " ")
		mux.HandleFunc(method+" "+prefix+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, e) })
	}
	s.control(mux)
	s.pages(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, nil) })
	return mux
}

// maxBody bounds the body of a call, in bytes.
const maxBody = 4 << 20

// serve answers one call; e is nil for an unknown path.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request, e *endpoint) {
	c := &call{Request: r}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return // the caller is gone, or sends too much
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		_ = d.Decode(&c.fields) // a body that is no object has no token in it
	}
	route := r.Method + " (unknown)"
	if e != nil {
		route = strings.Replace(e.pattern, " ", " "+prefix, 1)
	}
	answer, f, latency := s.arrive(c, e, route)
	if f != nil && !pause(r.Context(), time.Duration(f.DelayMS)*time.Millisecond) {
		return
	}
	if answer == nil {
		if !pause(r.Context(), latency/2) {
			return
		}
		worked := s.carryOut(c, e)
		answer = &worked
		if !pause(r.Context(), latency-latency/2) {
			return
		}
	}
	s.finish(w, *answer, f, route)
}

// arrive lets a call in: it gives the answer if there is one without any work,
// the fault that hits the call, and the time that the work takes.
func (s *Sim) arrive(c *call, e *endpoint, route string) (answer *reply, f *injected, latency time.Duration) {
	err := s.work(func() {
		f = s.fault(c.Method, c.URL.Path)
		latency = s.set.latency()
		known := e != nil && (!e.assumed || s.set.Profile == profileFull)
		allowed := known && s.allowed(c)
		came := arrival{At: s.now().UnixMicro(), Stray: !allowed}
		var wait time.Duration
		if allowed {
			var ok bool
			ok, wait = s.limits.arrive(came.At, s.set.Rate, s.set.Burst)
			came.Refused = !ok
		}
		s.came(&came)
		s.tx.Came = &came
		switch {
		case !known && !s.set.HTMLCatchAll:
			missing := sayError(http.StatusNotFound, "Not found.")
			answer = &missing
		case !known:
			page := webPage()
			answer = &page
		case !allowed && s.set.BadToken == "html":
			page := webPage()
			answer = &page
		case !allowed:
			refused := sayError(http.StatusUnauthorized, "Unauthenticated.")
			answer = &refused
		case came.Refused:
			full := sayMessage(http.StatusTooManyRequests, "Too Many Attempts.")
			full.wait = wait
			answer = &full
		case f != nil && f.HTML:
			page := webPage()
			answer = &page
		case f != nil && f.Status != 0:
			failed := sayMessage(f.Status, http.StatusText(f.Status))
			if f.Status == http.StatusTooManyRequests {
				failed.wait = time.Second
			}
			answer = &failed
		}
	})
	if err != nil {
		broken := s.broken(err)
		answer = &broken
	}
	return answer, f, latency
}

// allowed checks the token: in the query of a GET, in the body of a write.
func (s *Sim) allowed(c *call) bool {
	given := c.URL.Query().Get("api_token")
	if c.Method != http.MethodGet && c.Method != http.MethodHead {
		given, _ = c.fields["api_token"].(string)
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(s.token)) == 1
}

func (s *Sim) carryOut(c *call, e *endpoint) (answer reply) {
	if err := s.work(func() { answer = e.answer(s, c) }); err != nil {
		return s.broken(err)
	}
	return answer
}

// broken is the answer when the journal cannot be written.
func (s *Sim) broken(err error) reply {
	s.log.Error("the journal of the Aloware simulator cannot be written", "error", err)
	return sayMessage(http.StatusInternalServerError, "Server Error")
}

// finish counts the answer and sends it, unless a fault cuts the connection.
func (s *Sim) finish(w http.ResponseWriter, answer reply, f *injected, route string) {
	cut := f != nil && (f.DropResponse || f.Truncate)
	status := answer.status
	if cut {
		status = 0
	}
	err := s.work(func() {
		s.stats.answered(route, status)
		s.tx.Answered = &answered{Route: route, Status: status}
	})
	if err != nil {
		answer = s.broken(err)
	}
	if f != nil && f.DropResponse {
		panic(http.ErrAbortHandler) // the server cuts the connection
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if answer.html {
		h.Set("Content-Type", "text/html; charset=UTF-8")
	}
	if answer.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(answer.wait.Seconds()))))
	}
	h.Set("Content-Length", strconv.Itoa(len(answer.body)))
	w.WriteHeader(answer.status)
	if f != nil && f.Truncate {
		_, _ = w.Write(answer.body[:len(answer.body)/2]) // whether it arrives makes no difference
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(answer.body) // a caller that went away misses nothing
}

// pause waits; false when the caller went away.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
