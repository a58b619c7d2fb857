package hubspotsim

import (
	"bufio"
	"fmt"
	"os"
	"slices"
)

// replay rebuilds the account from the journal, rewrites the journal in its
// shortest form, and leaves it open for appending.
func (s *Sim) replay() error {
	if s.cfg.Journal == "" {
		s.store.live = true
		return nil
	}
	pending := map[int64]event{}
	err := readJournal(s.cfg.Journal, func(r *record) error { return s.replayOne(r, pending) })
	if err != nil {
		return err
	}
	waiting := make([]event, 0, len(pending))
	for _, ev := range pending {
		waiting = append(waiting, ev)
	}
	slices.SortFunc(waiting, func(a, b event) int { return int(a.ID - b.ID) })
	file, err := s.compact(waiting)
	if err != nil {
		return fmt.Errorf("compacting: %w", err)
	}
	s.store.journal.file = file
	s.store.live = true
	s.hooks.queue(waiting)
	return nil
}

func (s *Sim) replayOne(r *record, pending map[int64]event) error {
	if !s.store.fits(r) {
		return fmt.Errorf("a %q record does not fit what came before it: delete the journal to start empty", r.Op)
	}
	switch r.Op {
	case opSent:
		for _, id := range r.Sent {
			delete(pending, id)
		}
	case opPending:
		pending[r.Pending.ID] = *r.Pending
	case opRequest:
		s.limits.replay(r.At, r.Request)
	case opToken:
		s.tokens.apply(r.Token)
	case opStats:
		s.limits.restore(r.Stats)
		s.stats.restore(r.Stats)
	default:
		if r.By != nil && r.By.Kind == "INTEGRATION" && (r.Op == opCreate || r.Op == opSet || r.Op == opDelete) {
			s.stats.wrote(len(r.Values))
		}
		for _, ev := range s.store.apply(r) {
			pending[ev.ID] = ev
		}
	}
	return nil
}

// fits tells whether a record can be applied: it has its parts, and what it
// changes exists. What a simulator wrote itself always fits.
func (st *store) fits(r *record) bool {
	exists := st.byID[r.ID] != nil
	switch r.Op {
	case opSet, opDelete, opRestore, opPrivacy:
		return exists
	case opMerge:
		return exists && st.byID[r.Other] != nil && r.Other != r.ID && st.byID[r.New] == nil
	case opCreate:
		return !exists && r.ID > 0
	case opProperty:
		return r.Def != nil && len(st.schema.names) < 1<<16-1
	case opGroup:
		return r.Group != nil
	case opLoad:
		return r.Load != nil && r.Load.Contacts >= 0 && r.Load.Contacts <= maxLoad && r.Load.From >= 0 && r.Load.First > 0
	case opContact:
		return r.Full != nil && len(r.Full.Merged) == len(r.Full.Stamps)
	case opPending:
		return r.Pending != nil
	case opToken:
		return r.Token != nil
	case opStats:
		return r.Stats != nil
	case opBlock, opAlias, opState, opSent, opRequest:
		return true
	}
	return false
}

// compact writes the present state to a new file and puts it in the journal's place.
func (s *Sim) compact(waiting []event) (*os.File, error) {
	path := s.cfg.Journal + ".new"
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	if err := s.snapshot(waiting, func(r *record) error {
		line, err := r.encode()
		if err == nil {
			_, err = out.Write(line)
		}
		return err
	}); err != nil {
		file.Close()
		return nil, err
	}
	if err := out.Flush(); err != nil {
		file.Close()
		return nil, err
	}
	if err := os.Rename(path, s.cfg.Journal); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// snapshot gives the records that lead to the present state. Contacts of a
// bulk load that nobody touched since are restored by the load's own record.
func (s *Sim) snapshot(waiting []event, put func(*record) error) error {
	st := s.store
	var all []*record
	add := func(r *record) { all = append(all, r) }
	for _, d := range st.schema.defs {
		add(&record{Op: opProperty, Def: d})
	}
	for _, g := range st.schema.groups {
		add(&record{Op: opGroup, Group: g})
	}
	for i := range st.loads {
		o := st.loads[i]
		o.Event = 0 // events that still wait are written on their own
		add(&record{Op: opLoad, Load: &o})
	}
	for email := range st.blocked {
		add(&record{Op: opBlock, Email: email})
	}
	add(&record{Op: opState, ID: st.nextID, Event: st.nextEv})
	for from, to := range st.aliases {
		add(&record{Op: opAlias, ID: from, Other: to})
	}
	for i := range waiting {
		add(&record{Op: opPending, Pending: &waiting[i]})
	}
	for _, t := range s.tokens.dump() {
		add(&record{Op: opToken, Token: &t})
	}
	saved := s.limits.save()
	s.stats.save(saved)
	add(&record{Op: opStats, Stats: saved})
	for _, r := range all {
		if err := put(r); err != nil {
			return err
		}
	}
	for _, c := range st.order {
		if c.pristine {
			continue
		}
		if err := put(&record{Op: opContact, Full: st.dump(c)}); err != nil {
			return err
		}
	}
	return nil
}
