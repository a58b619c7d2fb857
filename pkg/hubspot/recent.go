package hubspot

import (
	"time"

	"lockstep.internal/pkg/contact"
)

const (
	// recallTime bridges the lag of HubSpot's search index, for which 50 s were
	// seen.
	recallTime = 5 * time.Minute
	// unsureTime is how long a plain create without an answer is not repeated
	// when only the search could find what it made.
	unsureTime = time.Minute
	mostRecent = 10_000
)

// recent remembers what was created lately and the search may not show yet.
type recent struct {
	made   map[string]sighted        // by number and e-mail
	unsure map[contact.Key]time.Time // creates without an answer, until when
}

type sighted struct {
	id    string
	until time.Time
}

func newRecent() recent {
	return recent{made: map[string]sighted{}, unsure: map[contact.Key]time.Time{}}
}

// recall gives the id of a contact that was created lately with a number or an
// e-mail.
func (d *Destination) recall(key string, now time.Time) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.recent.made[key]
	return s.id, ok && now.Before(s.until)
}

// remember notes a created contact.
func (d *Destination) remember(j *job, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.recent.made) >= mostRecent {
		for key, s := range d.recent.made {
			if now.After(s.until) {
				delete(d.recent.made, key)
			}
		}
		if len(d.recent.made) >= mostRecent {
			clear(d.recent.made)
		}
	}
	for _, key := range j.matchKeys() {
		d.recent.made[key] = sighted{j.id, now.Add(recallTime)}
	}
	delete(d.recent.unsure, j.patch.Contact)
}

// doubt notes creates whose outcome is unknown.
func (d *Destination) doubt(jobs []*job, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, until := range d.recent.unsure {
		if now.After(until) {
			delete(d.recent.unsure, key)
		}
	}
	for _, j := range jobs {
		d.recent.unsure[j.patch.Contact] = now.Add(unsureTime)
	}
}

// doubted is how long a create must not be repeated; 0 for at once.
func (d *Destination) doubted(j *job, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(d.recent.unsure[j.patch.Contact].Sub(now), 0)
}
