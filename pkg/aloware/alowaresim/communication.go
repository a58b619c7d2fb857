package alowaresim

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The numbers that Aloware uses for kinds, directions and creators.
const (
	typeCall        = 1
	typeText        = 2
	typeNote        = 10
	typeAppointment = 12

	inbound  = 1
	outbound = 2

	createdByHand = 1
	createdByAPI  = 2
)

const (
	statusRinging   = 1
	statusCompleted = 9
	statusReceived  = 11
	statusDelivered = 13
	statusFailed    = 19

	disposedInProgress = 1
	disposedAbandoned  = 2
	disposedMissed     = 3
	disposedCompleted  = 4
	disposedFailed     = 5
	disposedInvalid    = 7
	disposedSet        = 11
	disposedVoicemail  = 12
)

var statusNames = map[int]string{
	statusRinging: "ringing", statusCompleted: "completed", statusReceived: "received", statusDelivered: "delivered", statusFailed: "failed",
}

var disposedNames = map[int]string{
	disposedInProgress: "in-progress", disposedAbandoned: "abandoned", disposedMissed: "missed", disposedCompleted: "completed",
	disposedFailed: "failed", disposedInvalid: "invalid", disposedSet: "set", disposedVoicemail: "voicemail",
}

// communication is a call, a text, an appointment or a note. Times are seconds.
type communication struct {
	ID          int64  `json:"id"`
	Contact     int64  `json:"c"`
	Kind        int    `json:"k"`
	Direction   int    `json:"d"`
	Line        int64  `json:"line,omitempty"`
	Incoming    string `json:"in,omitempty"` // number of the line
	User        int64  `json:"u,omitempty"`
	Owner       int64  `json:"o,omitempty"`
	Text        string `json:"t,omitempty"`
	Status      int    `json:"s"`
	Disposition int    `json:"ds"`
	Outcome     int64  `json:"out,omitempty"` // call disposition
	Talk        int64  `json:"talk,omitempty"`
	Wait        int64  `json:"wait,omitempty"`
	Recording   bool   `json:"rec,omitempty"`
	Creator     int    `json:"by"`
	Created     int64  `json:"at"`
	Updated     int64  `json:"up"`
	Steps       []step `json:"steps,omitempty"` // what is still to be told of it
}

// step is an event of a call that comes after it. Due is in microseconds.
type step struct {
	Due int64  `json:"at"`
	Do  string `json:"do"`
	id  int64  // of the communication
}

const (
	stepRecording = "recording"
	stepDisposed  = "disposed"
	stepSummary   = "summary"
	stepSearch    = "search"
)

// afterCall is when the later events of a call were seen, from its disposition.
var afterCall = map[string]time.Duration{
	stepRecording: 4 * time.Second,
	stepDisposed:  6600 * time.Millisecond,
	stepSummary:   48200 * time.Millisecond,
	stepSearch:    48217 * time.Millisecond,
}

// steps is a heap of what is due, the earliest first.
type steps []step

func (h steps) Len() int           { return len(h) }
func (h steps) Less(i, j int) bool { return h[i].Due < h[j].Due }
func (h steps) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *steps) Push(x any)        { *h = append(*h, x.(step)) }
func (h *steps) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// talk is a communication that is to happen.
type talk struct {
	Kind        string // call, sms or appointment
	Direction   string // inbound or outbound
	Status      string // completed, missed, failed, invalid, voicemail or abandoned
	Text        string
	Outcome     int64
	Seconds     int64 // of talking
	At          int64
	User        int64
	Line        named
	Creator     int
	WithoutTalk bool // Seconds was given as 0
}

// statusOf gives the numbers of a talk's status.
func (t *talk) statusOf() (status, disposed int, err error) {
	status = statusCompleted
	switch {
	case t.Kind == "sms" && t.Direction == "inbound":
		status = statusReceived
	case t.Kind == "sms":
		status = statusDelivered
	}
	switch strings.ToLower(t.Status) {
	case "", "completed":
		return status, disposedCompleted, nil
	case "missed":
		disposed = disposedMissed
	case "voicemail":
		disposed = disposedVoicemail
	case "abandoned":
		disposed = disposedAbandoned
	case "failed":
		return statusFailed, disposedFailed, nil
	case "invalid":
		return statusFailed, disposedInvalid, nil
	}
	if disposed == 0 || t.Kind == "sms" {
		return 0, 0, fmt.Errorf("status %q: use completed, failed or invalid, and for calls also missed, voicemail or abandoned", t.Status)
	}
	return status, disposed, nil
}

