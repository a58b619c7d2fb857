package hubspotsim

import (
	"math/rand/v2"
	"time"
)

// searchIndex is what search sees: the store as it was a little while ago,
// each contact with a delay of its own. It is guarded by the store's lock.
type searchIndex struct {
	lag     time.Duration
	lagging map[int64]*laggard
	changes int
}

// sweepEvery is the number of changes after which due versions are folded in.
const sweepEvery = 4096

// laggard is a contact whose latest changes search does not see yet.
type laggard struct {
	base     *contact // what search sees until the first version is due; nil: nothing
	versions []version
}

type version struct {
	due     int64
	contact *contact // nil: no longer found
}

func newSearchIndex(lag time.Duration) *searchIndex {
	return &searchIndex{lag: max(0, lag), lagging: map[int64]*laggard{}}
}

// note remembers what search sees of a contact that is about to change. A nil
// before is a contact that is about to be made.
func (x *searchIndex) note(c, before *contact) {
	if x.lag == 0 || x.lagging[c.id] != nil {
		return
	}
	l := &laggard{}
	if before != nil && before.state == active {
		l.base = before.clone()
	}
	x.lagging[c.id] = l
}

// changed queues the new state of a contact that note was told of.
func (x *searchIndex) changed(st *store, c *contact, now int64) {
	l := x.lagging[c.id]
	if l == nil {
		return
	}
	if !st.live {
		delete(x.lagging, c.id)
		return
	}
	due := now
	if x.lag > 0 {
		due += rand.N(x.lag).Milliseconds()
	}
	if n := len(l.versions); n > 0 {
		due = max(due, l.versions[n-1].due)
	}
	v := version{due: due}
	if c.state == active {
		v.contact = c.clone()
	}
	l.versions = append(l.versions, v)
	if x.changes++; x.changes%sweepEvery == 0 {
		x.view(now) // nobody may be searching
	}
}

// view gives, by id, the contacts that search sees otherwise than the store,
// nil for one that it does not find. Versions that are due are folded in.
func (x *searchIndex) view(now int64) map[int64]*contact {
	seen := map[int64]*contact{}
	for id, l := range x.lagging {
		n := 0
		for n < len(l.versions) && l.versions[n].due <= now {
			l.base = l.versions[n].contact
			n++
		}
		l.versions = l.versions[n:]
		if len(l.versions) == 0 {
			delete(x.lagging, id)
			continue
		}
		seen[id] = l.base
	}
	return seen
}
