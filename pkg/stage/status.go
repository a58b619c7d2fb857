package stage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// hung is after how many leases without a round of renewals the process
	// cannot be trusted to go on. A round waits for the database for less than
	// two.
	hung = 4
	// longBatch is from when on a batch under way is worth telling of.
	longBatch = time.Minute
	// mostTold bounds the partitions that troubles are told of.
	mostTold = 10
)

// Status is how a stage does, for the health of its process. The zero value is
// ready for use; it is safe for concurrent use.
type Status struct {
	mu     sync.Mutex
	round  time.Time // of renewals, the last one; zero while the stage does not run
	within time.Duration
	under  map[place]*undertaking
}

// place is one stream of one partition; the lease's name tells which stream.
type place struct {
	lease     string
	partition int
}

// undertaking is what a partition is at.
type undertaking struct {
	begun time.Time
	tries int // that failed
	fault error
}

// Alive tells when the stage hangs: it renews its leases no more, whatever the
// database and the bus do.
func (s *Status) Alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since := time.Since(s.round); !s.round.IsZero() && since > s.within {
		return fmt.Errorf("the leases were last looked at %v ago", since.Round(time.Second))
	}
	return nil
}

// Troubles tells which partitions do not go on, since when, and why.
func (s *Status) Troubles() (troubles []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	places := slices.SortedFunc(maps.Keys(s.under), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.lease, b.lease), cmp.Compare(a.partition, b.partition))
	})
	more := 0
	for _, at := range places {
		u := s.under[at]
		since := u.begun.UTC().Format(time.RFC3339)
		switch {
		case u.fault == nil && time.Since(u.begun) < longBatch:
		case len(troubles) == mostTold:
			more++
		case u.fault == nil:
			troubles = append(troubles, fmt.Sprintf("%s partition %d is at one batch since %s", at.lease, at.partition, since))
		default:
			troubles = append(troubles, fmt.Sprintf("%s partition %d cannot go on since %s, after %d tries: %v", at.lease, at.partition, since, u.tries, u.fault))
		}
	}
	if more > 0 {
		troubles = append(troubles, fmt.Sprintf("and %d more partitions", more))
	}
	return troubles
}

// looks notes that a round of renewals begins.
func (s *Status) looks(ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round, s.within = time.Now(), hung*ttl
}

// ends notes that the stage ends.
func (s *Status) ends() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round = time.Time{}
}

// begins notes that a batch of a partition is under way; while one fails, it
// is the same undertaking.
func (s *Status) begins(at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under == nil {
		s.under = make(map[place]*undertaking)
	}
	if s.under[at] == nil {
		s.under[at] = &undertaking{begun: time.Now()}
	}
}

// fails notes why a partition cannot go on.
func (s *Status) fails(at place, fault error) {
	s.begins(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.under[at]; u != nil {
		u.tries++
		u.fault = fault
	}
}

// done notes that a partition went on, or is not ours any more.
func (s *Status) done(at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.under, at)
}