// happen carries a talk out: it counts for the contact, and its events are
// sent as they were observed.
func (s *Sim) happen(c *contact, t talk) (*communication, error) {
	status, disposed, err := t.statusOf()
	if err != nil {
		return nil, err
	}
	m := &communication{
		Contact: c.id, Direction: inbound, Line: t.Line.ID, Incoming: t.Line.Phone, Owner: ownerOf(c), Text: t.Text,
		Status: status, Disposition: disposed, Outcome: t.Outcome, Creator: t.Creator, Created: t.At, Updated: max(t.At, s.second()),
	}
	if t.Direction == "outbound" {
		m.Direction = outbound
	}
	switch t.Kind {
	case "call":
		m.Kind = typeCall
		m.Wait = 3
		if m.Talk = t.Seconds; m.Talk == 0 && disposed == disposedCompleted && !t.WithoutTalk {
			m.Talk = 63
		}
		m.Recording = disposed == disposedVoicemail || m.Direction == outbound && disposed == disposedCompleted && m.Talk > 0
		if m.Outcome == 0 && disposed == disposedCompleted {
			m.Outcome, _ = s.lists.outcome("Connected") // the system sets it, rightly or not
		}
	case "sms":
		m.Kind = typeText
	case "appointment":
		m.Kind, m.Line, m.Incoming, m.Disposition = typeAppointment, 0, "", disposedSet
	}
	if m.Direction == outbound || disposed == disposedCompleted && m.Kind == typeCall {
		m.User = firstOf(t.User, c.user, s.lists.Users[0].ID)
	}
	s.record(m)
	if m.Kind == typeCall {
		s.emitCommunication(m, c, stepStart)
	}
	s.count(c, m)
	owned := c.user != 0 || m.User == 0 || !s.set.AutoAssign
	if !owned {
		s.change(c, []setting{{"user_id", idText(m.User)}}, bySystem)
	}
	stopped := s.obey(c, m)
	s.emitCommunication(m, c, stepEnd)
	if !owned || stopped {
		s.emitContact(c, contactUpdated)
	}
	s.plan(m)
	return m, nil
}

func firstOf(ids ...int64) int64 {
	i := slices.IndexFunc(ids, func(id int64) bool { return id != 0 })
	if i < 0 {
		return 0
	}
	return ids[i]
}

// ownerOf is the owner that a communication shows; -1 is the company.
func ownerOf(c *contact) int64 {
	if c.user == 0 {
		return -1
	}
	return c.user
}

// record keeps a new communication.
func (s *Sim) record(m *communication) {
	m.ID = s.store.nextCommunication
	s.store.hold(m)
	s.tx.communication(m)
}

// count adds a communication to the totals of its contact.
func (s *Sim) count(c *contact, m *communication) {
	at := -1
	switch {
	case m.Kind == typeCall && m.Direction == inbound:
		at = int(countInboundCalls)
	case m.Kind == typeCall:
		at = int(countOutboundCalls)
	case m.Kind == typeText && m.Direction == inbound:
		at = int(countInboundTexts)
		c.counts[countUnreadTexts]++
	case m.Kind == typeText:
		at = int(countOutboundTexts)
	}
	if at >= 0 {
		c.counts[at]++
	}
	switch {
	case m.Kind == typeCall && m.Disposition == disposedMissed:
		c.counts[countMissedCalls]++
	case m.Disposition == disposedVoicemail:
		c.counts[countVoicemails]++
	}
	c.counts[countAll]++
	c.engaged = max(c.engaged, m.Created)
	if m.Direction == inbound {
		c.engagedIn = max(c.engagedIn, m.Created)
	} else {
		c.engagedOut = max(c.engagedOut, m.Created)
	}
	if m.Incoming != "" {
		c.texts = c.texts.with(slotIncoming, m.Incoming)
	}
	s.touch(c)
}

// obey lets the texts STOP and START opt a contact out and in.
func (s *Sim) obey(c *contact, m *communication) bool {
	if m.Kind != typeText || m.Direction != inbound {
		return false
	}
	switch strings.ToUpper(strings.TrimSpace(m.Text)) {
	case "STOP":
		return s.change(c, []setting{{"is_opted_out", "1"}}, bySystem) != nil
	case "START":
		return s.change(c, []setting{{"is_opted_out", "0"}}, bySystem) != nil
	}
	return false
}

// plan sets what is to be told of a call later: of a completed outbound call
// six deliveries in all were seen, of an inbound one three, of a failed one two.
func (s *Sim) plan(m *communication) {
	if m.Kind != typeCall || m.Disposition == disposedFailed || m.Disposition == disposedInvalid {
		return
	}
	later := []string{stepDisposed}
	switch {
	case m.Disposition == disposedVoicemail:
		later = []string{stepRecording}
	case m.Recording:
		later = []string{stepRecording, stepDisposed, stepSummary, stepSearch}
	}
	for _, do := range later {
		due := s.now().Add(s.set.scaled(afterCall[do])).UnixMicro()
		m.Steps = append(m.Steps, step{Due: due, Do: do})
		heap.Push(&s.outbox.steps, step{Due: due, Do: do, id: m.ID})
	}
}

// proceed tells what is due of a call.
func (s *Sim) proceed(due step) {
	m := s.store.talk(due.id)
	if m == nil {
		return
	}
	m.Steps = slices.DeleteFunc(m.Steps, func(st step) bool { return st.Do == due.Do && st.Due == due.Due })
	if due.Do == stepRecording || due.Do == stepDisposed {
		m.Updated = max(m.Updated, s.second())
	}
	s.tx.communication(m)
	if c := s.store.find(m.Contact); c != nil {
		s.emitCommunication(m, c, due.Do)
	}
}

// dispose sets the outcome of a call, as an agent does after it.
func (s *Sim) dispose(m *communication, outcome int64) {
	m.Outcome = outcome
	m.Updated = max(m.Updated, s.second())
	s.tx.communication(m)
	if c := s.store.find(m.Contact); c != nil {
		s.emitCommunication(m, c, stepDisposed)
	}
}
