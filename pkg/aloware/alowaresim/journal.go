package alowaresim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// journal is the append-only file. Each line is a record, written with one
// write(2), which the kernel keeps when the process dies.
type journal struct {
	file *os.File // nil keeps nothing
	buf  bytes.Buffer
}

// record is what one piece of work changed. A line that is torn was never
// answered for, so it counts as a whole or not at all.
type record struct {
	Config         *override        `json:"config,omitempty"`
	Lists          *directory       `json:"lists,omitempty"`
	Load           *loadOrder       `json:"load,omitempty"`
	Contacts       []savedContact   `json:"c,omitempty"`
	Gone           []int64          `json:"gone,omitempty"`
	Communications []*communication `json:"m,omitempty"`
	Deliveries     []*delivery      `json:"d,omitempty"`
	Done           []done           `json:"done,omitempty"`
	Came           *arrival         `json:"q,omitempty"`
	Answered       *answered        `json:"a,omitempty"`
	Wrote          []int            `json:"w,omitempty"` // values changed by each write of the API
	Reset          bool             `json:"reset,omitempty"`
	State          *state           `json:"state,omitempty"`

	touched []*contact // become Contacts at the end of the work
}

// arrival is a call of the API.
type arrival struct {
	At      int64 `json:"t"` // microseconds
	Refused bool  `json:"r,omitempty"`
	Stray   bool  `json:"x,omitempty"` // without a right token or path, so that it takes nothing from the bucket
}

type answered struct {
	Route  string `json:"p"`
	Status int    `json:"s"`
}

// done is a delivery that was attempted.
type done struct {
	Seq int64 `json:"n"`
	OK  bool  `json:"ok,omitempty"`
}

// state is what a compaction keeps beside contacts and the like.
type state struct {
	NextContact       int64      `json:"next_contact"`
	NextCommunication int64      `json:"next_communication"`
	NextDelivery      int64      `json:"next_delivery"`
	Statistics        statistics `json:"statistics"`
	Level             float64    `json:"level"`
	Filled            int64      `json:"filled"`
	Arrivals          []int64    `json:"arrivals"`
}

func (r *record) contact(c *contact) {
	for _, t := range r.touched {
		if t == c {
			return
		}
	}
	r.touched = append(r.touched, c)
}

func (r *record) communication(m *communication) {
	for _, t := range r.Communications {
		if t == m {
			return
		}
	}
	r.Communications = append(r.Communications, m)
}

func (r *record) empty() bool {
	return r.Config == nil && r.Lists == nil && r.Load == nil && len(r.touched) == 0 && len(r.Contacts) == 0 && len(r.Gone) == 0 &&
		len(r.Communications) == 0 && len(r.Deliveries) == 0 && len(r.Done) == 0 && r.Came == nil && r.Answered == nil &&
		len(r.Wrote) == 0 && !r.Reset && r.State == nil
}

// commit writes what the work under way changed, then lets its deliveries go.
// The deliveries go also when the journal cannot be written.
func (s *Sim) commit() error {
	if s.tx.empty() {
		return nil
	}
	r := s.tx
	s.tx = record{}
	var err error
	if s.journal.file != nil {
		for _, c := range r.touched {
			if !c.is(flagGone) {
				r.Contacts = append(r.Contacts, c.save())
			}
		}
		err = s.journal.write(&r)
	}
	for _, d := range r.Deliveries {
		s.outbox.put(d)
	}
	if len(r.Deliveries) > 0 || len(r.Communications) > 0 {
		s.rouse()
	}
	return err
}

func (j *journal) write(r *record) error {
	j.buf.Reset()
	if err := r.encode(&j.buf); err != nil {
		return err
	}
	if _, err := j.file.Write(j.buf.Bytes()); err != nil {
		return fmt.Errorf("append to the journal: %w", err)
	}
	return nil
}

func (r *record) encode(to *bytes.Buffer) error {
	e := json.NewEncoder(to) // ends with a line feed
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("encode a record: %w", err)
	}
	return nil
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
