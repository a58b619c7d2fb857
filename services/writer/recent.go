package writer

import (
	"strings"
	"sync"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/writer/row"
)

// mostRecent is how many contacts' latest versions a process remembers.
const mostRecent = 10_000

// recent remembers which versions of which properties were sent last. A patch
// that comes behind a later one by the other stream, after that one's row is
// gone, brings no older value then. It is bounded and forgets the oldest; what
// slips through the mapper puts right.
type recent struct {
	mu    sync.Mutex
	sent  map[name]row.Delivered
	order []name // ring of the names in sent
	next  int
}

func newRecent(most int) *recent {
	return &recent{sent: make(map[name]row.Delivered), order: make([]name, most)}
}

// step is row.Next with what is remembered.
func (r *recent) step(tenant contact.Tenant, patch contact.Patch, now contact.Millis) (contact.Patch, row.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return row.Next(patch, now, r.sent[name{tenant, patch.Contact}])
}

// add remembers a patch that is being sent.
func (r *recent) add(tenant contact.Tenant, patch *contact.Patch) {
	if len(patch.Properties) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := name{tenant, patch.Contact}
	known := r.sent[n]
	if known == nil {
		delete(r.sent, r.order[r.next])
		known = make(row.Delivered, len(patch.Properties))
		r.sent[n], r.order[r.next] = known, n
		r.next = (r.next + 1) % len(r.order)
	}
	for _, p := range patch.Properties {
		if version, ok := known[p.Name]; ok {
			known[p.Name] = max(version, p.Version)
		} else {
			known[strings.Clone(p.Name)] = p.Version // not with the whole row that the name is a part of
		}
	}
}

// forget drops what is remembered of a contact that is erased. Its place in
// the ring stays, and is taken in its turn.
func (r *recent) forget(n name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sent, n)
	for i := range r.order {
		if r.order[i] == n {
			r.order[i] = name{}
		}
	}
}
