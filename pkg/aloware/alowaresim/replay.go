package alowaresim

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// open restores the account from its journal, writes the journal anew with
// only what still matters, and keeps it open for more.
func (s *Sim) open(path string) error {
	left := map[int64]*delivery{}
	if err := s.replay(path, left); err != nil {
		return err
	}
	s.store.settle()
	for _, m := range s.store.communications {
		for _, st := range m.Steps {
			heap.Push(&s.outbox.steps, step{Due: st.Due, Do: st.Do, id: m.ID})
		}
	}
	for _, d := range left {
		s.outbox.put(d)
	}
	set, err := s.override.apply(s.fixed)
	if err != nil {
		return fmt.Errorf("settings made by control calls: %w", err)
	}
	s.set = set
	if err := s.compact(path); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	s.journal.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return err
}

func (s *Sim) replay(path string, left map[int64]*delivery) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil // what has no line feed was torn by the end of the process
		}
		if err != nil {
			return err
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("line %d is no record (%w): move the file away to begin with an empty account", n, err)
		}
		s.restore(&r, left)
	}
}

// restore does again what a record tells.
func (s *Sim) restore(r *record, left map[int64]*delivery) {
	if r.State != nil {
		s.resume(r.State)
	}
	if r.Config != nil {
		s.override = *r.Config
		if set, err := s.override.apply(s.fixed); err == nil { // else open says what is wrong
			s.set = set
		}
	}
	if r.Lists != nil {
		s.lists = *r.Lists
	}
	if r.Load != nil {
		s.load(r.Load)
	}
	for i := range r.Contacts {
		saved := &r.Contacts[i]
		if c := s.store.find(saved.ID); c != nil {
			s.store.unindex(c)
			c.restore(saved)
			s.store.index(c)
		} else {
			c = &contact{}
			c.restore(saved)
			s.store.insert(c)
		}
	}
	for _, id := range r.Gone {
		if c := s.store.find(id); c != nil {
			s.store.remove(c)
		}
	}
	for _, m := range r.Communications {
		s.replace(m)
	}
	for _, d := range r.Deliveries {
		left[d.Seq] = d
		s.outbox.next = max(s.outbox.next, d.Seq)
	}
	for _, d := range r.Done {
		delete(left, d.Seq)
		s.stats.delivered(d.OK)
	}
	s.recount(r)
}

// replace puts a state of a communication in the place of an earlier one.
func (s *Sim) replace(m *communication) {
	old := s.store.talk(m.ID)
	if old == nil {
		s.store.hold(m)
		return
	}
	if old.Contact != m.Contact { // merged
		s.store.talks[old.Contact] = slices.DeleteFunc(s.store.talks[old.Contact], func(t *communication) bool { return t == old })
		s.store.talks[m.Contact] = append(s.store.talks[m.Contact], old)
	}
	*old = *m
}

// recount does what a record tells of calls to the API.
func (s *Sim) recount(r *record) {
	if r.Reset {
		s.reset()
	}
	if r.Came != nil {
		if !r.Came.Stray {
			s.limits.arrive(r.Came.At, s.set.Rate, s.set.Burst)
		}
		s.came(r.Came)
	}
	if r.Answered != nil {
		s.stats.answered(r.Answered.Route, r.Answered.Status)
	}
	for _, values := range r.Wrote {
		s.stats.wrote(values)
	}
}

func (s *Sim) resume(from *state) {
	s.store.nextContact, s.store.nextCommunication, s.outbox.next = from.NextContact, from.NextCommunication, from.NextDelivery
	s.stats = newStatistics()
	if from.Statistics.ByRoute != nil {
		s.stats = from.Statistics
	}
	s.limits = limiter{level: from.Level, filled: from.Filled, arrivals: from.Arrivals}
}

// came counts an arrival; one that takes from the bucket was taken already.
func (s *Sim) came(a *arrival) {
	s.stats.Requests++
	if a.Stray {
		return
	}
	if a.Refused {
		s.stats.Overruns++
	}
	s.stats.Max.Second = max(s.stats.Max.Second, s.limits.within(a.At, time.Second))
	s.stats.Max.TenSeconds = max(s.stats.Max.TenSeconds, s.limits.within(a.At, 10*time.Second))
}

// reset begins to count anew. The bucket stays as full as it was.
func (s *Sim) reset() {
	s.stats = newStatistics()
	s.limits.arrivals = nil
}

// compact writes a new journal and puts it in the place of the old one.
func (s *Sim) compact(path string) error {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	err = s.dump(w)
	if err == nil {
		err = w.Flush()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// dump writes all there is. Contacts that nobody touched since a bulk load are
// restored by the load's own record.
func (s *Sim) dump(w io.Writer) error {
	var buf bytes.Buffer
	var failed error
	put := func(r record) {
		buf.Reset()
		if failed == nil {
			failed = r.encode(&buf)
		}
		if failed == nil {
			_, failed = w.Write(buf.Bytes())
		}
	}
	if s.override != nil {
		put(record{Config: &s.override})
	}
	put(record{Lists: &s.lists})
	for i := range s.store.loads {
		l := &s.store.loads[i]
		put(record{Load: l})
		var gone []int64
		for id := l.First; id < l.First+int64(l.Contacts); id++ {
			if s.store.find(id) == nil {
				gone = append(gone, id)
			}
		}
		if gone != nil {
			put(record{Gone: gone})
		}
	}
	for _, c := range s.store.contacts {
		if !c.is(flagPristine) {
			put(record{Contacts: []savedContact{c.save()}})
		}
	}
	for _, m := range s.store.communications {
		put(record{Communications: []*communication{m}})
	}
	for _, q := range s.outbox.queues {
		for _, d := range q.waiting {
			put(record{Deliveries: []*delivery{d}})
		}
	}
	put(record{State: &state{
		NextContact: s.store.nextContact, NextCommunication: s.store.nextCommunication, NextDelivery: s.outbox.next,
		Statistics: s.stats, Level: s.limits.level, Filled: s.limits.filled, Arrivals: s.limits.arrivals,
	}})
	return failed
}
